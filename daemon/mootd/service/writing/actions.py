"""Further requests that change issues: which function of the engine carries out which."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.requests.actions import Erase, Rename, SetState, Undo
from moot_protocol.requests.base import Request
from mootd.engine.issues.aliases import rename
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.states import set_state
from mootd.engine.unit import Unit
from mootd.service.writing.audited import with_deletion_recorded


def _undo(unit: Unit, request: Undo) -> Any:
    from mootd.engine.issues.undoing import undo  # few daemons ever undo anything

    return undo(unit, request)


def _erase(writer: IssueWriter, request: Erase) -> Any:
    from mootd.engine.issues.erasing import erase  # hardly any daemon ever erases anything

    return erase(writer, request)


ACTION_WRITES: Final[dict[type[Request[Any]], Callable[[IssueWriter, Any], Any]]] = {
    SetState: set_state,
    Rename: rename,
    Erase: with_deletion_recorded(_erase),
}
"""What each of these requests does, on the plane that holds its issue."""

PLANELESS_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {Undo: _undo}
"""As `ACTION_WRITES`, of requests that find their plane themselves."""
