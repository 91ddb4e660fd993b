"""Further requests that change issues: which function of the engine carries out which."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.action_requests import Rename, SetState, Undo
from moot_protocol.request_base import Request
from mootd.engine.issues.aliases import rename
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.states import set_state
from mootd.engine.issues.undoing import undo
from mootd.engine.unit import Unit

ACTION_WRITES: Final[dict[type[Request[Any]], Callable[[IssueWriter, Any], Any]]] = {
    SetState: set_state,
    Rename: rename,
}
"""What each of these requests does, on the plane that holds its issue."""

PLANELESS_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {Undo: undo}
"""As `ACTION_WRITES`, of requests that find their plane themselves."""
