"""Strategies for programs as data: every kind of step and item, wrong frames included."""

from hypothesis import strategies as st

from torq_conformance.judging.selftest_cases import SMALL_BOUNDS, profile_of
from torq_conformance.model.frames import Frame, Raw, Tlv
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.rules import Rules
from torq_conformance.model.steps import (
    Act,
    Buffer,
    Close,
    Connect,
    FailedTakeover,
    Finish,
    Flood,
    Freeze,
    HalfClose,
    Idle,
    Kill,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Takeover,
    Thaw,
    Write,
)
from torq_protocol.constants import RelayDomain

DOMAINS = ("market_data", "signal", "execution")


def rules_of(domain: str, profile: str = "reference") -> Rules:
    return rules_for(load_profile(profile), domain)


def small_rules_of(domain: str) -> Rules:
    """The rules of a relay that was started with SMALL_BOUNDS."""
    return rules_for(profile_of(SMALL_BOUNDS), domain)


TLV_TYPES = st.one_of(st.integers(0, 254), st.sampled_from((0, 1, 19, 20, 39, 40, 46, 63, 79, 80, 119, 120, 200, 254)))


def sent_frames(*programs: Program) -> list[Frame]:
    """The frames of these programs, in the order of their steps."""
    return [frame for program in programs for _, _, _, frame in program.frames()]


def tlvs(types: st.SearchStrategy[int] = TLV_TYPES) -> st.SearchStrategy[Tlv]:
    sizes = st.one_of(st.sampled_from((0, 1, 8, 16, 24, 32, 40, 48, 255, 256)), st.integers(0, 300))
    return st.builds(Tlv, types, sizes, st.booleans())


def frames(own_domain: int | None = None) -> st.SearchStrategy[Frame]:
    """Frames with and without faults; of one domain, where it is given, three times out of four."""
    domains = st.sampled_from((0, 1, 2, 3, 4, 5, 255))
    own = RelayDomain(own_domain).type_range if own_domain else range(1, 255)
    good = tlvs(st.sampled_from(list(own)))
    return st.builds(
        Frame,
        domain=domains if own_domain is None else st.one_of(*[st.just(own_domain)] * 3, domains),
        tlvs=st.lists(st.one_of(good, good, tlvs()), max_size=4).map(tuple),
        tail=st.one_of(st.just(""), st.just(""), st.binary(max_size=8).map(bytes.hex)),
        version=st.sampled_from((1, 1, 1, 0, 2, 255)),
        source=st.one_of(st.none(), st.none(), st.integers(0, 255)),
        flags=st.integers(0, 255),
        timestamp=st.one_of(st.none(), st.integers(0, 2**64 - 1)),
        checksum=st.sampled_from(("good", "good", "good", "zero", "inverted", "off-by-one", "one-bit", "with-field")),
        bit=st.integers(0, 31),
    )


CONNS = st.integers(0, 4)
ITEMS = st.one_of(frames(), st.binary(max_size=40).map(lambda data: Raw(data.hex())))
WRITES = st.builds(
    Write,
    conn=CONNS,
    items=st.lists(ITEMS, min_size=1, max_size=3).map(tuple),
    cuts=st.lists(st.integers(1, 300), max_size=3).map(tuple),
    every=st.sampled_from((0, 0, 1, 7, 31)),
    stop=st.one_of(st.none(), st.integers(1, 200)),
    settle=st.booleans(),
)
STEPS: st.SearchStrategy[Step] = st.one_of(
    WRITES,
    WRITES,
    st.builds(Finish, CONNS),
    st.just(Sync()),
    st.builds(HalfClose, CONNS),
    st.builds(Close, CONNS, st.booleans()),
    st.builds(Idle, st.integers(0, 200)),
    st.builds(Buffer, CONNS, st.integers(1, 9000)),
    st.builds(Stall, CONNS),
    st.builds(Sip, CONNS, st.integers(1, 9000)),
    st.builds(Resume, CONNS),
    st.builds(Flood, CONNS, frames(), st.integers(1, 200)),
    st.builds(Takeover, st.booleans()),
    st.builds(FailedTakeover, st.integers(0, 200), st.booleans()),
    st.sampled_from((Freeze(), Thaw(), Kill(), Act("send SIGTERM to the relay"))),
)
"""Every kind of step but Connect."""


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Some connections, then steps over them."""
    opened = draw(st.integers(1, 5))
    steps = draw(st.lists(STEPS, max_size=8))
    known = [step for step in steps if getattr(step, "conn", 0) < opened]
    return Program(draw(st.sampled_from(DOMAINS)), (*map(Connect, range(opened)), *known))
