"""DOM: what belongs to another relay."""

import os

from spec_tests.conformance.specimens.black_box_checks.subject import (
    OWN_RANGES,
    Subject,
    accepted,
    check,
    refused,
    transmit,
)
from spec_tests.conformance.specimens.specimen_process import EXECUTION, MARKET_DATA, SIGNAL, TYPES, frame, tlv


@check("DOM-1")
def foreign_domains_reach_nobody(subject: Subject) -> None:
    numbers = [number for number in (0, 1, 2, 3, 4, 5, 16 + subject.domain, 255) if number != subject.domain]
    payload = tlv(TYPES[subject.domain], bytes(12))
    large = tlv(TYPES[subject.domain], bytes(60_000)) * 2
    refused(subject, *(frame(7, payload, number) for number in numbers), frame(7, large, numbers[0]))


@check("DOM-2", "DOM-4", "VAL-3", domains=(SIGNAL, EXECUTION))
def foreign_types_reach_nobody_wherever_they_stand(subject: Subject) -> None:
    own, payloads = tlv(TYPES[subject.domain], bytes(12)), []
    edges = OWN_RANGES[subject.domain]
    for number in (0, edges[0] - 1, edges[-1] + 1, edges[0] + 128, 254):
        for foreign in (tlv(number, bytes(16)), tlv(number, bytes(16), extended=True)):
            payloads += [foreign, own + foreign, foreign + own, own + foreign + own]
    payloads.append(tlv(255, bytes(4), extended=True))
    refused(subject, *(frame(7, payload, subject.domain) for payload in payloads))


@check("DOM-3", domains=(MARKET_DATA,))
def market_data_does_not_look_at_types(subject: Subject) -> None:
    types = (0, 1, 19, 20, 40, 80, 120, 200, 254)
    accepted(subject, *(frame(1, tlv(number, bytes(8)), subject.domain) for number in types))


@check("DOM-5")
def a_frame_of_one_relay_never_shows_up_on_another(subject: Subject) -> None:
    other_domain = subject.domain % 3 + 1
    with subject.start() as relay:
        other = Subject(other_domain)
        with other.start(path=os.path.join(relay.directory, "other.sock")) as sibling:
            clients, neighbours = relay.joined(1, subject.ping), sibling.joined(1, other.ping)
            transmit(clients[0], clients, [other.valid(3)], b"", subject.fence)
            # A leak may come through a connection of its own: a client that is served later was accepted later.
            transmit(sibling.connect(), neighbours, [], b"", other.fence)
            transmit(neighbours[0], neighbours, [subject.valid(3)], b"", other.fence)
