"""The Kaitai Struct declaration, compiled by Kaitai's own compiler, reads the message vectors field by field.

Needs Node.js with the npm package ``kaitai-struct-compiler`` (found through ``NODE_PATH``) and the Python package
``kaitaistruct``; skipped where they are not installed.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

DOCS = Path(__file__).parents[3] / "docs"
MESSAGES: list[dict[str, Any]] = json.loads((DOCS / "vectors" / "messages.json").read_text())["vectors"]
MALFORMED: list[dict[str, Any]] = json.loads((DOCS / "vectors" / "malformed.json").read_text())["vectors"]
NOT_JUDGED = {"bad-checksum", "bad-tlv-size"}
"""What the declaration leaves to its reader, beside what only a relay refuses."""
_COMPILE = """
const found = require("kaitai-struct-compiler");
const compiler = found.compile ? found : new found();
const declared = JSON.parse(require("fs").readFileSync(0, "utf8"));
compiler.compile("python", declared, null, false).then(
  (files) => process.stdout.write(JSON.stringify(files)),
  (error) => { process.stderr.write(String(error)); process.exit(1); });
"""


@pytest.fixture(scope="module")
def torq(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The module that the compiler makes of the declaration."""
    pytest.importorskip("kaitaistruct", reason="kaitaistruct is not installed (pip install kaitaistruct)")
    node = shutil.which("node")
    probe = [str(node), "-e", 'require.resolve("kaitai-struct-compiler")']
    if node is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("kaitai-struct-compiler is not installed (npm install kaitai-struct-compiler, NODE_PATH)")
    declared = json.dumps(yaml.safe_load((DOCS / "kaitai" / "torq.ksy").read_text()))
    run = subprocess.run([node, "-e", _COMPILE], input=declared, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (source,) = json.loads(run.stdout).values()
    path = tmp_path_factory.mktemp("kaitai") / "torq_kaitai.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("torq_kaitai", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["torq_kaitai"] = module  # the generated code asks for nothing else
    spec.loader.exec_module(module)
    return module


def read(torq: ModuleType, data: bytes) -> Any:
    from kaitaistruct import BytesIO, KaitaiStream  # type: ignore[import-untyped,import-not-found,unused-ignore]

    return torq.Torq(KaitaiStream(BytesIO(data)))


def plain(value: Any) -> Any:
    """A value of the generated classes as the vectors have it: numbers as text, lists without their unused slots."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [plain(each) for each in value]
    if not hasattr(value, "_io"):
        return str(int(value))
    parts = {name: each for name, each in vars(value).items() if not name.startswith(("_", "filler_"))}
    if "high" in parts:
        return str(parts["low"] | parts["high"] << 64)
    if "zero" in parts:
        return plain(parts["low"])
    counts = {name: parts.pop(f"{name}_count") for name in list(parts) if f"{name}_count" in parts}
    return {name: plain(each[: counts[name]] if name in counts else each) for name, each in parts.items()}


def as_text(value: Any) -> Any:
    """A vector's value with all numbers as text, and a record in front of data among the fields around it."""
    if isinstance(value, dict):
        flat = {name: each for name, each in value.items() if name != "header"} | value.get("header", {})
        return {name: as_text(each) for name, each in flat.items()}
    return [as_text(each) for each in value] if isinstance(value, list) else str(value)


def test_every_message_vector_is_read_field_by_field(torq: ModuleType) -> None:
    for vector in MESSAGES:
        (message,) = read(torq, bytes.fromhex(vector["hex"])).messages
        header = plain(message.header) | {"magic": "3735928559"}
        assert header == as_text(vector["header"]), vector["name"]
        for tlv, expected in zip(message.payload.tlvs, vector["tlvs"], strict=True):
            assert (tlv.tlv_type, tlv.form == 255) == (expected["type"], expected["extended"]), vector["name"]
            value = as_text(expected["fields"]) if "fields" in expected else expected["value"]
            assert plain(tlv.value) == value, vector["name"]


def test_all_message_vectors_back_to_back_are_one_stream(torq: ModuleType) -> None:
    assert len(read(torq, b"".join(bytes.fromhex(vector["hex"]) for vector in MESSAGES)).messages) == len(MESSAGES)


def test_of_malformed_vectors_all_are_refused_but_what_the_readme_excepts(torq: ModuleType) -> None:
    from kaitaistruct import KaitaiStructError  # type: ignore[import-untyped,import-not-found,unused-ignore]

    for vector in MALFORMED:
        refused = False
        try:
            read(torq, bytes.fromhex(vector["hex"]))
        except (KaitaiStructError, EOFError):
            refused = True
        excepted = vector["error"] in NOT_JUDGED or vector["check"] == "relay" or not vector["hex"]
        assert refused is not excepted, vector["name"]
