"""What the accepted events of charters say: ends, invites, epochs.

Invariant: void events count for nothing, and what is read depends on the set of events only. Whether a feed is a
charter, how far it counts and whom its town may speak for is settled before (`acceptance.py`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from moot_protocol import kinds
from moot_protocol.charter import (
    CLOSE,
    End,
    Invite,
    close_from_value,
    end_from_value,
    epoch_of_entity,
    invite_from_value,
    is_void,
    written,
)
from moot_protocol.epoch import EpochValue, epoch_from_value
from moot_protocol.event import LEAF_PREFIX_BYTES, Dot
from moot_protocol.fold import Placed, fold
from moot_protocol.ids import key_from_text


class Invitation(NamedTuple):
    """An invite and what became of it."""

    invite: Invite
    counting: frozenset[bytes] | None
    """The replicas that count, by key, once it is closed; None while it is open: then all do that use it."""


class Epoch(NamedTuple):
    """One write of an epoch."""

    id: bytes
    """The epoch's 8 bytes."""
    value: EpochValue
    dot: Dot
    """The write, for a later epoch to take its place."""


class Epochs(NamedTuple):
    """The epochs of a plane."""

    written: tuple[Epoch, ...]
    """All that ever began, ascending by (hlc, author, n): whoever has a late key finds the earlier ones in here."""
    live: tuple[Epoch, ...]
    """Those whose place no other has taken, in the same order. Where they are of two or more epochs, those were begun
    without sight of one another, and whoever may begin epochs writes another one over all."""

    @property
    def newest(self) -> Epoch | None:
        """The one to seal under, or None before the first."""
        return self.live[-1] if self.live else None


def read_ends(town: bytes, events: Iterable[Placed]) -> dict[bytes, tuple[End, ...]]:
    """Live pins by author, in these events of a town's charter, that name this town."""
    ends: dict[bytes, tuple[End, ...]] = {}
    for (_, entity), live in fold(_counting(kinds.END, events)).items():
        author = key_from_text(entity)
        pins = (end_from_value(write.sibling.value) for write in live.get(kinds.END, ()))
        if author is not None:
            ends[author] = tuple(end for end in pins if end is not None and end.town == town)
    return ends


def read_invites(events: Iterable[Placed]) -> dict[bytes, Invitation]:
    """Invites by key, as the first event about each and the first close of it have them.

    Args:
        events: the accepted events of one town's charter, ascending: nobody else closes what it opened.
    """
    invites: dict[bytes, Invite] = {}
    closes: dict[bytes, frozenset[bytes]] = {}
    for _, event, _ in _counting(kinds.INVITE, events):
        key = key_from_text(event.skeleton.entity) or b""
        for name, value in written(event):
            invite = invite_from_value(value) if name == kinds.INVITE else None
            subjects = close_from_value(value) if name == CLOSE else None
            if invite is not None:
                invites.setdefault(key, invite)
            if subjects is not None:
                closes.setdefault(key, subjects)
    return {key: Invitation(invite, closes.get(key)) for key, invite in invites.items()}


def read_epochs(events: Iterable[Placed]) -> Epochs:
    """The epochs that these events begin.

    Args:
        events: the accepted events of the charters of all towns that are admins, and of no others, in any order.
    """
    counting = list(_counting(kinds.EPOCH, events))
    ranked = {(placed.event.skeleton.hlc, placed.author, placed.event.n): placed for placed in counting}
    found = [epoch for rank in sorted(ranked) if (epoch := _epoch(ranked[rank])) is not None]
    live = {
        (write.sibling.author, write.sibling.n)
        for keys in fold(counting).values()
        for write in keys.get(kinds.EPOCH, ())
    }
    return Epochs(tuple(found), tuple(epoch for epoch in found if epoch.dot[:2] in live))


def _epoch(placed: Placed) -> Epoch | None:
    """The epoch that an event writes, or None where it only removes one."""
    event = placed.event
    epoch = epoch_of_entity(event.skeleton.entity)
    for key, each in written(event):
        value = epoch_from_value(each) if key == kinds.EPOCH else None
        if epoch is not None and value is not None:
            return Epoch(epoch, value, Dot(placed.author, event.n, event.leaf[:LEAF_PREFIX_BYTES]))
    return None


def _counting(kind: str, events: Iterable[Placed]) -> Iterable[Placed]:
    return (placed for placed in events if placed.event.skeleton.kind == kind and not is_void(placed.event))
