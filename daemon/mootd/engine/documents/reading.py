"""Reading documents: which versions are live, which are shown, what came before, and who wrote each.

Invariant: what is shown is a function of the events held, the same on every replica that holds them: names of versions
included. An entity whose id is no name is no document.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from moot_protocol.documents.document import (
    DOCUMENT,
    DOCUMENT_KINDS,
    Content,
    is_name,
    is_set,
    parse_document,
    text_in,
    version_in,
    version_names,
)
from moot_protocol.errors import RefusedError
from moot_protocol.log.event import Dot
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import Role, field_of
from moot_protocol.merge.lineage import Lineage, agreed
from moot_protocol.merge.policies import elements
from moot_protocol.merge.register import Sibling
from moot_protocol.trust.towns import TownStanding
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.former import OwnTown
from mootd.engine.membership.towns import own_name
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, PlaneRow, StoredEvent
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.entities import Entities, value_in
from mootd.engine.views.record import Record

_CONTENTS: Final = 64
"""Texts whose content is kept while documents are read: replicas and planes hold many of the same."""


class Version(NamedTuple):
    """One write of a document."""

    name: str
    """What to call it: the document's name, of one of several versions of a template `NAME~LEAF`."""
    kind: str
    value: Any
    """As it stands in the log, or MISSING."""
    hlc: int
    author: bytes
    n: int
    leaf8: bytes
    actor: str
    town: bytes
    """The key of its author's town; empty where that isn't known."""

    @property
    def text(self) -> str | None:
        """The document's text; None where it isn't here or is none."""
        return text_in(self.kind, self.value)

    @property
    def version(self) -> str:
        """Of a formula its version; else empty."""
        return version_in(self.kind, self.value)

    @property
    def dot(self) -> Dot:
        """The write by name."""
        return Dot(self.author, self.n, self.leaf8)

    @property
    def rank(self) -> tuple[int, bytes, int]:
        """The order in which policies choose."""
        return (self.hlc, self.author, self.n)

    @property
    def sibling(self) -> Sibling:
        """The write as policies read it."""
        return Sibling(self.value, self.hlc, self.author, self.n, self.actor, self.leaf8)


class Document(NamedTuple):
    """A document as it stands."""

    plane: PlaneRow
    kind: str
    name: str
    record: Record
    live: tuple[Version, ...]
    """In the order of their writes."""
    shown: tuple[Version, ...]
    """What is shown: of a template every version, else one; none where nothing is agreed."""
    in_conflict: bool

    @property
    def id(self) -> str:
        """`KIND/NAME`."""
        return f"{self.kind}/{self.name}"


