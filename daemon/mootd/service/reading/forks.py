"""Forked feeds as documents: what each history does, and which one is meant."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_begins, key_text
from moot_protocol.log.event import Event
from moot_protocol.merge import kinds
from moot_protocol.requests.membership import Forks
from moot_protocol.trust.charter import CLOSE, OPENS_CHARTER, parse
from moot_protocol.trust.towns import FOUNDER_DEPTH, RECOVERY_DEPTH
from mootd.engine.membership.charters import towns_of
from mootd.engine.membership.forks import Branch, Fork, forks_of
from mootd.engine.planes import plane_meant
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.service.snapshot import Snapshot

EVENTS_TOLD: Final = 100
"""Events of a history that an answer tells of."""
_PARSED: Final = kinds.CHARTER_KINDS - {kinds.GENESIS}


def forks(snapshot: Snapshot, request: Forks) -> list[dict[str, Any]]:
    """The forked feeds of a plane, or of all."""
    rows = list(snapshot.replica.planes.values())
    source = LogSnapshot(snapshot.reader)
    planes = [plane_meant(rows, request.plane)] if request.plane else rows
    return [_document(snapshot, source, plane, fork) for plane in planes for fork in forks_of(source, plane)]


def fork_meant(found: Iterable[tuple[PlaneRow, Fork]], typed: str) -> tuple[PlaneRow, Fork]:
    """The fork that is named by the beginning of its author's key.

    Raises:
        RefusedError: `not_found`, `ambiguous`.
    """
    meant = [(plane, fork) for plane, fork in found if key_begins(fork.row.author, typed)]
    if len(meant) > 1:
        raise RefusedError(
            f"{typed} may mean several forked feeds", code=Code.AMBIGUOUS, hint="say more of its key, or --plane"
        )
    if not meant:
        raise RefusedError(f"no forked feed begins with {typed}", code=Code.NOT_FOUND, hint="see `moot fork list`")
    return meant[0]


def _document(snapshot: Snapshot, source: LogSnapshot, plane: PlaneRow, fork: Fork) -> dict[str, Any]:
    return {
        "plane": plane.name,
        "author": key_text(fork.row.author),
        "kind": "charter" if fork.is_charter else "replica",
        "town": key_text(fork.town) if fork.town else "",
        "town_name": snapshot.origins.town_name(plane.number, fork.town),
        "first": fork.row.forked_at,
        "is_settled": fork.row.ended,
        "settled_by": _settled_by(source, plane, fork),
        "branches": [_branch(fork, branch) for branch in fork.branches],
    }


def _settled_by(source: LogSnapshot, plane: PlaneRow, fork: Fork) -> str:
    """Who can say which history counts: whoever stands above the feed."""
    standing = towns_of(source, plane).get(fork.town)
    charter = source.feed(source.feed_number(plane.number, fork.town))
    if not fork.is_charter and not (charter.forked_at and not charter.ended):
        return "town"
    if standing is None or standing.depth > FOUNDER_DEPTH:
        return "admin"
    return "nobody" if standing.depth == RECOVERY_DEPTH else "recovery"


def _branch(fork: Fork, branch: Branch) -> dict[str, Any]:
    events = [event for batch in branch.batches for event in batch.events]
    return {
        "branch": branch.head.id.hex(),
        "events": len(events),
        "counts": branch.counts,
        "counted": branch.counted,
        "more": max(len(events) - EVENTS_TOLD, 0),
        "does": [_does(event, is_charter=_is_charter(fork, branch)) for event in events[:EVENTS_TOLD]],
    }


def _is_charter(fork: Fork, branch: Branch) -> bool:
    """Whether a history is a charter's: where a feed forks at its first batch, one may be and another not."""
    opening = branch.batches[0].events[0]
    return fork.is_charter if opening.n > 1 else opening.skeleton.kind in OPENS_CHARTER


def _does(event: Event, *, is_charter: bool) -> dict[str, Any]:
    skeleton = event.skeleton
    return {
        "n": event.n,
        "at_ms": to_ms(skeleton.hlc),
        "actor": skeleton.actor,
        "kind": skeleton.kind,
        "about": skeleton.entity,
        "says": dict(_said(event)) if is_charter else {"keys": [change.key for change in skeleton.changes]},
    }


def _said(event: Event) -> Iterator[tuple[str, Any]]:
    parsed = parse(event) if event.skeleton.kind in _PARSED else None
    values: Mapping[str, Any] = {} if parsed is None else parsed.values
    if kinds.ADMISSION in values:
        yield from (("name", values[kinds.ADMISSION].name), ("role", str(values[kinds.ADMISSION].role)))
    if kinds.END in values:
        yield from (("n", values[kinds.END].n), ("town", key_text(values[kinds.END].town)))
    if kinds.INVITE in values:
        yield from (("role", str(values[kinds.INVITE].role)), ("town", key_text(values[kinds.INVITE].town)))
    if CLOSE in values:
        yield "counting", [key_text(key) for key in sorted(values[CLOSE])]
