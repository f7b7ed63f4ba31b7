"""The relays of a comparison: each ready to play programs, with what probing told about it.

Facts:
- what A does is the norm: every relay plays by the rules that A was seen to keep, right or wrong, and differs from
  them only in what decides how a program can be played at all (whether it forwards, echoes, and what it forwards);
- B may end at any moment, and may never start: that is what it does, and no end of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..errors import TargetError
from ..generation.search import Clock
from ..judging.playing import played
from ..learning.learned_profile import OTHERWISE, learned_profile, probe_relay
from ..learning.probing import BASICS, Probe, probe_basics, probe_filters
from ..model.history import History
from ..model.profile import LEAST, Profile, rules_for
from ..model.program import Program
from ..model.rules import Domain, Rules
from ..play.executor import Executor
from ..play.target import Target
from .replaying import held_back

FILTERS = ("domain_filter", "type_filter", "checksum", "check_tlvs", "strict")

TOLD = ("settings", "settings_file", "metrics", "audit", "partial_frame_timeout", "drain_timeout")
"""Fields of a profile that cannot be seen from outside."""


class Arm:
    """One relay of a comparison, ready to play programs.

    A is probed, its limits too by ``limits`` if that is given; the others (``norm`` is A) play by what A was seen to
    do.
    """

    def __init__(
        self,
        target: Target,
        domain: Domain,
        norm: Arm | None = None,
        *,
        limits: Callable[[Probe], None] | None = None,
    ) -> None:
        self.target = target
        self._excused = norm is not None
        self.profile: Profile
        self.rules: Rules
        self.filters: set[str]
        """What it was seen to refuse, each of it wholly."""
        self.ended = ""
        """Why B plays nothing more, where it has ended and cannot be started again."""
        probe = probe_relay(target, domain, limits=False) if norm is None else _probed(target, domain)
        if probe is not None and limits is not None:
            limits(probe)
        if norm is not None:
            self.profile, rules = norm.profile, norm.rules
        elif probe is not None:
            self.profile = _within_reason(learned_profile(probe, "relay A", "what relay A was seen to do"))
            rules = rules_for(self.profile, domain)
        if probe is not None:
            rules = msgspec.structs.replace(rules, **{key: probe.value(key, getattr(rules, key)) for key in BASICS})
        if norm is not None and probe is None:  # it ended before that was known
            self.filters = norm.filters
        else:
            self.filters = {name for name in FILTERS if probe is not None and probe.value(name, False)}
        self.rules = target.known_to(rules)
        self._executor = Executor(target, self.rules)

    def play(self, program: Program, clock: Clock) -> History:
        """One run of a program; a relay that died is started again. Raises OutOfTime, and TargetError for A alone."""
        try:
            history = played(held_back(program, self.rules), self._executor, self.target, clock, patient=True)
        except TargetError as error:
            if not self._excused:
                raise
            history = History(crash=error.what)
        if history.crash and not self.target.restartable:
            self.ended = f"relay B has ended, and the suite cannot start it again: {history.crash}"
        return history

    def give_up(self) -> None:
        """Let a play that another thread is in the middle of end soon, with OutOfTime."""
        self._executor.limit.expire()

    def has_ended(self) -> bool:
        """Whether it plays nothing more."""
        return bool(self.ended)

    def refresh(self) -> None:
        """A fresh relay, where the target can give one."""
        try:
            self._executor.restart(patient=True)
        except TargetError:
            if not self._excused:
                raise


def _probed(target: Target, domain: Domain) -> Probe | None:
    """What decides how programs can be played on a relay, and what it refuses; None where it ends meanwhile."""
    try:
        probe = probe_basics(target, domain)
        if probe.value("forwards", True) and not probe.value("roles_by_timing", False):
            probe_filters(probe)
    except TargetError:
        return None
    return probe


def _within_reason(profile: Profile) -> Profile:
    """A profile whose limits leave room for the suite's programs: what was seen, or the least that there may be."""
    least = {
        name: max(value, getattr(profile, name)) for name, value in LEAST.items() if getattr(profile, name) is not None
    }
    if not profile.queue_frames:
        del least["queue_frames"]
    return msgspec.structs.replace(profile, **least)


def as_told(seen: Profile, given: Profile) -> Profile:
    """What a relay was seen to do, with how another profile says that it is told settings, and shows what it knows."""
    told = {name: getattr(given, name) for name in TOLD}
    return msgspec.structs.replace(seen, **told)


def refused_by_both(profile: Profile, domain: Domain, a: Arm, b: Arm) -> Profile:
    """A profile of A that promises no filter which B was not seen to have: what fixed checks are played under.

    They send frames to be refused, and look at memory, counts and logs. Where B forwards such frames, programs show it;
    what comes of it is no further difference.
    """
    missing = a.filters - b.filters
    lacking = {
        requirement: "relay B was not seen to keep it"
        for name, value, domains, requirement in OTHERWISE
        if name in missing and not value and domain in domains
    }
    return msgspec.structs.replace(
        profile, **dict.fromkeys(missing, False), not_promised={**profile.not_promised, **lacking}
    )


def refused_by_either(domain: Domain, *arms: Arm) -> Rules:
    """Rules under which a frame is faulty if the specification, or either relay, refuses it."""
    rules = rules_for(Profile(name="reference"), domain)
    looked_at = {name: True for arm in arms for name in arm.filters}
    return msgspec.structs.replace(rules, **looked_at)
