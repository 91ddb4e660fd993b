"""What is known to be damaged: found by a check, a rebuild or the scrub, and told until it is known to be gone.

Invariant: what was found stands as an alarm, over restarts too, until a check of the whole that began later has found
nothing, or views were made anew where nothing else was damaged. What is found later takes its place. It is told from
memory at once and kept in the store behind that: a damaged store may take no write, and is told of nevertheless.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.times import format_ms
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.ports import Clock
from mootd.store.port import ReadTransaction, Table

_VERSION: Final = 1
_NOTHING: Final = b""
"""Kept where nothing is known to be damaged any more."""


class Finding(NamedTuple):
    """What was found."""

    by: str
    """What found it, in words."""
    problems: int
    first: str
    """The first of them in words; empty where it is the one that is known already."""
    is_all: bool
    """Whether everything was looked at; else there may be more."""
    is_of_views: bool = False
    """Whether views made anew are sound, as far as was found."""


class _Damage(msgspec.Struct, array_like=True, frozen=True):
    """What is kept of a finding."""

    version: int
    by: str
    at_ms: int
    """When, on the wall's clock, for people."""
    found_ms: int
    """When, on a clock that nobody sets but a restart of the machine: what comes before a check's beginning."""
    problems: int
    first: str
    is_all: bool
    is_of_views: bool

    def message(self) -> str:
        """In words."""
        count = f"{'' if self.is_all else 'at least '}{self.problems:,} problem{'' if self.problems == 1 else 's'}"
        return f"{self.by} found {count} in the store at {format_ms(self.at_ms)}, the first: {self.first}"


_decode: Final = msgspec.msgpack.Decoder(_Damage).decode


class Damages:
    """What was found last, until it is known to be gone. Safe to call from any thread.

    Args:
        replica: the replica.
        begin: has work done in a write transaction, and doesn't wait for it.
    """

    def __init__(self, replica: State, begin: Callable[[Callable[[Unit], None]], object]) -> None:
        self._clock: Clock = replica.wall
        self._begin = begin
        self._lock = threading.Lock()
        with replica.read() as reader:
            self._known = self._kept(reader)

    def _kept(self, reader: ReadTransaction) -> _Damage | None:
        kept = reader.get(Table.META, layout.DAMAGE)
        try:
            damage = _decode(kept) if kept else None
        except msgspec.DecodeError:
            return None
        if damage is None or damage.version != _VERSION:
            return None
        # After a restart of the machine that clock may stand below: no check of before that goes on.
        return msgspec.structs.replace(damage, found_ms=min(damage.found_ms, self.now_ms()))

    def now_ms(self) -> int:
        """The moment at which a check begins, for `sound_since`."""
        return self._clock.monotonic_ms()

    def found(self, finding: Finding) -> None:
        """Tell of a finding from now on, instead of one before."""
        with self._lock:
            before = self._known
            first = finding.first or ("" if before is None else before.first)
            now_ms, at_ms = self.now_ms(), self._clock.now_ms()
            rest = (finding.problems, first, finding.is_all, finding.is_of_views)
            self._known = _Damage(_VERSION, finding.by, at_ms, now_ms, *rest)
            if not before or finding.first or finding.is_all:  # not how many more a check has found so far
                self._keep(msgspec.msgpack.encode(self._known))

    def sound_since(self, begun_ms: int) -> None:
        """A check of the whole found nothing: forget what was found before it began."""
        self._forget(lambda damage: damage.found_ms <= begun_ms)

    def rebuilt_since(self, begun_ms: int) -> None:
        """Views were made anew from the whole log: forget what was wrong with views before, or stood in the way."""
        self._forget(lambda damage: damage.found_ms <= begun_ms and damage.is_of_views)

    def _forget(self, is_gone: Callable[[_Damage], bool]) -> None:
        with self._lock:
            if self._known is not None and is_gone(self._known):
                self._known = None
                self._keep(_NOTHING)

    def _keep(self, data: bytes) -> None:
        """Keep it in the store; in order, since the lock is held."""
        self._begin(lambda unit: unit.transaction.put(Table.META, layout.DAMAGE, data))

    def alarms(self) -> Iterator[dict[str, Any]]:
        """What a machine is told as long as what was found stands."""
        damage = self._known
        if damage is not None:
            yield {
                "code": "damaged",
                "severity": "alarm",
                "message": damage.message(),
                "hint": "`moot fsck` tells them all, and what to do; this stands until they are known to be gone",
            }
