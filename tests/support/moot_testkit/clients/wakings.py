"""How often threads wake an event loop, and whether a watch tells of a change."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moot_testkit.clients.control import PATIENCE


def count_wakings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A list that gets an element whenever the running loop is woken from now on."""
    loop = asyncio.get_running_loop()
    wakings: list[object] = []
    call = loop.call_soon_threadsafe

    def counted(*arguments: Any, **options: Any) -> asyncio.Handle:
        wakings.append(arguments)
        return call(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    return wakings


def is_heard(told: threading.Event, change: Callable[[], object]) -> bool:
    """Whether word of a change comes; the change is made again, since a watch takes a moment to begin."""
    told.clear()
    for _ in range(20 * int(PATIENCE)):
        change()
        if told.wait(0.1):
            return True
    return False
