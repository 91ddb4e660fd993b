"""Who holds an issue: what a claim and its end write, and what this machine notes of the claims made on it.

Invariant: on one machine a claim has one winner, because it is checked and written in one transaction. Between
machines the first counts (policy `earliest` of the assignee); who lost is told, and for that each claim made here is
noted here, by actor and issue. Notes are this machine's alone; one goes when its actor gives the issue away, closes it,
or has been told.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS, LEASES, Lease, lease_held, lease_of, new_lease
from moot_protocol.issues.issue import CLOSED, Facts, facts
from moot_protocol.limits import CLAIM_TTL_LEAST_MS, CLAIM_TTL_MOST_MS, CLAIMS_WATCHED
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import ISSUE, Policy
from moot_protocol.merge.register import Live
from moot_protocol.time_units import DAY_MS, SECOND_MS
from mootd.engine.editor import Editor
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record, live_of
from mootd.store.port import Reader, Table


# -- Taking and letting go -----------------------------------------------------------------------------------------
def check_claim(name: str, shown: Facts, live: Live, actor: str, now_ms: int) -> dict[str, Any]:
    """What a claim sets, if the actor may have the issue: nobody else holds it, or their claim has ended.

    Raises:
        RefusedError: `lost_race`: somebody else holds it; `conflict`: it is closed.
    """
    if shown.assignee not in {"", actor}:
        lease = lease_held(live, shown.status, shown.assignee)
        if lease is None or not lease.is_over(now_ms):
            raise RefusedError(
                f"{name} is already claimed by {shown.assignee}", code=Code.LOST_RACE, hint="see `moot ready`"
            )
    check_open(name, shown)
    return {"assignee": actor, "status": IN_PROGRESS}


def check_open(name: str, shown: Facts) -> None:
    """Refuse to take up or put aside what is closed.

    Raises:
        RefusedError: `conflict`.
    """
    if shown.status == CLOSED:
        raise RefusedError(f"{name} is closed", code=Code.CONFLICT, hint=f"`moot reopen {name}` opens it again")


def check_ttl(ttl_ms: int) -> None:
    """Refuse a duration that a claim can't have.

    Raises:
        RefusedError: `limit`.
    """
    if not CLAIM_TTL_LEAST_MS <= ttl_ms <= CLAIM_TTL_MOST_MS:
        least, most = CLAIM_TTL_LEAST_MS // SECOND_MS, CLAIM_TTL_MOST_MS // DAY_MS
        raise RefusedError(f"a claim holds {least} seconds at least and {most} days at most", code=Code.LIMIT)


def hold(editor: Editor, actor: str, ttl_ms: int, now_ms: int) -> None:
    """Write until when a claim holds, over what stood there; without a duration as long as the actor's own before."""
    elements = editor.elements(LEASES)
    held = lease_of((value for _, value in elements), actor)
    ttl_ms = ttl_ms or (held.ttl_ms if held else 0)
    groups = [group for group, _ in elements]
    if ttl_ms:
        editor.add(LEASES, new_lease(actor, ttl_ms, now_ms), over=groups)
    else:
        editor.remove(LEASES, groups)


def let_go(editor: Editor) -> None:
    """Take away every lease: whoever held the issue holds it no longer."""
    editor.remove(LEASES, [group for group, _ in editor.elements(LEASES)])


def contest(entities: Entities, plane: int, issue: str) -> dict[str, Any] | None:
    """Who has an issue that several took without sight of one another, and who lost it: `{"holder", "lost"}`."""
    record = _record(entities, plane, issue)
    if record is None:
        return None
    siblings = live_of(record, entities.author_of).get("assignee", ())
    names = sorted({each.value for each in siblings if isinstance(each.value, str) and each.value})
    if len(names) < 2:
        return None
    holder = policies.read(Policy.EARLIEST, siblings).value
    return {"holder": holder, "lost": [name for name in names if name != holder]}


