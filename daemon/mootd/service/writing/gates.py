"""Requests about gates: which function of the engine carries out which."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.requests.base import Request
from moot_protocol.requests.gates import Await, CreateGate, SetAwaited
from mootd.engine.issues.gates import change_waiters, create_gate, set_awaited
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.unit import Unit

GATE_WRITES: Final[dict[type[Request[Any]], Callable[[IssueWriter, Any], Any]]] = {
    Await: change_waiters,
    SetAwaited: set_awaited,
}
"""What each of these requests does, on the plane that holds its issue."""

PLANELESS_GATE_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {CreateGate: create_gate}
"""As `GATE_WRITES`, of requests that find their plane themselves."""
