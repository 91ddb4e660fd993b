"""The log of a replica as one read transaction sees it: whose feeds there are, and how far each is accepted.

It is read from the store alone, not from what a replica remembers: both change at a commit, but not in one moment.
"""

from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, LogReader, decode_feed
from mootd.store.port import Reader, Table


class LogSnapshot:
    """One committed state of a replica's log; a `Source` of `StoredFeeds`.

    Args:
        reader: the snapshot of the store that it is read from.
    """

    def __init__(self, reader: Reader) -> None:
        self.transaction = reader
        self.log = LogReader(reader)

    def feed(self, number: int) -> FeedRow:
        """A feed by its number; number 0 is the feed of whoever isn't known."""
        packed = self.transaction.get(Table.META, layout.feed_key(number))
        return FeedRow(0, b"") if packed is None else decode_feed(packed)

    def feed_number(self, plane: int, author: bytes) -> int:
        """The number of an author's feed, or 0."""
        return int.from_bytes(self.transaction.get(Table.META, layout.feed_of_key(plane, author)) or b"", "big")

    def numbers(self, plane: int) -> list[int]:
        """The numbers of a plane's feeds, in ascending order of their authors."""
        prefix = layout.feed_of_key(plane, b"")
        rows = self.transaction.scan(Table.META, prefix, layout.after(prefix))
        return [int.from_bytes(value, "big") for _, value in rows]

    def authors(self, plane: int) -> list[bytes]:
        """Every author that anything is known of on a plane."""
        return [self.feed(number).author for number in self.numbers(plane)]
