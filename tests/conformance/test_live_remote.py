"""What every live remote guarantees: the one in memory and the one over a real broker."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from moot_protocol.errors import Code
from moot_protocol.limits import LIVE_FRAME_BYTES
from moot_testkit.live import (
    ALICE,
    BATCHES,
    BOB,
    CAROL,
    FRONTIER,
    OTHER_TOPIC,
    PRESENCE,
    TOPIC,
    WANT,
    ending,
    frames_until,
    publish_refused,
    refused,
    take,
    until,
)
from moot_testkit.machines.mqtt_broker import MqttBroker
from moot_testkit.machines.tcp_proxy import TcpProxy
from mootd.edges.inbox import DEFAULT_LIMITS, InboxLimits
from mootd.edges.memory_line import MemoryBroker, MemoryRemote
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options, Version
from mootd.remotes import Incoming, Line, LiveRemote, Will


class World(ABC):
    """A broker and the machines that use it."""

    keeps_wants = True
    """Whether wants wait for who is away."""

    @abstractmethod
    async def remote(self, limits: InboxLimits = DEFAULT_LIMITS) -> LiveRemote:
        """Another machine's way to the broker."""

    @abstractmethod
    def cut(self, remote: LiveRemote) -> None:
        """Break a machine's connections."""

    @abstractmethod
    def stop(self) -> None:
        """Let the broker die at once, with all that it keeps."""

    @abstractmethod
    def start(self) -> None:
        """Start it again."""


class MemoryWorld(World):
    def __init__(self) -> None:
        self.broker = MemoryBroker()

    async def remote(self, limits: InboxLimits = DEFAULT_LIMITS) -> LiveRemote:
        return MemoryRemote(self.broker, limits)

    def cut(self, remote: LiveRemote) -> None:
        assert isinstance(remote, MemoryRemote)
        remote.cut()

    def stop(self) -> None:
        self.broker.stop(forget=True)

    def start(self) -> None:
        self.broker.start()


class MqttWorld(World):
    def __init__(self, broker: MqttBroker, version: Version, stack: AsyncExitStack) -> None:
        self.keeps_wants = version is Version.V5
        self._broker = broker
        self._versions = (version,)
        self._stack = stack
        self._wires: dict[int, TcpProxy] = {}

    async def remote(self, limits: InboxLimits = DEFAULT_LIMITS) -> LiveRemote:
        wire = await self._stack.enter_async_context(TcpProxy(self._broker.port).running())
        remote = MqttRemote(
            parse_address(f"mqtt://127.0.0.1:{wire.port}"), options=Options(self._versions, inbox=limits)
        )
        self._wires[id(remote)] = wire
        return remote

    def cut(self, remote: LiveRemote) -> None:
        self._wires[id(remote)].cut()

    def stop(self) -> None:
        self._broker.kill()

    def start(self) -> None:
        self._broker.start()


@pytest.fixture(params=["memory", *Version])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param == "memory":
        yield MemoryWorld()
        return
    broker = MqttBroker(tmp_path, version=request.param)
    broker.start()
    try:
        async with AsyncExitStack() as stack:
            yield MqttWorld(broker, request.param, stack)
    finally:
        broker.kill()


@pytest.fixture
async def a(world: World) -> LiveRemote:
    return await world.remote()


@pytest.fixture
async def b(world: World) -> LiveRemote:
    return await world.remote()


# -- Passing on --------------------------------------------------------------------------------------------------
async def test_a_frame_reaches_others_with_its_sender_and_channel(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        for channel in (BATCHES, FRONTIER, WANT, PRESENCE):
            await alice.publish(TOPIC, channel, channel.encode())
        assert await take(bob, 4) == [
            Incoming(TOPIC, ALICE, channel, channel.encode()) for channel in (BATCHES, FRONTIER, WANT, PRESENCE)
        ]


async def test_frames_of_one_sender_keep_their_order(a: LiveRemote, b: LiveRemote) -> None:
    frames = [number.to_bytes(2) for number in range(300)]
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        async with asyncio.TaskGroup() as tasks:
            for frame in frames:
                tasks.create_task(alice.publish(TOPIC, BATCHES, frame))
        assert [each.frame for each in await take(bob, 300)] == frames


async def test_a_senders_own_frames_do_not_come_back_retained_or_not(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, BATCHES, b"own")
        await alice.publish(TOPIC, FRONTIER, b"own")
        await bob.publish(TOPIC, WANT, b"another's")
        assert [each.frame for each in await take(alice, 1)] == [b"another's"]
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await bob.publish(TOPIC, WANT, b"another's")
        assert [each.frame for each in await take(alice, 1)] == [b"another's"]


async def test_only_topics_asked_for_come(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC, OTHER_TOPIC]) as alice, b.connect(BOB, [OTHER_TOPIC]) as bob:
        await alice.publish(TOPIC, BATCHES, b"not asked for")
        await alice.publish(OTHER_TOPIC, BATCHES, b"asked for")
        assert [each.frame for each in await take(bob, 1)] == [b"asked for"]


