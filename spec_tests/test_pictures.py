"""The pictures: drawn from what is shown, safe to show anywhere, and taken anew when what they show looks otherwise."""

import re
import struct
import zlib
from xml.etree import ElementTree

import msgspec
import pytest

from spec_tests import matrix_picture, pictures
from spec_tests.matrix import load
from torq_conformance.judging.selftest_outcomes import Outcome
from torq_conformance.reports.model import VERDICTS

SVG = "{http://www.w3.org/2000/svg}"
README = (pictures.ROOT / "README.md").read_text("utf-8")
PHOTOGRAPH = (pictures.ROOT / pictures.REPORT).read_bytes()


@pytest.mark.parametrize("name", pictures.pages())
def test_a_drawing_is_whole_and_asks_for_nothing_else(name: str) -> None:
    text = (pictures.ROOT / name).read_text("utf-8")
    ElementTree.fromstring(text)
    assert re.findall(r"url\((?!#)|@import|href|<script|<image", text) == []
    assert not re.search(r"/(?:home|root|work|tmp)/", text), "a path of the machine that drew it"


@pytest.mark.parametrize("name", [*pictures.pages(), pictures.REPORT])
def test_each_picture_is_shown_somewhere_in_words_too(name: str) -> None:
    shown = README + (pictures.ROOT / "docs/matrix.md").read_text("utf-8")
    (alternative,) = re.findall(rf"!\[([^\]]+)\]\((?:docs/)?{re.escape(name.removeprefix('docs/'))}\)", shown)
    assert len(alternative.split()) > 8


def test_the_drawing_of_top_shows_every_column_of_its_table() -> None:
    text = (pictures.ROOT / "docs/pictures/top.svg").read_text("utf-8")
    words = " ".join(filter(None, (each.text for each in ElementTree.fromstring(text).iter(f"{SVG}text"))))
    said = words.replace("\xa0", " ")
    for word in ("PROGRAM", "OUT/S", "BEHIND", "REFUSED", "DROPPED"):
        assert word in said
    for reason in ("queue-full 16,680", f"{pictures.WRONG} 3"):
        assert said.count(reason) == 2, "of the relay, and of the connection, at the right edge"


def test_the_photograph_is_of_the_page_that_the_suite_writes_now() -> None:
    assert pictures.faults(PHOTOGRAPH) == []


def test_a_photograph_of_another_page_or_size_is_a_fault_that_says_what_to_do() -> None:
    head = PHOTOGRAPH.index(b"tEXt") - 4
    bare = PHOTOGRAPH[:head] + PHOTOGRAPH[head + 12 + struct.unpack_from(">I", PHOTOGRAPH, head)[0] :]
    (older,) = pictures.faults(pictures.signed(bare, "another page"))
    assert "shows an older page; take it anew, with Chromium: make pictures" in older
    assert pictures.signed(bare, pictures.report_page()) == PHOTOGRAPH
    header = b"IHDR" + struct.pack(">II", 10, 10) + PHOTOGRAPH[24:29]
    small = PHOTOGRAPH[:12] + header + struct.pack(">I", zlib.crc32(header)) + PHOTOGRAPH[33:]
    assert "(10, 10) pixels" in pictures.faults(small)[0]
    assert pictures.faults(b"GIF89a") == [f"{pictures.REPORT} is no PNG"]


def test_the_grid_has_a_cell_for_each_verdict_with_its_sign_and_a_square_for_each_mutant() -> None:
    matrix = load()
    root = ElementTree.fromstring(matrix_picture.picture(matrix))
    squares = [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    titles = [each.findtext(f"{SVG}title") for each in squares]
    assert sorted(map(str, titles)) == sorted(each.name for each in matrix.mutants)
    signs = [each.text for each in root.iter(f"{SVG}text") if "sign" in each.get("class", "").split()]
    judged = [VERDICTS[each.word].sign for relay in matrix.relays for each in relay.judged.values()]
    legend = [look.sign for word, look in VERDICTS.items() if word not in ("UNEXPECTED-PASS", "EXPECTED-FAIL")]
    assert sorted(map(str, signs)) == sorted(judged + legend)


def test_a_mutant_that_survives_is_seen_in_the_grid() -> None:
    matrix = load()
    mutant = matrix.mutants[0]
    outcome = Outcome(mutant.name, mutant.domain, False, ("FWD-1",), {}, "", programs=3, seconds=0.4)
    lives = msgspec.structs.replace(mutant, killed_by=(), missed=(outcome,))
    others = tuple(lives if each is mutant else each for each in matrix.specimens)
    text = matrix_picture.picture(msgspec.structs.replace(matrix, specimens=others))
    assert "of which 1 survive" in text
    assert re.search(rf'<rect class="cell fail"[^>]+><title>{mutant.name}</title>', text)
