"""The CRC-32 of AAL5 against its definition, bit by bit."""

from hypothesis import given
from hypothesis import strategies as st

from lab._native import lib

lib.crc32_prepare()


def by_definition(data: bytes) -> int:
    """Divide by the generator, most significant bit first."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte << 24
        for _ in range(8):
            state = (state << 1 ^ 0x04C11DB7 if state >> 31 else state << 1) & 0xFFFFFFFF
    return state ^ 0xFFFFFFFF


def test_the_check_value_of_the_standard() -> None:
    assert lib.crc32_add(0xFFFFFFFF, b"123456789", 9) ^ 0xFFFFFFFF == 0xFC891918


@given(st.binary(max_size=400), st.integers(0, 400))
def test_folded_by_table_and_in_two_pieces(data: bytes, cut: int) -> None:
    cut = min(cut, len(data))
    first = lib.crc32_add(0xFFFFFFFF, data[:cut], cut)
    folded = lib.crc32_add(first, data[cut:], len(data) - cut)
    assert folded ^ 0xFFFFFFFF == by_definition(data)
    assert lib.crc32_add_plain(0xFFFFFFFF, data, len(data)) == folded
