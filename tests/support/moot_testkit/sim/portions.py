"""Runs of many replicas: what goes in stretches goes in small ones, and what is pure is worked out once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, lru_cache
from typing import TypeVar
from unittest.mock import patch

from moot_protocol import crypto
from moot_protocol.log import batch as batch_codec
from mootd.engine import rebuild
from mootd.engine.checking import fsck
from mootd.engine.exchange import plane_exchange
from mootd.engine.stored import log

R = TypeVar("R")

PORTION = 8
"""What is done in stretches is done in such small ones that others come in between."""
_PURE = (
    (crypto, "is_signed"), (batch_codec, "_outline_of"), (batch_codec, "decode_events"),
    (plane_exchange, "decode_events"), (log, "decode_header"), (log, "unpack_event"),
)  # fmt: skip
"""What answers the same whenever it is asked, with what nobody can change, and is asked often."""


@cache
def remembered(function: Callable[..., R]) -> Callable[..., R]:
    """A pure function of bytes that works out each answer once: replicas of a run are given the same bytes many times.

    What a test puts in a function's place has answers of its own.
    """
    return lru_cache(maxsize=1 << 14)(function)


@contextmanager
def small_portions() -> Iterator[None]:
    """Do everything that goes in stretches in small ones, and verify and decode the same bytes once."""
    with ExitStack() as stack:
        for module, name in _PURE:
            stack.enter_context(patch.object(module, name, remembered(getattr(module, name))))
        stack.enter_context(patch.object(rebuild, "STRETCH", PORTION))
        stack.enter_context(patch.object(fsck, "STRETCH", PORTION))
        stack.enter_context(patch.object(plane_exchange, "EVENTS_AT_ONCE", PORTION))
        yield
