r"""The snapshot: what a project held a moment ago, as one file that a sandboxed client reads in place of asking.

    file = [1, body, HMAC-SHA256(secret, "moot/snapshot/1\0" ‖ body)]                the token's secret (`files.py`)
    body = [workspace, project, plane in hex, made at, is shared, left out, ready, blocked, memories, settings, issues,
            lost, left out of those not closed]

An issue is packed by itself, as `show` tells it, so that its fields keep their order. Invariant: a snapshot that was
not written with the token is none; it is never more than SNAPSHOT_BYTES and SNAPSHOT_ISSUES long, and says how many
issues it leaves out. It is old from the moment it is written: whoever shows something of it says how old.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from moot_protocol.codec import decode_unchecked, decoder, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.issues.issue import CLOSED
from moot_protocol.limits import SNAPSHOT_BYTES, SNAPSHOT_ISSUES, SNAPSHOT_LOST
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.spool.files import is_keyed, keyed
from moot_protocol.text.json_text import to_msgpack

FORMAT: Final = 1
DOMAIN: Final = b"moot/snapshot/1\0"
_FRAME_BYTES: Final = 64
"""What surrounds a body in its file, and what surrounds the parts in a body, with room to spare."""


class Snapshot(NamedTuple):
    """What a project held at one moment."""

    workspace: str
    project: str
    plane: str
    """Its id in hexadecimal."""
    made_ms: int
    """When, in milliseconds since 1970."""
    shared: bool
    """Whether another town writes on the plane: what it wrote isn't told apart here."""
    left_out: int
    """Issues that there was no room for."""
    ready: tuple[str, ...]
    """What can be worked on, by id, in order of priority."""
    blocked: Mapping[str, tuple[str, ...]]
    """What is blocked, by id in order of priority, and by what."""
    memories: tuple[dict[str, Any], ...]
    """As `memories` answers."""
    settings: tuple[dict[str, Any], ...]
    """As `settings` answers."""
    issues: Mapping[str, IssueDoc]
    """By id, each as `show` tells it."""
    lost: tuple[tuple[str, str, str], ...] = ()
    """Claims made on this machine that others took: actor, issue, who has it now."""
    open_left_out: int = 0
    """How many of those that were left out aren't closed: lists of work are short of them."""


class _File(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    version: int
    body: bytes
    mac: bytes


class _Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    workspace: str
    project: str
    plane: str
    made_ms: int
    shared: bool
    left_out: int
    ready: tuple[str, ...]
    blocked: tuple[tuple[str, tuple[str, ...]], ...]
    memories: bytes
    settings: bytes
    issues: tuple[bytes, ...]
    lost: tuple[tuple[str, str, str], ...] = ()
    open_left_out: int = 0


_decode_file: Final = decoder(_File, FORMAT)
_decode_body: Final = msgspec.msgpack.Decoder(_Body).decode


class Place(NamedTuple):
    """What a snapshot is of, and when."""

    workspace: str
    project: str
    plane: str
    made_ms: int
    shared: bool


class Kept(NamedTuple):
    """What a project remembers, as the daemon answers; and which claims in it others took, as `Snapshot.lost`."""

    memories: Iterable[dict[str, Any]]
    settings: Iterable[dict[str, Any]]
    lost: Iterable[tuple[str, str, str]] = ()


class Totals(NamedTuple):
    """How many issues a project has."""

    all: int
    not_closed: int


def build_snapshot(
    place: Place,
    issues: Iterable[IssueDoc],
    ready: Iterable[str],
    blocked: Mapping[str, Iterable[str]],
    kept: Kept,
    totals: Totals,
) -> bytes:
    """The body of a snapshot, with as many issues as there is room for.

    Args:
        place: what it is of.
        issues: issues of the project, those first that must not be left out.
        ready: ids of what can be worked on, in order.
        blocked: ids of what is blocked, in order, and by what.
        kept: what the project remembers; the first of each are there where not all fit.
        totals: how many issues the project has.
    """
    room = SNAPSHOT_BYTES - _FRAME_BYTES - 2048
    memories, room = _fitting(kept.memories, room // 4, room)
    settings, room = _fitting(kept.settings, room // 8, room)
    lost = tuple(islice(kept.lost, SNAPSHOT_LOST))
    room -= sum(len(part.encode()) + 4 for each in lost for part in each)
    packed: list[bytes] = []
    names: set[str] = set()
    packed_open = 0
    for issue in issues:
        data = to_msgpack(issue)
        # What it costs: itself, and its id in `ready` or `blocked` with what blocks it.
        cost = (
            len(data) + 8 + 2 * len(issue["id"].encode()) + sum(len(each) + 4 for each in blocked.get(issue["id"], ()))
        )
        if len(packed) == SNAPSHOT_ISSUES or cost > room:
            continue
        room -= cost
        packed.append(data)
        names.add(issue["id"])
        packed_open += issue.get("status") != CLOSED
    open_left_out = max(totals.not_closed - packed_open, 0)
    parts = astuple(
        _Body(
            *place,
            max(totals.all - len(packed), 0),
            tuple(name for name in ready if name in names),
            tuple((name, tuple(blockers)) for name, blockers in blocked.items() if name in names),
            msgspec.msgpack.encode(memories),
            msgspec.msgpack.encode(settings),
            tuple(packed),
            lost,
            open_left_out,
        )
    )
    return encode(parts if open_left_out else parts[:-1])  # clients of earlier releases know no such part


def _fitting(all_of: Iterable[dict[str, Any]], most: int, room: int) -> tuple[list[dict[str, Any]], int]:
    kept = []
    for each in all_of:
        size = len(msgspec.msgpack.encode(each))
        if size > most:
            break
        most, room = most - size, room - size
        kept.append(each)
    return kept, room


def seal_snapshot(secret: bytes, body: bytes) -> bytes:
    """The file of a snapshot."""
    return encode(_File(FORMAT, body, keyed(secret, DOMAIN + body)))


def read_snapshot(secret: bytes, data: bytes) -> Snapshot:
    """Decode the file of a snapshot.

    Args:
        secret: the token's.
        data: the file.

    Raises:
        MalformedError: it is none, it is cut short, or it was not written with the token (`bad_signature`).
    """
    if len(data) > SNAPSHOT_BYTES:
        raise MalformedError(f"a snapshot of more than {SNAPSHOT_BYTES} bytes", code=Code.TOO_LARGE)
    file = _decode_file(data)
    if not is_keyed(secret, DOMAIN + file.body, file.mac):
        raise MalformedError("a snapshot that the daemon didn't write", code=Code.BAD_SIGNATURE)
    try:
        body = _decode_body(file.body)  # signed as ours: what an earlier release wrote has fewer parts
    except msgspec.DecodeError as error:
        raise MalformedError(f"not a body: {error}") from error
    issues = {issue["id"]: issue for issue in map(decode_unchecked, body.issues)}
    return Snapshot(
        body.workspace,
        body.project,
        body.plane,
        body.made_ms,
        body.shared,
        body.left_out,
        body.ready,
        dict(body.blocked),
        tuple(decode_unchecked(body.memories)),
        tuple(decode_unchecked(body.settings)),
        issues,
        body.lost,
        body.open_left_out,
    )
