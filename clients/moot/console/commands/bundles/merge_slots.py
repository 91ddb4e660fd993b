"""merge-slot: one issue a project that whoever merges holds, so that merges come one after the other.

It is an issue like any other, of type `slot` and pinned, so that no list of work shows it; holding it is a claim.
"""

from argparse import ArgumentParser
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.issues.claims import add_ttl
from moot.console.context import answer, carry_out, need_project
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, nothing_to_do
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import Unclaim
from moot_protocol.requests.gates import Await
from moot_protocol.requests.issues import Create, IssueFields, Show, Update
from moot_protocol.requests.listing import IssueDoc

LABEL: Final = "gt:slot"


def _slot(context: Context) -> str:
    return f"{need_project(context)}-merge-slot"


def _held(context: Context) -> dict[str, Any]:
    """The slot as it stands: `{"id", "available", "holder", "waiters"}`.

    Raises:
        RefusedError: `not_found`: there is none.
    """
    name = _slot(context)
    try:
        return _state(context.api.call(Show(ids=(name,)))[0])
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        hint = f"`{context.terminal.facts.program} merge-slot create` makes it"
        raise RefusedError(f"there is no merge slot {name}", code=Code.NOT_FOUND, hint=hint) from error


def _state(slot: IssueDoc) -> dict[str, Any]:
    holder, waiters = slot.get("assignee"), slot.get("waiters")
    waiting = [str(each) for each in waiters] if isinstance(waiters, list) else []
    status = slot.get("status", "")
    return {"id": slot["id"], "available": not holder, "status": status, "holder": holder, "waiters": waiting}


# -- create, check -----------------------------------------------------------------------------------------------
def _create(context: Context) -> int:
    name = _slot(context)
    fields = IssueFields(title="Merge slot", issue_type="slot", pinned=True, priority=0)
    create = Create(
        actor=context.actor, project=need_project(context), plane=context.plane, id=name, fields=fields, labels=(LABEL,)
    )
    try:
        created, slot = True, _state(context.api.call(create))
    except RefusedError as error:
        if error.code is not Code.EXISTS:
            raise
        created, slot = False, _held(context)
    if created:
        answer(context, slot | {"created": True}, [confirmed(context, f"Created merge slot: {neutralise(name)}")])
    else:
        told = nothing_to_do(f"merge slot already exists: {neutralise(name)}")
        answer(context, slot | {"created": False, UNCHANGED: True}, [told])
    return exits.OK


def _check(context: Context) -> int:
    try:
        slot = _held(context)
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND or not context.terminal.facts.is_bd:
            raise
        name = _slot(context)
        missing = [f"Merge slot not found: {neutralise(name)}", "Run 'bd merge-slot create' to create one."]
        answer(context, {"id": name, "available": False, "error": "not found"}, missing)
        return exits.OK
    waiting = f"; waiting: {neutralise(', '.join(slot['waiters']))}" if slot["waiters"] else ""
    holder = neutralise(str(slot["holder"]))
    told = f"Merge slot {'available' if slot['available'] else 'held'}: {neutralise(slot['id'])}"
    lines = [told] if slot["available"] else [told, f"  Holder: {holder}{waiting}"]
    answer(context, slot, lines)
    return exits.OK


# -- acquire, release --------------------------------------------------------------------------------------------
def _acquire_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--holder", default="", metavar="NAME", help="who is to have it; else the actor")
    parser.add_argument("--wait", action="store_true", help="if it is held, stand in line for it")
    add_ttl(parser)


def _acquire(context: Context) -> int:
    holder = context.arguments.holder or context.actor
    before = _held(context)
    taking: list[tuple[str, Mutation[Any]]] = [
        ("acquire", Update(actor=holder, id=before["id"], claim=True, ttl_ms=context.arguments.ttl))
    ]
    if holder in before["waiters"]:
        taking.append(("acquire", Await(actor=holder, id=before["id"], waiter=holder, remove=True)))
    try:
        answered = carry_out(context, taking)
    except RefusedError as error:
        if error.code is not Code.LOST_RACE:
            raise
        return _lost(context, before["id"], holder)
    slot = _state(answered[-1])
    document = slot | {"acquired": True, "waiting": False}
    if all(map(is_unchanged, answered)):
        told = [nothing_to_do(f"{neutralise(holder)} holds merge slot {neutralise(slot['id'])} already")]
        document[UNCHANGED] = True
    else:
        told = [confirmed(context, f"Acquired merge slot: {neutralise(slot['id'])}"), f"  Holder: {neutralise(holder)}"]
    answer(context, document, told)
    return exits.OK


def _lost(context: Context, slot_id: str, holder: str) -> int:
    """Say who has it; the exit code tells that it wasn't got, waiting or not."""
    if context.arguments.wait:
        waiting = context.api.call(Await(actor=holder, id=slot_id, waiter=holder))
        slot = _state(waiting)
        slot["position"] = slot["waiters"].index(holder) + 1
        slot |= {UNCHANGED: True} if is_unchanged(waiting) else {}
        done = "in the waiters queue already" if is_unchanged(waiting) else "added to waiters queue"
        place = f", {done} (position {slot['position']})"
    else:
        slot, place = _held(context), ""
    told = f"Slot held by: {neutralise(str(slot['holder']))}{place}"
    answer(context, slot | {"acquired": False, "waiting": context.arguments.wait}, [told])
    return exits.CONFLICT


def _release_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--holder", default="", metavar="NAME", help="only while this one has it; else the actor")


def _release(context: Context) -> int:
    holder = context.arguments.holder or context.actor
    slot, released = _freed(context, holder)
    following = slot["waiters"][0] if slot["waiters"] else None
    document = slot | {"released": released, "previous_holder": holder if released else None, "next": following}
    if released:
        told = [confirmed(context, f"Released merge slot: {neutralise(slot['id'])}")]
    else:
        document[UNCHANGED] = True
        told = [nothing_to_do(f"nobody holds merge slot {neutralise(slot['id'])}")]
    told += [f"  Next in queue: {neutralise(following)}"] if following else []
    answer(context, document, told)
    return exits.OK


def _freed(context: Context, holder: str) -> tuple[dict[str, Any], bool]:
    """The slot, held by nobody, and whether it was given back just now.

    Raises:
        RefusedError: `lost_race`: somebody else holds it.
    """
    try:
        freed = context.api.call(Unclaim(actor=context.actor, id=_held(context)["id"], if_holder=holder))
    except RefusedError as error:
        if error.code is not Code.LOST_RACE or not (slot := _held(context))["available"]:
            raise
        return slot, False
    return _state(freed), True


COMMANDS: Final = (
    Command(
        "merge-slot create",
        "Make the project's merge slot",
        no_arguments,
        _create,
        examples=("moot merge-slot create  # once in a project",),
    ),
    Command(
        "merge-slot check",
        "Whether the merge slot is free, and who waits",
        no_arguments,
        _check,
        examples=("moot merge-slot check", "moot merge-slot check --json"),
    ),
    Command(
        "merge-slot acquire",
        "Take the merge slot, if it is free",
        _acquire_arguments,
        _acquire,
        examples=("moot merge-slot acquire --wait", "moot merge-slot acquire --ttl 10m --json"),
    ),
    Command(
        "merge-slot release",
        "Give the merge slot back",
        _release_arguments,
        _release,
        examples=("moot merge-slot release", "moot merge-slot release --holder alice/claude-3  # only if they have it"),
    ),
)
"""The commands of this module."""
