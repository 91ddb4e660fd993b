"""Which events are erased, from the written definition and all accepted events at once.

Nothing is shared with `moot_protocol.issues.erasure`: the names of events are read here by other means. Which events
count is asked of whoever asks: of `moot_protocol.trust.acceptance` over sets in memory (`model.py`), or of
`NaiveAcceptance` (`erasing.py`), which shares nothing with that either.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.ids import key_from_text
from moot_protocol.log.event import Event
from moot_protocol.merge.fold import Placed

Name = tuple[bytes, int, bytes]
"""An event by its author's key, its number, and the first 8 bytes of its leaf."""

_KEY: Final = re.compile(r"([1-9][0-9]{0,19})\.([0-9a-f]{16})", re.ASCII)


class Speaker(NamedTuple):
    """A replica of which anything counts."""

    role: str
    town: bytes
    """The key of the town that it belongs to."""
    opening: int
    """The last number of its first batch."""
    events: Iterable[Event]
    """Those of its events that count."""


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


def erased_by(speakers: Mapping[bytes, Speaker]) -> set[Name]:
    """The events whose values are gone for good.

    Args:
        speakers: author → what counts of it, of all replicas of the plane; charters erase nothing and lose nothing.
    """
    said = [(author, by, event) for author, by in speakers.items() for event in by.events]
    for_admins = {name_of(author, event) for author, _, event in said if event.skeleton.kind == "role"}
    found = set()
    for _, by, event in said:
        for name in names_of(event):
            of = speakers.get(name[0])
            if of is None or name[1] <= of.opening:
                continue
            is_own = by.role == "writer" and by.town == of.town and name not in for_admins
            if by.role == "admin" or is_own:
                found.add(name)
    return found


def without_values(placed: Placed) -> Placed:
    """An event whose values are gone."""
    return placed._replace(event=replace(placed.event, values_bytes=None))
