"""Spools: which workspaces let commands come through files, and what became of each such command.

Invariant: a command out of a spool is carried out once. What became of it is committed with its write, and a refusal is
kept like a success, so that a file that is put back changes nothing: neither after a crash between write and answer,
nor by whoever copied it. Ids are kept as long as commands count; below `SPOOLED_UNTIL`, a mark that only moves forward,
nothing counts any more, whatever clocks say. Only issues and memories of the spool's own project are changed, and
dependencies lead to issues of it: the token stands for one project.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.control.rpc import ErrorBody, error_from
from moot_protocol.errors import STORE_CODES, Code, MootError, RefusedError
from moot_protocol.issues.edge_types import EXTERNAL
from moot_protocol.issues.issue import facts
from moot_protocol.limits import SPOOL_ENTRY_MS
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady, Heartbeat
from moot_protocol.requests.gates import AWAITING_ISSUES, CreateGate
from moot_protocol.requests.issues import Create, Script
from moot_protocol.spool.files import Opened, check_allowed, secret_for
from moot_protocol.time_units import DAY_MS
from mootd.engine.issues.reading import Issues
from mootd.engine.machine.workspaces import read_workspace
from mootd.engine.planes import issue_planes
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.record import live_of
from mootd.ports import KeyStore
from mootd.store.port import Reader, Table

PAIR: Final = "spool"
"""The key that commands are sealed for."""
MASTER: Final = "spool-tokens"
"""The secret that tokens are made from."""
_PRUNED_AT_ONCE: Final = 200
_MAKING: Final = frozenset({Create.method, CreateGate.method})
"""Requests that make issues, and so have to name the project."""
"""Kinds of gate that wait for an issue."""


class SpoolRow(NamedTuple):
    """A workspace's spool."""

    workspace: str
    project: str
    plane: str
    """The id of the project's plane in hexadecimal."""
    folder: str
    """The workspace's folder, without links in its path."""
    number: int
    """How often it was opened: each time has a token of its own."""
    is_open: bool


class _Row(msgspec.Struct, array_like=True, frozen=True):
    folder: str
    number: int
    is_open: bool


class _Fate(msgspec.Struct, array_like=True, frozen=True):
    """What became of a command: carried out, or why not."""

    error: tuple[str, str, str, bool] | None


_decode_row: Final = msgspec.msgpack.Decoder(_Row).decode
_decode_fate: Final = msgspec.msgpack.Decoder(_Fate).decode


# -- Which there are ---------------------------------------------------------------------------------------------
def spool_of(reader: Reader, workspace: str) -> SpoolRow | None:
    """A workspace's spool, open or closed."""
    packed = reader.get(Table.META, layout.SPOOLS + workspace.encode())
    return None if packed is None else _row(reader, workspace, packed)


def open_spools(reader: Reader) -> Iterator[SpoolRow]:
    """The spools that are open."""
    for key, packed in reader.scan(Table.META, layout.SPOOLS, layout.after(layout.SPOOLS)):
        row = _row(reader, key[len(layout.SPOOLS) :].decode(), packed)
        if row is not None and row.is_open:
            yield row


def _row(reader: Reader, workspace: str, packed: bytes) -> SpoolRow | None:
    known = read_workspace(reader, workspace)
    if known is None:
        return None
    row = _decode_row(packed)
    return SpoolRow(workspace, known["project"], known["plane"], row.folder, row.number, row.is_open)


def secret_of(keys: KeyStore, row: SpoolRow) -> bytes:
    """The secret of a spool's present token."""
    return secret_for(keys.secret(MASTER), row.workspace, row.number)


def open_spool(unit: Unit, workspace: str, folder: str) -> tuple[SpoolRow, bool]:
    """Open a workspace's spool; gives its row, and whether it was closed before.

    Raises:
        RefusedError: `not_found`: the workspace isn't known.
    """
    if read_workspace(unit.transaction, workspace) is None:
        raise RefusedError("this workspace isn't known here", code=Code.NOT_FOUND, hint="run `moot init` there")
    keys = unit.replica.keys
    if not keys.has(PAIR):
        keys.create(PAIR)
    if not keys.has(MASTER):
        keys.keep(MASTER, unit.replica.entropy.bytes(32))
    before = spool_of(unit.transaction, workspace)
    created = before is None or not before.is_open
    number = before.number if before else 0
    _put(unit, workspace, _Row(folder, number + created, True))
    row = spool_of(unit.transaction, workspace)
    assert row is not None  # noqa: S101 - it was just put
    return row, created


def move_spool(unit: Unit, spool: SpoolRow, folder: str) -> bool:
    """Let a spool go on in another folder, with the token it has; False where it isn't as it was any more."""
    if spool_of(unit.transaction, spool.workspace) != spool:
        return False
    _put(unit, spool.workspace, _Row(folder, spool.number, spool.is_open))
    return True


def close_spool(unit: Unit, workspace: str) -> SpoolRow | None:
    """Close a workspace's spool; gives its row as it was, or None where it wasn't open."""
    row = spool_of(unit.transaction, workspace)
    if row is None or not row.is_open:
        return None
    _put(unit, workspace, _Row(row.folder, row.number, False))
    return row


def _put(unit: Unit, workspace: str, row: _Row) -> None:
    unit.transaction.put(Table.META, layout.SPOOLS + workspace.encode(), msgspec.msgpack.encode(row))


