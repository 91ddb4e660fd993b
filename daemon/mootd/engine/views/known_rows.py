"""What lists showed of issues lately: the same rows are asked for again and again, and made once.

Invariant: a row is a function of what it is kept by, an issue's number and the bytes of its record; how short ids may
be shown is one of the log's length. So nothing here is ever out of date: it is only forgotten.
"""

from collections.abc import Callable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

R = TypeVar("R")

ROWS_KEPT: Final = 1000
"""Rows remembered, of some 5 KB each; with the next one all are forgotten."""


class ShortIds(NamedTuple):
    """How many characters tell ids from all others in a log of one length."""

    arrivals: bytes | None
    scope: object | None
    chars: dict[str, int]
    """To be added to."""
    before: Mapping[str, int]
    """How many they were when the log was shorter: ids were only added since, so that none takes fewer now."""


class KnownRows(Generic[R]):
    """The rows one replica remembers. Safe from any thread: at worst a row is made twice."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[bytes, R]] = {}
        self._short = ShortIds(None, None, {}, {})

    def get(self, eid: int, packed: bytes) -> R | None:
        """The row of an issue whose record is kept so, or None."""
        known = self._rows.get(eid)
        return known[1] if known is not None and known[0] == packed else None

    def keep(self, eid: int, packed: bytes, row: R) -> None:
        """Remember a row, which nobody may change any more."""
        if len(self._rows) >= ROWS_KEPT:
            self._rows.clear()
        self._rows[eid] = packed, row

    def short_ids(self, arrivals: bytes | None, scope: Callable[[], object | None]) -> ShortIds:
        """How many characters tell each id from all others in a log of this length.

        Args:
            arrivals: the log's length, as it is kept.
            scope: tells what the ids are told apart in, asked for only where the log has another length than the last
                time. Within one scope ids are only ever added; None where some may go.
        """
        last = self._short
        if last.arrivals == arrivals and len(last.chars) < ROWS_KEPT:
            return last
        within = scope()
        is_later = within is not None and within == last.scope and (last.arrivals or b"") <= (arrivals or b"")
        short = self._short = ShortIds(arrivals, within, {}, last.chars if is_later else {})
        return short
