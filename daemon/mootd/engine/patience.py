"""A read that nobody waits for any more ends soon: whoever asked has gone, or its deadline has passed.

Invariant: who looks through rows, or many issues, asks every `BETWEEN` of them whether anybody still waits. That costs
nothing for each: `often` goes over them without a step of Python's own.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final, TypeVar

from moot_protocol.errors import Code, RefusedError
from mootd.store.port import Reader, Table

T = TypeVar("T")
Check = Callable[[], object]
"""Raises a RefusedError once nobody waits for the answer."""
BETWEEN: Final = 256
"""Rows between one look and the next: some milliseconds of work."""


def patient() -> None:
    """The check of an answer that is always waited for."""


def often(rows: Iterable[T], check: Check) -> Iterator[T]:
    """The same rows, each fetched as it is asked for; before the first of every `BETWEEN` it is checked."""
    return chain.from_iterable(_stretches(iter(rows), check))


def _stretches(rows: Iterator[T], check: Check) -> Iterator[Iterator[T]]:
    for first in rows:
        check()
        yield chain((first,), islice(rows, BETWEEN - 1))


class CheckedReader:
    """A transaction whose scans end, by what `check` raises, once nobody waits.

    Args:
        reader: the transaction.
        check: asked at the first of every `BETWEEN` rows of a scan.
    """

    def __init__(self, reader: Reader, check: Check) -> None:
        self.get = reader.get
        self.count = reader.count
        self._scan = reader.scan
        self._check = check

    def scan(
        self, table: Table, start: bytes, stop: bytes | None = None, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """See `Reader`."""
        return often(self._scan(table, start, stop, reverse=reverse), self._check)


class Waiting:
    """Whether somebody still waits for an answer that a thread works on. All methods are any thread's."""

    def __init__(self) -> None:
        self._is_gone = False

    def leave(self) -> None:
        """Nobody waits any more."""
        self._is_gone = True

    def check(self) -> None:
        """Raise if nobody waits.

        Raises:
            RefusedError: `cancelled`.
        """
        if self._is_gone:
            raise RefusedError("nobody waits for the answer any more", code=Code.CANCELLED)