async def test_whoever_asks_for_nothing_can_still_publish(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, []) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, BATCHES, b"word")
        assert [each.frame for each in await take(bob, 1)] == [b"word"]


# -- Retained ----------------------------------------------------------------------------------------------------
async def test_the_latest_frontier_and_presence_come_to_those_who_subscribe_later(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice:
        for channel in (FRONTIER, PRESENCE):
            await alice.publish(TOPIC, channel, b"old")
            await alice.publish(TOPIC, channel, b"new " + channel.encode())
    async with b.connect(BOB, [TOPIC]) as bob:
        assert set(await take(bob, 2)) == {
            Incoming(TOPIC, ALICE, channel, b"new " + channel.encode()) for channel in (FRONTIER, PRESENCE)
        }


async def test_batches_and_wants_are_not_retained(a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice:
        await alice.publish(TOPIC, BATCHES, b"passing")
        await alice.publish(TOPIC, WANT, b"passing")
        async with b.connect(BOB, [TOPIC]) as bob:
            await alice.publish(TOPIC, BATCHES, b"later")
            assert [each.frame for each in await take(bob, 1)] == [b"later"]


async def test_each_senders_frontier_is_retained(world: World, a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, FRONTIER, b"alice's")
        await bob.publish(TOPIC, FRONTIER, b"bob's")
    async with (await world.remote()).connect(CAROL, [TOPIC]) as carol:
        assert {(each.sender, each.frame) for each in await take(carol, 2)} == {(ALICE, b"alice's"), (BOB, b"bob's")}


async def test_an_empty_frame_takes_back_what_was_retained_and_comes_to_nobody(
    world: World, a: LiveRemote, b: LiveRemote
) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, FRONTIER, b"frontier")
        await alice.publish(TOPIC, FRONTIER, b"")
        await alice.publish(TOPIC, WANT, b"last")
        assert await frames_until(bob, b"last") == [b"frontier", b"last"]
        async with (await world.remote()).connect(CAROL, [TOPIC]) as carol:
            await alice.publish(TOPIC, WANT, b"last")
            assert await frames_until(carol, b"last") == [b"last"]


# -- Coming and going --------------------------------------------------------------------------------------------
async def test_batches_and_wants_that_come_while_a_sender_is_away_wait_for_it(
    world: World, a: LiveRemote, b: LiveRemote
) -> None:
    async with b.connect(BOB, [TOPIC]):
        pass
    async with a.connect(ALICE, [TOPIC]) as alice:
        await alice.publish(TOPIC, BATCHES, b"meanwhile")
        await alice.publish(TOPIC, WANT, b"me too")
        async with b.connect(BOB, [TOPIC]) as bob:
            await alice.publish(TOPIC, BATCHES, b"now")
            kept = [b"meanwhile", b"me too"] if world.keeps_wants else [b"meanwhile"]
            assert await frames_until(bob, b"now") == [*kept, b"now"]


async def test_a_will_speaks_when_the_connection_breaks_and_is_retained(
    world: World, a: LiveRemote, b: LiveRemote
) -> None:
    async with b.connect(BOB, [TOPIC]) as bob:
        async with a.connect(ALICE, [TOPIC], Will(TOPIC, b"gone")) as alice:
            await alice.publish(TOPIC, PRESENCE, b"here")
            world.cut(a)
            assert (await ending(alice)).code is Code.UNREACHABLE
        assert await take(bob, 2) == [Incoming(TOPIC, ALICE, PRESENCE, frame) for frame in (b"here", b"gone")]
        async with (await world.remote()).connect(CAROL, [TOPIC]) as carol:
            assert await take(carol, 1) == [Incoming(TOPIC, ALICE, PRESENCE, b"gone")]


async def test_a_will_is_silent_when_its_sender_leaves_normally(a: LiveRemote, b: LiveRemote) -> None:
    async with b.connect(BOB, [TOPIC]) as bob:
        async with a.connect(ALICE, [TOPIC], Will(TOPIC, b"gone")):
            pass
        async with a.connect(ALICE, [TOPIC]) as alice:
            await alice.publish(TOPIC, WANT, b"back")
            assert await frames_until(bob, b"back") == [b"back"]


async def test_a_will_speaks_when_its_sender_leaves_by_an_exception(a: LiveRemote, b: LiveRemote) -> None:
    async with b.connect(BOB, [TOPIC]) as bob:
        with pytest.raises(ZeroDivisionError):
            async with a.connect(ALICE, [TOPIC], Will(TOPIC, b"gone")):
                raise ZeroDivisionError
        assert [each.frame for each in await take(bob, 1)] == [b"gone"]


async def test_a_second_connection_of_a_sender_ends_the_first(world: World, a: LiveRemote, b: LiveRemote) -> None:
    async with a.connect(ALICE, [TOPIC]) as first, (await world.remote()).connect(ALICE, [TOPIC]) as second:
        assert (await ending(first)).code is Code.UNREACHABLE
        async with b.connect(BOB, [TOPIC]) as bob:
            await second.publish(TOPIC, WANT, b"the second one's")
            assert await take(bob, 1) == [Incoming(TOPIC, ALICE, WANT, b"the second one's")]


async def test_a_broken_line_says_unreachable_after_what_it_has_brought(
    world: World, a: LiveRemote, b: LiveRemote
) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await bob.publish(TOPIC, WANT, b"1")
        await take(alice, 1)
        world.cut(b)
        error = await ending(bob)
        assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
        error = await publish_refused(bob, TOPIC, WANT, b"2")
        assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
        async with b.connect(BOB, [TOPIC]) as again:
            await again.publish(TOPIC, WANT, b"3")
            assert [each.frame for each in await take(alice, 1)] == [b"3"]


async def test_a_broker_that_is_gone_is_unreachable_until_it_is_back(
    world: World, a: LiveRemote, b: LiveRemote
) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, FRONTIER, b"before")
        await take(bob, 1)
        world.stop()
        for line in (alice, bob):
            assert (await ending(line)).code is Code.UNREACHABLE
    error = await refused(a.connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
    world.start()
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, FRONTIER, b"after")
        assert [each.frame for each in await take(bob, 1)] == [b"after"]  # what it kept is lost


