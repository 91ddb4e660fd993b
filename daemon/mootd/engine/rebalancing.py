"""Taking claimed work from machines that are gone: the open issues whose shown assignee one of them wrote.

Invariant: these are ordinary updates, over what is live here, in one unit: all of them or none. A machine that comes
back finds them in the record, and what it claims from then on counts as ever.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_begins, key_text
from moot_protocol.issues.issue import CLOSED
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import ISSUE, field_of
from moot_protocol.requests.claims import Unclaim
from moot_protocol.requests.issues import IssueFields, Update
from mootd.engine.claims import unclaim
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.membership.charters import heirs_of, members_of
from mootd.engine.membership.towns import is_called, name_of
from mootd.engine.planes import issue_planes
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit

_KEY_SHOWN: Final = 12
"""Characters of a key that tell it from others."""


class Claimed(NamedTuple):
    """An open issue that somebody claimed on one of the machines."""

    plane: int
    id: str
    assignee: str


def machines_meant(unit: Unit, typed: str) -> set[bytes]:
    """The replicas that are meant: one by its key, or those of a town by its name or key; of a key its beginning does.

    A town's key means the machines that are under it; its name also those from before it changed its key.

    Raises:
        RefusedError: `not_found`, `ambiguous`; `conflict` where this machine is among them.
    """
    unit.flush()
    planes = issue_planes(unit.replica.planes)
    rows = [(each.row, name_of(unit, plane, each.row.town)) for plane in planes for each in members_of(unit, plane)]
    machines = {row.author for row, _ in rows if key_begins(row.author, typed)}
    newest = _newest_keys(unit, planes)
    called = {newest.get(row.town, row.town) for row, name in rows if name and name == typed}
    towns: dict[bytes, set[bytes]] = {}
    for row, name in rows:
        if key_begins(row.town, typed) or is_called(row.town, {name} - {"", typed}, typed):
            towns.setdefault(row.town, set()).add(row.author)
        if (now := newest.get(row.town, row.town)) in called:
            towns.setdefault(now, set()).add(row.author)
    if len(machines) + len(towns) > 1:
        several = f"{typed} may mean several machines or towns"
        keys = ", ".join(key[:_KEY_SHOWN] for key in sorted(map(key_text, {*machines, *towns})))
        raise RefusedError(
            f"{several}: {keys}",
            code=Code.AMBIGUOUS,
            # A town that had to be invited again under a new key is two, of one name.
            hint="name it by its key, or by as much of that as no other has",
            discreet=several,
        )
    found = machines or {author for authors in towns.values() for author in authors}
    if not found:
        raise RefusedError(
            f"there is no replica or town {typed}",
            code=Code.NOT_FOUND,
            hint="see `moot replica list`, `moot town list`",
        )
    if unit.replica.id in found:
        raise RefusedError("this machine is one of them, and isn't gone", code=Code.CONFLICT)
    return found


def _newest_keys(unit: Unit, planes: Iterable[PlaneRow]) -> dict[bytes, bytes]:
    """A town's former key → the one that it has now."""
    heirs: dict[bytes, bytes] = {}
    for plane in planes:
        heirs = heirs_of(unit, plane) | heirs
    newest = {}
    for key in heirs:
        seen, now = {key}, heirs[key]
        while now in heirs and now not in seen:  # who lies may have keys follow one another in a circle
            seen.add(now)
            now = heirs[now]
        newest[key] = now
    return newest


def claimed_by(unit: Unit, plane: PlaneRow, is_gone: Callable[[bytes], bool]) -> Iterator[Claimed]:
    """The open issues of a plane whose shown assignee was written on one of these machines."""
    entities, index = unit.entities(), unit.views.views.index
    policy = field_of(ISSUE, "assignee").policy
    numbers = {number for (at, _), number in unit.replica.projects.items() if at == plane.number}
    for number in sorted(numbers):
        prefix = layout.project_prefix(layout.ASSIGNEE, number)
        for key, _ in unit.transaction.scan(index, prefix, layout.after(prefix)):
            record = entities.record(layout.eid_of(key))
            if record is None or record.plane != plane.number:
                continue
            live = entities.live(record, texts=False)
            shown = policies.read(policy, live.get("assignee", []))
            status = policies.read(field_of(ISSUE, "status").policy, live.get("status", [])).value
            if shown.shown is not None and shown.value and status != CLOSED and is_gone(shown.shown.author):
                yield Claimed(plane.number, record.entity, str(shown.value))


def rebalance(unit: Unit, typed: str, to: str, actor: str) -> dict[str, Any]:
    """Take the claims of machines that are gone, and give them to somebody, or to nobody."""
    gone = machines_meant(unit, typed)
    planes = issue_planes(unit.replica.planes)
    claims = [each for plane in planes for each in claimed_by(unit, plane, gone.__contains__)]
    done = []
    for claim in claims:
        writer = IssueWriter(unit, claim.plane)
        issue = unclaim(writer, Unclaim(actor=actor, id=claim.id))
        if to:
            issue = writer.update(Update(actor=actor, id=claim.id, fields=IssueFields(assignee=to)))
        shown = {"id": claim.id, "title": issue.get("title", ""), "status": issue["status"]}
        done.append(shown | {"was": claim.assignee, "now": to})
    return {"replicas": sorted(map(key_text, gone)), "issues": done}
