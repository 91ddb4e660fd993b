"""The store: ordered tables of bytes under transactions.

Guarantees that every implementation keeps, and `tests/conformance/test_store.py` checks:

* A read transaction sees one committed state from beginning to end, whatever is committed meanwhile.
* There is one write transaction at a time. It sees its own writes. Either all of them are there after its `with` block
  ends, also after a power loss, or none is, ever.
* Keys are ordered as bytes, 1 to 511 of them. Values are any bytes.
* A nested transaction's writes become its parent's when it ends, and vanish when it raises.
* Once the store refuses a write or a commit for its own reasons (no space, read-only), the whole transaction is over:
  nothing of it is kept, nested or not, and all that is asked of it afterwards raises that error again, its commit
  included. The store goes on with what was committed, and takes writes again once the reason is gone.

Transactions begin where their `with` block begins, and are used by one thread at a time. Read transactions are cheap,
may be many, and may end in another thread than they began in. A write transaction stays in its thread; another thread
that begins one waits for it, the same thread gets a MootError.

A read transaction left open keeps the space of all that is overwritten meanwhile from being used again: be brief.

Not guaranteed: that bytes come back as they were written (LMDB has no checksums; `fsck` is for that).
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Protocol, Self


class Table(IntEnum):
    """The tables. Few, since every one that a commit touches dirties pages of its own."""

    EVENTS = 0
    """arrival (8) → an accepted event. New ones come last; a cut takes some out, and one whose values were withheld, or
    whose link to the event before it is another now, is written anew."""
    BATCHES = 1
    """feed (4), first (8) → an accepted batch's header, signature and first arrival."""
    ASIDE = 2
    """feed (4), first (8), id (32) → a batch held but not accepted."""
    META = 3
    """names → heads, digests, counters, feeds, idempotency keys."""
    IDS_0 = 4
    """plane, kind, entity → entity number (8). Views come in two generations, so that one can be rebuilt beside."""
    IDS_1 = 5
    RECORDS_0 = 6
    """entity number (8) → what is live of it, by event, and its keys in INDEX. What is shown is made from that."""
    RECORDS_1 = 7
    INDEX_0 = 8
    """a prefix byte and a key → small facts: lists, edges, readiness, labels."""
    INDEX_1 = 9
    OUTBOX = 10
    """remote (2), sequence (8) → a sealed frame that waits for a remote."""


class Reader(Protocol):
    """What both kinds of transaction can read."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key, or None.

        Raises:
            RefusedError: `limit` for the empty key.
        """

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with `start <= key`, and `key < stop` where given, ascending or descending.

        Rows are fetched as they are asked for: while a scan is under way its table must not be written, and no nested
        transaction begin or end.
        """

    def count(self, table: Table) -> int:
        """How many keys a table has, without looking at them."""


class ReadTransaction(Reader, Protocol):
    """A snapshot, from the beginning to the end of its `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class WriteTransaction(Reader, Protocol):
    """The one write transaction; commits when its `with` block ends, aborts when that raises.

    Attributes:
        writes: grows with everything that it is asked to change; what is taken back stays counted.

    Raises on any write or on commit:
        RefusedError: `store_full` or `store_read_only`, which end the transaction; `limit` for a key of a length that
            no key has, which leaves the transaction and what it wrote before as they are.
    """

    writes: int

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> bool | None: ...

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set a key."""

    def put_many(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set many keys, the last of equal ones winning.

        Ascending order is fastest, and where it also begins beyond the table's last key, pages are packed full.
        """

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a key; whether it was there."""

    def delete_many(self, table: Table, keys: Iterable[bytes]) -> None:
        """Remove many keys, whether they are there or not. Ascending order is fastest."""

    def nested(self) -> AbstractContextManager[None]:
        """A savepoint: writes inside the `with` block vanish if it raises. They nest to any depth."""


class Store(Protocol):
    """A place for a replica's log and views."""

    def read(self) -> ReadTransaction:
        """A snapshot, to be entered at once with `with`."""

    def write(self) -> WriteTransaction:
        """The write transaction, to be entered at once with `with`; waits while another thread has it."""

    def clear(self, transaction: WriteTransaction, table: Table) -> None:
        """Remove every key of a table, inside a transaction."""

    def size(self) -> int:
        """Bytes used on disk (0 in memory)."""

    def close(self) -> None:
        """Release everything; no transaction may be open, and none begins afterwards."""
