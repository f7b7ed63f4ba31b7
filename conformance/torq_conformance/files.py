"""Files that the commands read and write; what is wrong with one is told in a sentence."""

from __future__ import annotations

import contextlib
import os
import tomllib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TypeVar

import msgspec

from .errors import UsageError
from .printable import encodable

T = TypeVar("T")


def read_toml(path: Traversable, kind: type[T], what: str) -> T:
    """The content of a TOML file of ``what``. Raises UsageError where it cannot be read, or is not of this kind."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the {what} {path}: {error}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path} is no file of {what}: {error}") from error


def json_text(value: object) -> bytes:
    """A value as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def write(path: Path, content: bytes | str, *, advice: str = "") -> None:
    """Write a file. Raises UsageError where that fails; ``advice`` says what to do then."""
    try:
        path.write_bytes(_bytes(content))
    except OSError as error:
        raise _cannot_write(str(path), error, advice) from error


def replace(path: Path, content: bytes | str, *, what: str = "", advice: str = "") -> None:
    """Write a file beside its place and move it there, so that it is never half written.

    Raises UsageError where that fails: of ``what``, else of the path.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(_bytes(content))
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise _cannot_write(what or str(path), error, advice) from error


def require_folder(path: Path) -> None:
    """Tell before a long run that a file of it has no place. Raises UsageError where its folder is missing."""
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {path}: there is no folder {path.parent}; make that first")


def make_folder(path: Path, advice: str) -> None:
    """Make a folder in one that is there. Raises UsageError where that fails; ``advice`` says what to do then."""
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise _cannot_write(str(path), error, advice) from error


def _bytes(content: bytes | str) -> bytes:
    return encodable(content).encode() if isinstance(content, str) else content


def _cannot_write(what: str, error: OSError, advice: str) -> UsageError:
    if isinstance(error, FileNotFoundError) and not advice:
        advice = "make its folder first"
    return UsageError(f"cannot write {what}: {error.strerror or error}{advice and f'; {advice}'}")