def _record(entities: Entities, plane: int, issue: str) -> Record | None:
    packed = entities.reader.get(entities.views.ids, layout.id_key(plane, ISSUE, issue))
    return None if packed is None else entities.record(int.from_bytes(packed, "big"))


# -- Notes ---------------------------------------------------------------------------------------------------------
class Claim(NamedTuple):
    """A claim that was made on this machine, as things stand now."""

    plane: int
    issue: str
    project: str
    holder: str
    """Who has the issue; empty for nobody."""
    lease: Lease | None
    """Where the claim has an end and still is the actor's."""


class _Note(msgspec.Struct, array_like=True, frozen=True):
    at_ms: int
    """When the claim was made or renewed."""
    actor: str = ""
    """Whose it is: long names are cut in the key."""


_decode: Final = msgspec.msgpack.Decoder(_Note).decode


def note_claim(unit: Unit, plane: int, issue: str, actor: str) -> None:
    """Note a claim; where there are too many, the oldest is watched no more."""
    prefix = layout.claims_prefix(actor)
    key = layout.claim_key(actor, plane, issue)
    others = [
        (_decode(value).at_ms, other)
        for other, value in unit.transaction.scan(Table.META, prefix, layout.after(prefix))
        if other != key
    ]
    if len(others) >= CLAIMS_WATCHED:
        unit.transaction.delete(Table.META, min(others)[1])
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(_Note(unit.now_ms, actor)))


def forget_claim(unit: Unit, plane: int, issue: str, actor: str) -> bool:
    """Forget a claim; whether there was one."""
    return unit.transaction.delete(Table.META, layout.claim_key(actor, plane, issue))


def follow_claim(unit: Unit, entities: Entities, plane: int, issue: str, actor: str) -> None:
    """Note or forget the actor's claim, where their own write has changed who holds an issue: they know of it."""
    record = _record(entities, plane, issue)
    if record is None:
        return
    shown = facts(live_of(record, entities.author_of))
    if shown.assignee != actor:
        forget_claim(unit, plane, issue, actor)
    elif shown.status == IN_PROGRESS:
        note_claim(unit, plane, issue, actor)


def claims_of(reader: Reader, entities: Entities, actor: str) -> Iterator[Claim]:
    """The actor's claims made on this machine, of issues that are still to be done."""
    prefix = layout.claims_prefix(actor)
    for key in [key for key, _ in reader.scan(Table.META, prefix, layout.after(prefix))]:
        plane, issue = layout.claim_parts(actor, key)
        record = _record(entities, plane, issue)
        if record is None:
            continue
        live = live_of(record, entities.author_of)
        shown = facts(live)
        if shown.is_deleted or shown.status == CLOSED:
            continue
        lease = lease_held(live, shown.status, shown.assignee) if shown.assignee == actor else None
        yield Claim(plane, issue, shown.project, shown.assignee, lease)


def lost_claims(reader: Reader, entities: Entities, plane: int, project: str) -> Iterator[tuple[str, Claim]]:
    """Every actor's claims made on this machine that others have taken, of issues of one project."""
    notes = reader.scan(Table.META, layout.CLAIMS, layout.after(layout.CLAIMS))
    for actor in sorted({_decode(value).actor for _, value in notes}):
        for claim in claims_of(reader, entities, actor):
            if (claim.plane, claim.project) == (plane, project) and claim.holder != actor:
                yield actor, claim


def attention(reader: Reader, entities: Entities, actor: str, now_ms: int) -> dict[str, Any]:
    """What of an actor's claims wants attention, as `WorkspaceInfo` answers it; empty if nothing does."""
    found = list(claims_of(reader, entities, actor))
    lost = [{"id": claim.issue, "holder": claim.holder} for claim in found if claim.holder != actor]
    due = sum(1 for claim in found if claim.lease is not None and claim.lease.is_due(now_ms))
    return {"lost": lost, "due": due} if lost or due else {}
