"""The store on disk: one LMDB 0.9 environment in a folder of its own, the only place where `lmdb` is imported.

The invariant kept here: a commit that returned is on the disk, and whatever fails leaves the last such commit whole.
No exception of `lmdb` or of the operating system leaves this module; each becomes an error that says what to do.

Settings, and why:

* Every commit is synced, data and head (`sync`, `metasync`); the map is written through files, never through memory
  (no `writemap`), so that a stray pointer cannot damage the log.
* `meminit` stays on: without it unused bytes of pages are whatever the heap held, and this process holds keys.
* `readahead` stays on: read in order from a cold disk, a log of 540 MB took 0.7 s with it and 9.6 s without, and
  replay, `fsck` and the scrub read in order. A cold read of one key costs more with it, but stores are mostly warm.
* Read transactions are begun thousands of times a second: ended ones are kept and renewed (`max_spare_txns`), which
  halves the cost. They belong to no thread, so one pool serves all.
* The reader table is written out before LMDB maps it, and a data file that ends early is checked before it is used: a
  page of a map that the file system cannot supply would kill the process (SIGBUS) where an error belongs.
"""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, starmap
from operator import itemgetter, lt
from pathlib import Path
from typing import Any, Final, NoReturn, Self, cast

import lmdb

from moot_protocol.errors import Code, MootError, RefusedError
from mootd.store.failures import ran_out_of_space, refused
from mootd.store.files import grow, missing_bytes, write_out, written_whole
from mootd.store.folder import give_back, let_go, make_private, sync_folder, take
from mootd.store.port import Table, WriteTransaction

FORMAT: Final = 1
"""The number of the layout of tables, keys and values; a store with a higher one is refused."""
MAP_BYTES: Final = 1 << 40
"""Address space mapped, in bytes: 1 TiB. It costs nothing until used and cannot grow while readers are at work."""
_MAP_BYTES_LEAST: Final = 64 << 20
"""Where a limit on address space refuses even this many bytes, opening fails."""
_READERS: Final = 1024
"""Slots for read transactions: four for each client of the control socket; 64 KiB in all."""
_READER_TABLE_BYTES: Final = (_READERS + 16) * 64
_SPARE_READS: Final = 64
"""Ended read transactions kept for the next ones. More than run at once gains nothing."""
_FORMAT_KEY: Final = b"moot/format"
_READ_ALL: Final = (
    "import lmdb, sys; lmdb.open(sys.argv[1], readonly=True, lock=False, lib_version=0).copyfd(1, compact=True)"
)
_DATA: Final = "data.mdb"
_READER_TABLE: Final = "lock.mdb"
_DAMAGE: Final = (
    lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.VersionMismatchError, lmdb.IncompatibleError,
    lmdb.PanicError,
)  # fmt: skip
_CAUSES: Final[tuple[tuple[Code, tuple[type[lmdb.Error], ...], frozenset[int]], ...]] = (
    (Code.STORE_FULL, (lmdb.MapFullError,), frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})),
    (Code.STORE_READ_ONLY, (), frozenset({errno.EROFS, errno.EACCES, errno.EPERM})),
    (Code.STORE_DAMAGED, _DAMAGE, frozenset({errno.EIO})),
    (Code.NOT_FOUND, (), frozenset({errno.ENOENT})),
    (Code.LIMIT, (lmdb.BadValsizeError,), frozenset()),
    (Code.BUSY, (lmdb.ReadersFullError, lmdb.MemoryError), frozenset()),
)
"""What each error of LMDB or the operating system comes down to."""


