"""Deletions: what the register `deleted` holds, and whether who deleted had seen what stands beside the deletion.

    [by, reason, at], [by, reason, at, original type] or [by, reason, at, original type or nothing, seen]

`seen` is a short hash of the names of all that was live when the deletion was made. Nobody who knows of a deletion
edits the issue. So a live value that the deletion had not seen was written without knowledge of it: a conflict. Whoever
does change a deleted issue (resolves a field, imports a tombstone that says more) writes the deletion anew. What a file
said of an issue that came deleted tells nothing of what was seen, and is never blind.

Invariant: all of this depends on what is live alone, whatever its order.
"""

from collections.abc import Collection, Iterable, Sequence
from hashlib import sha256
from typing import Any, Final

from moot_protocol.codec import encode
from moot_protocol.log.event import Write
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import Policy
from moot_protocol.merge.policies import Reading
from moot_protocol.merge.register import Live, Sibling

DELETED: Final = "deleted"
"""The register."""
DELETED_NAMES: Final = ("deleted_by", "delete_reason", "deleted_at", "original_type")
"""The document's names of what it holds, in its order."""
TO_BE_SEEN: Final = ""
"""What stands for `seen` in a write that was planned but not yet made; it tells nothing."""

_SEEN_DIGITS: Final = 16
_ASIDE: Final = frozenset({DELETED, "updated_at"})
"""Keys that are no edits: deletions among themselves, and the time of a change, which shows by itself."""

Name = tuple[str, bytes, int]
"""A live write by its key, author and number."""


def deletion(by: str, reason: str, at_ms: int, seen: str = TO_BE_SEEN) -> list[Any]:
    """The value of `deleted` for an issue deleted here."""
    return [by, reason, at_ms, None, seen]


def is_deletion(value: Any) -> bool:
    """Whether a value of `deleted` says that the issue is deleted."""
    return isinstance(value, list | tuple) and len(value) >= 3


def said(value: Any) -> Any:
    """A value of `deleted` as people disagree on it: without what was seen."""
    if not is_deletion(value):
        return value
    return value[:3] if len(value) == 3 or value[3] is None else value[:4]


def with_seen(value: Any, seen: str) -> list[Any]:
    """A deletion by who has seen this."""
    told = list(said(value))
    return [*told, *[None] * (4 - len(told)), seen]


def seen_by(value: Any) -> str:
    """What a deletion tells of what was seen; empty where it tells nothing."""
    told = value[4] if is_deletion(value) and len(value) > 4 else ""
    return told if isinstance(told, str) and len(told) == _SEEN_DIGITS else ""


def seen_in(live: Live, over: Collection[Name] = ()) -> str:
    """What whoever deletes an issue now has seen: 16 hexadecimal digits.

    Args:
        live: what is live in the issue before the event that deletes it; values may be missing.
        over: what that event supersedes beside earlier deletions.
    """
    return _hash((key, sibling) for key, sibling in _edits(live) if (key, sibling.author, sibling.n) not in over)


def sighted(writes: Sequence[Write], live: Live) -> Sequence[Write]:
    """The writes of an event, a deletion that was planned among them with what its writer sees now.

    Args:
        writes: of one event.
        live: what is live in the issue before it.
    """
    if not is_planned(writes):
        return writes
    over = {(write.key, dot.author, dot.n) for write in writes for dot in write.over}
    seen = seen_in(live, over)
    return [write._replace(value=with_seen(write.value, seen)) if write.key == DELETED else write for write in writes]


def is_planned(writes: Iterable[Write]) -> bool:
    """Whether an event is to delete its issue, and doesn't tell yet what was seen."""
    return any(
        write.key == DELETED and is_deletion(write.value) and list(write.value[4:]) == [TO_BE_SEEN] for write in writes
    )


def is_blind(live: Live) -> bool:
    """Whether an issue was deleted only by who had not seen all that is live beside the deletion."""
    told = {seen for sibling in live.get(DELETED, ()) if (seen := seen_by(sibling.value))}
    return bool(told) and _hash(beside_deletions(live)) not in told


def beside_deletions(live: Live) -> Iterable[tuple[str, Sibling]]:
    """(key, sibling) of all edits but those in the events that delete the issue, whose own leaves they can't name."""
    own = {(sibling.author, sibling.n) for sibling in live.get(DELETED, ())}
    return ((key, sibling) for key, sibling in _edits(live) if (sibling.author, sibling.n) not in own)


def read_deletion(live: Live) -> Reading:
    """The latest value of `deleted`, without what was seen; in conflict where values differ or a deletion is blind."""
    siblings = live.get(DELETED, ())
    if not siblings:
        return policies.NOTHING
    reading = policies.read(Policy.LATEST, [sibling._replace(value=said(sibling.value)) for sibling in siblings])
    return reading if reading.conflict else reading._replace(conflict=is_blind(live))


def renewed(live: Live) -> list[Any] | None:
    """The deletion to be written again by who changes a deleted issue, so that it isn't blind to the change.

    None where nothing is deleted, no deletion tells what was seen, or they are in conflict, which stays.
    """
    reading = read_deletion(live)
    if reading.conflict or not any(seen_by(sibling.value) for sibling in live.get(DELETED, ())):
        return None
    return with_seen(reading.value, TO_BE_SEEN)


def _edits(live: Live) -> Iterable[tuple[str, Sibling]]:
    return ((key, sibling) for key, siblings in live.items() if key not in _ASIDE for sibling in siblings)


def _hash(edits: Iterable[tuple[str, Sibling]]) -> str:
    names = sorted((key, sibling.author, sibling.n, sibling.leaf8) for key, sibling in edits)
    return sha256(encode(names)).hexdigest()[:_SEEN_DIGITS]
