"""Requests that change what a project remembers."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.requests.base import Request
from moot_protocol.requests.memories import EraseMemory, Forget, Remember, SetSetting
from mootd.engine.memories import erase_memory, forget, remember, set_setting
from mootd.engine.unit import Unit

MEMORY_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    Remember: remember,
    Forget: forget,
    EraseMemory: erase_memory,
    SetSetting: set_setting,
}
"""What each of them does inside a unit."""
