"""The pictures of README.md and of ``docs/matrix.md``: ``python -m spec_tests.pictures`` takes that of the HTML report.

Facts:
- what a terminal shows is drawn by rich from what the commands print: the counterexample is that of the walk, which is
  played anew, and ``top`` shows figures that stand here. ``make generate`` writes these drawings, ``make docs-check``
  compares them;
- the HTML report is photographed by Chromium, from the report of a run that is kept beside the picture. Not every
  machine has Chromium, and none draws letters as another does, so the picture carries the digest of the page that it
  was taken of: the check asks for this digest and for the size. A page that looks otherwise needs a new picture.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from spec_tests import matrix_picture, walk
from torq_conformance.reports.html import page
from torq_conformance.reports.model import load_report
from torq_conformance.reports.terminal import show_counterexample
from torq_engine.accounting import REFUSAL_LABELS, CloseReason, DropReason
from torq_engine.operations.status import ConnectionStatus, Status
from torq_engine.operations.tables import top
from torq_protocol.errors import ErrorKind

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "docs/pictures"
REPORT = f"{FOLDER}/report.png"
WINDOW = (1100, 860)
"""What a reader sees of the report, in pixels of the page."""
SCALE = 1.5
"""Pixels of the picture for each pixel of the page."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_Row = tuple[str, int, tuple[int, int], tuple[int, int], tuple[int, float], dict[str, int], dict[str, int]]
WRONG = REFUSAL_LABELS[ErrorKind.BAD_DOMAIN]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"page\x00"


def pages() -> dict[str, Callable[[Path], str]]:
    """The pictures that are text, by their files."""
    return {
        f"{FOLDER}/counterexample.svg": lambda _: _of_the_terminal("torq-conformance", 112, _counterexample),
        f"{FOLDER}/top.svg": lambda _: _of_the_terminal("torq-relay ctl --socket ... top", 130, _top),
        f"docs/{matrix_picture.PICTURE}": lambda _: matrix_picture.picture(),
    }


