"""The checksum of the C kernel, in each form that the processor has: zlib's CRC-32 without the checksum field."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

scanner = pytest.importorskip("torq_protocol._scanner", reason="not compiled")


def expected(frame: bytes) -> list[int]:
    return [crc32(frame[32:], crc32(frame[:28]))] * 2


def test_val_1_every_size_has_the_checksum_of_zlib_whatever_stands_in_its_own_field() -> None:
    frame = bytes(number * 151 % 256 for number in range(1_200))
    for size in range(32, 1_100):
        part = frame[size % 97 :][:size]
        assert scanner.frame_checksums(part) == expected(part), size
    large = frame * 900
    assert scanner.frame_checksums(large) == expected(large)


@given(st.binary(min_size=32, max_size=600))
def test_val_1_any_bytes_have_the_checksum_of_zlib(frame: bytes) -> None:
    assert scanner.frame_checksums(bytearray(frame)) == expected(frame)


def test_less_than_a_header_is_no_frame() -> None:
    with pytest.raises(ValueError, match="32 bytes or more, not 31"):
        scanner.frame_checksums(bytes(31))
