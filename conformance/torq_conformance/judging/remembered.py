"""Failing programs that a fleet of runs shares, kept in a Hypothesis database: a folder, or a Redis server.

Facts:
- the database holds programs, not Hypothesis' choices, which change their meaning from version to version;
- a run plays the remembered programs of a requirement first: a program that failed anywhere is played everywhere;
- a program that passes is forgotten where a whole run has shown its requirement to hold.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase

from ..errors import UsageError
from ..model.program import FORMAT_VERSION, Program
from .plan import Observer
from .verdict import Counterexample, Result, Verdict


def open_database(where: str) -> ExampleDatabase:
    """The database in a folder, or at ``redis://host:port/0``. Raises UsageError where there is none."""
    if not where.startswith(("redis://", "rediss://", "unix://")):
        try:
            Path(where).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot use the database {where}: {error.strerror or error}") from error
        return DirectoryBasedExampleDatabase(where)
    try:
        import redis
        from hypothesis.extra.redis import RedisExampleDatabase
    except ImportError as error:
        raise UsageError(f"--database {where} needs the redis package: pip install redis") from error
    try:
        server = redis.Redis.from_url(where)
        server.ping()
    except (redis.RedisError, ValueError) as error:
        raise UsageError(f"cannot reach the database {where}: {error}") from error
    return RedisExampleDatabase(server)


class Remembered(Observer):
    """The failing programs of one domain in a database. As an observer it stores what a run finds."""

    def __init__(self, database: ExampleDatabase, domain: str) -> None:
        self._database = database
        self._domain = domain

    def programs(self, requirement: str) -> tuple[Program, ...]:
        """The programs that once showed a requirement broken, the lightest first."""
        found = []
        for data in self._database.fetch(self._key(requirement)):
            try:
                program = msgspec.json.decode(data, type=Program)
            except msgspec.DecodeError:
                continue  # of another version of the suite
            if program.version == FORMAT_VERSION and program.domain == self._domain:
                found.append(program)
        return tuple(sorted(found, key=lambda program: program.weight))

    def failed(self, counterexample: Counterexample) -> None:
        """Store a program as soon as it fails, even if the run does not end."""
        self._database.save(self._key(counterexample.requirement), msgspec.json.encode(counterexample.program))

    def finished(self, result: Result) -> None:
        """Keep the smallest program of a failure; forget those of a requirement that holds."""
        name = result.requirement.id
        shown = result.counterexample
        if shown is None and result.verdict is not Verdict.PASS:
            return
        kept = msgspec.json.encode(shown.program) if shown is not None else b""
        for data in list(self._database.fetch(self._key(name))):
            if data != kept:
                self._database.delete(self._key(name), data)
        if kept:
            self._database.save(self._key(name), kept)

    def _key(self, requirement: str) -> bytes:
        return f"torq-conformance/{self._domain}/{requirement}".encode()
