"""How often threads wake an event loop."""

import asyncio
from typing import Any

import pytest


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
