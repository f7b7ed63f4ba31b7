"""Small relays that reproduce historical behaviours and seeded faults: fixtures for the suite to judge.

Each runs as a process of its own (`torq-specimen NAME --socket PATH`). Nothing but that command imports
them, they share nothing with the reference relay, and they need the standard library only.
"""
