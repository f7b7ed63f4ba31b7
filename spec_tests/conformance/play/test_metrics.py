"""The reader of counters: Prometheus's text format, over HTTP and as it stands."""

import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest

from torq_conformance.play.metrics import Samples, read_samples

PAGE = '# HELP a text\n# TYPE a counter\na{reason="x",why="y, {z}"} 2.0\na{reason="w"} 3\nb 1e3\n'


def test_samples_are_summed_by_name_and_by_label() -> None:
    samples = Samples(PAGE)
    assert (samples.total("a"), samples.total("b"), samples.total("c")) == (5, 1000, 0)
    assert samples.by("reason", "a") == {"x": 2, "w": 3}
    assert samples.by("why", "a") == {"y, {z}": 2, "": 3}


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters='"\\\n\r'), max_size=9),
        st.integers(0, 1 << 40),
    )
)
def test_what_the_usual_library_writes_is_read(counts: dict[str, int]) -> None:
    registry = CollectorRegistry()
    counter = Counter("frames", "Frames", ["reason"], registry=registry)
    for reason, count in counts.items():
        counter.labels(reason).inc(count)
    assert Samples(generate_latest(registry).decode()).by("reason", "frames_total") == counts


@pytest.mark.parametrize("head", ["", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"], ids=["plain", "http"])
@pytest.mark.parametrize("kind", ["unix", "http"])
def test_a_page_is_read_from_a_socket_or_a_url(tmp_path: Path, kind: str, head: str) -> None:
    family, where = (socket.AF_UNIX, str(tmp_path / "m")) if kind == "unix" else (socket.AF_INET, ("127.0.0.1", 0))
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(where)
        listener.listen()
        port = listener.getsockname()[1] if kind == "http" else ""
        at = f"unix:{where}" if kind == "unix" else f"http://127.0.0.1:{port}/metrics"

        def answer() -> None:
            asking, _ = listener.accept()
            with asking:
                assert asking.recv(100).startswith(b"GET /metrics ")
                asking.sendall((head + PAGE).encode())

        answering = threading.Thread(target=answer)
        answering.start()
        assert read_samples(at, 5.0).total("b") == 1000
        answering.join()


def test_another_address_is_refused() -> None:
    with pytest.raises(ValueError, match="unix:PATH or http"):
        read_samples("ftp://somewhere", 1.0)
