"""Hand-made histories: what a run would have recorded, written down frame by frame."""

from torq_conformance.model.frames import Frame, Tlv, encode_frame
from torq_conformance.model.history import History, Peer, Received, Sent
from torq_conformance.model.legality import fate_of
from torq_conformance.model.rules import Rules


class Chronicle:
    """Writes a history: clients join, frames are sent, receivers get them."""

    def __init__(self, rules: Rules, clients: int = 3) -> None:
        self.rules = rules
        self.history = History()
        self.now = 0
        for conn in range(clients):
            self.join(conn)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def join(self, conn: int) -> Peer:
        peer = Peer(conn, connected=self.tick())
        peer.joined = self.tick()
        self.history.peers[conn] = peer
        return peer

    def peer(self, conn: int) -> Peer:
        return self.history.peers[conn]

    def sends(self, conn: int, frame: Frame | None = None, *, whole: bool = True) -> Sent:
        number = len(self.history.sent)
        frame = frame or Frame(self.rules.number, (Tlv({1: 4, 2: 30, 3: 46}[self.rules.number], 8),))
        data = encode_frame(frame, conn=conn, number=number, sequence=number + 100)
        fate, why = fate_of(frame, self.rules)
        begun = self.tick()
        sent = Sent(number, number, conn, frame, data, fate, why, begun, self.tick(), whole=whole, certain=whole)
        self.history.sent.append(sent)
        return sent

    def gets(self, conn: int, *frames: Sent) -> None:
        for sent in frames:
            self.peer(conn).received.append(Received(sent.number, sent.data, self.tick()))

    def gets_bytes(self, conn: int, data: bytes) -> None:
        self.peer(conn).received.append(Received(None, data, self.tick()))

    def all_get(self, *frames: Sent) -> None:
        for conn in self.history.peers:
            self.gets(conn, *frames)
