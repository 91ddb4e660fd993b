"""Upkeep: rebuilding the views, and checking the log. Both go on in stretches, named by a cursor."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.machine_requests import Rebuild as RebuildRequest
from moot_protocol.request_base import Request
from mootd.engine.rebuild import Rebuild
from mootd.engine.unit import Unit


class Upkeep:
    """The rebuild that is under way, if any: a new one takes the place of one that nobody goes on with."""

    def __init__(self) -> None:
        self._rebuild = Rebuild()
        self._number = 0

    def rebuild(self, unit: Unit, request: RebuildRequest) -> dict[str, Any]:
        """Replay the next stretch."""
        if not request.cursor:
            self._number += 1
            self._rebuild = Rebuild()
        elif request.cursor != str(self._number):
            raise RefusedError("another rebuild has begun since", code=Code.CONFLICT, retryable=True)
        return self._rebuild.step(unit) | {"cursor": str(self._number)}


UPKEEP: Final[dict[type[Request[Any]], Callable[[Upkeep, Unit, Any], Any]]] = {RebuildRequest: Upkeep.rebuild}
"""Requests that only the writer can carry out, and that are no one's mutation."""
