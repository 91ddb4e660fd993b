"""Names of refs: one strict pattern, and what isn't ours by it is foreign.

    refs/moot/<topic>/<sender>/<generation>         on a remote
    refs/incoming/<the same>                        as a remote last showed it; any name
    refs/seen/<the same>                            what a remote was found to hold and has to lead to ever after
    refs/own/<the same>                             where our own last push led

Topic and sender are 16 bytes in lowercase hexadecimal, the generation is decimal from 1 without leading zeros, so a
ref has one name only. Whatever others choose as names never reaches a path or a command but by this pattern.
"""

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

from mootd.remotes import SENDER_BYTES, TOPIC_BYTES, Alarm, Ref, RefAlarm

_NAME: Final = re.compile(
    rf"([0-9a-f]{{{2 * TOPIC_BYTES}}})/([0-9a-f]{{{2 * SENDER_BYTES}}})/([1-9][0-9]{{0,9}})", re.ASCII
)
_EXAMPLES: Final = 3
"""Foreign names that an alarm quotes beside the first."""
_EXAMPLE_CHARS: Final = 100
_COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)


class Space(StrEnum):
    """Where names of refs begin."""

    REMOTE = "refs/moot/"
    INCOMING = "refs/incoming/"
    SEEN = "refs/seen/"
    OWN = "refs/own/"
    SCRATCH = "refs/moot-test/"


def ref_name(ref: Ref, space: Space = Space.REMOTE) -> str:
    """The one name of a ref.

    Raises:
        ValueError: it is no ref: a caller's mistake.
    """
    name = f"{ref.topic.hex()}/{ref.sender.hex()}/{ref.generation}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{ref} is no ref")
    return space + name


def topic_names(topic: bytes, space: Space = Space.REMOTE) -> str:
    """What all names of a topic's refs begin with."""
    if len(topic) != TOPIC_BYTES:
        raise ValueError(f"a topic has {TOPIC_BYTES} bytes")
    return f"{space}{topic.hex()}/"


def parse_name(name: str, space: Space = Space.REMOTE) -> Ref | None:
    """The ref of this name; None if the name is foreign."""
    found = _NAME.fullmatch(name.removeprefix(space)) if name.startswith(space) else None
    return Ref(bytes.fromhex(found[1]), bytes.fromhex(found[2]), int(found[3])) if found else None


def is_object_id(text: str) -> bool:
    """Whether this is an object's full id in hexadecimal, and so safe to hand to git."""
    return _COMMIT.fullmatch(text) is not None


def went_missing(seen: Iterable[Ref], there: Collection[Ref], tips: Iterable[Ref]) -> tuple[list[Ref], list[Ref]]:
    """Which refs seen before are gone, and which of them were only replaced.

    Args:
        seen: refs that the remote had.
        there: those that it has.
        tips: those of them that nothing is wrong with.

    Returns:
        The missing; and those whose sender has a later generation there, which repeats what is still needed: that is
        how senders clear up.
    """
    latest: dict[tuple[bytes, bytes], int] = {}
    for ref in tips:
        latest[ref[:2]] = max(ref.generation, latest.get(ref[:2], 0))
    missing: list[Ref] = []
    replaced: list[Ref] = []
    for ref in sorted(set(seen).difference(there)):
        (replaced if latest.get(ref[:2], 0) > ref.generation else missing).append(ref)
    return missing, replaced


def alarm(ref: Ref, kind: RefAlarm, detail: str = "") -> Alarm:
    """An alarm about a ref of ours or of another sender."""
    return Alarm(ref_name(ref), kind, detail)


def foreign_alarms(names: Iterable[str]) -> list[Alarm]:
    """Names that are none of ours: for each topic one alarm, however many there are, by the first of them."""
    by_topic: dict[str, list[str]] = {}
    for name in names:
        topic = name.removeprefix(Space.REMOTE).partition("/")[0]
        by_topic.setdefault(topic, []).append(name)
    return [_foreign(sorted(found)) for found in by_topic.values()]


def _foreign(names: list[str]) -> Alarm:
    first, *others = names
    if not others:
        return Alarm(first, RefAlarm.FOREIGN)
    ends = (name.removeprefix(Space.REMOTE).partition("/")[2] for name in others[:_EXAMPLES])
    told = ", ".join(end if len(end) <= _EXAMPLE_CHARS else f"{end[:_EXAMPLE_CHARS]}…" for end in ends)
    more = ", …" if len(others) > _EXAMPLES else ""
    return Alarm(first, RefAlarm.FOREIGN, f"and {len(others):,} more: {told}{more}")
