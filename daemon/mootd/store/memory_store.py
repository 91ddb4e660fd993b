"""The store in memory: the twin of the one on disk, for tests and for the simulator, which runs thousands of them.

The invariant kept here: a table that a reader can see is never changed. A write transaction collects its changes
beside the committed tables and lays them over at its commit, in place where nobody looks, else into a copy of those
tables that it touched. Work is thus in proportion to what a transaction touches, not to what the store holds.

Stricter than the port asks in one thing: a scan notices if its table was written meanwhile.

What disks and machines do to a store is played by `Faults`; `reopen` is the restart after it.
"""

import contextlib
import threading
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self, TypeAlias

from moot_protocol.errors import Code, MootError, RefusedError
from mootd.store.failures import refused
from mootd.store.port import Table, WriteTransaction

KEY_BYTES: Final = 511
"""The longest key, as LMDB has it."""
_ONE_BY_ONE: Final = 16
"""Up to so many new or removed keys, moving list elements one by one costs less than a pass over the whole list."""


class CrashError(BaseException):
    """The machine lost power here: only what was committed before is left.

    Not an Exception, since no handler of the code under test may survive it.
    """


@dataclass(slots=True)
class Faults:
    """What is to go wrong, and how far things have come. All of it may be changed at any time.

    Commits that change nothing don't count. Writes are single puts, deletes and clears.
    """

    crash_before_commit: int | None = None
    """The ordinal, from 1, of the commit that is lost in a crash."""
    crash_after_commit: int | None = None
    """The ordinal, from 1, of the commit that is kept but never answered, for a crash."""
    full_at_write: int | None = None
    """The ordinal, from 1, of a write that finds the disk full; the next finds room again."""
    free_bytes: int | None = None
    """Bytes of keys and values that may still be written and committed; None is any number. Nothing gives back."""
    commits: int = 0
    """Commits begun so far."""
    writes: int = 0
    """Writes tried so far."""


