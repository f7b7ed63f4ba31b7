"""``/metrics``, ``/livez``, ``/readyz`` and ``/connections`` over HTTP/1.1, as much of it as scrapers and probes speak.

Facts:
- a request has at most 8 KiB and 5 s, an answer ends the connection: no client can hold it up;
- ``/connections`` is JSON, in pages: no answer grows with the number of clients;
- alive while the loop turns, even when draining; ready while clients should come.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

import anyio
import msgspec
from anyio.abc import ByteStream

from ..printable import as_json, printable
from ..settings import MOST_COUNT
from .metrics import CONTENT_TYPE, Exposition
from .service import Service
from .status import ORDERS

_LONGEST_REQUEST = 8192
_TIME_LIMIT = 5.0
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_PAGE, _LARGEST_PAGE = 100, 1000


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The query of ``/connections``."""

    sort: Annotated[str, msgspec.Meta(pattern=rf"^({'|'.join(ORDERS)})\Z")] = "joined"
    offset: Annotated[int, msgspec.Meta(ge=0, le=MOST_COUNT)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=_LARGEST_PAGE)] = _PAGE


class HealthServer:
    """Answers scrapers and probes."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._exposition = Exposition(service)

    async def answer(self, stream: ByteStream) -> None:
        """Answer one request."""
        with anyio.move_on_after(_TIME_LIMIT):
            request = await _request(stream)
            if request:
                await stream.send(await self._response(request))

    async def _response(self, request: bytes) -> bytes:
        words = request.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _message(400, _TEXT, b"use HTTP/1.1\n")
        method, target, _ = words
        path, _, query = target.partition("?")
        status, kind, body = await self._page(path, query)
        if method not in ("GET", "HEAD"):
            status, kind, body = 405, _TEXT, b"use GET or HEAD\n"
        return _message(status, kind, body, body_wanted=method != "HEAD")

    async def _page(self, path: str, query: str) -> tuple[int, str, bytes]:
        if path == "/metrics":
            return 200, CONTENT_TYPE, self._exposition.page()
        if path == "/livez":
            return 200, _TEXT, b"alive\n"
        if path == "/readyz":
            why_not = self._service.ready()
            return (503, _TEXT, f"{printable(why_not)}\n".encode()) if why_not else (200, _TEXT, b"ready\n")
        if path == "/connections":
            return await self._connections(query)
        return 404, _TEXT, b"use /metrics, /connections, /livez or /readyz\n"

    async def _connections(self, query: str) -> tuple[int, str, bytes]:
        try:
            wanted = msgspec.convert(dict(parse_qsl(query, keep_blank_values=True)), _Wanted, strict=False)
        except msgspec.ValidationError as error:
            usage = f"use sort={'|'.join(ORDERS)}, offset=0 and up, limit=1 to {_LARGEST_PAGE}"
            return 400, _TEXT, f"{error}; {usage}\n".encode("utf-8", "backslashreplace")
        page = await self._service.connection_page(wanted.sort, wanted.offset, wanted.limit)
        return 200, _JSON, as_json(page) + b"\n"


async def _request(stream: ByteStream) -> bytes:
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
