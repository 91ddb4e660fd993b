"""What the events of charters say: admissions, ends, invites, epochs.

Invariant: void events count for nothing, and what is read depends on the set of events only. Ends are superseded in
their own charter only: nobody lifts another town's. Whether a feed is a charter, how far it counts and against whom its
town may speak is decided elsewhere (`levels.py`).
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from moot_protocol.ids import key_from_text, key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Dot, Event
from moot_protocol.merge import kinds
from moot_protocol.merge.fold import Placed, fold
from moot_protocol.sealing.epoch import EpochValue, epoch_from_value
from moot_protocol.trust.charter import (
    CLOSE,
    Admission,
    End,
    Invite,
    epoch_of_entity,
    is_void,
    parse,
    written,
)


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


_UNREAD: Final = 2
"""Events about one invite that are kept unread: it is made, and it is closed. Beyond that somebody fills a charter up,
and keeping them all would cost the square of their number."""
_Invited: TypeAlias = tuple[Invite | None, frozenset[bytes] | None]
"""The first event that makes an invite, and the first close of it."""
_NOTHING: Final[_Invited] = (None, None)


class Reading:
    """What one charter says as far as it was read; batches are taken in ascending order."""

    __slots__ = ("_ends", "_read_invites", "_superseded", "_unread_invites", "admissions", "own_ends")

    def __init__(self) -> None:
        self.admissions: dict[bytes, Admission] = {}
        """town key → the highest role that this charter ever gave it, and the last name."""
        self.own_ends: list[tuple[int, End]] = []
        """(event's number, end) of the charter's own author; where one must stand is a matter of batches."""
        self._unread_invites: dict[str, tuple[Event, ...]] = {}
        """Entity → what was written of it lately. Charters are full of invites, and few of them are ever asked for."""
        self._read_invites: dict[str, _Invited] = {}
        """Entity → what came of all that was written of it before, of those about which there was too much to keep."""
        self._ends: list[tuple[bytes, Event, End]] = []
        """(author, the event, what it says)."""
        self._superseded: set[tuple[bytes, int, bytes]] = set()
        """(author, number of an event, first 8 bytes of its leaf) of the ends whose place others have taken."""

    def copy(self) -> "Reading":
        """Another one that says the same so far."""
        twin = Reading()
        twin.admissions, twin.own_ends = dict(self.admissions), list(self.own_ends)
        twin._unread_invites, twin._read_invites = dict(self._unread_invites), dict(self._read_invites)
        twin._ends, twin._superseded = list(self._ends), set(self._superseded)
        return twin

    def take(self, batch: Batch, upto: int | None = None) -> None:
        """Read the next batch, or its events up to a number."""
        unread = self._unread_invites
        for event in batch.events:
            if upto is not None and event.n > upto:
                return
            kind, entity = event.skeleton.kind, event.skeleton.entity
            if kind == kinds.INVITE:
                about = (*unread.get(entity, ()), event)
                unread[entity] = about if len(about) <= _UNREAD else self._read_invite(entity, about)
            elif kind == kinds.END:
                self._take_end(batch, event)
            elif kind == kinds.ADMISSION:
                self._take_admission(event)

    def _read_invite(self, entity: str, about: Iterable[Event]) -> tuple[Event, ...]:
        """Read events about an invite that are too many to keep; none of them is left to be read."""
        self._read_invites[entity] = _invited(self._read_invites.get(entity, _NOTHING), about)
        return ()

    def _take_admission(self, event: Event) -> None:
        parsed = parse(event)
        admission = None if parsed is None else parsed.values.get(kinds.ADMISSION)
        if parsed is not None and admission is not None:
            known = self.admissions.get(parsed.entity)
            if known is not None and known.role.rank > admission.role.rank:
                admission = Admission(admission.name, known.role)
            self.admissions[parsed.entity] = admission

    def _take_end(self, batch: Batch, event: Event) -> None:
        parsed, writer = parse(event), batch.header.author
        if parsed is None:
            return
        end, author = parsed.values.get(kinds.END), parsed.entity
        if end is not None:
            self._ends.append((author, event, end))
            if author == end.town == writer:
                self.own_ends.append((event.n, end))
        for change in event.skeleton.changes if event.plain_keys is None else ():
            if change.key == kinds.END:
                own = ((n, leaf8) for index, n, leaf8 in change.over if batch.author_of(index) == writer)
                self._superseded.update((author, n, leaf8) for n, leaf8 in own)

    def invitation(self, key: bytes) -> Invitation | None:
        """An invite and what became of it, or None where there is none of this key."""
        entity = key_text(key)
        unread = self._unread_invites.get(entity, ())
        invite, close = _invited(self._read_invites.get(entity, _NOTHING), unread)
        return None if invite is None else Invitation(invite, close)

    @property
    def invites(self) -> dict[bytes, Invitation]:
        """Invites by key, as the first event about each and the first close of it have them.

        Nobody else closes what a charter opened.
        """
        keys = filter(None, map(key_from_text, self._unread_invites))
        return {key: found for key in keys if (found := self.invitation(key)) is not None}

    @property
    def ends(self) -> Iterator[tuple[bytes, End]]:
        """(author, live pin), whatever town the pins name."""
        over = self._superseded
        for author, event, end in self._ends:
            if not over or (author, event.n, event.leaf[:LEAF_PREFIX_BYTES]) not in over:
                yield author, end


def _invited(known: _Invited, events: Iterable[Event]) -> _Invited:
    """What events about one invite, ascending, come to after what is known of it."""
    invite, close = known
    for event in events:
        parsed = parse(event)
        if parsed is not None:
            invite = parsed.values.get(kinds.INVITE) if invite is None else invite
            close = parsed.values.get(CLOSE) if close is None else close
    return invite, close


def read_charter(batches: Iterable[Batch], upto: int | None = None) -> Reading:
    """What a charter says.

    Args:
        batches: batches of one charter, ascending.
        upto: the number of the last event that counts; None for all.
    """
    reading = Reading()
    for batch in batches:
        reading.take(batch, upto)
    return reading


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
