"""What a remote is known to carry of each author's feed, so that only what it lacks is sent there.

Invariant: a place noted here was put into the remote's queue, or read from the remote, together with all that comes
before it. Where a frame is dropped from the queue, the places are taken back to before it (`rewind`).
"""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from moot_protocol.batch import ZEROS
from moot_protocol.messages import Place
from mootd.engine import layout
from mootd.store.port import Reader, Table, WriteTransaction

MOST_PLACES: Final = 64
"""Branches remembered of one feed: of a feed forked more often, some batches are sent again."""


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """What is carried of one feed."""

    places: tuple[tuple[int, bytes], ...] = ()
    """(number of the last event, id) of the last batch of each branch."""
    forked_at: int = 0
    """The fork whose proof is carried; 0 for none."""


class Sent(NamedTuple):
    """A batch, by what links it."""

    author: bytes
    prev: bytes
    id: bytes
    last: int


NOTHING: Final = Carried()
_decode: Final[Callable[[bytes], Carried]] = msgspec.msgpack.Decoder(Carried).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def carried(reader: Reader, remote: int, plane: int) -> dict[bytes, Carried]:
    """Author → what a remote carries of its feed on a plane."""
    prefix = layout.carried_prefix(remote, plane)
    return {key[len(prefix) :]: _decode(value) for key, value in reader.scan(Table.META, prefix, layout.after(prefix))}


def places_of(author: bytes, known: Carried) -> list[Place]:
    """Where a remote stands with a feed, as `SyncLog.batches_after` asks for it: the beginning always is a place."""
    return [*(Place(author, n, name) for n, name in known.places), Place(author, 0, ZEROS)]


def extend(known: Carried, batches: Iterable[Sent]) -> Carried:
    """What is carried of a feed with these batches of it, each of which follows something carried."""
    places = dict.fromkeys(known.places)
    for batch in batches:
        previous = next((place for place in places if place[1] == batch.prev), None)
        if previous is not None:
            del places[previous]
        places[batch.last, batch.id] = None
    newest = sorted(places, reverse=True)[:MOST_PLACES]
    return Carried(tuple(newest), known.forked_at)


def put(transaction: WriteTransaction, remote: int, plane: int, author: bytes, known: Carried) -> None:
    """Note what a remote carries of a feed."""
    transaction.put(Table.META, layout.carried_prefix(remote, plane) + author, _encode(known))


def rewind(transaction: WriteTransaction, remote: int, plane: int, author: bytes, known: Carried) -> None:
    """Note that a remote carries no more of a feed than this, once its queue is empty; the first such note holds."""
    key = layout.rewind_prefix(remote, plane) + author
    if transaction.get(Table.META, key) is None:
        transaction.put(Table.META, key, _encode(known))


def has_rewinds(reader: Reader, remote: int, plane: int) -> bool:
    """Whether any feed has to go back."""
    prefix = layout.rewind_prefix(remote, plane)
    return any(True for _ in reader.scan(Table.META, prefix, layout.after(prefix)))


def apply_rewinds(transaction: WriteTransaction, remote: int, plane: int) -> int:
    """Carry out what `rewind` has noted, to be done when the queue is empty; how many feeds go back."""
    prefix = layout.rewind_prefix(remote, plane)
    noted = list(transaction.scan(Table.META, prefix, layout.after(prefix)))
    for key, value in noted:
        transaction.put(Table.META, layout.carried_prefix(remote, plane) + key[len(prefix) :], value)
        transaction.delete(Table.META, key)
    return len(noted)
