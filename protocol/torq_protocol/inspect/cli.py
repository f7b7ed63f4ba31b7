"""The command ``torq-inspect``.

Exit codes: 0 everything read is right, 1 a stream breaks or something in it is wrong, 2 wrong usage, or the input
cannot be read or the output not written.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from ..build_info import build_info
from ..constants import HEADER_SIZE, LARGEST_MESSAGE_SIZE_LIMIT, MAX_MESSAGE_SIZE
from ..extras import CommandExtra
from ..output import fully_written

with CommandExtra("inspect"):
    from . import selection
    from .capture_file import CaptureError
    from .inputs import InputError, is_relay, pieces
    from .pieces import End, Hole, Input, Note, Piece
    from .reader import Broken, Checksums, Found, Incomplete, Item, StreamReader
    from .selection import Selection
    from .tally import Tally
    from .views import JsonView, TextView

USAGE_ERROR: Final = 2
_DESCRIPTION: Final = """\
Show Protocol V2 messages, one line each, and say exactly where and why a stream breaks.

SOURCE is a file of messages, a pcapng or pcap capture (TCP, or USER0 for Unix sockets), - for standard input, or a
relay to read from as one of its consumers: the path of its socket, unix:/path or tcp:host:port."""
_EPILOG: Final = """\
exit codes: 0 everything read is right; 1 a stream breaks or something in it is wrong; 2 wrong usage, or
  the input cannot be read or the output not written

  torq-inspect capture.bin                             one line a message
  torq-inspect -v --type Trade,Quote capture.pcapng    all fields of trades and quotes
  torq-inspect --follow /tmp/torq/signal.sock          live, with counters
  torq-inspect --json - < capture.bin | jq .header     for programs"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return fully_written("torq-inspect", lambda: Inspection(_parser().parse_args(arguments)).run())


class Inspection:
    """One run of the command."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.tally = Tally()
        self._options = options
        self._live = Counters(self.tally) if options.follow and not options.quiet else None
        self._readers: dict[str, StreamReader] = {}
        self._flush_each = options.follow or is_relay(options.place)
        self._selection = Selection(
            *(sum(given or [], ()) for given in (options.domain, options.type, options.source, options.sequence))
        )
        colour = options.color == "always" or (
            options.color == "auto" and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        )
        self._view = JsonView() if options.json else TextView(options.verbose, options.hexdump, colour)

    def run(self) -> int:
        """Read to the end, to the first break, or as long as wanted."""
        problem = ""
        try:
            with closing(pieces(self._options.place, follow=self._options.follow)) as inputs:
                for given in inputs:
                    self._take(given)
                    if self._done:
                        break
        except KeyboardInterrupt:
            pass
        except InputError as error:
            return self._fail(str(error))
        except CaptureError as error:
            problem = f"{self._options.place}: {error}"
            self.tally.breaks += 1
        sys.stdout.flush()
        if self._live:
            self._live.clear()
        if problem:
            _say(problem)
        if self._options.summary or self._live or self._options.quiet or self.tally.exit_code:
            _say(self.tally.line())
        if self._options.summary and self.tally.types:
            _say(self.tally.by_type())
        return self.tally.exit_code

    def _fail(self, text: str) -> int:
        sys.stdout.flush()
        _say(text)
        return USAGE_ERROR

    def _take(self, given: Input) -> None:
        match given:
            case Piece():
                items = self._reader(given.stream).feed(given.data)
            case Hole():
                items = self._reader(given.stream).hole(given.size)
            case End():
                items = self._reader(given.stream).end(cut=given.cut)
            case Note():
                self._aside(given.text)
                return
            case _:
                items = iter(())
        for item in items:
            self._show(item)
            if self._done:
                return
        if self._live:
            self._live.show()
        if self._flush_each:
            sys.stdout.flush()

    @property
    def _done(self) -> bool:
        """Whether enough was shown, or nothing is left to read: the only stream has stopped at a break."""
        if self.tally.shown == self._options.count:
            return True
        only = self._readers.get("") if len(self._readers) == 1 else None
        return not self._options.follow and only is not None and only.stopped

    def _reader(self, stream: str) -> StreamReader:
        if stream not in self._readers:
            self._readers[stream] = StreamReader(
                stream,
                resync=self._options.resync,
                checksums=Checksums(self._options.checksum),
                max_message_size=self._options.max_message_size,
            )
        return self._readers[stream]

    def _show(self, item: Item) -> None:
        self.tally.note(item)
        if isinstance(item, Found):
            if not self._selection.takes(item.message) and not item.faults:
                return
            self.tally.shown += 1
        if self._live:
            self._live.clear()
        if isinstance(item, Broken | Incomplete) and not self._options.json:
            sys.stdout.flush()
            print(*self._view.lines(item), sep="\n", file=sys.stderr)
            if isinstance(item, Broken) and not self._options.resync:
                _say("reading stops there; --resync goes on at the next message")
        elif not self._options.quiet:
            print(*self._view.lines(item), sep="\n")

    def _aside(self, text: str) -> None:
        if not self._options.quiet:
            if self._live:
                self._live.clear()
            sys.stdout.flush()
            _say(text)


class Counters:
    """The counts so far on standard error: a line that stays in place on a terminal, else one every ten seconds."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._terminal = sys.stderr.isatty()
        self._every = 0.5 if self._terminal else 10.0
        self._began = self._last = time.monotonic()
        self._messages_then = 0
        self._visible = False

    def show(self) -> None:
        """Show the counts if it is time."""
        now = time.monotonic()
        if now - self._last < self._every:
            return
        rate = (self._tally.messages - self._messages_then) / (now - self._last)
        self._last, self._messages_then = now, self._tally.messages
        line = f"{now - self._began:.0f} s: {self._tally.line()}, {rate:.0f}/s"
        if self._terminal:
            self.clear()
            sys.stderr.write(line[:120])
            self._visible = True
        else:
            _say(line)
        sys.stderr.flush()

    def clear(self) -> None:
        """Take the counts off the terminal, before something else is written."""
        if self._visible:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._visible = False


