"""DOM-4: the exact edges of the type ranges, each wrong in one direction."""

from torq_conformance.specimens.correct.judging import Judge, Tlv
from torq_conformance.specimens.mutants.table import mutant

EDGES = {"signal": (20, 39), "execution": (40, 79)}


def _accepting(accepted: int) -> type[Judge]:
    class Accepts(Judge):
        def type_accepted(self, number: int) -> bool:
            return number == accepted or super().type_accepted(number)

    return Accepts


def _refusing(refused: range) -> type[Judge]:
    class Refuses(Judge):
        def type_accepted(self, number: int) -> bool:
            return number not in refused and super().type_accepted(number)

    return Refuses


for _domain, (_first, _last) in EDGES.items():
    for _number in (_first - 1, _last + 1, 0, 254):
        _name, _text = f"{_domain}-type-{_number}-forwarded", f"takes type {_number} for its own"
        mutant(_name, "DOM-4 DOM-2", _text, domains=_domain)(_accepting(_number))
    for _number in (_first, _last):
        _name, _text = f"{_domain}-type-{_number}-refused", f"takes type {_number} for a foreign one"
        mutant(_name, "DOM-4 FWD-8", _text, domains=_domain)(_refusing(range(_number, _number + 1)))

mutant(
    "portfolio-types-refused",
    "DOM-4 FWD-8",
    "refuses types 60 to 79, which ride on the execution relay",
    domains="execution",
)(_refusing(range(60, 80)))


@mutant(
    "inner-255-forwarded", "DOM-4 VAL-3", "accepts 255 as the inner type of an extended TLV", domains="signal execution"
)
class Inner255Forwarded(Judge):
    def extended_tlv(self, head: bytes) -> Tlv:
        if head[2] == 255:
            return Tlv(255, int.from_bytes(head[3:5], "little"), extended=True)
        return super().extended_tlv(head)

    def type_accepted(self, number: int) -> bool:
        return number == 255 or super().type_accepted(number)


@mutant(
    "inner-0-forwarded", "DOM-4 VAL-3", "accepts 0 as the inner type of an extended TLV", domains="signal execution"
)
class Inner0Forwarded(Judge):
    def extended_tlv(self, head: bytes) -> Tlv:
        legal = head if head[2] else head[:2] + b"\x01" + head[3:]
        return super().extended_tlv(legal)._replace(type=head[2])

    def type_accepted(self, number: int) -> bool:
        return number == 0 or super().type_accepted(number)