class _Reading:
    """What both kinds of transaction read, over whichever LMDB transaction is current."""

    __slots__ = ("_environment", "_folder", "_get", "_handles", "_transaction")

    _transaction: "lmdb.Transaction[bytes]"
    _get: Callable[..., bytes | None]

    def __init__(self, environment: lmdb.Environment, handles: list[Any], folder: Path) -> None:
        self._environment = environment
        self._handles = handles
        self._folder = folder

    def get(self, table: Table, key: bytes) -> bytes | None:
        """See the port."""
        try:
            return self._get(key, None, self._handles[table])
        except lmdb.Error as error:
            raise self._refused(error) from error

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See the port."""
        return self._descending(table, start, stop) if reverse else self._ascending(table, start, stop)

    def count(self, table: Table) -> int:
        """See the port."""
        try:
            return self._transaction.stat(self._handles[table])["entries"]
        except lmdb.Error as error:
            raise self._refused(error) from error

    def _ascending(self, table: Table, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._transaction.cursor(self._handles[table])
            if not cursor.set_range(start):
                return
            if stop is None:
                yield from cursor.iternext()
                return
            for row in cursor.iternext():
                if row[0] >= stop:
                    return
                yield row
        except lmdb.Error as error:
            raise self._refused(error) from error

    def _descending(self, table: Table, start: bytes, stop: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        try:
            cursor = self._transaction.cursor(self._handles[table])
            beyond = stop is not None and cursor.set_range(stop)
            if not (cursor.prev() if beyond else cursor.last()):
                return
            for row in cursor.iterprev():
                if row[0] < start:
                    return
                yield row
        except lmdb.Error as error:
            raise self._refused(error) from error

    def _refused(self, error: lmdb.Error) -> MootError:
        return _translated(error, self._folder)


class _Over:
    """Stands where a transaction stood, and keeps nothing of it."""

    def get(self, *_: object) -> NoReturn:
        raise lmdb.BadTxnError("this transaction is over")

    cursor = stat = get


_OVER: Final = cast("lmdb.Transaction[bytes]", _Over())


class LmdbRead(_Reading):
    """A snapshot."""

    __slots__ = ()

    def __enter__(self) -> Self:
        try:
            self._transaction = transaction = self._environment.begin()
        except lmdb.Error as error:
            raise self._refused(error) from error
        self._get = transaction.get
        return self

    def __exit__(self, *exception: object) -> None:
        # Unlike a commit, an abort keeps the transaction for the next reader, as soon as nothing refers to it: what was
        # read with may stand in a cycle that nobody collects for long, and there are only so many readers.
        transaction, self._transaction, self._get = self._transaction, _OVER, _OVER.get
        transaction.abort()


class LmdbWrite(_Reading):
    """The one write transaction.

    The first error that LMDB reports ends it for good: LMDB is rolled back there and then, and whatever is asked
    afterwards, the commit included, raises that error again.
    """

    __slots__ = ("_failure", "_outermost", "_put", "writes")

    _outermost: "lmdb.Transaction[bytes]"
    _put: Callable[..., bool]

    def __init__(self, environment: lmdb.Environment, handles: list[Any], folder: Path) -> None:
        super().__init__(environment, handles, folder)
        self._failure: MootError | None = None
        self.writes = 0

    def __enter__(self) -> Self:
        try:
            self._outermost = self._environment.begin(write=True)
        except lmdb.Error as error:
            raise _translated(error, self._folder) from error
        self._use(self._outermost)
        return self

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            self._outermost.abort()
            return
        if self._failure is not None:
            raise self._failure
        try:
            self._outermost.commit()
        except lmdb.Error as failure:
            raise self._refused(failure) from failure

    def put(self, table: Table, key: bytes, value: bytes) -> None:
        """See the port."""
        self.writes += 1
        try:
            self._put(key, value, True, True, False, self._handles[table])
        except lmdb.Error as error:
            raise self._refused(error) from error

    def put_many(self, table: Table, items: Iterable[tuple[bytes, bytes]]) -> None:
        """See the port."""
        rows = items if isinstance(items, list) else list(items)
        if not rows:
            return
        self.writes += 1
        try:
            cursor = self._transaction.cursor(self._handles[table])
            # Appending leaves pages full where ordinary insertion in order leaves them half empty. LMDB drops what
            # does not ascend without a word, hence the check.
            append = not (cursor.last() and cursor.key() >= rows[0][0]) and _ascend(rows)
            cursor.putmulti(rows, append=append)
        except lmdb.Error as error:
            raise self._refused(error) from error

    def delete(self, table: Table, key: bytes) -> bool:
        """See the port."""
        self.writes += 1
        try:
            return self._transaction.delete(key, b"", self._handles[table])
        except lmdb.Error as error:
            raise self._refused(error) from error

    def delete_many(self, table: Table, keys: Iterable[bytes]) -> None:
        """See the port."""
        delete, handle = self._transaction.delete, self._handles[table]
        self.writes += 1
        try:
            for key in keys:
                delete(key, b"", handle)
        except lmdb.Error as error:
            raise self._refused(error) from error

    @contextlib.contextmanager
    def nested(self) -> Iterator[None]:
        """See the port."""
        outer = self._transaction
        try:
            inner = self._environment.begin(None, outer, write=True)
        except lmdb.Error as error:
            raise self._refused(error) from error
        self._use(inner)
        try:
            yield
        except BaseException:
            inner.abort()
            self._use(outer)
            raise
        self._use(outer)
        try:
            inner.commit()
        except lmdb.Error as error:
            raise self._refused(error) from error

    def clear(self, table: Table) -> None:
        """Remove every key of a table."""
        self.writes += 1
        try:
            self._transaction.drop(self._handles[table], delete=False)
        except lmdb.Error as error:
            raise self._refused(error) from error

    def _use(self, transaction: "lmdb.Transaction[bytes]") -> None:
        self._transaction = transaction
        self._get = transaction.get
        self._put = transaction.put

    def _refused(self, error: lmdb.Error) -> MootError:
        if self._failure is not None:
            return self._failure
        refusal = _translated(error, self._folder)
        if not isinstance(error, lmdb.BadValsizeError):
            self._failure = refusal
            self._outermost.abort()
        return refusal


class LmdbStore:
    """A store in a folder; `open` makes one."""

    __slots__ = ("_environment", "_folder", "_handles", "_owner")

    def __init__(self, environment: lmdb.Environment, handles: list[Any], folder: Path, owner: int) -> None:
        self._environment = environment
        self._handles = handles
        self._folder = folder
        self._owner: int | None = owner

    @classmethod
    def open(cls, folder: Path, *, map_bytes: int = MAP_BYTES, read_only: bool = False) -> Self:
        """Open a folder's store, making both where they are missing.

        Args:
            folder: holds nothing but the store; made accessible to this user only.
            map_bytes: the most the data may take; less is mapped where address space is limited.
            read_only: change nothing; also works where the file system forbids writing.

        Raises:
            RefusedError: `store_locked` if anyone, this process included, has it open; `store_read_only`,
                `store_full`, `store_damaged`; `bad_version` if a newer Moot wrote it; `not_found` if there is
                nothing to open read-only.
        """
        try:
            if not read_only:
                make_private(folder)
            owner = take(folder, read_only=read_only)
        except OSError as error:
            raise _translated(error, folder) from error
        try:
            environment = _open_environment(folder, map_bytes, read_only=read_only)
            try:
                _check_ending(environment, folder, read_only=read_only)
                handles = _open_tables(environment, folder, read_only=read_only)
            except BaseException:
                environment.close()
                raise
        except (lmdb.Error, OSError) as error:
            let_go(owner)
            raise _translated(error, folder) from error
        except BaseException:
            let_go(owner)
            raise
        return cls(environment, handles, folder, owner)

    def read(self) -> LmdbRead:
        """See the port."""
        return LmdbRead(self._environment, self._handles, self._folder)

    def write(self) -> LmdbWrite:
        """See the port."""
        return LmdbWrite(self._environment, self._handles, self._folder)

    def clear(self, transaction: WriteTransaction, table: Table) -> None:
        """See the port."""
        if not isinstance(transaction, LmdbWrite):
            raise TypeError(f"not a transaction of this store: {transaction!r}")
        transaction.clear(table)

    def size(self) -> int:
        """See the port."""
        return (self._folder / _DATA).stat().st_blocks * 512

    def copy(self, target: Path) -> None:
        """Write a compact copy of the committed state, while the store is in use.

        The copy appears under its name only when it is whole and synced. It is a store of its own: `open` opens it.

        Args:
            target: a folder that does not exist yet, or is empty.

        Raises:
            RefusedError: `exists` if there is something in the target, `store_full`, `store_read_only`.
        """
        try:
            make_private(target)
            if any(target.iterdir()):
                raise RefusedError(
                    f"{target} is not empty", code=Code.EXISTS, hint="name a folder that does not exist yet"
                )
            with written_whole(target / _DATA) as descriptor:
                self._environment.copyfd(descriptor, compact=True)
        except (lmdb.Error, OSError) as error:
            raise _translated(error, target) from error

    def close(self) -> None:
        """See the port. A second call does nothing."""
        if self._owner is None:
            return
        owner, self._owner = self._owner, None
        try:
            if not self._environment.flags()["readonly"]:
                grow(self._folder / _DATA, _bytes_in_use(self._environment))
        except OSError as error:
            raise _translated(error, self._folder) from error
        finally:
            self._environment.close()
            give_back(owner)


# -- Opening -----------------------------------------------------------------------------------------------------


def _open_environment(folder: Path, map_bytes: int, *, read_only: bool) -> lmdb.Environment:
    if not read_only:
        write_out(folder / _READER_TABLE, _READER_TABLE_BYTES)
    while True:
        try:
            return lmdb.open(
                os.fsencode(folder),  # text the binding would have be UTF-8, and a path need not be
                map_size=map_bytes,
                readonly=read_only,
                create=not read_only,
                mode=0o600,
                metasync=True,
                sync=True,
                map_async=False,
                writemap=False,
                meminit=True,
                readahead=True,
                max_readers=_READERS,
                max_spare_txns=_SPARE_READS,
                max_dbs=len(Table),
                # Read-only there is no writer to keep apart from: the folder is this process's alone.
                lock=not read_only,
                lib_version=0,
            )
        except lmdb.MemoryError:
            if map_bytes <= _MAP_BYTES_LEAST:
                raise
            map_bytes //= 4


def _check_ending(environment: lmdb.Environment, folder: Path, *, read_only: bool) -> None:
    """Refuse a data file that lacks pages in use: to read one would kill the process, by SIGBUS or an assertion.

    A file may rightly end early, since LMDB doesn't write pages taken and given back in one transaction. Which of the
    two it is shows when all pages are read, a second a gigabyte; another process does that and may die of it.
    """
    file, in_use = folder / _DATA, _bytes_in_use(environment)
    if not missing_bytes(file, in_use):
        return
    command = [sys.executable, "-c", _READ_ALL, os.fspath(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603 - all of it is ours
        raise refused(Code.STORE_DAMAGED, folder, "its file ends before pages that are in use")
    if not read_only:
        grow(file, in_use)  # so that the next opening need not wonder


def _bytes_in_use(environment: lmdb.Environment) -> int:
    return (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]


def _open_tables(environment: lmdb.Environment, folder: Path, *, read_only: bool) -> list[Any]:
    """Check the format number and open every table; in a new store, make them. Needs no space in an old one."""
    with environment.begin(write=not read_only) as transaction:
        # The number stands beside the tables, in LMDB's unnamed database, where clearing a table cannot reach it.
        number = transaction.get(_FORMAT_KEY)
        if number is None:
            if read_only or transaction.stat()["entries"]:
                raise refused(Code.STORE_DAMAGED, folder, "the database there belongs to another program")
            transaction.put(_FORMAT_KEY, FORMAT.to_bytes(2))
        elif int.from_bytes(number) > FORMAT:
            raise RefusedError(
                f"the store in {folder} has format {int.from_bytes(number)}, and this Moot knows {FORMAT} at most",
                code=Code.BAD_VERSION,
                hint="use a version of Moot as new as the one that wrote it; nothing was changed",
            )
        if not read_only:
            handles = [environment.open_db(_name(table), txn=transaction) for table in Table]
    if read_only:
        # Handles taken in a read transaction end with it: it is kept for renewal, not committed.
        handles = [environment.open_db(_name(table), create=False) for table in Table]
    if number is None:
        sync_folder(folder)
    return handles


# -- Small things ------------------------------------------------------------------------------------------------


def _name(table: Table) -> bytes:
    return table.name.lower().encode()


def _ascend(rows: list[tuple[bytes, bytes]]) -> bool:
    return all(starmap(lt, pairwise(map(itemgetter(0), rows))))


def _translated(error: lmdb.Error | OSError, folder: Path) -> MootError:
    """Say in Moot's terms what LMDB or the operating system reported."""
    if isinstance(error, lmdb.Error):
        number, reason = getattr(error, "code", 0), str(error)  # our own has no number
    else:
        number, reason = error.errno or 0, error.strerror or ""
    if isinstance(error, lmdb.BadTxnError) and number:  # LMDB's own word: an earlier read of it met a bad page
        return refused(Code.STORE_DAMAGED, folder, "a page of it can't be read")
    if number == errno.EIO and ran_out_of_space(folder / _DATA):
        number = errno.ENOSPC
    for code, kinds, numbers in _CAUSES:
        if isinstance(error, kinds) or number in numbers:
            return refused(code, folder, reason)
    return MootError(f"the store in {folder} failed: {reason}")
