"""What a reading request is answered from: one read transaction of a replica, and what can be found in it."""

from typing import Any

from mootd.engine.issues.origins import ORIGIN, Origins
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.lists import Lists
from mootd.engine.patience import Check, CheckedReader, patient
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, damaged, decode_feed
from mootd.engine.views.entities import Entities
from mootd.store.port import Reader, Table


class Snapshot:
    """One read transaction of a replica, and what requests find in it.

    Args:
        replica: the replica.
        reader: a snapshot of its store.
        now_ms: the wall clock.
        check: raises once nobody waits for what is read; whoever looks through much asks it.
    """

    def __init__(self, replica: Replica, reader: Reader, now_ms: int, check: Check = patient) -> None:
        if check is not patient:
            reader = CheckedReader(reader, check)
        self.replica = replica
        self.check = check
        self.reader = reader
        self.now_ms = now_ms
        self.origins = Origins(replica, reader)
        self.entities = Entities(reader, replica.views_of(reader), self._author_of, replica.feed_number)

    def feed(self, feed: int) -> FeedRow:
        """A feed by its number."""
        row = self.replica.feeds.get(feed)
        if row is None:
            # Committed a moment ago: this snapshot has it, the replica's memory will.
            packed = self.reader.get(Table.META, layout.feed_key(feed))
            if packed is None:
                raise damaged(f"feed {feed} is missing")
            row = decode_feed(packed)
        return row

    def origin_of(self, plane: int, feed: int) -> dict[str, Any]:
        """What is told beside an event of a feed: `_origin`, or nothing for one of this town."""
        told = self.origins.of_author(plane, self.feed(feed).author) if self.origins.is_needed else None
        return {} if told is None else {ORIGIN: told}

    def _author_of(self, feed: int) -> bytes:
        return self.feed(feed).author

    @property
    def issues(self) -> Issues:
        """The issues of every plane that holds some."""
        planes = issue_planes(self.replica.planes) or [self.replica.ledger]
        return Issues(self.entities, *(row.number for row in planes), origins=self.origins)

    def issues_of(self, plane: str) -> Issues:
        """The issues of the plane that is named; of every plane, if none is."""
        if not plane:
            return self.issues
        return Issues(self.entities, issue_plane_meant(self.replica.planes, plane).number, origins=self.origins)

    def lists(self, plane: str) -> Lists:
        """Lists of the issues of the plane that is named; of every plane, if none is."""
        every, replica = self.issues, self.replica
        issues = self.issues_of(plane) if plane else every
        projects = dict(replica.projects)
        ledger = replica.settings_plane
        return Lists(issues, every.names, projects, self.now_ms, replica.rows, ledger=ledger, check=self.check)
