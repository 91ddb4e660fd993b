"""Adoption: what a town has decided to take as its own word of what other towns wrote.

An adoption is an event on the town's own ledger: entity `PLANE/KIND/NAME`, key `content`, value the SHA-256 of a text.
Invariant: it counts only where its author's town is the one that this machine belongs to on that ledger, whichever key
that had then, and only such an author takes one back. Nothing that another town wrote is ever an instruction before:
whoever hands text to an agent, or makes something of a document, asks `adopted_text`.
"""

from enum import StrEnum
from functools import cached_property
from operator import itemgetter
from typing import Final, NamedTuple

from moot_protocol.documents.document import ROLE, content_hash, is_set, read_name
from moot_protocol.log.event import Dot
from moot_protocol.merge.kinds import GENESIS
from moot_protocol.trust.charter import PLANE_ENTITY
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.documents.reading import Document, Documents, Version
from mootd.engine.membership.former import OwnTown
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, PlaneRow, StoredEvent
from mootd.engine.views.entities import value_in

ADOPTION: Final = "adoption"
CONTENT: Final = "content"


class Standing(StrEnum):
    """Whose word a text is."""

    OWN = "own"
    """This town wrote it."""
    ADOPTED = "adopted"
    NOT_ADOPTED = "not_adopted"


class Adoption(NamedTuple):
    """One decision of this town."""

    content: bytes
    """SHA-256 of the text."""
    hlc: int
    actor: str
    dot: Dot
    ledger: int
    """The number of the plane that it stands on."""


def adoption_entity(plane: PlaneRow, kind: str, name: str) -> str:
    """The entity that this town's decisions about a document stand in."""
    return f"{plane.id.hex()}/{kind}/{name}"


def own_ledger(documents: Documents) -> PlaneRow | None:
    """The ledger that this machine's town keeps its decisions on; None where it has none.

    The first that the town has founded, whatever the order in which this machine joined: all machines of a town that
    hold it mean the same one. Where it founded none that is here, the first that anybody has.
    """
    begun = [(beginning, row) for row in _ledgers(documents) if (beginning := _beginning(documents, row)) is not None]
    return min(begun, key=itemgetter(0))[1] if begun else None


def _ledgers(documents: Documents) -> list[PlaneRow]:
    return [row for row in documents.planes.values() if row.kind == PlaneKind.LEDGER]


def _beginning(documents: Documents, ledger: PlaneRow) -> tuple[bool, int, bytes] | None:
    """By what ledgers are ordered: founded by another town, when, and its id; None before the charter has come."""
    opened = _history(documents, ledger, GENESIS, PLANE_ENTITY)
    if not opened:
        return None
    genesis = min(opened, key=lambda stored: stored.event.n)
    is_ours = documents.feed(genesis.feed).author in documents.own_town(ledger)
    return not is_ours, genesis.event.skeleton.hlc, ledger.id


def _history(documents: Documents, plane: PlaneRow, kind: str, entity: str) -> list[StoredEvent]:
    """All that was ever said of an entity, latest first."""
    entities = documents.entities
    key = entities.reader.get(entities.views.ids, layout.id_key(plane.number, kind, entity))
    record = None if key is None else entities.record(int.from_bytes(key, "big"))
    return [] if record is None else list(entities.log.history(record.head))


def adoptions(documents: Documents, document: Document) -> list[Adoption]:
    """What this town has adopted of a document and not taken back, latest first.

    A machine that held another ledger first has decided there: what was decided last, wherever that was, goes before
    all that stands on other ledgers.
    """
    made = [each for ledger in _ledgers(documents) for each in _adoptions_on(documents, document, ledger)]
    made.sort(key=lambda adoption: (adoption.hlc, adoption.dot), reverse=True)
    return made if is_set(document.kind) else [each for each in made if each.ledger == made[0].ledger]


def _adoptions_on(documents: Documents, document: Document, ledger: PlaneRow) -> list[Adoption]:
    entity = adoption_entity(document.plane, document.kind, document.name)
    history = _history(documents, ledger, ADOPTION, entity)
    town = documents.own_town(ledger)
    own = [stored for stored in history if _is_own(documents.feed(stored.feed), town)]
    # By hand and not from the record: there other towns' writes have their effect too.
    replaced = {dot for stored in own for dot in _over(documents, stored)}
    made = [_adoption(documents, stored, ledger) for stored in own]
    return [adoption for adoption in made if adoption is not None and adoption.dot not in replaced]


