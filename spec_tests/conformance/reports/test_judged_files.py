"""Which build was judged can be told from the report."""

import hashlib
import shlex
from pathlib import Path

import pytest

from spec_tests.conformance import shown_runs
from torq_conformance.reports.html import page
from torq_conformance.reports.judged_files import judged_files
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import markdown


def test_each_file_of_a_command_has_its_digest_in_every_report(tmp_path: Path) -> None:
    relay, settings = tmp_path / "my relay", tmp_path / "settings.toml"
    relay.write_bytes(b"\x7fELF")
    settings.write_text("echo = true", "utf-8")
    command = f"{shlex.quote(str(relay))} {settings} --socket {{socket}} {tmp_path} {tmp_path}/absent"
    wanted = {str(file): hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in (relay, settings)}
    report = shown_runs.report(command)
    assert report.files == wanted
    for text in (page(report), markdown(report), junit(report).decode()):
        for digest in wanted.values():
            assert digest in text


def test_a_program_is_looked_for_where_it_is_started_from() -> None:
    assert set(judged_files("torq-specimen correct --socket {socket}")) == {"torq-specimen"}
    assert set(judged_files("sh -c {socket}")) == {"sh"}


@pytest.mark.parametrize(
    "target", ["unix:/tmp/torq/signal.sock", "tcp:127.0.0.1:7000", "", "'not closed", "a\x00b c\x00"]
)
def test_what_names_no_file_has_none(target: str) -> None:
    assert judged_files(target) == {}
