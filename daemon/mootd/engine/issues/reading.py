"""Issues as documents: what `show`, lists and answers to mutations give."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues import issue_document
from moot_protocol.issues.edge_types import BLOCKING, PARENT, WAITS_FOR
from moot_protocol.issues.issue import TOMBSTONE, IssueReading, read_issue
from moot_protocol.merge.kinds import ISSUE, SET_LIKE, field_of
from moot_protocol.merge.register import MISSING, Live, Sibling
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues.names import Names
from mootd.engine.issues.origins import ORIGIN
from mootd.engine.stored import layout
from mootd.engine.stored.erased import was_erased
from mootd.engine.stored.layout import BACK_EDGE, CYCLE, EDGE
from mootd.engine.views.entities import Entities
from mootd.engine.views.graph import must_wait
from mootd.engine.views.record import Group, Record, groups_of
from mootd.engine.views.standing import BLOCKED, Standing

HOLDING: Final = BLOCKING | {PARENT, WAITS_FOR}
"""Types of the edges that can hold an issue up."""
_DEPENDENT_FIELDS: Final = ("id", "title", "status", "priority", "issue_type", "created_at", "updated_at")
"""What every issue has; parsers of `bd`'s output require all of them."""
_DEPENDENT_EXTRAS: Final = ("assignee", "labels", "closed_at", "_alias", ORIGIN)


class Marker(Protocol):
    """What tells in documents which other towns have written what of them (`mootd.engine.issues.origins`)."""

    @property
    def is_needed(self) -> bool:
        """Whether other towns have written anything."""

    def mark(self, document: IssueDoc, record: Record) -> None:
        """Tell it of a whole document."""

    def mark_comments(self, document: IssueDoc, reading: IssueReading, plane: int, siblings: Sequence[Sibling]) -> None:
        """Tell it of each comment."""

    def of_author(self, plane: int, author: bytes) -> dict[str, Any] | None:
        """What is told of an author on a plane; None for one of this town."""


