"""Upkeep: rebuilding the views, and checking the log. Both go on in stretches, named by a cursor.

What they find damaged is kept, so that nobody is told afterwards that all is well.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.machine_requests import Fsck
from moot_protocol.machine_requests import Rebuild as RebuildRequest
from moot_protocol.request_base import Request
from moot_protocol.times import format_ms
from mootd.engine.rebuild import Rebuild
from mootd.engine.unit import Unit
from mootd.ports import Clock


class _Damage(NamedTuple):
    """What a check or a rebuild found."""

    command: str
    """What found it."""
    at_ms: int
    """When, on the wall's clock, for people."""
    found_ms: int
    """When, on a clock that nobody sets: what comes before a check's beginning."""
    problems: int
    first: str
    is_all: bool
    """Whether it looked to the end; else there may be more."""

    def message(self) -> str:
        """In words."""
        count = f"{'' if self.is_all else 'at least '}{self.problems:,} problem{'' if self.problems == 1 else 's'}"
        return f"`moot {self.command}` found {count} in the store at {format_ms(self.at_ms)}, the first: {self.first}"


class _Run(NamedTuple):
    """A check that is under way: what its cursor says besides where it is."""

    begun_ms: int
    problems: int
    """Found so far."""
    place: str
    """The cursor of the check itself, empty at the beginning."""

    def cursor(self) -> str:
        """What `_run_of` reads."""
        return f"{self.begun_ms} {self.problems} {self.place}"


class Upkeep:
    """The rebuild that is under way, if any, and what was found damaged last.

    A new rebuild takes the place of one that nobody goes on with.

    What was found is kept in memory alone: a check stays a read, which asks for no commit of a store that may not take
    one. That is enough, since the damage itself stays: after a restart the scrub or the next check finds it again.

    Args:
        clock: the machine's clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rebuild = Rebuild()
        self._number = 0
        self._damage: _Damage | None = None
        self._lock = threading.Lock()

    def rebuild(self, unit: Unit, request: RebuildRequest) -> dict[str, Any]:
        """Replay the next stretch. On the writer's thread."""
        if not request.cursor:
            self._number += 1
            self._rebuild = Rebuild()
        elif request.cursor != str(self._number):
            raise RefusedError("another rebuild has begun since", code=Code.CONFLICT, retryable=True)
        try:
            return self._rebuild.step(unit) | {"cursor": str(self._number)}
        except MootError as error:
            if error.code is Code.STORE_DAMAGED:
                self._found("rebuild", 1, error.message, is_all=False)
            raise

    def fsck(self, request: Fsck, check: Callable[[Fsck], dict[str, Any]]) -> dict[str, Any]:
        """Check the next stretch, and keep what it finds. On any thread.

        Args:
            request: what is asked; its cursor is one that was answered here.
            check: checks the stretch at a cursor of its own.
        """
        run = self._run_of(request.cursor)
        try:
            answer = check(replace(request, cursor=run.place))
        except MootError as error:
            if error.code is Code.STORE_DAMAGED:
                self._found("fsck", run.problems + 1, error.message, is_all=False)
            raise
        problems = run.problems + len(answer["problems"])
        if problems:
            told = [f"{each['where']}: {each['problem']}" for each in answer["problems"]]
            first = told[0] if told and not run.problems else ""
            self._found("fsck", problems, first, is_all=answer["done"])
        elif answer["done"]:
            self._sound_since(run.begun_ms)
        return answer | {"cursor": run._replace(problems=problems, place=answer["cursor"]).cursor()}

    def _run_of(self, cursor: str) -> _Run:
        if not cursor:
            return _Run(self._clock.monotonic_ms(), 0, "")
        try:
            begun, problems, place = cursor.split(" ", 2)
            return _Run(int(begun), int(problems), place)
        except ValueError as error:
            raise RefusedError("this is no cursor of a check", hint="begin without one") from error

    def _found(self, command: str, problems: int, first: str, *, is_all: bool) -> None:
        """Keep what was found; with no first problem, the one that is known stays the first."""
        with self._lock:
            known = "" if self._damage is None else self._damage.first
            now_ms, found_ms = self._clock.now_ms(), self._clock.monotonic_ms()
            self._damage = _Damage(command, now_ms, found_ms, problems, first or known, is_all)

    def _sound_since(self, begun_ms: int) -> None:
        """A check of the whole found nothing: forget what was found before it began."""
        with self._lock:
            if self._damage is not None and self._damage.found_ms <= begun_ms:
                self._damage = None

    def alarms(self) -> Iterator[dict[str, Any]]:
        """What a machine is told as long as what was found stands."""
        damage = self._damage
        if damage is not None:
            yield {
                "code": "damaged",
                "severity": "alarm",
                "message": damage.message(),
                "hint": "`moot fsck` tells them all, and what to do; this stands until it finds none",
            }


UPKEEP: Final[dict[type[Request[Any]], Callable[[Upkeep, Unit, Any], Any]]] = {RebuildRequest: Upkeep.rebuild}
"""Requests that only the writer can carry out, and that are no one's mutation."""
