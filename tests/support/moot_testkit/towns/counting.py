"""Feeds of which something counts, without the events that it would take."""

from mootd.engine.stored.log import FeedRow
from mootd.engine.unit import Unit


def let_count(unit: Unit, plane: int, key: bytes, n: int = 1) -> int:
    """Take so many events to count on a plane that a key wrote; the number of its feed."""
    number = unit.feed_number(plane, key)
    unit.set_feed(number, FeedRow(plane, key, n, head=key))
    return number
