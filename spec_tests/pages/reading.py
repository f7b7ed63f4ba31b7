"""What a page shows: its fenced blocks, and the commands in them, each with its line.

A fence says what stands in it. ``console`` has commands behind ``$ `` with their output below them; ``sh`` has
commands, and a ``text`` block directly behind it is the output of the last one. ``python`` is a session (``>>>``) or a
program; a word behind ``python`` or ``toml`` is the file that the block is saved as. Comments above a fence, which a
reader of the page does not see:

- ``<!-- not run: REASON -->``: the block is read only;
- ``<!-- takes 2 min -->``: it is left to ``make docs-run``, and this is what it may take there;
- ``<!-- needs PROGRAM -->``: it is run where that program is installed;
- ``<!-- given`` to ``-->``: commands that make what the page says its reader has, such as a relay.

What stands below a line that says that it is generated is held to its generator by ``make docs-check``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = frozenset({"console", "sh", "python", "toml", "yaml", "json", "text", "mermaid"})
_SORTED = sorted(LANGUAGES)
_FENCE = re.compile(r"( *)```+ *(\S*) *(\S*)\s*")
_MARK = re.compile(r"<!-- (not run|takes|needs):? (.*) -->\s*")
_GENERATED = re.compile(r"<!--.*\bgenerated\b.*-->\s*", re.IGNORECASE)
_CODE_BY_INDENT = re.compile(r" {4,}\S")
_TIME = re.compile(r"(\d+) (s|min)")


class PageError(Exception):
    """A page that cannot be read as one of commands; says where and why."""


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its first line of text, ``shown`` the output of an ``sh`` block."""

    page: Path
    line: int
    language: str
    name: str
    text: str
    not_run: str = ""
    needs: str = ""
    takes: float = 0.0
    shown: str = ""

    @property
    def is_session(self) -> bool:
        return self.language == "python" and self.text.lstrip().startswith(">>>")


@dataclass(frozen=True)
class Command:
    """A command with the line it stands in, and the output that the page shows below it."""

    line: int
    text: str
    shown: str = ""

    @property
    def exit_code(self) -> int:
        """What it ends with: 0, unless a comment behind it says ``exit code N``."""
        said = re.search(r"\s# .*?exit code (\d+)", self.text)
        return int(said[1]) if said else 0

    @property
    def goes_on(self) -> bool:
        """It serves: the page starts it with ``&``, or says that Ctrl-C ends it."""
        return self.is_watched or self.in_front != self.text

    @property
    def in_front(self) -> str:
        """The command without its ``&``: so its end and its exit code are seen."""
        return re.sub(r"\s&\s*(#.*)?$", "", self.text)

    @property
    def is_watched(self) -> bool:
        """The page says that Ctrl-C ends it: it stands in a terminal of its own."""
        return bool(re.search(r"\s#.*Ctrl-C", self.text))


def pages() -> list[Path]:
    """Every page that people read from top to bottom: README, CONTRIBUTING and the Markdown of docs."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page as a reader of the repository knows it."""
    return str(page.relative_to(ROOT) if page.is_relative_to(ROOT) else page)


def blocks(page: Path) -> list[Block]:
    """The blocks of ``page`` in its order, those of ``given`` among them."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    text_before = blank = False
    item = False
    lines = enumerate(page.read_text("utf-8").splitlines(), 1)
    for number, line in lines:
        if _GENERATED.fullmatch(line):
            break
        if fence := _FENCE.fullmatch(line):
            block = _block(page, number, fence, lines, marks)
            if block.language == "text" and found and found[-1].language == "sh" and not (marks or text_before):
                found[-1] = replace(found[-1], shown=block.text)
            found.append(block)
            marks, text_before = {}, False
        elif line.startswith("<!-- given"):
            text = "".join(f"{each}\n" for _, each in _until(page, number, lines, "-->"))
            found.append(_marked(Block(page, number + 1, "given", "", text), marks))
            marks = {}
        elif mark := _MARK.fullmatch(line):
            marks[mark[1]] = mark[2]
        elif _CODE_BY_INDENT.match(line) and blank and not item:
            raise PageError(f"{name_of(page)}:{number}: code by indentation; a fence would say what it is")
        elif line.strip() and not line.startswith("<!--"):
            marks, text_before = {}, True
            item = bool(re.match(r"[-*] |\d+\. |  ", line)) and (item or not line.startswith(" "))
        blank = not line.strip()
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a ``console``, ``sh`` or ``given`` block; what a backslash continues is one."""
    found: list[Command] = []
    lines = enumerate(block.text.splitlines(), block.line)
    for number, line in lines:
        if block.language == "console":
            if not line.startswith("$ "):
                if not found:
                    raise PageError(
                        f"{name_of(block.page)}:{number}: output without a command; commands begin with '$ '"
                    )
                found[-1] = replace(found[-1], shown=f"{found[-1].shown}{line}\n")
                continue
            line = line[2:]
        if not line.strip() or line.startswith("#"):
            continue
        while line.endswith("\\"):
            line += "\n" + next(lines, (0, ""))[1]
        found.append(Command(number, line))
    if found and block.shown:
        found[-1] = replace(found[-1], shown=block.shown)
    return found


def _until(page: Path, first: int, lines: Iterator[tuple[int, str]], end: str) -> Iterator[tuple[int, str]]:
    for number, line in lines:
        if line.strip() == end:
            return
        yield number, line
    raise PageError(f"{name_of(page)}:{first}: without an end")


def _block(
    page: Path, number: int, fence: re.Match[str], lines: Iterator[tuple[int, str]], marks: dict[str, str]
) -> Block:
    indent, language, name = fence.groups()
    text = "".join(f"{line.removeprefix(indent)}\n" for _, line in _until(page, number, lines, "```"))
    if language not in LANGUAGES:
        raise PageError(
            f"{name_of(page)}:{number}: a block of {language or 'no language'}; known are {', '.join(_SORTED)}"
        )
    return _marked(Block(page, number + 1, language, name, text), marks)


def _marked(block: Block, marks: dict[str, str]) -> Block:
    takes = _TIME.fullmatch(marks.get("takes", "0 s"))
    if takes is None:
        raise PageError(f"{name_of(block.page)}:{block.line - 1}: takes {marks['takes']!r}; write 40 s or 2 min")
    seconds = float(takes[1]) * (60 if takes[2] == "min" else 1)
    return replace(block, not_run=marks.get("not run", ""), needs=marks.get("needs", ""), takes=seconds)
