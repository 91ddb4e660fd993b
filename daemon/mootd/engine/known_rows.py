"""What lists showed of issues lately: the same rows are asked for again and again, and made once.

Invariant: a row is a function of what it is kept by, an issue's number and the bytes of its record; how short ids may
be shown is one of the log's length. So nothing here is ever out of date: it is only forgotten.
"""

from typing import Final, Generic, TypeVar

R = TypeVar("R")

ROWS_KEPT: Final = 1000
"""Rows remembered, of some 5 KB each; with the next one all are forgotten."""


class KnownRows(Generic[R]):
    """The rows one replica remembers. Safe from any thread: at worst a row is made twice."""

    def __init__(self) -> None:
        self._rows: dict[tuple[int, bytes], R] = {}
        self._short: tuple[bytes | None, dict[str, int]] = (None, {})

    def get(self, eid: int, packed: bytes) -> R | None:
        """The row of an issue whose record is kept so, or None."""
        return self._rows.get((eid, packed))

    def keep(self, eid: int, packed: bytes, row: R) -> None:
        """Remember a row, which nobody may change any more."""
        if len(self._rows) >= ROWS_KEPT:
            self._rows.clear()
        self._rows[eid, packed] = row

    def short_ids(self, arrivals: bytes | None) -> dict[str, int]:
        """How many characters tell each id from all others in a log of this length; to be added to."""
        known, short = self._short
        if known != arrivals or len(short) >= ROWS_KEPT:
            short = {}
            self._short = arrivals, short
        return short
