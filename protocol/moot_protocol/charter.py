"""Charters: what a town key writes into its own feed, and the event that opens a replica's.

Membership is written in charters only. Every event of a charter is void (its values and its `over` count for nothing)
when its values don't decode or are not what its kind asks for. Layout, one row per kind, all of it format version 1:

| kind          | entity               | key           | value                                                 |
|---------------|----------------------|---------------|-------------------------------------------------------|
| `genesis`     | `plane`              | `genesis`     | the genesis document; opens the founder's charter     |
| `charter`     | the town key         | `charter`     | `[name]`; opens any other town's charter              |
| `certificate` | the subject key      | `certificate` | `[body, signature, signer]`; opens a replica's feed   |
| `end`         | the author's key     | `end`         | `[n, batch id, town key]`; n = 0 goes with zeros      |
| `admission`   | the town key         | `admission`   | `[name, role]`                                        |
| `invite`      | the invite key       | `invite`      | `[role, town key or zeros, expiry]`                   |
| `invite`      | the invite key       | `close`       | `[subject key, …]`: who counts                        |
| `epoch`       | its 8 bytes in hex   | `epoch`       | `[sealed predecessor, [[recipient key, wrap], …]]`    |

Keys stand in entities as `ids.key_text`. An `end` names the town its author belongs to: the author itself where that is
a town's charter, so that it can act on nothing of another kind or town. A charter ends itself with an `end` that is
the first event of its batch and names the event right before it; the ends of the town's replicas stand before that.

Here stand the rows that a single town needs (genesis, certificate, end); the others come with the rules they serve.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from moot_protocol import kinds
from moot_protocol.batch import HASH_BYTES, ZEROS
from moot_protocol.clock import MAX_HLC
from moot_protocol.event import Dot, Draft, Event, Write
from moot_protocol.ids import key_from_text, key_text

PLANE_ENTITY: Final = "plane"
"""The entity of the genesis event."""

OPENS_CHARTER: Final = frozenset({kinds.GENESIS, kinds.CHARTER})
"""Kinds of a first event that make a feed a charter."""


class End(NamedTuple):
    """A pin: up to where an author's feed counts."""

    n: int
    """Number of its last event that counts, 0 for none."""
    batch: bytes
    """Id of the batch that holds it, 32 zeros for none."""
    town: bytes
    """The town the author belongs to; the author itself where it is a charter."""


def genesis_draft(document: bytes, actor: str) -> Draft:
    """The first event of a founder's charter."""
    return Draft(kinds.GENESIS, PLANE_ENTITY, actor, (Write(kinds.GENESIS, document),))


def certificate_draft(certificate: list[bytes], subject: bytes, actor: str) -> Draft:
    """The first event of a replica's feed."""
    return Draft(kinds.CERTIFICATE, key_text(subject), actor, (Write(kinds.CERTIFICATE, certificate),))


def end_draft(author: bytes, end: End, actor: str, over: Sequence[Dot] = ()) -> Draft:
    """A charter event that ends an author's feed, over earlier ends of it."""
    return Draft(kinds.END, key_text(author), actor, (Write(kinds.END, list(end), over),))


def opening_value(event: Event, kind: str) -> Any:
    """The value a first event of this kind opens its feed with, or None where it is no such event."""
    changes, values = event.skeleton.changes, event.values()
    if event.skeleton.kind != kind or values is None or len(changes) != 1:
        return None
    return values[0] if changes[0].key == kind and values else None


def end_from_value(value: Any) -> End | None:
    """The pin a value stands for, or None where it stands for none."""
    if not (isinstance(value, list) and len(value) == 3):
        return None
    n, batch, town = value
    if type(n) is not int or not 0 <= n <= MAX_HLC or not _is_hash(batch) or not _is_hash(town):
        return None
    return End(n, batch, town) if (n == 0) == (batch == ZEROS) else None


def _is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def end_of(event: Event, author: bytes) -> End | None:
    """The pin of this author that an event writes, or None where it writes none."""
    skeleton = event.skeleton
    if skeleton.kind != kinds.END or skeleton.entity != key_text(author) or is_void(event):
        return None
    writing = [change.key for change in skeleton.changes if not change.removes]
    return end_from_value((event.values() or [])[writing.index(kinds.END)]) if kinds.END in writing else None


def is_void(event: Event) -> bool:
    """Whether an event of a charter counts for nothing, because of what its values are."""
    values, skeleton = event.values(), event.skeleton
    if values is None:
        return True
    if skeleton.kind != kinds.END:
        return False
    writing = [change.key for change in skeleton.changes if not change.removes]
    return key_from_text(skeleton.entity) is None or any(
        key == kinds.END and end_from_value(value) is None for key, value in zip(writing, values, strict=True)
    )