def _is_own(feed: FeedRow, town: OwnTown) -> bool:
    """Whether a feed is of a replica of a town."""
    return bool(feed.role) and feed.town in town


def _over(documents: Documents, stored: StoredEvent) -> list[Dot]:
    authors = documents.entities.authors_of(stored)
    changes = (change for change in stored.event.skeleton.changes if change.key == CONTENT)
    return [Dot(authors[index], n, leaf8) for change in changes for index, n, leaf8 in change.over]


def _adoption(documents: Documents, stored: StoredEvent, ledger: PlaneRow) -> Adoption | None:
    event = stored.event
    content = value_in(stored, CONTENT)
    if not isinstance(content, bytes):
        return None
    dot = Dot(documents.feed(stored.feed).author, event.n, event.leaf[:8])
    return Adoption(content, event.skeleton.hlc, event.skeleton.actor, dot, ledger.number)


class Decisions:
    """What this town has decided about one document, by writing and by adopting.

    Args:
        documents: where to read.
        document: the document.
    """

    def __init__(self, documents: Documents, document: Document) -> None:
        self._documents = documents
        self._document = document
        self.adoptions = adoptions(documents, document)

    def standing(self, version: Version) -> Standing:
        """Whose word a version is. A text that this town wrote or adopted last is its word, whoever writes it again."""
        if self._is_own(version):
            return Standing.OWN
        if version.text is None:
            return Standing.NOT_ADOPTED
        if any(adoption.content == content_hash(version.text) for adoption in self.adoptions):
            return Standing.ADOPTED
        last = None if is_set(self._document.kind) else self._last
        return Standing.ADOPTED if last is not None and last.text == version.text else Standing.NOT_ADOPTED

    def in_force(self, leaf: str = "") -> Version | None:
        """The version that this town goes by: what is shown, if it is its word; else what it decided on last.

        Nothing disputed of a role is in force. Versions of a template stand side by side, and each is a decision of
        its own: without `leaf` it is the first that may be used.

        Args:
            leaf: of one version of a template: how its leaf begins, in hexadecimal.
        """
        shown = [version for version in self._document.shown if version.leaf8.hex().startswith(leaf)]
        usable = [
            version
            for version in shown
            if version.text is not None and self.standing(version) is not Standing.NOT_ADOPTED
        ]
        if usable or is_set(self._document.kind):
            return usable[0] if usable else None
        return self._last

    @cached_property
    def _last(self) -> Version | None:
        """What this town decided on last, among all that was ever written."""
        decided = [
            (when, version.rank, version)
            for version in self._documents.past(self._document)
            if version.text is not None and not self._is_disputed(version)
            for when in self._decided(version, content_hash(version.text))
        ]
        return max(decided, key=lambda decision: decision[:2])[2] if decided else None

    def _decided(self, version: Version, content: bytes) -> list[int]:
        """When this town decided for a version: by adopting and by writing it."""
        when = [adoption.hlc for adoption in self.adoptions if adoption.content == content]
        return [*when, version.hlc] if self._is_own(version) else when

    def _is_own(self, version: Version) -> bool:
        return version.town in self._documents.own_town(self._document.plane)

    def _is_disputed(self, version: Version) -> bool:
        document = self._document
        is_live = any(version.dot == other.dot for other in document.live)
        return document.kind == ROLE and document.in_conflict and is_live


def adopted_text(documents: Documents, plane: PlaneRow, kind: str, typed: str) -> str | None:
    """The text of a document that may be put before an agent, or be made something of; None where there is none.

    Args:
        documents: where to read.
        plane: its plane.
        kind: its kind.
        typed: its name, or `NAME~LEAF` of one version of a template.

    Raises:
        RefusedError: the name can't mean a document.
    """
    named = read_name(typed)
    document = documents.find(plane, kind, named.name)
    version = None if document is None else Decisions(documents, document).in_force(named.leaf)
    return None if version is None else version.text