# -- What becomes of a command -----------------------------------------------------------------------------------
def apply_once(
    unit: Unit, spool: SpoolRow, command: Opened, carry_out: Callable[[Unit], Any], repeat: Callable[[Unit], Any]
) -> Any:
    """Carry out a command, or tell what became of it before.

    Args:
        unit: the unit.
        spool: where it came from.
        command: the command.
        carry_out: carries it out and keeps its answer under its key.
        repeat: gives the answer that was kept.

    Returns:
        The answer, or the refusal as an exception that isn't raised: it is kept as well.

    Raises:
        MootError: what may be otherwise later: the store's troubles, and whatever may be tried again.
    """
    key = layout.spooled_key(command.ms, command.id)
    kept = unit.transaction.get(Table.META, key)
    if kept is not None:
        fate = _decode_fate(kept)
        return repeat(unit) if fate.error is None else error_from(ErrorBody(*fate.error))
    until = int.from_bytes(unit.transaction.get(Table.META, layout.SPOOLED_UNTIL) or b"", "big")
    if command.ms <= until:
        return RefusedError(f"it is older than {SPOOL_ENTRY_MS // DAY_MS} days", code=Code.LIMIT)
    answer: Any
    error = None
    try:
        with unit.savepoint():
            check_of_project(unit, spool, command.request)
            answer = carry_out(unit)
            check_taken(unit, spool, command.request, answer)
    except MootError as refused:
        if refused.retryable or refused.code in STORE_CODES or refused.code is Code.INTERNAL:
            raise
        answer, error = refused, (refused.code.value, refused.message, refused.hint, False)
    unit.transaction.put(Table.META, key, msgspec.msgpack.encode(_Fate(error)))
    _forget_old(unit)
    return answer


def was_applied(reader: Reader, ms: int, command: bytes) -> bool:
    """Whether it is known what became of a command."""
    return reader.get(Table.META, layout.spooled_key(ms, command)) is not None


def _forget_old(unit: Unit) -> None:
    """Forget commands a day after they have ceased to count, and let none of that age count again."""
    oldest = unit.now_ms - SPOOL_ENTRY_MS - DAY_MS
    if oldest <= 0:
        return
    start = layout.SPOOLED
    old = []
    for key, _ in unit.transaction.scan(Table.META, start, start + oldest.to_bytes(8, "big")):
        old.append(key)
        if len(old) == _PRUNED_AT_ONCE:
            break
    for key in old:
        unit.transaction.delete(Table.META, key)
    if old:
        newest = old[-1][len(start) : len(start) + 8]
        until = unit.transaction.get(Table.META, layout.SPOOLED_UNTIL) or b""
        unit.transaction.put(Table.META, layout.SPOOLED_UNTIL, max(until, newest))


# -- What it may be about ----------------------------------------------------------------------------------------
def check_of_project(unit: Unit, spool: SpoolRow, request: Request[Any]) -> None:
    """Check that a request only touches what belongs to a spool's project.

    What isn't found passes: the request itself fails on it, or a script makes it, in the project.

    Raises:
        RefusedError: `denied`.
    """
    check_allowed(request)
    check = _issue_check(unit, spool)

    if isinstance(request, Script):
        for step in request.steps:
            params = step.get("params", {})
            _check_parts(check, spool, step["method"], params if isinstance(params, dict) else {})
        return
    _check_parts(check, spool, request.method, msgspec.to_builtins(request))


def check_taken(unit: Unit, spool: SpoolRow, request: Request[Any], answer: Any) -> None:
    """Check what a request has taken that names no issue itself. It is taken back where this fails.

    Raises:
        RefusedError: `denied`.
    """
    if isinstance(request, ClaimReady) and answer is not None:
        _issue_check(unit, spool)(answer["id"])


def _issue_check(unit: Unit, spool: SpoolRow) -> Callable[[str], None]:
    unit.flush()
    issues = Issues(unit.entities(), *(row.number for row in issue_planes(unit.replica.planes)))
    return lambda typed: _check_issue(unit, issues, spool, typed)


def _check_parts(check: Callable[[str], None], spool: SpoolRow, method: str, params: dict[str, Any]) -> None:
    if params.get("project", spool.project) != spool.project or params.get("plane", "") not in ("", spool.plane):
        raise _denied(spool, f"project {params.get('project', '')}")
    if method in _MAKING and "project" not in params:
        raise _denied(spool, "no project")
    if method == Heartbeat.method and not params.get("id"):
        raise _denied(spool, "every claim of an actor")
    if method == Create.method:
        name = params.get("id", "")
        if name and not str(name).startswith(f"{spool.project}-"):
            raise _denied(spool, f"an issue called {name}")
    for typed in _ids(method, params):
        check(typed)


def _ids(method: str, params: dict[str, Any]) -> Iterator[str]:
    """Every issue that a mutation names, a new one's own id aside."""
    edges = params.get("edges", ())
    edge = params.get("edge", {})
    blocks = params.get("blocks", ())
    named = [params.get("parent"), params.get("to"), *(blocks if isinstance(blocks, list | tuple) else ())]
    if params.get("await_type") in AWAITING_ISSUES:
        named.append(params.get("await_id"))
    named += [each.get("to") for each in [*(edges if isinstance(edges, list | tuple) else ()), edge] if _is_map(each)]
    if method != Create.method:
        named.append(params.get("id"))
    for typed in named:
        if isinstance(typed, str) and typed and not typed.startswith(("$", EXTERNAL)):
            yield typed


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _check_issue(unit: Unit, issues: Issues, spool: SpoolRow, typed: str) -> None:
    try:
        name, _, record = issues.find(typed)
    except RefusedError as error:
        if error.code is Code.NOT_FOUND:
            return
        raise
    project = facts(live_of(record, issues.entities.author_of)).project
    if project != spool.project or unit.plane(record.plane).id.hex() != spool.plane:
        raise _denied(spool, name)


def _denied(spool: SpoolRow, what: str) -> RefusedError:
    return RefusedError(
        f"{what} is not of project {spool.project}, which this spool is for",
        code=Code.DENIED,
        hint="run it outside the sandbox",
    )
