"""Whose text an issue shows: what of it was written in another town than the one this machine works in on its plane.

Invariant: whatever is told of an issue with the text of another town in it says so beside it, by the key of the feed
that wrote it; nothing that stands in a text, and no name that an actor gave itself, takes part. On planes where no
other town has written nothing is looked at.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

from moot_protocol.codec import encode
from moot_protocol.ids import key_begins, key_text
from moot_protocol.issues.issue import WORDED, IssueReading, read_comments
from moot_protocol.merge.kinds import CHARTER
from moot_protocol.merge.policies import rank
from moot_protocol.merge.register import Sibling
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.former import OwnTown
from mootd.engine.membership.towns import own_name, told_apart
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.record import Record
from mootd.store.port import Reader, Table

ORIGIN: Final = "_origin"
"""Under which name documents tell what other towns have written."""

KEY_CHARS: Final = 12
"""Characters told of a key: two that begin alike are not to be met."""


class Origins:
    """Finds out, inside a transaction, what was written in other towns.

    Args:
        replica: the replica.
        reader: the transaction.
    """

    def __init__(self, replica: State, reader: Reader) -> None:
        self._replica = replica
        self._reader = reader
        self._foreign: Mapping[int, FeedRow] | None = None
        self._bearers: dict[str, set[bytes]] | None = None
        self._called: dict[tuple[int, bytes], str] = {}
        self._named: dict[int, Mapping[bytes, str]] = {}

    @property
    def is_needed(self) -> bool:
        """Whether other towns have written anything."""
        return bool(self.foreign)

    @property
    def foreign(self) -> Mapping[int, FeedRow]:
        """The feeds of other towns' replicas, by their numbers."""
        if self._foreign is None:
            version, self._foreign = self._replica.changes.foreign
            if version != self._replica.changes.feeds:
                self._foreign = self._looked_through()
        return self._foreign

    def _looked_through(self) -> Mapping[int, FeedRow]:
        replica, planes = self._replica, self._replica.planes
        version = replica.changes.feeds
        rows = [(number, row) for number, row in list(replica.feeds.items()) if _is_replica(row)]
        rows = [(number, row) for number, row in rows if row.plane in planes and row.town != planes[row.plane].town]
        own = replica.own_towns() if rows else ()
        rows = [(number, row) for number, row in rows if row.town not in own]
        if rows:
            with replica.read() as reader:  # at least as new as the feeds: this one's may be older
                ours = {number: OwnTown(reader, plane) for number, plane in list(planes.items())}
                rows = [(number, row) for number, row in rows if row.town not in ours[row.plane]]
        foreign = dict(rows)
        replica.changes.foreign = (version, foreign)
        return foreign

    # -- Of issues -----------------------------------------------------------------------------------------------
    def mark(self, document: IssueDoc, record: Record) -> None:
        """Tell in a document which other towns have written what of it: `_origin`; nothing where none has."""
        told = self.of(record) if self.foreign else []
        if told:
            document[ORIGIN] = told

    def of(self, record: Record) -> list[dict[str, Any]]:
        """The replicas of other towns whose text a record holds, or that made it: whoever made it first.

        Shape: `[{"town", "town_name", "replica", "fields", "created"}]`; keys by how they begin.
        """
        fields: dict[int, set[str]] = {}
        created: set[int] = set()
        for group in record.groups:
            if group.feed not in self.foreign:
                continue
            fields.setdefault(group.feed, set()).update(pair[0] for pair in group.pairs if pair[0] in WORDED)
            if group.hlc == record.created:
                created.add(group.feed)
        told = [
            self._told(self.foreign[feed]) | {"fields": sorted(names), "created": feed in created}
            for feed, names in fields.items()
            if names or feed in created
        ]
        return sorted(told, key=lambda each: (not each["created"], each["town"], each["replica"]))

    def mark_comments(self, document: IssueDoc, reading: IssueReading, plane: int, siblings: Sequence[Sibling]) -> None:
        """Tell in a document's comments which town each comes from, unless it is this one."""
        if not self.foreign or not reading.comments:
            return
        authors: dict[bytes, bytes] = {}
        for sibling in sorted(siblings, key=rank):
            for comment in read_comments([sibling]):
                authors.setdefault(encode(comment), sibling.author)
        for shown, comment in zip(document["comments"], reading.comments, strict=True):
            told = self.of_author(plane, authors[encode(comment)])
            if told is not None:
                shown[ORIGIN] = told

    # -- Of one write --------------------------------------------------------------------------------------------
    def of_author(self, plane: int, author: bytes) -> dict[str, Any] | None:
        """`{"town", "town_name", "replica"}` of an author on a plane; None for one of this town."""
        row = self.foreign.get(self._replica.feed_numbers.get((plane, author), 0))
        return None if row is None else self._told(row)

    def _told(self, row: FeedRow) -> dict[str, Any]:
        return {
            "town": key_text(row.town)[:KEY_CHARS],
            "town_name": self.town_name(row.plane, row.town),
            "replica": key_text(row.author)[:KEY_CHARS],
        }

    def town_name(self, plane: int, town: bytes) -> str:
        """What a town is called on a plane; empty where nobody has said.

        Where another town is called the same, on whatever plane, a part of its key follows that tells them apart.
        """
        called = self._called.get((plane, town))
        if called is None:
            name = self._name(plane, town)
            called = self._called[plane, town] = told_apart(name, town, self._others(name, town)) if name else ""
        return called

    def _name(self, plane: int, town: bytes) -> str:
        return self._names(plane).get(town, "") or own_name(self._reader, town)

    def _others(self, name: str, town: bytes) -> Set[bytes]:
        """The other towns that are called so, also by name and key: a removed one isn't taken for who bears it now."""
        if self._bearers is None:
            self._bearers = {}
            for row in list(self._replica.feeds.values()):
                if row.kind == CHARTER and row.n and not row.ended and row.plane in self._replica.planes:
                    self._bearers.setdefault(self._name(row.plane, row.author), set()).add(row.author)
        alone, _, beginning = name.rpartition(" ")
        by_both = {each for each in self._bearers.get(alone, ()) if key_begins(each, beginning)}
        return (self._bearers.get(name, set()) | by_both) - {town}

    def _names(self, plane: int) -> Mapping[bytes, str]:
        """What the charters of a plane call its towns; they are looked through once, however many towns are named."""
        found = self._named.get(plane)
        if found is None:
            found = self._named[plane] = self._names_read(plane)
        return found

    def _names_read(self, plane: int) -> Mapping[bytes, str]:
        """The same, read anew only where a charter has grown since another transaction read it."""
        rows = list(self._replica.feeds.items())
        charters = [number for number, row in rows if row.plane == plane and row.kind == CHARTER]
        state = tuple(self._reader.get(Table.META, layout.feed_key(number)) for number in charters)
        known = self._replica.town_names.get(plane)
        if known is not None and known[0] == state:
            return known[1]
        towns = towns_of(LogSnapshot(self._reader), self._replica.planes[plane])
        names = {key: standing.name for key, standing in towns.items()}
        self._replica.town_names[plane] = (state, names)
        return names


def _is_replica(row: FeedRow) -> bool:
    return bool(row.n and row.town) and row.kind != CHARTER
