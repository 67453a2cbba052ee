"""What may come out of one table of a snapshot."""

import pytest

from shared.exporting.reading import Bounded, Oversized

MOST = 3 * 2**20


class Counting:
    """A sink that counts."""

    def __init__(self) -> None:
        self.bytes = 0

    def write(self, chunk: bytes) -> None:
        self.bytes += len(chunk)


def test_as_much_as_is_allowed_is_let_through_and_not_a_byte_more() -> None:
    counting = Counting()
    bounded = Bounded(counting, MOST)
    for _ in range(MOST // 1024):
        bounded.write(bytes(1024))

    with pytest.raises(Oversized, match="more than 3 MiB"):
        bounded.write(b"x")

    assert counting.bytes == MOST
