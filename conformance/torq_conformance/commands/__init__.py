"""The commands of ``torq-conformance``: one file each, found by name and imported when used.

A file exports a click command as ``command``; the first line of its docstring is its line in ``--help``. A file whose
name begins with an underscore is no command.
"""
