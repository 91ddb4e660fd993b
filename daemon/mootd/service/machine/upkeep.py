"""Upkeep: rebuilding the views, and checking the log. Both go on in stretches, named by a cursor.

What they find damaged is kept (`damage.py`), so that nobody is told afterwards that all is well.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Fsck
from moot_protocol.requests.machine import Rebuild as RebuildRequest
from mootd.engine.checking.fsck import Problem
from mootd.engine.rebuild import Rebuild
from mootd.engine.unit import Unit
from mootd.service.machine.damage import Damages, Finding

_FSCK: Final = "`moot fsck`"
_REBUILD: Final = "`moot rebuild`"


class _Run(NamedTuple):
    """A check that is under way: what its cursor says besides where it is."""

    begun_ms: int
    problems: int
    """Found so far."""
    of_log: int
    """Of these, those that a rebuild doesn't mend."""
    place: str
    """The cursor of the check itself, empty at the beginning."""

    def cursor(self) -> str:
        """What `_run_of` reads."""
        return f"{self.begun_ms} {self.problems} {self.of_log} {self.place}"


class Upkeep:
    """The rebuild that is under way, if any. A new one takes the place of one that nobody goes on with.

    Args:
        damages: where findings are kept.
    """

    def __init__(self, damages: Damages) -> None:
        self._damages = damages
        self._rebuild = Rebuild()
        self._begun_ms = 0
        self._number = 0

    def rebuild(self, unit: Unit, request: RebuildRequest) -> dict[str, Any]:
        """Replay the next stretch. On the writer's thread."""
        if not request.cursor:
            self._number += 1
            self._rebuild = Rebuild()
            self._begun_ms = self._damages.now_ms()
        elif request.cursor != str(self._number):
            raise RefusedError("another rebuild has begun since", code=Code.CONFLICT, retryable=True)
        try:
            return self._rebuild.step(unit) | {"cursor": str(self._number)}
        except MootError as error:
            if error.code is Code.STORE_DAMAGED:
                # One that gets through has read all that this one stumbled on.
                self._damages.found(Finding(_REBUILD, 1, error.message, is_all=False, is_of_views=True))
            raise

    def rebuilt(self, answer: dict[str, Any]) -> None:
        """A stretch of a rebuild was committed, with this answer."""
        if answer["done"]:
            self._damages.rebuilt_since(self._begun_ms)

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
                self._damages.found(Finding(_FSCK, run.problems + 1, error.message, is_all=False))
            raise
        found = [Problem(**each) for each in answer["problems"]]
        problems = run.problems + len(found)
        of_log = run.of_log + sum(not problem.is_of_views for problem in found)
        if problems:
            first = f"{found[0].where}: {found[0].problem}" if found and not run.problems else ""
            self._damages.found(Finding(_FSCK, problems, first, is_all=answer["done"], is_of_views=not of_log))
        elif answer["done"]:
            self._damages.sound_since(run.begun_ms)
        return answer | {"cursor": run._replace(problems=problems, of_log=of_log, place=answer["cursor"]).cursor()}

    def _run_of(self, cursor: str) -> _Run:
        if not cursor:
            return _Run(self._damages.now_ms(), 0, 0, "")
        try:
            begun, problems, of_log, place = cursor.split(" ", 3)
            return _Run(int(begun), int(problems), int(of_log), place)
        except ValueError as error:
            raise RefusedError("this is no cursor of a check", hint="begin without one") from error


UPKEEP: Final[dict[type[Request[Any]], Callable[[Upkeep, Unit, Any], Any]]] = {RebuildRequest: Upkeep.rebuild}
"""Requests that only the writer can carry out, and that are no one's mutation."""