def _say(text: str) -> None:
    print(f"torq-inspect: {text}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torq-inspect",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("place", metavar="SOURCE", nargs="?", default="-", help="what to read (default: -)")
    parser.add_argument("--version", action="version", version=f"torq-inspect: {build_info()}")
    show = parser.add_argument_group("what is shown")
    show.add_argument("-v", "--verbose", action="store_true", help="all fields of each message")
    show.add_argument("--json", action="store_true", help="one JSON object a line")
    show.add_argument("--hexdump", action="store_true", help="the bytes of each message, fields coloured and named")
    show.add_argument("-q", "--quiet", action="store_true", help="no messages: only breaks and the counts")
    show.add_argument("--summary", action="store_true", help="the counts and types at the end, on standard error")
    show.add_argument("--color", choices=("auto", "always", "never"), default="auto", help="(default: auto)")
    choose = parser.add_argument_group("which messages (numbers, names, ranges such as 5-9, lists such as 1,20-39)")
    for name, parse in _FILTERS.items():
        choose.add_argument(f"--{name}", action="append", type=_argument(parse), metavar=name.upper())
    choose.add_argument("-n", "--count", type=_argument(_positive), metavar="N", help="stop after N shown messages")
    read = parser.add_argument_group("how it is read")
    read.add_argument("-f", "--follow", action="store_true", help="go on as a file grows or a relay returns; counters")
    read.add_argument("--resync", action="store_true", help="go on at the next message behind a break")
    read.add_argument(
        "--checksum",
        choices=[each.value for each in Checksums],
        default=Checksums.DOMAIN.value,
        help="verify checksums: of all domains but market data (default), always, never",
    )
    read.add_argument(
        "--max-message-size",
        type=_argument(_message_size),
        default=MAX_MESSAGE_SIZE,
        metavar="BYTES",
        help="more than this is a break (default: %(default)s)",
    )
    return parser


_FILTERS: Final[dict[str, Callable[[str], tuple[range, ...]]]] = {
    "domain": selection.domains,
    "type": selection.types,
    "source": selection.sources,
    "sequence": selection.sequences,
}


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{text!r} is no number from 1 on")
    return int(text)


def _message_size(text: str) -> int:
    if not text.isdigit() or not HEADER_SIZE <= int(text) <= LARGEST_MESSAGE_SIZE_LIMIT:
        raise ValueError(f"{text!r}: use {HEADER_SIZE} to {LARGEST_MESSAGE_SIZE_LIMIT} bytes")
    return int(text)


def _argument(parse: Callable[[str], object]) -> Callable[[str], object]:
    """An argument's parser that tells its own reason for refusing."""

    def parsed(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parsed