class Issues:
    """The issues of some planes inside a transaction.

    Args:
        entities: the transaction.
        planes: the planes' numbers.
        origins: tells what other towns have written; without it documents don't.
    """

    def __init__(self, entities: Entities, *planes: int, origins: Marker | None = None) -> None:
        self.entities = entities
        self.planes = planes
        self.origins = origins
        self.names = Names(entities.reader, entities.views, *planes)

    # -- One issue -----------------------------------------------------------------------------------------------
    def find(self, typed: str) -> tuple[str, int, Record]:
        """The issue people mean: (id, number, record).

        Raises:
            RefusedError: `not_found` or `ambiguous`.
        """
        name, eid = self.names.resolve(typed)
        record = self.entities.record(eid)
        if record is None:
            raise RefusedError(f"no issue {typed}", code=Code.NOT_FOUND)
        return name, eid, record

    def live(self, record: Record, *, texts: bool) -> Live:
        """What is live in an issue; without texts, edges still come with who made them."""
        return self.entities.live(record, texts=texts)

    def read(self, record: Record, *, texts: bool = True, live: Live | None = None) -> IssueReading:
        """What is shown of an issue; `live` where what is live in it is at hand."""
        return read_issue(
            record.entity,
            self.live(record, texts=texts) if live is None else live,
            record.created,
            record.updated,
            lambda key: self.entities.lineage(record, key),
        )

    def document(self, record: Record, *, texts: bool = True, exact: bool = False) -> IssueDoc:
        """An issue in Beads' shape."""
        reading = self.read(record, texts=texts)
        shown = issue_document.document(reading, exact=exact)
        return shown if exact else self._marked(shown, reading, record)

    def _marked(self, shown: IssueDoc, reading: IssueReading, record: Record) -> IssueDoc:
        """A document in which it is told what of it other towns have written."""
        if self.origins is not None and self.origins.is_needed:
            self.origins.mark(shown, record)
            if reading.comments:
                written = self.live(record, texts=True)["comments"]
                self.origins.mark_comments(shown, reading, record.plane, written)
        return shown

    def origin_of(self, plane: int, author: bytes) -> dict[str, Any]:
        """What is told beside a write of this author: `_origin`, or nothing for one of this town."""
        told = self.origins.of_author(plane, author) if self.origins is not None else None
        return {} if told is None else {ORIGIN: told}

    def counts(self, eid: int, document: IssueDoc) -> dict[str, int]:
        """How much there is around an issue, as lists of `bd` tell it of each."""
        return {
            "dependency_count": len(document.get("dependencies", ())),
            "dependent_count": sum(1 for _ in self.edges(BACK_EDGE, eid)),
            "comment_count": len(document.get("comments", ())),
        }

    def full_document(self, eid: int, record: Record) -> IssueDoc:
        """An issue with everything `show` has: dependents, conflicts, how short its id may be."""
        live = self.live(record, texts=True)
        reading = self.read(record, live=live)
        shown = self._marked(issue_document.document(reading), reading, record)
        dependents = list(self.dependents(eid))
        if dependents:
            shown["dependents"] = dependents
        if reading.conflicts:
            shown["_conflicts"] = reading.conflicts
        shown.update(self.absent(record, reading, live))
        shown["_blocked"] = bool(self.standing(eid).flags & BLOCKED)
        shown["_short"] = self.names.unique_chars(record.entity)
        return shown

    def absent(self, record: Record, reading: IssueReading, live: Live) -> dict[str, Any]:
        """What is told beside a document of fields some of whose values aren't here: which, and which were erased."""
        lacking = (key for key, siblings in live.items() if any(each.value is MISSING for each in siblings))
        missing = sorted({*reading.missing, *(key for key in lacking if field_of(ISSUE, key).policy in SET_LIKE)})
        if not missing:
            return {}
        erased = [name for name in missing if any(map(self._was_erased, groups_of(record, name)))]
        return {"_missing": missing} | ({"_erased": erased} if erased else {})

    def _was_erased(self, group: Group) -> bool:
        return was_erased(self.entities.reader, self.entities.event(group.arrival))

    # -- Neighbours ----------------------------------------------------------------------------------------------
    def standing(self, eid: int) -> Standing:
        """An issue's standing as it was last committed."""
        return Standing(eid, self.entities.reader.get(self.entities.views.index, layout.standing_key(eid)))

    def edges(self, prefix: bytes, eid: int, *, newest_first: bool = False) -> Iterator[tuple[int, str, bytes]]:
        """(other, type, value) of the edges from (EDGE) or to (BACK_EDGE) an issue."""
        start = layout.edges_prefix(prefix, eid)
        rows = self.entities.reader.scan(self.entities.views.index, start, layout.after(start), reverse=newest_first)
        for key, value in rows:
            _, other, edge_type = layout.edge_parts(key)
            yield other, edge_type, value

    def open_blockers(self, eid: int, types: Collection[str] = HOLDING) -> list[str]:
        """Ids of what holds an issue up by edges of some types: open issues, blocked parents, unfinished spawners."""
        reader, index = self.entities.reader, self.entities.views.index
        names = set()
        for other, edge_type, gate in self.edges(EDGE, eid):
            if edge_type not in types or reader.get(index, layout.edge_key(CYCLE, eid, other, edge_type)) is not None:
                continue
            standing = self.standing(other)
            if edge_type in BLOCKING:
                holds = standing.holds_up
            elif edge_type == PARENT:
                holds = bool(standing.flags & BLOCKED)
            else:
                holds = must_wait(standing, self.children(other), gate[:1])
            record = self.entities.record(other) if holds else None
            if record is not None:
                names.add(record.entity)
        return sorted(names)

    def children(self, eid: int) -> Iterator[Standing]:
        """The standings of an issue's children."""
        return (self.standing(other) for other, edge_type, _ in self.edges(BACK_EDGE, eid) if edge_type == PARENT)

    def parents(self) -> Iterator[int]:
        """The numbers of all issues that have children."""
        last, prefix = 0, BACK_EDGE
        for key, _ in self.entities.reader.scan(self.entities.views.index, prefix, layout.after(prefix)):
            eid, _, edge_type = layout.edge_parts(key)
            if edge_type == PARENT and eid != last:
                last = eid
                yield eid

    def dependents(self, eid: int) -> Iterator[dict[str, Any]]:
        """The issues that have an edge to this one: short documents with `dependency_type`."""
        for other, edge_type, _ in list(self.edges(BACK_EDGE, eid)):
            summary = self.summary(other)
            if summary is not None:
                yield summary | {"dependency_type": edge_type}

    def summary(self, eid: int) -> dict[str, Any] | None:
        """The few fields that one issue shows of another; None for what isn't there or is deleted."""
        record = self.entities.record(eid)
        if record is None or not record.groups:
            return None
        shown = self.document(record, texts=False)
        if shown["status"] == TOMBSTONE:
            return None
        fields = {name: shown[name] for name in _DEPENDENT_FIELDS}
        fields |= {name: shown[name] for name in _DEPENDENT_EXTRAS if name in shown}
        return fields | {"_short": self.names.unique_chars(record.entity)}
