"""Requests about claims: the first ready issue that is to be had, giving one back, keeping it."""

from typing import Any, Final

from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS, lease_held
from moot_protocol.issues.issue import DEFAULT_STATUS
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim
from moot_protocol.requests.issues import Ready, Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.times import format_ms
from mootd.engine.issues import holding
from mootd.engine.issues.addressing import plane_of
from mootd.engine.issues.mutations import UNCHANGED, IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.lists import Lists
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.record import live_of
from mootd.store.port import Table

_FIRST: Final = 100
"""Ready issues that are looked at first: nearly always one of them is to be had."""


# -- Taking one of many --------------------------------------------------------------------------------------------
def claim_ready(unit: Unit, request: ClaimReady) -> IssueDoc | None:
    """Take the first ready issue that nobody else holds."""
    if request.among == ():
        return None
    lists = _lists(unit, request.filter.plane)
    wanted = request.filter if request.among is None else replace(request.filter, ids=request.among)
    for limit in (_FIRST, 0):
        page = lists.ready(
            Ready(
                filter=wanted,
                sort=request.sort,
                limit=limit,
                include_deferred=request.include_deferred,
                include_ephemeral=request.include_ephemeral,
            )
        )
        for issue in page.issues:
            # One that is ready and in progress is there because its claim has ended.
            if issue.get("assignee") in {None, "", request.actor} or issue["status"] == IN_PROGRESS:
                claim = Update(actor=request.actor, id=issue["id"], claim=True, ttl_ms=request.ttl_ms)
                return IssueWriter(unit, plane_of(unit, claim)).update(claim)
        if not page.truncated:
            break
    return None


def _lists(unit: Unit, plane: str) -> Lists:
    """Lists of the issues as this unit has left them so far."""
    unit.flush()
    planes = unit.replica.planes
    every = Issues(unit.entities(), *([row.number for row in issue_planes(planes)] or [unit.replica.ledger.number]))
    issues = Issues(unit.entities(), issue_plane_meant(planes, plane).number) if plane else every
    projects = {**unit.replica.projects, **unit.new_projects}
    return Lists(issues, every.names, projects, unit.now_ms, ledger=unit.replica.settings_plane)


# -- Giving back ---------------------------------------------------------------------------------------------------
def unclaim(writer: IssueWriter, request: Unclaim) -> IssueDoc:
    """Give an issue back."""
    name, _, _, shown = writer.find(request.id)
    if request.if_holder and shown.assignee != request.if_holder:
        held_by = shown.assignee or "nobody"
        raise RefusedError(f"{name} is held by {held_by}, not by {request.if_holder}", code=Code.LOST_RACE)
    if not shown.assignee:
        return writer.answer(name) | UNCHANGED
    editor = writer.editor(name, request)
    editor.set("assignee", "")
    if shown.status == IN_PROGRESS:
        editor.set("status", DEFAULT_STATUS)
    holding.let_go(editor)
    editor.save()
    holding.forget_claim(writer.unit, writer.plane, name, request.actor)
    return writer.answer(name)


# -- Keeping -------------------------------------------------------------------------------------------------------
def heartbeat(unit: Unit, request: Heartbeat) -> list[dict[str, Any]]:
    """Renew one claim, or all of the actor's that were made here and end by themselves."""
    if request.ttl_ms:
        holding.check_ttl(request.ttl_ms)
    if request.id:
        return [_renewed(IssueWriter(unit, plane_of(unit, request)), request.id, request)]
    unit.flush()
    ending = [each for each in holding.claims_of(unit.transaction, unit.entities(), request.actor) if each.lease]
    return [_renewed(IssueWriter(unit, claim.plane), claim.issue, request) for claim in ending]


def _renewed(writer: IssueWriter, typed: str, request: Heartbeat) -> dict[str, Any]:
    name, _, record, shown = writer.find(typed)
    if shown.assignee != request.actor:
        raise RefusedError(
            f"{name} isn't held by {request.actor}" + (f" but by {shown.assignee}" if shown.assignee else ""),
            code=Code.LOST_RACE,
            hint=f"`moot claim {name}` takes it, if it is to be had",
        )
    if shown.status != IN_PROGRESS:
        raise RefusedError(f"{name} is {shown.status}: its claim is over", code=Code.CONFLICT)
    now_ms = writer.unit.now_ms
    lease = lease_held(live_of(record, writer.unit.author_of), shown.status, shown.assignee)
    ttl_ms = request.ttl_ms or (lease.ttl_ms if lease else 0)
    if not ttl_ms:
        raise RefusedError(f"the claim of {name} has no end", code=Code.CONFLICT, hint="--ttl gives it one")
    if lease and lease.ttl_ms == ttl_ms and not lease.is_due(now_ms):
        return {"id": name, "expires_at": format_ms(lease.until_ms), "renewed": False}
    editor = writer.editor(name, request)
    holding.hold(editor, request.actor, ttl_ms, now_ms)
    editor.save()
    holding.note_claim(writer.unit, writer.plane, name, request.actor)
    return {"id": name, "expires_at": format_ms(now_ms + ttl_ms), "renewed": True}


def claims_told(unit: Unit, request: ClaimsTold) -> dict[str, Any]:
    """Forget the claims that the actor was told to have lost; on whatever plane."""
    prefix = layout.claims_prefix(request.actor)
    for key in [key for key, _ in unit.transaction.scan(Table.META, prefix, layout.after(prefix))]:
        if layout.claim_parts(request.actor, key)[1] in request.ids:
            unit.transaction.delete(Table.META, key)
    return {}
