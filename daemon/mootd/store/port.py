"""The store: ordered tables of bytes under transactions.

Guarantees that every implementation keeps, and `tests/conformance/test_store.py` checks:

* A read transaction sees one committed state from beginning to end, whatever is committed meanwhile.
* There is one write transaction at a time. It sees its own writes. Either all of them are there after `commit`
  returns, also after a power loss, or none is, ever.
* Keys are ordered as bytes, 1 to 511 of them. Values are any bytes.
* A nested transaction's writes become its parent's when it commits, and vanish when it aborts.

Not guaranteed: that bytes come back as they were written (LMDB has no checksums; `fsck` is for that).
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Protocol, Self


class Table(IntEnum):
    """The tables. Few, since every one that a commit touches dirties pages of its own."""

    EVENTS = 0
    """arrival (8) → an accepted event. Append-only but for cuts and erasure."""
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
    """entity number (8) → live dots and what is shown."""
    RECORDS_1 = 7
    INDEX_0 = 8
    """a prefix byte and a key → small facts: lists, edges, readiness, labels."""
    INDEX_1 = 9


class Reader(Protocol):
    """What both kinds of transaction can read."""

    def get(self, table: Table, key: bytes) -> bytes | None:
        """The value of a key, or None."""

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with `start <= key`, and `key < stop` where given, ascending or descending.

        The table must not be written while a scan is under way.
        """

    def count(self, table: Table) -> int:
        """How many keys a table has."""


class ReadTransaction(Reader, Protocol):
    """A snapshot; ends with its `with` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class WriteTransaction(Reader, Protocol):
    """The one write transaction; commits when its `with` block ends, aborts when that raises.

    Raises on any write or on commit:
        RefusedError: `store_full` or `store_read_only`; nothing of the transaction is kept then.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> bool | None: ...

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """Set a key."""

    def put_many(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Set many keys; fastest in ascending order."""

    def delete(self, table: Table, key: bytes) -> bool:
        """Remove a key; whether it was there."""

    def nested(self) -> AbstractContextManager[None]:
        """A savepoint: writes inside the `with` block vanish if it raises."""


class Store(Protocol):
    """A place for a replica's log and views."""

    def read(self) -> ReadTransaction:
        """Begin a snapshot."""

    def write(self) -> WriteTransaction:
        """Begin the write transaction; one at a time."""

    def clear(self, transaction: WriteTransaction, table: Table) -> None:
        """Remove every key of a table, inside a transaction."""

    def size(self) -> int:
        """Bytes used on disk (0 in memory)."""

    def close(self) -> None:
        """Release everything; no transaction may be open."""
