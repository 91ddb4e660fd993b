"""The lines that a project's issues have in a mirrored file, by name: as `exporting.py`, for some of them or all."""

from collections.abc import Collection, Iterator
from functools import partial

from moot_protocol.beads.lines import export_line
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import facts, project_of
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.issues.reading import Issues
from mootd.engine.replica import Replica
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.log import damaged, decode_feed
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record
from mootd.store.port import Reader, Table


def mirrored_lines(issues: Issues, project: str, names: Collection[str] | None) -> dict[str, bytes | None]:
    """Issues as lines of a file.

    Args:
        issues: those of the project's plane.
        project: its prefix.
        names: which issues; None for all of the project. Names that are no issue's, or another project's, are left out.

    Returns:
        id -> line, without its end; None for an issue of which nothing is live any more.
    """
    found: dict[str, bytes | None] = {}
    for name, record in _records(issues, names):
        if not record.groups:
            found[name] = None
        elif facts(issues.live(record, texts=False)).project == project:
            found[name] = export_line(issues.document(record, exact=True))
    return found


def of_project(issues: Issues, project: str, names: Collection[str]) -> set[str]:
    """Which of some names are issues whose line in a project's file may be another now.

    Args:
        issues: those of the project's plane.
        project: its prefix.
        names: ids. One of which nothing is live any more counts: whose it was isn't known.
    """
    return {
        name
        for name, record in _records(issues, names)
        if not record.groups or project_of(issues.live(record, texts=False)) == project
    }


def others_of(issues: Issues, project: str, names: Collection[str]) -> dict[str, str]:
    """Which of some names are issues that other projects have, and which ones: id -> project.

    Args:
        issues: those of the project's plane.
        project: its prefix.
        names: ids. One of which nothing is live any more is left out: whose it was isn't known.
    """
    found = ((name, record) for name, record in _records(issues, names) if record.groups)
    projects = ((name, project_of(issues.live(record, texts=False))) for name, record in found)
    return {name: other for name, other in projects if other != project}


def _records(issues: Issues, names: Collection[str] | None) -> Iterator[tuple[str, Record]]:
    reader, ids = issues.entities.reader, issues.entities.views.ids
    (plane,) = issues.planes
    base = layout.id_key(plane, ISSUE, "")
    if names is None:
        rows = ((layout.id_entity(key), value) for key, value in reader.scan(ids, base, layout.after(base)))
    else:
        rows = ((name, reader.get(ids, base + name.encode()) or b"") for name in sorted(names))
    for name, value in rows:
        record = issues.entities.record(int.from_bytes(value, "big")) if value else None
        if record is not None:
            yield name, record


def issues_of(replica: Replica, reader: Reader, plane: bytes) -> Issues:
    """The issues of one plane.

    Args:
        replica: the replica.
        reader: a transaction.
        plane: the plane's id.

    Raises:
        RefusedError: `not_found`: this replica has no such plane.
    """
    number = plane_number(replica, plane)
    author_of = partial(_author, replica, reader)
    return Issues(Entities(reader, replica.views_of(reader), author_of, replica.feed_number), number)


def plane_number(replica: State, plane: bytes) -> int:
    """The local number of a plane.

    Raises:
        RefusedError: `not_found`: this replica has no such plane.
    """
    for row in replica.planes.values():
        if row.id == plane:
            return row.number
    raise RefusedError("the plane of this mirror's project is not here any more", code=Code.NOT_FOUND)


def _author(replica: Replica, reader: Reader, feed: int) -> bytes:
    row = replica.feeds.get(feed)
    if row is None:
        # Committed a moment ago: this transaction has it, the replica's memory will.
        packed = reader.get(Table.META, layout.feed_key(feed))
        if packed is None:
            raise damaged(f"feed {feed} is missing")
        row = decode_feed(packed)
    return row.author