class Documents:
    """The documents inside a transaction.

    Args:
        entities: reads entities.
        feed: a feed by its number.
        planes: every plane that is here, by its number.
    """

    def __init__(self, entities: Entities, feed: Callable[[int], FeedRow], planes: Mapping[int, PlaneRow]) -> None:
        self.entities = entities
        self.feed = feed
        self.planes = planes
        self._towns: dict[int, Mapping[bytes, TownStanding]] = {}
        self._own: dict[int, OwnTown] = {}
        self._contents = lru_cache(_CONTENTS)(_content_or_error)

    def content(self, kind: str, text: str) -> Content:
        """As `parse_document`, which is asked but once about a text: others wrote it, and it may be a hard one."""
        found = self._contents(kind, text)
        if isinstance(found, RefusedError):
            raise found.with_traceback(None)
        return found

    def find(self, plane: PlaneRow, kind: str, name: str) -> Document | None:
        """A document by its kind and whole name, or None."""
        key = self.entities.reader.get(self.entities.views.ids, layout.id_key(plane.number, kind, name))
        record = None if key is None else self.entities.record(int.from_bytes(key, "big"))
        if record is None or not is_name(name):
            return None
        live = self._live(record)
        return self._document(plane, record, live) if live else None

    def all(self, plane: PlaneRow, kinds: tuple[str, ...] = DOCUMENT_KINDS) -> Iterator[Document]:
        """The documents of a plane, by kind and name."""
        for kind in kinds:
            prefix = layout.id_key(plane.number, kind, "")
            rows = self.entities.reader.scan(self.entities.views.ids, prefix, layout.after(prefix))
            for name in [layout.id_entity(key) for key, _ in rows]:
                document = self.find(plane, kind, name)
                if document is not None:
                    yield document

    # -- What is live and what is shown --------------------------------------------------------------------------
    def _live(self, record: Record) -> list[Sibling]:
        siblings = self.entities.live(record).get(DOCUMENT, [])
        return sorted(siblings, key=policies.rank)

    def _document(self, plane: PlaneRow, record: Record, siblings: list[Sibling]) -> Document:
        kind, name = record.kind, record.entity
        if is_set(kind):
            distinct = elements(siblings)
            names = dict(
                zip(
                    (each.rank for each in distinct),
                    version_names(name, [each.leaf8 for each in distinct]),
                    strict=True,
                )
            )
            shown = tuple(self._version(plane, kind, names[each.rank], each) for each in distinct)
            return Document(plane, kind, name, record, self._versions(plane, kind, name, siblings), shown, False)
        lineage = self.entities.lineage(record, DOCUMENT)
        reading = policies.read(field_of(kind, DOCUMENT).policy, siblings, lineage)
        live = self._versions(plane, kind, name, siblings)
        found = reading.shown or self._agreed(plane, lineage, siblings)
        shown = () if found is None else (self._version(plane, kind, name, found),)
        return Document(plane, kind, name, record, live, shown, reading.conflict)

    def _agreed(self, plane: PlaneRow, lineage: Lineage, siblings: list[Sibling]) -> Sibling | None:
        """The write that all siblings succeed, whose value is what a review shows."""
        found = agreed(lineage, [(sibling.author, sibling.n) for sibling in siblings])
        stored = None if found is None else self.entities.stored(plane.number, found)
        return None if stored is None else self._sibling(stored)

    def _sibling(self, stored: StoredEvent) -> Sibling:
        event = stored.event
        author = self.feed(stored.feed).author
        value = value_in(stored, DOCUMENT)
        return Sibling(value, event.skeleton.hlc, author, event.n, event.skeleton.actor, event.leaf[:8])

    def _versions(self, plane: PlaneRow, kind: str, name: str, siblings: list[Sibling]) -> tuple[Version, ...]:
        return tuple(self._version(plane, kind, name, sibling) for sibling in siblings)

    def _version(self, plane: PlaneRow, kind: str, name: str, sibling: Sibling) -> Version:
        value, hlc, author, n, actor, leaf8 = sibling
        return Version(name, kind, value, hlc, author, n, leaf8, actor, self.town_of(plane, author))

    def town_of(self, plane: PlaneRow, author: bytes) -> bytes:
        """The town that an author belongs to on a plane; empty where that isn't known."""
        number = self.entities.feed_number(plane.number, author)
        return b"" if number is None else self.feed(number).town

    def own_town(self, plane: PlaneRow) -> OwnTown:
        """The keys of this machine's town on a plane."""
        return self._own.setdefault(plane.number, OwnTown(self.entities.reader, plane))

    def town_name(self, plane: PlaneRow, town: bytes) -> str:
        """What a town is called on a plane; this machine's own as it is called here; empty where nobody has said."""
        if town == plane.town:
            return own_name(self.entities.reader, town)
        towns = self._towns.get(plane.number)
        if towns is None:  # evaluated once: it reads every charter
            towns = self._towns[plane.number] = towns_of(LogSnapshot(self.entities.reader), plane)
        standing = towns.get(town)
        return (standing.name if standing else "") or own_name(self.entities.reader, town)

    # -- What came before ----------------------------------------------------------------------------------------
    def past(self, document: Document) -> list[Version]:
        """Every version that was ever written and counts, latest first."""
        plane, kind, name = document.plane, document.kind, document.name
        names = {version.rank: version.name for version in document.shown}
        found = []
        for stored in self.entities.log.history(document.record.head):
            writes = any(change.key == DOCUMENT and not change.removes for change in stored.event.skeleton.changes)
            if writes and self._counts(kind, self.feed(stored.feed)):
                sibling = self._sibling(stored)
                found.append(self._version(plane, kind, names.get(sibling.rank, name), sibling))
        return sorted(found, key=lambda version: version.rank, reverse=True)

    @staticmethod
    def _counts(kind: str, feed: FeedRow) -> bool:
        """Whether what a feed says of a document counts, by its role; a charter has none."""
        return bool(feed.role) and Role(feed.role).rank >= field_of(kind, DOCUMENT).writer.rank


def _content_or_error(kind: str, text: str) -> Content | RefusedError:
    try:
        return parse_document(kind, text)
    except RefusedError as error:
        return error
