"""``python -m torq_conformance``, and the command ``torq-conformance``.

Facts: importing the commands takes a good part of a second, in which Ctrl-C must end them with a line and no traceback.
So nothing is imported here before that is so.
"""

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""``Exit.INTERRUPTED``, which is not imported yet."""


def main() -> None:
    """Begin on a clean slate, whatever was inherited, and run the command."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)
    from .play import slate

    slate.begin()
    from torq_protocol.extras import CommandExtra

    with CommandExtra("conformance"):
        from .cli import main

    main()


def _end(_: int, __: FrameType | None) -> None:
    os.write(2, b"torq-conformance: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
