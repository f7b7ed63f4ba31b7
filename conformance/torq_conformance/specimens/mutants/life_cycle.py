"""LIFE-1, LIFE-2, LIFE-5, CONN-1 and CONN-2: how the relay starts and ends."""

import os
import signal
import sys

from torq_conformance.specimens.correct.doorway import Doorway, StartRefusedError
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.table import mutant, replacing


@mutant("stale-socket-refused", "CONN-1 LIFE-2", "does not start where a stale socket file stands")
class StaleSocketRefused(Doorway):
    def clear(self, path: str) -> None:
        if os.path.lexists(path):
            raise StartRefusedError(f"{path} exists")


@mutant("directory-not-created", "CONN-1", "does not start where its directory is missing")
class DirectoryNotCreated(Doorway):
    def prepare_directory(self, directory: str) -> None:
        if not os.path.isdir(directory):
            raise StartRefusedError(f"{directory} does not exist")
        super().prepare_directory(directory)


mutant("live-socket-stolen", "CONN-2", "takes the path of a relay that is alive")(
    replacing(Doorway.answers, lambda doorway, path: False)
)


@mutant("live-socket-removed", "CONN-2", "refuses to start beside a live relay, but removes its socket file")
class LiveSocketRemoved(Doorway):
    def answers(self, path: str) -> bool:
        answers = super().answers(path)
        if answers:
            os.unlink(path)
        return answers


mutant("socket-file-left", "LIFE-1", "leaves its socket file behind on SIGTERM")(
    replacing(Doorway.remove, lambda doorway: None)
)
mutant("exit-code-1", "LIFE-1", "exits with 1 after SIGTERM")(replacing(Relay.exit_code, lambda relay: 1))
mutant("backlog-discarded", "LIFE-1", "throws away on SIGTERM what slow consumers are still to get")(
    replacing(Relay.deliver_rest, lambda relay, deadline: None)
)
mutant("sigterm-ignored", "LIFE-1", "does nothing on the first SIGTERM")(
    replacing(Relay.on_signal, lambda relay, number, _: None)
)
mutant("sigterm-dies", "LIFE-1", "dies on SIGTERM at once")(
    replacing(Relay.on_signal, lambda relay, number, _: os._exit(128 + number))
)


@mutant("drain-ended-by-leaver", "LIFE-1", "ends its drain when a client leaves meanwhile")
class DrainEndedByLeaver(Relay):
    def close(self, connection: Connection) -> None:
        super().close(connection)
        if self.stopping:
            self.connections.clear()


@mutant("second-signal-ignored", "LIFE-1", "goes on draining after a second SIGTERM")
class SecondSignalIgnored(Relay):
    def on_signal(self, number: int, frame: object) -> None:
        self.stopping = True


mutant("blocked-signals-kept", "LIFE-5", "leaves SIGTERM blocked where it inherits that")(
    replacing(Relay.handle, lambda relay, number: signal.signal(number, relay.on_signal) and None)
)


@mutant("ignored-signals-kept", "LIFE-5", "ignores SIGTERM where it inherits that")
class IgnoredSignalsKept(Relay):
    def handle(self, number: signal.Signals) -> None:
        if signal.getsignal(number) is not signal.SIG_IGN:
            super().handle(number)


@mutant("ends-with-its-input", "LIFE-5", "ends without an error where its standard input is closed")
class EndsWithItsInput(Relay):
    def prepare(self) -> None:
        if sys.stdin is None:
            os._exit(0)
