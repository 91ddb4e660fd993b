"""Requests that change the log: what each does inside a unit, idempotency keys and dry runs included."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import msgspec

from moot_protocol.codec import encode
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import IDEMPOTENCY_KEY_BYTES, IDEMPOTENCY_TTL_MS
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    InitProject,
    RemoveEdge,
    Reopen,
    Resolve,
    Script,
    Undelete,
    Update,
)
from moot_protocol.requests.memories import EraseMemory
from moot_protocol.requests.shares import Share, Unshare
from moot_protocol.requests.transfer import ImportEdits
from mootd.engine.issues.addressing import plane_of
from mootd.engine.issues.conflicts import resolve
from mootd.engine.issues.edits import import_edits
from mootd.engine.issues.links import add_edge, remove_edge
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.script import run_script
from mootd.engine.machine.workspaces import init_project
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.service.mail import MAIL_WRITES
from mootd.service.sharing import SHARE_WRITES
from mootd.service.writing.actions import ACTION_WRITES, PLANELESS_WRITES
from mootd.service.writing.audited import with_deletion_recorded
from mootd.service.writing.claims import CLAIM_WRITES, PLANELESS_CLAIM_WRITES
from mootd.service.writing.documents import DOCUMENT_WRITES
from mootd.service.writing.gates import GATE_WRITES, PLANELESS_GATE_WRITES
from mootd.service.writing.leases import LEASE_WRITES
from mootd.service.writing.memories import MEMORY_WRITES
from mootd.service.writing.spools import SPOOL_WRITES
from mootd.service.writing.trials import tried
from mootd.store.port import Table

_PRUNED_AT_ONCE: Final = 100
_FILLED_IN: Final = "among"
"""What the gate says in a request of whoever asked: it says something else when the same request comes again."""


_WRITES: Final[dict[type[Request[Any]], Callable[[IssueWriter, Any], Any]]] = {
    Create: IssueWriter.create,
    Update: IssueWriter.update,
    Close: IssueWriter.close,
    Reopen: IssueWriter.reopen,
    Delete: with_deletion_recorded(IssueWriter.delete),
    Undelete: with_deletion_recorded(IssueWriter.undelete),
    AddComment: IssueWriter.add_comment,
    AddEdge: add_edge,
    RemoveEdge: remove_edge,
    Resolve: resolve,
    ImportEdits: import_edits,
    InitProject: lambda writer, request: init_project(writer.unit, writer.plane, request),
    **ACTION_WRITES,
    **CLAIM_WRITES,
    **GATE_WRITES,
}


OTHER_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    **MEMORY_WRITES,
    **DOCUMENT_WRITES,
    **PLANELESS_WRITES,
    **PLANELESS_CLAIM_WRITES,
    **PLANELESS_GATE_WRITES,
    **SHARE_WRITES,
    **MAIL_WRITES,
    **SPOOL_WRITES,
    **LEASE_WRITES,
}
"""Requests that are not about issues, by subject: each finds its plane itself."""


def is_atomic(request: Request[Any]) -> bool:
    """Whether a request may fail after it has written, so that it needs a savepoint."""
    return isinstance(request, Script | Delete | Undelete | Erase | EraseMemory | Share | Unshare)


def carry_out(unit: Unit, request: Mutation[Any]) -> Any:
    """Carry out a mutation inside a unit and return its answer; a dry run is taken back."""

    def work(unit: Unit) -> Any:
        return _apply(unit, request)

    return tried(unit, work) if request.dry_run else work(unit)


def _apply(unit: Unit, request: Mutation[Any]) -> Any:
    if isinstance(request, Script):
        return run_script(request, lambda step: _apply(unit, step))
    if type(request) in OTHER_WRITES:
        return OTHER_WRITES[type(request)](unit, request)
    return _WRITES[type(request)](IssueWriter(unit, plane_of(unit, request)), request)


# -- Idempotency -------------------------------------------------------------------------------------------------
class _Answered(msgspec.Struct, array_like=True, frozen=True):
    request: bytes
    """SHA-256 of the request."""
    answer: Any


_decode: Final = msgspec.msgpack.Decoder(_Answered).decode


def once(unit: Unit, request: Request[Any], key: str, work: Callable[[Unit], Any]) -> Any:
    """Carry out a request, or give the answer that its key got before.

    The answer is kept in the request's own transaction, so that either both are there or neither. A dry run leaves
    nothing, its answer included.

    Raises:
        RefusedError: `key_reused`, when the key came with another request.
    """
    if not key or getattr(request, "dry_run", False):
        return work(unit)
    name = key.encode()
    if len(name) > IDEMPOTENCY_KEY_BYTES:
        raise RefusedError(f"an idempotency key of {len(name)} bytes; at most {IDEMPOTENCY_KEY_BYTES}", code=Code.LIMIT)
    told = {name: value for name, value in msgspec.to_builtins(request).items() if name != _FILLED_IN}
    asked = sha256(encode((type(request).method, told))).digest()
    kept = unit.transaction.get(Table.META, layout.ANSWERS + name)
    if kept is not None:
        answered = _decode(kept)
        if answered.request != asked:
            raise RefusedError("this idempotency key came with another request before", code=Code.KEY_REUSED)
        return answered.answer
    answer = work(unit)
    _forget_old(unit)
    unit.transaction.put(Table.META, layout.ANSWERS + name, msgspec.msgpack.encode(_Answered(asked, answer)))
    unit.transaction.put(Table.META, layout.ANSWER_TIMES + unit.now_ms.to_bytes(8, "big") + name, b"")
    return answer


def _forget_old(unit: Unit) -> None:
    oldest = max(unit.now_ms - IDEMPOTENCY_TTL_MS, 0).to_bytes(8, "big")
    start = layout.ANSWER_TIMES
    old: list[bytes] = []
    for key, _ in unit.transaction.scan(Table.META, start, start + oldest):
        old.append(key)
        if len(old) == _PRUNED_AT_ONCE:
            break
    for key in old:
        unit.transaction.delete(Table.META, key)
        unit.transaction.delete(Table.META, layout.ANSWERS + key[len(start) + 8 :])
