"""Which events are erased, from the written definition and all accepted events at once.

Nothing is shared with `moot_protocol.erasure`: the names of events are read here by other means.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from moot_protocol.acceptance import Accepted, FeedKind
from moot_protocol.batch import Batch
from moot_protocol.event import Event
from moot_protocol.fold import Placed
from moot_protocol.ids import key_from_text
from moot_protocol.kinds import Role

Name = tuple[bytes, int, bytes]
"""An event by its author's key, its number, and the first 8 bytes of its leaf."""

_KEY: Final = re.compile(r"([1-9][0-9]{0,19})\.([0-9a-f]{16})")


def name_of(author: bytes, event: Event) -> Name:
    """What an erasure calls an event."""
    return author, event.n, event.leaf[:8]


def names_of(event: Event) -> set[Name]:
    """The events that an event names as erased, whether it counts or not; none where it is no erasure."""
    author = key_from_text(event.skeleton.entity) if event.skeleton.kind == "erase" else None
    if author is None:
        return set()
    found = (_KEY.fullmatch(change.key) for change in event.skeleton.changes if not change.removes)
    return {(author, int(match[1]), bytes.fromhex(match[2])) for match in found if match and int(match[1]) < 2**64}


def erased_by(events: Iterable[Placed], accepted: Mapping[bytes, Accepted], firsts: Mapping[bytes, Batch]) -> set[Name]:
    """The events whose values are gone for good.

    Args:
        events: all accepted events.
        accepted: what is accepted of every author.
        firsts: the first accepted batch of every author of whom anything is.
    """
    replicas = {author: each for author, each in accepted.items() if each.kind is FeedKind.REPLICA}
    found = set()
    events = list(events)
    for_admins = {name_of(placed.author, placed.event) for placed in events if placed.event.skeleton.kind == "role"}
    for placed in events:
        by = replicas.get(placed.author)
        if by is None:
            continue
        for name in names_of(placed.event):
            of, first = replicas.get(name[0]), firsts.get(name[0])
            if of is None or first is None or name[1] <= first.header.last:
                continue
            is_own = by.role is Role.WRITER and by.town == of.town and name not in for_admins
            if by.role is Role.ADMIN or is_own:
                found.add(name)
    return found


def without_values(placed: Placed) -> Placed:
    """An event whose values are gone."""
    return placed._replace(event=replace(placed.event, values_bytes=None))
