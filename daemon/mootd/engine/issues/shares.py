"""Shares as they stand in the log: what each lets out, and which copies it holds.

Invariant: of an issue there is one copy on a plane, however many shares let it out there: whoever finds that another
share made one holds that as well. A copy follows by one rule, that of the share that has held it longest of those that
let the issue out now; it stands as long as there is one. (Copies that two machines made at the same time, or an earlier
release did, are held by one share each, and stay apart.) What another town writes into shares and entries, on a plane
of sources that it belongs to as well, isn't read: it would say what goes where.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from moot_protocol.errors import RefusedError
from moot_protocol.issues import issue
from moot_protocol.issues.redaction import Rule, projected, read_rule, stays_home
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import COPY, SHARE, Policy
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues.copies import MARK, Copy, Followed, followed
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record


class Shared(NamedTuple):
    """A share as it stands."""

    plane: PlaneRow
    """Of its sources."""
    id: str
    what: str
    """`issue`, `label` or `project`."""
    value: str
    project: str
    """Of a label: within this project only; empty for any."""
    to: bytes
    """The id of the plane that the copies stand on."""
    rule: Rule
    prefix: str
    follower: bytes
    """The key of the replica that follows."""
    ended: bool


class Original(NamedTuple):
    """An issue that may be shared, as it stands."""

    name: str
    project: str
    document: IssueDoc


def shares_of(
    entities: Entities, planes: Iterable[PlaneRow], is_own: Callable[[int], bool] | None = None
) -> Iterator[Shared]:
    """All shares of some planes, those that have ended too.

    Args:
        entities: the transaction.
        planes: the planes.
        is_own: whether a feed is this town's: only what such say is read; None for what anybody says.
    """
    for plane in planes:
        prefix = layout.id_key(plane.number, SHARE, "")
        rows = [value for _, value in entities.reader.scan(entities.views.ids, prefix, layout.after(prefix))]
        for eid in rows:
            record = entities.record(int.from_bytes(eid, "big"))
            if is_own is not None:
                record = own_part(record, is_own)
            shared = None if record is None else _read(entities, plane, record)
            if shared is not None:
                yield shared


def _read(entities: Entities, plane: PlaneRow, record: Record) -> Shared | None:
    live = entities.live(record)
    values = {key: policies.read(Policy.LATEST, siblings).value for key, siblings in live.items()}
    what, to, follower = values.get("what"), values.get("to"), values.get("follower")
    if not (isinstance(what, list) and len(what) == 3 and all(isinstance(each, str) for each in what)):
        return None
    if not (isinstance(to, bytes) and isinstance(follower, bytes) and isinstance(values.get("rule"), str)):
        return None
    try:
        rule = read_rule(values["rule"])
    except RefusedError:
        return None  # of a later release: better nothing than more than was meant
    prefix = str(values.get("prefix", ""))
    return Shared(
        plane, record.entity, what[0], what[1], what[2], to, rule, prefix, follower, values.get("ended") is True
    )


def own_part(record: Record | None, is_own: Callable[[int], bool]) -> Record | None:
    """What this town says of an entity; None where that is nothing."""
    groups = [] if record is None else [group for group in record.groups if is_own(group.feed)]
    return msgspec.structs.replace(record, groups=groups) if record is not None and groups else None


def copies_of(entities: Entities, shared: Shared, is_own: Callable[[int], bool]) -> dict[str, str]:
    """Original → copy of all copies of a share that stand; only those that this town notes."""
    start = layout.id_key(shared.plane.number, COPY, entry_id(shared, ""))
    found = {}
    for key, eid in list(entities.reader.scan(entities.views.ids, start, layout.after(start))):
        record = own_part(entities.record(int.from_bytes(eid, "big")), is_own)
        copy = "" if record is None else copy_in(entities, record)
        if copy:
            found[layout.id_entity(key).partition("/")[2]] = copy
    return found


def copy_in(entities: Entities, record: Record) -> str:
    """The copy that an entry (kind `copy`) names; empty for none."""
    siblings = entities.live(record).get("issue", [])
    value = policies.read(Policy.LATEST, siblings).value if siblings else MISSING
    return value if isinstance(value, str) else ""


def is_meant(shared: Shared, name: str, project: str, document: IssueDoc) -> bool:
    """Whether an issue belongs to a share and may go: it is there, is no copy itself, and no label keeps it here."""
    labels = document.get("labels", [])
    if document["status"] == issue.TOMBSTONE or MARK in document.get("metadata", {}) or stays_home(shared.rule, labels):
        return False
    if shared.what == "issue":
        return shared.value == name
    if document.get("ephemeral") or shared.project not in ("", project):
        return False
    return shared.value in labels if shared.what == "label" else shared.value == project


# -- One copy of an issue ----------------------------------------------------------------------------------------
class Entries:
    """What the shares that let issues of one plane out to another hold of each.

    Args:
        entities: the transaction.
        alike: those shares of this town, those that have ended too.
        entry_of: what this town says in the entry of a share about an issue (kind `copy`), by its id; None for nothing.
    """

    def __init__(self, entities: Entities, alike: Iterable[Shared], entry_of: Callable[[str], Record | None]) -> None:
        self._entities = entities
        self._alike = tuple(alike)
        self._entry_of = entry_of

    def standing(self, original: Original) -> list[tuple[Shared, str]]:
        """(share, its copy) of those that let an issue out and have a copy of it, the earliest first."""
        found = []
        for shared in self._alike:
            record = None if shared.ended else self._entry_of(entry_id(shared, original.name))
            copy = "" if record is None else copy_in(self._entities, record)
            if record is not None and copy and is_meant(shared, *original):
                found.append((record.created, shared.id, shared, copy))
        return [(shared, copy) for _, _, shared, copy in sorted(found, key=lambda each: each[:2])]

    def holders(self, original: Original, copy: str) -> list[Shared]:
        """The shares that hold a copy and let its source out; the first is the one whose rule it follows."""
        return [shared for shared, held in self.standing(original) if held == copy]

    def change_of(self, shared: Shared, original: Original, copy: Record, is_own: Callable[[int], bool]) -> Followed:
        """What it takes to bring a copy into step by a share's rule, whatever other rules let out before.

        Args:
            shared: the share.
            original: the issue.
            copy: the copy's record.
            is_own: whether a feed is this town's.
        """
        others = (each for each in self._alike if self._entry_of(entry_id(each, original.name)) is not None)
        former = {field for each in others for field in each.rule.fields} - set(shared.rule.fields)
        fields = (*shared.rule.fields, *sorted(former))
        stands = Copy.read(self._entities, copy, is_own, fields)
        return followed(stands, projected(shared.rule, original.document), former)


def entry_id(shared: Shared, name: str) -> str:
    """The id of a share's entry about an issue."""
    return f"{shared.id}/{name}"