def _of_the_terminal(title: str, width: int, show: Callable[[Console], None]) -> str:
    """What a command prints, as a picture that asks for no font and no other file."""
    console = Console(
        record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor", highlight=False,
        legacy_windows=False, _environ={},
    )  # fmt: skip
    show(console)
    before, _, rest = CONSOLE_SVG_FORMAT.partition("@font-face")
    rules = rest[rest.index(".{unique_id}-matrix") :].replace("Fira Code, ", "ui-monospace, ")
    drawn = console.export_svg(
        title=title, theme=SVG_EXPORT_THEME, code_format=before + rules, unique_id=title.split(maxsplit=1)[0]
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def _counterexample(console: Console) -> None:
    walked = walk.walked()
    replay, option, target = walked.line.partition("--exec")
    show_counterexample(console, walked.result, [("replay", replay), ("", option + target)])


def _top(console: Console) -> None:
    """A relay that serves a feed and six consumers, one of which is slow."""
    status = Status(
        relay="market_data", build="torq 0.2.0 (compiled)", loop="uvloop", pid=4711,
        sockets=["/run/torq/market_data.sock"], state="serving", seconds=48_731.0,
        connections=7, max_connections=1024, joined=23,
        received_frames=91_482_113, received_bytes=5_488_926_780,
        offered_frames=548_892_678, delivered_frames=548_871_902, delivered_bytes=32_932_314_120,
        queued_frames=4_096, held_bytes=262_144, incomplete_bytes=0, skipped_bytes=0,
        refused={WRONG: 3}, dropped={DropReason.QUEUE_FULL.label: 16_680}, closed={CloseReason.PEER_LEFT.label: 16},
        audit="/var/log/torq/market_data.audit", log_level="info", reloads=1, takeovers=0, config={},
    )  # fmt: skip
    console.print(top(status, list(_connections(1)), list(_connections(0)), 1.0, 7, "traffic"))


def _connections(second: int) -> Iterator[ConnectionStatus]:
    """The connections of :func:`_top`, one second later each time: program, age, frames in and out, queue, drops."""
    rows: tuple[_Row, ...] = (
        ("polygon_feed", 48_730, (91_482_110, 4_912), (0, 0), (0, 0.0), {}, {WRONG: 3}),
        ("signal_engine", 48_702, (0, 0), (91_481_020, 4_912), (0, 0.0), {}, {}),
        ("arbitrage", 48_690, (0, 0), (91_480_777, 4_912), (0, 0.0), {}, {}),
        ("risk", 48_688, (0, 0), (91_480_502, 4_912), (0, 0.0), {}, {}),
        ("recorder", 46_204, (0, 0), (87_004_410, 4_911), (0, 0.0), {}, {}),
        ("dashboard", 3_911, (0, 0), (7_204_114, 812), (4_096, 0.8), {DropReason.QUEUE_FULL.label: 16_680}, {}),
        ("python3", 640, (3, 0), (3_104_220, 4_912), (0, 0.0), {}, {}),
    )  # fmt: skip
    for place, (program, age, came, went, queue, dropped, refused) in enumerate(rows):
        yield ConnectionStatus(
            id=place + 1, pid=4720 + 11 * place, uid=990, gid=990, program=program, seconds=age + second,
            frames_in=came[0] + second * came[1], bytes_in=60 * came[0],
            refused=sum(refused.values()), refused_by=refused, framing_error="",
            frames_out=went[0] + second * went[1], bytes_out=60 * went[0],
            queued_frames=queue[0], queued_bytes=64 * queue[0], queued_seconds=queue[1], dropped=dropped,
            reads=True, sends=True,
        )  # fmt: skip


def report_page() -> str:
    """The HTML report that the picture shows."""
    return page(load_report(ROOT / FOLDER / "report.json"))


def digest(text: str) -> bytes:
    """What the picture of a page carries."""
    return hashlib.sha256(text.encode()).hexdigest().encode()


def faults(picture: bytes) -> list[str]:
    """What is wrong with the picture of the report; empty when all is well."""
    if not picture.startswith(_SIGNATURE):
        return [f"{REPORT} is no PNG"]
    chunks = dict(_chunks(picture))
    size, wanted = struct.unpack(">II", chunks[b"IHDR"][:8]), tuple(round(SCALE * each) for each in WINDOW)
    found = [] if size == wanted else [f"{REPORT} has {size} pixels, {wanted} were asked for"]
    if chunks.get(b"tEXt") != _KEYWORD + digest(report_page()):
        found.append(f"{REPORT} shows an older page")
    return [f"{each}; take it anew, with Chromium: make pictures" for each in found]


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(picture):
        length, kind = struct.unpack_from(">I4s", picture, at)
        yield kind, picture[at + 8 : at + 8 + length]
        at += 12 + length


def signed(picture: bytes, text: str) -> bytes:
    """The picture with the digest of the page that it was taken of, behind its first chunk."""
    body = b"tEXt" + _KEYWORD + digest(text)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    behind = len(_SIGNATURE) + 25
    return picture[:behind] + chunk + picture[behind:]


def photograph(browser: str, text: str) -> bytes:
    """The top of a page, as Chromium shows it by day."""
    with tempfile.TemporaryDirectory(prefix="torq-") as name:
        folder = Path(name)
        (folder / "page.html").write_text(text, "utf-8")
        subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             f"--user-data-dir={folder}/profile", f"--force-device-scale-factor={SCALE}",
             f"--window-size={WINDOW[0]},{WINDOW[1]}", f"--screenshot={folder}/page.png",
             (folder / "page.html").as_uri()],
            check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return signed((folder / "page.png").read_bytes(), text)


def main() -> int:
    """Take the picture of the report; returns the exit code."""
    browser = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if browser is None:
        print(f"no {', '.join(CHROMIUM)} on the PATH; Debian has it in the package chromium", file=sys.stderr)
        return 1
    (ROOT / REPORT).write_bytes(photograph(browser, report_page()))
    print(f"wrote {REPORT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
