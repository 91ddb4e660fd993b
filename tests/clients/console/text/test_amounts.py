"""Numbers as people read them."""

import pytest

from moot.console.text.amounts import several, size


def test_one_thing_is_singular_and_large_numbers_are_grouped() -> None:
    assert several(1, "batch", "es") == "1 batch"
    assert several(0, "batch", "es") == "0 batches"
    assert several(4211, "event") == "4,211 events"


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (64 << 20, "64 MiB"),
        (3 << 29, "1.5 GiB"),
        (2 << 40, "2048.0 GiB"),
    ],
)
def test_bytes_are_shown_in_their_largest_unit(count: int, shown: str) -> None:
    assert size(count) == shown
