"""What tests of live remotes share: names, frames, and how to wait for them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Final

import pytest

from moot_protocol.errors import RefusedError
from mootd.remotes import Channel, Incoming, Line

WAIT_S: Final = 20.0
"""Seconds after which a test gives up waiting for what must come."""
TOPIC: Final = bytes(range(16))
OTHER_TOPIC: Final = bytes(range(16, 32))
ALICE, BOB, CAROL = b"a" * 16, b"b" * 16, b"c" * 16
BATCHES, FRONTIER, WANT, PRESENCE = Channel.BATCHES, Channel.FRONTIER, Channel.WANT, Channel.PRESENCE


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody reports."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.002)


async def take(line: Line, count: int) -> list[Incoming]:
    """The next frames of a line."""
    taken: list[Incoming] = []
    async with asyncio.timeout(WAIT_S), aclosing(_generator(line)) as incoming:
        while len(taken) < count:
            taken.append(await anext(incoming))
    return taken


async def frames_until(line: Line, last: bytes) -> list[bytes]:
    """The frames of a line up to one that is known to come last."""
    frames: list[bytes] = []
    while not frames or frames[-1] != last:
        frames += [each.frame for each in await take(line, 1)]
    return frames


async def ending(line: Line) -> RefusedError:
    """Why a line ends, after what it still brings."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(RefusedError) as raised:
            async for _ in line.incoming():
                pass
    return raised.value


async def refused(connecting: AbstractAsyncContextManager[Line]) -> RefusedError:
    """Why a connection doesn't come about."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(RefusedError) as raised:
            async with connecting:
                pytest.fail("it connected")
    assert raised.value.message
    return raised.value


async def publish_refused(line: Line, topic: bytes, channel: Channel, frame: bytes) -> RefusedError:
    """Why a frame isn't taken."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(RefusedError) as raised:
            await line.publish(topic, channel, frame)
    return raised.value


class QuietLine:
    """A line on which nothing comes in; it notes on which channels something was published."""

    spoken = ""
    waiting = 0

    def __init__(self) -> None:
        self.published: list[Channel] = []

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        self.published.append(channel)

    def incoming(self) -> AsyncIterator[Incoming]:
        """As the port's; nobody may listen."""
        raise AssertionError


async def _generator(line: Line) -> AsyncGenerator[Incoming, None]:
    async for incoming in line.incoming():
        yield incoming
