"""Reads the counters that a relay shows in Prometheus's text format.

Facts: the page comes over HTTP, or as it stands from a socket that sends it and closes; a sample is
``name{label="value",...} number``, and what begins with # is for people.
"""

from __future__ import annotations

import contextlib
import re
import socket
from urllib.parse import urlsplit

_SAMPLE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Samples:
    """What a page of metrics shows."""

    def __init__(self, page: str) -> None:
        self._samples = [
            (found[1], dict(_LABEL.findall(found[2] or "")), float(found[3]))
            for line in page.split("\n")
            if (found := _SAMPLE.match(line))
        ]

    def total(self, name: str) -> int:
        """The sum of all samples of that name."""
        return round(sum(value for each, _, value in self._samples if each == name))

    def by(self, label: str, name: str) -> dict[str, int]:
        """The same for each value of a label."""
        totals: dict[str, float] = {}
        for each, labels, value in self._samples:
            if each == name:
                totals[labels.get(label, "")] = totals.get(labels.get(label, ""), 0) + value
        return {reason: round(total) for reason, total in totals.items()}


def read_samples(at: str, seconds: float) -> Samples:
    """The samples at ``unix:PATH`` or ``http://HOST:PORT/PATH``. Raises OSError, and ValueError for another address."""
    url = urlsplit(at)
    if url.scheme == "unix":
        sock, path = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM), "/metrics"
        with contextlib.closing(sock):
            sock.settimeout(seconds)
            sock.connect(at.removeprefix("unix:"))
            return Samples(_page(sock, path))
    if url.scheme != "http" or url.hostname is None:
        raise ValueError("an address is unix:PATH or http://HOST:PORT/PATH")
    with socket.create_connection((url.hostname, url.port or 80), seconds) as sock:
        return Samples(_page(sock, url.path or "/"))


def _page(sock: socket.socket, path: str) -> str:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it sends at once, and reads nothing
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65_536):
            parts.append(part)
    head, separator, body = b"".join(parts).decode("utf-8", "replace").partition("\r\n\r\n")
    return body if separator and head.startswith("HTTP/") else head
