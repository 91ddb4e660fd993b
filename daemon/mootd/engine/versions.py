"""Which release each replica of a plane runs, as it says itself: one event for each change of version, none at a start.

Invariant: a replica speaks for itself only: what another one writes of it is never shown. Who may not write on a plane
says nothing there, and neither does who never exchanges it.
"""

from typing import Final

from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.merge.kinds import REPLICA, Role
from moot_protocol.merge.policies import latest
from mootd.engine.commit import Committer
from mootd.engine.editor import Editor
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.version import VERSION

_FIELD: Final = "version"
SHOWN_CHARS: Final = 40
"""Characters of a version that are shown, whatever its replica says."""


def tell_version(replica: Replica, plane: int, commit: Committer, version: str = VERSION) -> None:
    """Write on a plane which release this machine runs, where it said something else or nothing yet."""
    if replica.told_versions.get(plane) == (replica.id, version) or not _may_write(replica, plane):
        return
    try:
        commit(lambda unit: _tell(unit, plane, version))
    except RefusedError:  # its clock is wrong, or its data a copy: every write here says so, and this one can wait
        return
    replica.told_versions[plane] = (replica.id, version)


def _may_write(replica: Replica, plane: int) -> bool:
    row = replica.feeds.get(replica.feed_numbers.get((plane, replica.id), 0))
    return row is not None and row.is_plain and row.role != Role.READER


def _tell(unit: Unit, plane: int, version: str) -> None:
    me = unit.replica.id
    editor = Editor(unit, plane, REPLICA, key_text(me), "moot")
    eid = unit.views.find(plane, REPLICA, key_text(me))
    known = None if eid is None else _said(unit.entities(), eid, me)
    if known != version:
        editor.set(_FIELD, version)
        editor.save()


def versions_of(entities: Entities, plane: PlaneRow) -> dict[bytes, str]:
    """Replica's key → the release that it says it runs, of those that have said so on a plane."""
    start = layout.id_key(plane.number, REPLICA, "")
    found = {}
    for key, eid in entities.reader.scan(entities.views.ids, start, layout.after(start)):
        author = key_from_text(layout.id_entity(key))
        said = None if author is None else _said(entities, int.from_bytes(eid, "big"), author)
        if author is not None and said is not None:
            found[author] = said[:SHOWN_CHARS]
    return found


def _said(entities: Entities, eid: int, author: bytes) -> str | None:
    """What a replica says of itself; None where it says nothing."""
    record = entities.record(eid)
    if record is None:
        return None
    own = [sibling for sibling in entities.live(record).get(_FIELD, ()) if sibling.author == author]
    value = latest(own).value if own else None
    return value if isinstance(value, str) else None
