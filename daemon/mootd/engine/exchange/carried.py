"""What a remote is known to carry of each author's feed, so that only what it lacks is sent there.

Invariant: a place noted here was put into the remote's queue, or read from the remote, together with all that comes
before it. Where a frame is dropped from the queue, the places are taken back to before it (`rewind`, `go_back`):
knowing less of a remote than is true costs sending something twice, knowing more would lose it.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from moot_protocol.exchange.messages import Place
from moot_protocol.log.batch import ZEROS, Link
from mootd.engine.stored import layout
from mootd.store.port import Reader, Table, WriteTransaction

MOST_PLACES: Final = 128
"""Branches remembered of one feed: more than are ever held of one (`ASIDE_BATCHES_PER_AUTHOR`), so none goes twice."""


class Carried(msgspec.Struct, array_like=True, frozen=True):
    """What is carried of one feed."""

    places: tuple[tuple[int, bytes], ...] = ()
    """(number of the last event, id) of the last batch of each branch."""
    forked_at: int = 0
    """The fork whose proof is carried; 0 for none."""


NOTHING: Final = Carried()
_decode: Final[Callable[[bytes], Carried]] = msgspec.msgpack.Decoder(Carried).decode
_encode: Final = msgspec.msgpack.Encoder().encode


def carried(reader: Reader, remote: int, plane: int) -> dict[bytes, Carried]:
    """Author → what a remote carries of its feed on a plane."""
    prefix = layout.carried_prefix(remote, plane)
    return {key[len(prefix) :]: _decode(value) for key, value in reader.scan(Table.META, prefix, layout.after(prefix))}


def carried_of(reader: Reader, remote: int, plane: int, author: bytes) -> Carried:
    """What a remote carries of one feed."""
    kept = reader.get(Table.META, layout.carried_prefix(remote, plane) + author)
    return NOTHING if kept is None else _decode(kept)


def places_of(author: bytes, known: Carried) -> list[Place]:
    """Where a remote stands with a feed, as `SyncLog.batches_after` asks for it: the beginning always is a place."""
    return [*(Place(author, n, name) for n, name in known.places), Place(author, 0, ZEROS)]


def extend(known: Carried, batches: Iterable[Link]) -> Carried:
    """What is carried of a feed with these batches of it; one behind a gap is left out until the gap is filled."""
    places = dict.fromkeys(known.places)
    for batch in batches:
        if batch.first > 1 + max((n for n, _ in places), default=0):
            continue
        previous = next((place for place in places if place[1] == batch.prev), None)
        if previous is not None:
            del places[previous]
        places[batch.last, batch.id] = None
    newest = sorted(places, reverse=True)[:MOST_PLACES]
    return Carried(tuple(newest), known.forked_at)


def put(transaction: WriteTransaction, remote: int, plane: int, author: bytes, known: Carried) -> None:
    """Note what a remote carries of a feed."""
    transaction.put(Table.META, layout.carried_prefix(remote, plane) + author, _encode(known))


def forget(transaction: WriteTransaction, remote: int, plane: int) -> None:
    """Note that nothing is known of what a remote carries of a plane."""
    for prefix in (layout.carried_prefix(remote, plane), layout.rewind_prefix(remote, plane)):
        for key, _ in list(transaction.scan(Table.META, prefix, layout.after(prefix))):
            transaction.delete(Table.META, key)


def rewind(transaction: WriteTransaction, remote: int, plane: int, author: bytes, known: Carried) -> None:
    """Note that a remote carries no more of a feed than this, nor than earlier such notes say.

    It is acted on once the queue is empty (`apply_rewinds`).
    """
    key = layout.rewind_prefix(remote, plane) + author
    noted = transaction.get(Table.META, key)
    least = known if noted is None else _common(_decode(noted), known)
    transaction.put(Table.META, key, _encode(least))


def go_back(transaction: WriteTransaction, remote: int, plane: int, author: bytes, known: Carried) -> None:
    """Note at once that a remote carries no more of a feed than this: nothing of it waits that comes after."""
    put(transaction, remote, plane, author, _common(carried_of(transaction, remote, plane, author), known))


def carries(reader: Reader, remote: int, plane: int, author: bytes, known: Carried) -> bool:
    """Whether a remote carries as much of a feed as this says, or more."""
    return _common(carried_of(reader, remote, plane, author), known) == known


def _common(one: Carried, other: Carried) -> Carried:
    """No more than either says."""
    if one == other:
        return one
    if len(one.places) <= 1 and len(other.places) <= 1 and not (one.forked_at or other.forked_at):
        return min(one, other, key=lambda known: known.places)
    shared = tuple(place for place in one.places if place in other.places)
    return Carried(shared, one.forked_at if one.forked_at == other.forked_at else 0)


def has_rewinds(reader: Reader, remote: int, plane: int) -> bool:
    """Whether any feed has to go back."""
    prefix = layout.rewind_prefix(remote, plane)
    return any(True for _ in reader.scan(Table.META, prefix, layout.after(prefix)))


def apply_rewinds(transaction: WriteTransaction, remote: int, plane: int) -> int:
    """Carry out what `rewind` has noted, to be done when nothing waits; how many feeds go back.

    None goes forward: a frame that was published may outlive a rewind to before it, and be cleared only then.
    """
    prefix = layout.rewind_prefix(remote, plane)
    noted = list(transaction.scan(Table.META, prefix, layout.after(prefix)))
    for key, value in noted:
        author = key[len(prefix) :]
        known = carried_of(transaction, remote, plane, author)
        put(transaction, remote, plane, author, _common(known, _decode(value)))
        transaction.delete(Table.META, key)
    return len(noted)
