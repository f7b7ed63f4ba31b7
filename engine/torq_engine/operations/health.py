"""``/metrics``, ``/livez`` and ``/readyz`` over HTTP/1.1, as much of it as a scraper and a probe speak.

Facts:
- a request has at most 8 KiB and 5 s, an answer ends the connection: no client can hold it up;
- alive while the loop turns, even when draining; ready while clients should come.
"""

from __future__ import annotations

import anyio
from anyio.abc import SocketStream

from .metrics import CONTENT_TYPE, Exposition
from .service import Service

_LONGEST_REQUEST = 8192
_TIME_LIMIT = 5.0
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; charset=utf-8"


class HealthServer:
    """Answers scrapers and probes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exposition = Exposition(service)

    async def answer(self, stream: SocketStream) -> None:
        """Answer one request."""
        with anyio.move_on_after(_TIME_LIMIT):
            request = await _request(stream)
            if request:
                await stream.send(self._response(request))

    def _response(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _message(400, _TEXT, b"use HTTP/1.1\n")
        method, target, _ = words
        status, kind, body = self._page(target.partition("?")[0])
        if method not in ("GET", "HEAD"):
            status, kind, body = 405, _TEXT, b"use GET or HEAD\n"
        return _message(status, kind, body, body_wanted=method != "HEAD")

    def _page(self, path: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._exposition.page()
        if path == "/livez":
            return 200, _TEXT, b"alive\n"
        if path == "/readyz":
            why_not = self._service.ready()
            return (503, _TEXT, f"{why_not}\n".encode()) if why_not else (200, _TEXT, b"ready\n")
        return 404, _TEXT, b"use /metrics, /livez or /readyz\n"


async def _request(stream: SocketStream) -> bytes:
    """The head of a request; empty when it is too long."""
    request = b""
    while b"\r\n\r\n" not in request:
        if len(request) > _LONGEST_REQUEST:
            return b""
        request += await stream.receive()
    return request


def _message(status: int, kind: str, body: bytes, *, body_wanted: bool = True) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (body if body_wanted else b"")