class _Rows:
    """A table: its keys in order, and their values."""

    __slots__ = ("keys", "values")

    def __init__(self, keys: list[bytes], values: dict[bytes, bytes]) -> None:
        self.keys = keys
        self.values = values

    def between(self, start: bytes, stop: bytes | None) -> tuple[int, int]:
        """Which of the keys stand in a range, as indexes."""
        return bisect_left(self.keys, start), len(self.keys) if stop is None else bisect_left(self.keys, stop)

    def scan(self, start: bytes, stop: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        """The rows in a range."""
        keys, values = self.keys, self.values
        low, high = self.between(start, stop)
        for index in range(high - 1, low - 1, -1) if reverse else range(low, high):
            key = keys[index]
            yield key, values[key]

    def lay_over(self, changes: dict[bytes, bytes | None]) -> None:
        """Set keys, and remove those with None."""
        values = self.values
        removed = [key for key, value in changes.items() if value is None and values.pop(key, None) is not None]
        written = {key: value for key, value in changes.items() if value is not None}
        added = [key for key in written if key not in values]
        values.update(written)
        if len(removed) > _ONE_BY_ONE:
            gone = set(removed)
            self.keys = [key for key in self.keys if key not in gone]
        else:
            for key in removed:
                del self.keys[bisect_left(self.keys, key)]
        if len(added) > _ONE_BY_ONE:
            self.keys += added
            self.keys.sort()
        else:
            for key in added:
                insort(self.keys, key)


class _Changes:
    """What a write transaction has done to one table: over `base`, keys with their new values, or None where removed.

    `values` tells what; `keys` are the same keys in order.
    """

    __slots__ = ("base", "keys", "values")

    def __init__(self, base: _Rows) -> None:
        self.base = base
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes | None] = {}

    def scan(self, start: bytes, stop: bytes | None, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        """The rows in a range, as changed."""
        low = bisect_left(self.keys, start)
        changed = self.keys[low : len(self.keys) if stop is None else bisect_left(self.keys, stop)]
        if not changed:
            yield from self.base.scan(start, stop, reverse=reverse)
            return
        low, high = self.base.between(start, stop)
        values, old = self.values, self.base.values
        keys = [key for key in self.base.keys[low:high] if key not in values] + changed
        keys.sort(reverse=reverse)
        for key in keys:
            value = values[key] if key in values else old[key]
            if value is not None:
                yield key, value

    def count(self) -> int:
        """How many keys the table has, as changed."""
        old = self.base.values
        return len(old) + sum((value is not None) - (key in old) for key, value in self.values.items())


class _State:
    """A committed state, the number of its readers, and which of its tables no older state shares."""

    __slots__ = ("owned", "readers", "tables")

    def __init__(self, tables: list[_Rows], *, owned: bool) -> None:
        self.tables = tables
        self.readers = 0
        self.owned = [owned] * len(tables)


class _Core:
    """What a store and its transactions share."""

    def __init__(self, state: _State, faults: Faults) -> None:
        self.state = state
        self.faults = faults
        self.lock = threading.Lock()
        """Held for moments, around whatever touches `state`."""
        self.writing = threading.Lock()
        """Held by the write transaction."""
        self.writer: int | None = None
        self.crashed = False
        self.closed = False

    def check_usable(self) -> None:
        if self.crashed:
            raise CrashError("this store crashed: `reopen` it")
        if self.closed:
            raise MootError("the store is closed")

    def crash(self, moment: str) -> CrashError:
        self.crashed = True
        return CrashError(f"lost power {moment} commit {self.faults.commits}")

    def commit(self, changed: list[tuple[int, _Changes]]) -> None:
        with self.lock:
            state = self.state
            if state.readers:
                state = _State(list(state.tables), owned=False)
            for table, changes in changed:
                rows = changes.base
                if rows is not state.tables[table]:  # cleared: `base` is empty and nobody else's
                    state.tables[table] = rows
                elif not state.owned[table]:
                    state.tables[table] = rows = _Rows(rows.keys.copy(), rows.values.copy())
                state.owned[table] = True
                rows.lay_over(changes.values)
            self.state = state


class MemoryRead:
    """A snapshot."""

    __slots__ = ("_core", "_state")

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._state: _State | None = None

    def __enter__(self) -> Self:
        core = self._core
        core.check_usable()
        with core.lock:
            self._state = core.state
            core.state.readers += 1
        return self

    def __exit__(self, *exception: object) -> None:
        with self._core.lock:
            self._tables_of().readers -= 1
            self._state = None

    def get(self, table: Table, key: bytes) -> bytes | None:
        """See the port."""
        if not key:
            raise _bad_key()
        return self._tables_of().tables[table].values.get(key)

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See the port."""
        for row in self._tables_of().tables[table].scan(start, stop, reverse=reverse):
            if self._state is None:
                raise _over()
            yield row

    def count(self, table: Table) -> int:
        """See the port."""
        return len(self._tables_of().tables[table].keys)

    def _tables_of(self) -> _State:
        if self._state is None:
            raise _over()
        return self._state


class MemoryWrite:
    """The one write transaction."""

    __slots__ = (
        "_alive",
        "_changes",
        "_core",
        "_depth",
        "_failure",
        "_spent",
        "_tables",
        "_undo",
        "_versions",
        "writes",
    )

    def __init__(self, core: _Core) -> None:
        self._core = core
        self._tables: list[_Rows] = []
        self._changes: list[_Changes | None] = [None] * len(Table)
        self._versions = [0] * len(Table)
        """Writes to each table so far, by which a scan notices them."""
        self._depth = 0
        self._undo: list[_Undo] = []
        """Inside nested transactions: how to take back what was done since the outermost of them began."""
        self._spent = 0
        self.writes = 0
        self._alive = False
        self._failure: MootError | None = None

    def __enter__(self) -> Self:
        core = self._core
        core.check_usable()
        if core.writer == threading.get_ident():
            raise MootError("a write transaction is already open in this thread")
        core.writing.acquire()
        core.writer = threading.get_ident()
        self._tables = core.state.tables
        self._alive = True
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            if exception[0] is None:
                self._check_alive()
                self._commit()
        finally:
            self._alive = False
            self._core.writer = None
            self._core.writing.release()

    def get(self, table: Table, key: bytes) -> bytes | None:
        """See the port."""
        self._check_alive()
        if not key:
            raise _bad_key()
        changes = self._changes[table]
        if changes is None:
            return self._tables[table].values.get(key)
        if key in changes.values:
            return changes.values[key]
        return changes.base.values.get(key)

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See the port.

        Raises:
            RuntimeError: the table was written since the scan began.
        """
        self._check_alive()
        version = self._versions[table]
        rows = self._changes[table] or self._tables[table]
        for row in rows.scan(start, stop, reverse=reverse):
            self._check_alive()
            if self._versions[table] != version:
                raise RuntimeError(f"{table.name} was written while it was being scanned")
            yield row

    def count(self, table: Table) -> int:
        """See the port."""
        self._check_alive()
        changes = self._changes[table]
        return len(self._tables[table].keys) if changes is None else changes.count()

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """See the port."""
        self.writes += 1
        if not 0 < len(key) <= KEY_BYTES:
            raise _bad_key()
        self._spend(len(key) + len(value))
        self._set(table, key, value)

    def put_many(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> None:
        """See the port."""
        for key, value in list(items):
            self.put(table, key, value)

    def delete(self, table: Table, key: bytes) -> bool:
        """See the port."""
        self.writes += 1
        if self.get(table, key) is None:
            return False
        self._spend(len(key))
        self._set(table, key, None)
        return True

    def delete_many(self, table: Table, keys: Iterable[bytes]) -> None:
        """See the port."""
        for key in keys:
            self.delete(table, key)

    def clear(self, table: Table) -> None:
        """Remove every key of a table."""
        self.writes += 1
        self._spend(0)
        old = self._changes[table]
        self._changes[table] = _Changes(_Rows([], {}))
        self._versions[table] += 1
        if self._depth:
            self._undo.append((table, old, None, None))

    @contextlib.contextmanager
    def nested(self) -> Iterator[None]:
        """See the port."""
        self._check_alive()
        done, spent = len(self._undo), self._spent
        self._depth += 1
        try:
            yield
            self._check_alive()
        except BaseException:
            while len(self._undo) > done:
                self._take_back(*self._undo.pop())
            self._spent = spent
            raise
        finally:
            self._depth -= 1
        if not self._depth:
            self._undo.clear()

    def _set(self, table: Table, key: bytes, value: bytes | None) -> None:
        changes = self._changes[table]
        if changes is None:
            changes = self._changes[table] = _Changes(self._tables[table])
        values = changes.values
        if self._depth:
            self._undo.append((table, changes, key, values.get(key, _ABSENT)))
        if key not in values:
            insort(changes.keys, key)
        values[key] = value
        self._versions[table] += 1

    def _take_back(self, table: Table, changes: _Changes | None, key: bytes | None, value: object) -> None:
        self._versions[table] += 1
        if key is None or changes is None:
            self._changes[table] = changes
        elif value is _ABSENT:
            del changes.values[key]
            del changes.keys[bisect_left(changes.keys, key)]
        else:
            changes.values[key] = value if isinstance(value, bytes) else None

    def _check_alive(self) -> None:
        if self._core.crashed:
            raise CrashError("this store crashed: `reopen` it")
        if not self._alive:
            raise self._failure or _over()

    def _spend(self, size: int) -> None:
        self._check_alive()
        faults = self._core.faults
        faults.writes += 1
        self._spent += size
        short = faults.free_bytes is not None and self._spent > faults.free_bytes
        if short or faults.writes == faults.full_at_write:
            self._alive = False
            self._failure = refused(Code.STORE_FULL, "memory", "as its faults have it")
            raise self._failure

    def _commit(self) -> None:
        core, faults = self._core, self._core.faults
        changed = [
            (table, changes)
            for table, changes in enumerate(self._changes)
            if changes is not None and (changes.values or changes.base is not self._tables[table])
        ]
        if not changed:
            return
        faults.commits += 1
        if faults.commits == faults.crash_before_commit:
            raise core.crash("before")
        core.commit(changed)
        if faults.free_bytes is not None:
            faults.free_bytes -= self._spent
        if faults.commits == faults.crash_after_commit:
            raise core.crash("after")


class MemoryStore:
    """A store that ends with its process, or plays that it does.

    Args:
        faults: what is to go wrong; nothing if left out.
    """

    def __init__(self, faults: Faults | None = None) -> None:
        tables = [_Rows([], {}) for _ in Table]
        self._core = _Core(_State(tables, owned=True), faults or Faults())

    @property
    def faults(self) -> Faults:
        """What is to go wrong, for changing it."""
        return self._core.faults

    def read(self) -> MemoryRead:
        """See the port. Raises CrashError after a crash, when entered."""
        return MemoryRead(self._core)

    def write(self) -> MemoryWrite:
        """See the port. Raises CrashError after a crash, when entered or used, and where `faults` say so."""
        return MemoryWrite(self._core)

    def clear(self, transaction: WriteTransaction, table: Table) -> None:
        """See the port."""
        if not isinstance(transaction, MemoryWrite):
            raise TypeError(f"not a transaction of this store: {transaction!r}")
        transaction.clear(table)

    def size(self) -> int:
        """See the port."""
        return 0

    def close(self) -> None:
        """See the port. What was committed is still there for `reopen`."""
        self._core.closed = True

    def reopen(self, faults: Faults | None = None) -> "MemoryStore":
        """The store that a restart finds: only what was committed. This one is no longer of use, as after a crash.

        Args:
            faults: what is to go wrong from now on; nothing if left out.
        """
        self._core.crashed = True
        store = MemoryStore(faults)
        with self._core.lock:
            store._core.state = self._core.state
        return store


_ABSENT: Final = object()
_Undo: TypeAlias = tuple[Table, _Changes | None, bytes | None, object]


def _bad_key() -> RefusedError:
    return refused(Code.LIMIT, "memory", "")


def _over() -> MootError:
    return MootError("this transaction is over")
