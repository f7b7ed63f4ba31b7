"""How a command line names a relay and its domain, and the words that name them again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ..errors import UsageError
from .address import Address
from .target import SpawnedTarget, Target

_DOMAIN_WORDS = {
    "market_data": ("market_data", "market-data", "marketdata"),
    "signal": ("signal",),
    "execution": ("execution",),
}


def guess_domain(where: str | None) -> str:
    """The domain that the name of a socket or command speaks of. Raises UsageError when it names none, or several."""
    text = (where or "").lower()
    found = [name for name, words in _DOMAIN_WORDS.items() if any(word in text for word in words)]
    if len(found) != 1:
        raise UsageError(
            "cannot tell the relay's domain from its name; "
            "add --domain market_data, --domain signal or --domain execution"
        )
    return found[0]


def target_for(
    address: str | None,
    command_line: str | None,
    domain: str,
    environment: Mapping[str, str] | None = None,
    *,
    of: str = "",
    successor: str = "",
) -> Target:
    """The target that the options mean; the built-in reference relay of the domain when they name none.

    ``environment`` is what that of a relay which the suite starts has besides. ``of`` is what the names of the options
    end with where there are several relays, such as ``-b``. ``successor`` is the command that starts a next one.
    """
    if address and command_line:
        raise UsageError(f"give --target{of} (a relay that runs) or --exec{of} (a command that starts one), not both")
    if address:
        return Target(Address.parse(address))
    command_line = command_line or f"{domain}_relay --socket {{socket}}"
    return SpawnedTarget(command_line, domain, environment=environment, option=f"--exec{of}", successor=successor)


def target_words(address: str | None, command_line: str | None, domain: str) -> str:
    """The same options as words to paste behind another command."""
    if address:
        return f"--target {shlex.quote(address)}"
    return f"--exec {shlex.quote(command_line)}" if command_line else f"--domain {domain}"


def target_and_domain(address: str | None, command_line: str | None, domain: str) -> str:
    """Those words with the domain among them."""
    words = target_words(address, command_line, domain)
    return f"{words} --domain {domain}" if address or command_line else words


def check_line(where: str, *, profile: str, requirement: str) -> str:
    """The line that judges a requirement by its fixed check; ``where`` is what :func:`target_and_domain` gives."""
    words = ["torq-conformance", where]
    words += (
        [] if profile == "reference" and not where.startswith("--domain") else [f"--profile {shlex.quote(profile)}"]
    )
    return " ".join((*words, f"--section {requirement}"))