# -- Limits ------------------------------------------------------------------------------------------------------
async def test_a_frame_at_the_limit_passes_and_a_larger_one_is_refused_before_it_is_sent(
    a: LiveRemote, b: LiveRemote
) -> None:
    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        error = await publish_refused(alice, TOPIC, BATCHES, bytes(LIVE_FRAME_BYTES + 1))
        assert (error.code, error.retryable) == (Code.LIMIT, False)
        await alice.publish(TOPIC, BATCHES, bytes(LIVE_FRAME_BYTES))
        assert [len(each.frame) for each in await take(bob, 1)] == [LIVE_FRAME_BYTES]
        assert b.dropped.too_large == 0


async def test_a_slow_reader_loses_the_oldest_batches_first_and_it_is_counted(world: World, a: LiveRemote) -> None:
    slow = await world.remote(InboxLimits(frames=3))
    async with a.connect(ALICE, [TOPIC]) as alice, slow.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, FRONTIER, b"frontier")
        for number in range(5):
            await alice.publish(TOPIC, BATCHES, b"%d" % number)
        await until(lambda: slow.dropped.overflowed == 3)
        assert [each.frame for each in await take(bob, 3)] == [b"frontier", b"3", b"4"]


async def test_a_frame_larger_than_this_machine_takes_is_left_out_and_counted(world: World, a: LiveRemote) -> None:
    small = await world.remote(InboxLimits(frame_bytes=100))
    async with a.connect(ALICE, [TOPIC]) as alice, small.connect(BOB, [TOPIC]) as bob:
        await alice.publish(TOPIC, BATCHES, bytes(101))
        await alice.publish(TOPIC, BATCHES, bytes(100))
        assert [len(each.frame) for each in await take(bob, 1)] == [100]
        assert small.dropped.too_large == 1


@pytest.mark.parametrize(("sender", "topics"), [(b"short", [TOPIC]), (ALICE, [b"short"])], ids=["sender", "topic"])
async def test_names_have_16_bytes(a: LiveRemote, sender: bytes, topics: list[bytes]) -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        async with a.connect(sender, topics):
            pass


async def test_a_reader_that_is_cancelled_loses_nothing(a: LiveRemote, b: LiveRemote) -> None:
    async def first(line: Line) -> Incoming:
        return (await take(line, 1))[0]

    async with a.connect(ALICE, [TOPIC]) as alice, b.connect(BOB, [TOPIC]) as bob:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(first(bob))
            await asyncio.sleep(0)
            waiting.cancel()
        await alice.publish(TOPIC, BATCHES, b"still here")
        assert [each.frame for each in await take(bob, 1)] == [b"still here"]
