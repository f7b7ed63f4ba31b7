"""The C files of this package, compiled where a C compiler is, into a folder that is gone when the process ends."""

from __future__ import annotations

import atexit
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")
LIBRARY = ("-shared", "-fPIC")
_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")


class CompilerError(Exception):
    """There is no C compiler, or it refused a file; the message is one line."""


@functools.cache
def compiled(name: str, *flags: str) -> Path:
    """The program (or, with ``LIBRARY``, the shared library) made of a C file of this package; raises CompilerError."""
    result = _folder() / name.removesuffix(".c")
    command = [*_compiler(), *_FLAGS, *flags, "-o", str(result), str(Path(__file__).with_name(name))]
    run = _run(command)
    if run.returncode:
        first = next(iter(run.stderr.splitlines()), f"exit code {run.returncode}")
        raise CompilerError(f"{shlex.join(command)}: {first}")
    return result


def compiler_version() -> str:
    """The first line of the compiler's ``--version``; raises CompilerError where there is none."""
    return next(iter(_run([*_compiler(), "--version"]).stdout.splitlines()), "unknown")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompilerError(f"{command[0]}: cannot be run: {error.strerror}; set CC to a C compiler") from None


def _compiler() -> list[str]:
    wanted = os.environ.get("CC")
    if wanted:
        return shlex.split(wanted)
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise CompilerError(f"no C compiler ({', '.join(COMPILERS)}) on the PATH; install one, or set CC")


@functools.cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="torq-bench-c-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
