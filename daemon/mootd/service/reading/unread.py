"""What a later release wrote that this one can't read: such a setting, or share, counts as if it weren't there.

`moot doctor` names them, since nothing else shows that something is missing: statuses of a project's own that nobody
may write any more, copies that no longer follow.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from moot_protocol.checks import checked
from moot_protocol.issues.settings import KNOWN, problem_of
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import SETTING, SHARE, Policy, field_of
from moot_protocol.merge.register import MISSING
from mootd.engine.issues.shares import shares_of
from mootd.engine.planes import issue_planes, labels_of
from mootd.engine.stored import layout
from mootd.engine.views.record import Record
from mootd.service.snapshot import Snapshot

_OF_SHARES: Final = ("what", "to", "follower", "rule")
"""What a share has to say; less than that isn't here yet, rather than not understood."""


def unread_checks(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """The check for `moot doctor`; nothing where there is no town yet."""
    planes = [row.number for row in issue_planes(snapshot.replica.planes)]
    labels = labels_of(issue_planes(snapshot.replica.planes))
    found = [
        told + (f" (plane {labels[plane]})" if len(planes) > 1 else "")
        for plane in planes
        for told in (*_settings(snapshot, plane), *_shares(snapshot, plane))
    ]
    if planes:
        hint = "a later release may have written it, and until Moot is updated here it counts as if it weren't there; "
        hint += "`moot config set` sets a setting anew"
        yield checked("every setting and share can be read", not found, "; ".join(found), hint)


def _settings(snapshot: Snapshot, plane: int) -> Iterator[str]:
    for entity, record in _records(snapshot, plane, SETTING):
        project, _, key = entity.partition("/")
        known = KNOWN.get(key)
        if known is None or not known.is_read:
            continue
        siblings = snapshot.entities.live(record).get("value", [])
        lineage = snapshot.entities.lineage(record, "value")
        value = policies.read(field_of(SETTING, "value").policy, siblings, lineage).value
        problem = problem_of(key, value) if isinstance(value, str) and value else ""
        if problem:
            yield f"setting {key} of {f'project {project}' if project else 'the town'}: {problem}"


def _shares(snapshot: Snapshot, plane: int) -> Iterator[str]:
    row = snapshot.replica.planes[plane]
    read = {shared.id for shared in shares_of(snapshot.entities, [row])}
    for entity, record in _records(snapshot, plane, SHARE):
        if entity not in read and _is_whole(_values(snapshot, record)):
            yield f"share {entity}"


def _values(snapshot: Snapshot, record: Record) -> dict[str, Any]:
    live = snapshot.entities.live(record)
    return {key: policies.read(Policy.LATEST, siblings).value for key, siblings in live.items()}


def _is_whole(values: Mapping[str, Any]) -> bool:
    """Whether a share goes on and says all that one says."""
    is_here = all(values.get(name) is not None and values[name] is not MISSING for name in _OF_SHARES)
    return is_here and values.get("ended") is not True


def _records(snapshot: Snapshot, plane: int, kind: str) -> Iterator[tuple[str, Record]]:
    prefix = layout.id_key(plane, kind, "")
    for key, eid in snapshot.reader.scan(snapshot.entities.views.ids, prefix, layout.after(prefix)):
        record = snapshot.entities.record(int.from_bytes(eid, "big"))
        if record is not None:
            yield layout.id_entity(key), record
