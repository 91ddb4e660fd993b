"""Connections that break, hang or come too late: every call ends, and nothing is left behind."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.live import ALICE, BATCHES, BOB, TOPIC, WAIT_S, WANT, ending, publish_refused, refused, take, until
from moot_testkit.machines.mqtt_broker import MqttBroker, free_port, speaks
from moot_testkit.machines.tcp_proxy import Manner, TcpProxy
from mootd.edges.inbox import InboxLimits
from mootd.edges.mqtt.address import Address
from mootd.edges.mqtt.connection import Connection
from mootd.edges.mqtt.names import Filter
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options, Version
from mootd.remotes import UNREACHED, Dropped

PATIENT = Options(speaks(), connect_s=10 * WAIT_S, publish_s=10 * WAIT_S)
"""With these deadlines a test that waits for one fails."""
SOON = 0.1
MIB = 1 << 20
LARGE = PATIENT._replace(inbox=InboxLimits(frame_bytes=MIB))
"""Frames so large that those in flight fill every buffer on the way."""


def remote(port: int, options: Options = PATIENT, *, is_tls: bool = False) -> MqttRemote:
    return MqttRemote(Address("127.0.0.1", port, is_tls), options=options)


def sockets() -> int:
    """How many sockets this process has open."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(each.readlink()))
        except FileNotFoundError:
            continue
    return sum(link.startswith("socket:") for link in links)


def connected_to(port: int) -> bool:
    """Whether this machine has a connection to that port of loopback that its end hasn't closed."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any((row[2], row[3]) == (f"0100007F:{port:04X}", "01") for row in rows)


@pytest.fixture(autouse=True)
async def _nothing_is_left_behind() -> AsyncIterator[None]:
    before = sockets()
    yield
    tasks = {task for task in asyncio.all_tasks() if "_misc_loop" in repr(task.get_coro())}
    await until(lambda: all(task.done() for task in tasks))
    await until(lambda: sockets() <= before)


# -- Publishing --------------------------------------------------------------------------------------------------
async def test_a_broker_killed_amid_a_publish_ends_it_long_before_its_deadline(broker: MqttBroker) -> None:
    async with remote(broker.port).connect(ALICE, [TOPIC]) as line:
        broker.pause()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(publish_refused(line, TOPIC, BATCHES, b"%d" % each)) for each in range(30)]
            await asyncio.sleep(0)  # they are on their way; more of them than may be in flight
            broker.kill()
        assert {(each.result().code, each.result().retryable) for each in waiting} == {(Code.UNREACHABLE, True)}


async def test_a_broker_that_takes_a_frame_and_says_nothing_is_given_up_at_the_deadline(wire: TcpProxy) -> None:
    async with remote(wire.port, PATIENT._replace(publish_s=SOON)).connect(ALICE, [TOPIC]) as line:
        wire.manner = Manner.DROP
        error = await publish_refused(line, TOPIC, BATCHES, b"word")
        assert (error.code, error.retryable) == (Code.TIMEOUT, True)
        assert "no answer in time" in str(error)
        assert "no answer in time" in str(await ending(line)), "who doesn't answer once isn't asked again"
        assert "no answer in time" in str(await publish_refused(line, TOPIC, BATCHES, b"word"))


async def test_a_broker_that_takes_nothing_is_given_up_at_the_deadline(wire: TcpProxy) -> None:
    async with remote(wire.port, LARGE._replace(publish_s=SOON)).connect(ALICE, [TOPIC]) as line:
        wire.manner = Manner.HANG
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(publish_refused(line, TOPIC, BATCHES, bytes(MIB))) for _ in range(30)]
        assert {each.result().code for each in waiting} == {Code.TIMEOUT}


async def test_a_publish_that_is_cancelled_gives_its_place_back(broker: MqttBroker, wire: TcpProxy) -> None:
    async with remote(wire.port).connect(ALICE, [TOPIC]) as line, remote(broker.port).connect(BOB, [TOPIC]) as bob:
        wire.manner = Manner.HANG
        tasks = [asyncio.get_running_loop().create_task(line.publish(TOPIC, BATCHES, b"x")) for _ in range(50)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        wire.manner = Manner.FORWARD
        for number in range(50):
            await line.publish(TOPIC, WANT, b"%d" % number)
        frames = [each.frame for each in await take(bob, 70)]
        assert frames[:20] == [b"x"] * 20, "what was on its way isn't taken back"
        assert frames[20:] == [b"%d" % number for number in range(50)], "and what wasn't isn't sent"


# -- Connecting --------------------------------------------------------------------------------------------------
async def test_nobody_there_is_unreachable() -> None:
    error = await refused(remote(free_port()).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
    assert "refused" in str(error)


async def test_one_who_hangs_up_before_answering_is_unreachable_at_once() -> None:
    async with TcpProxy(free_port()).running() as wire:
        error = await refused(remote(wire.port).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)


async def test_one_who_hangs_up_before_the_subscription_stands_is_unreachable_at_once(
    broker: MqttBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def subscribe_and_die(self: Connection, filters: Sequence[Filter]) -> None:
        broker.pause()
        asyncio.get_running_loop().call_soon(broker.kill)
        await subscribe(self, filters)

    subscribe = Connection._subscribe_to
    monkeypatch.setattr(Connection, "_subscribe_to", subscribe_and_die)
    error = await refused(remote(broker.port).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("manner", [Manner.HANG, Manner.DROP], ids=str)
async def test_one_who_says_nothing_is_given_up_at_the_deadline(wire: TcpProxy, manner: Manner, is_tls: bool) -> None:
    wire.manner = manner
    error = await refused(remote(wire.port, PATIENT._replace(connect_s=SOON), is_tls=is_tls).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.TIMEOUT, True)
    assert "no answer in time" in str(error)
    await until(lambda: not connected_to(wire.port))


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example"], ids=["unknown", "none at all"])
async def test_a_host_that_does_not_exist_is_told(host: str) -> None:
    error = await refused(MqttRemote(Address(host, 1883, is_tls=False)).connect(ALICE, [TOPIC]))
    assert error.code in {*UNREACHED, Code.INVALID}
    assert host in str(error)


async def test_a_connection_that_comes_about_after_its_deadline_is_closed(
    wire: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, resolve = threading.Event(), socket.getaddrinfo

    def resolve_slowly(*args: Any, **kwargs: Any) -> Any:
        assert slow.wait(WAIT_S)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_slowly)
    error = await refused(remote(wire.port, PATIENT._replace(connect_s=SOON)).connect(ALICE, [TOPIC]))
    assert error.code is Code.TIMEOUT
    slow.set()
    await until(lambda: len(wire.accepted) == 1)  # and then it is closed: nothing is left behind


async def test_who_is_cancelled_while_connecting_leaves_nothing(wire: TcpProxy) -> None:
    wire.manner = Manner.HANG
    connecting = asyncio.get_running_loop().create_task(remote(wire.port).connect(ALICE, [TOPIC]).__aenter__())
    await until(lambda: len(wire.accepted) == 1)
    connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled()
    await until(lambda: not connected_to(wire.port))


# -- Leaving -----------------------------------------------------------------------------------------------------
async def test_leaving_a_broker_that_hangs_takes_no_error_and_no_long_time(
    wire: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mootd.edges.mqtt.connection._LEAVE_S", SOON)
    async with asyncio.timeout(WAIT_S):
        async with remote(wire.port, LARGE).connect(ALICE, [TOPIC]) as line:
            wire.manner = Manner.HANG
            tasks = [
                asyncio.get_running_loop().create_task(line.publish(TOPIC, BATCHES, bytes(MIB))) for _ in range(30)
            ]
            await asyncio.sleep(0)
        await asyncio.wait(tasks)
    assert {type(task.exception()) for task in tasks} == {RefusedError}


async def test_a_silent_broker_is_noticed_though_nothing_is_published(wire: TcpProxy) -> None:
    async with remote(wire.port, PATIENT._replace(keepalive_s=1)).connect(ALICE, [TOPIC]) as line:
        wire.manner = Manner.DROP
        assert (await ending(line)).code is Code.UNREACHABLE


# -- A hostile broker --------------------------------------------------------------------------------------------
CONNACK, SUBACK = b"\x20\x03\0\0\0", b"\x90\x07\0\x01\0\1\1\1\1"


def scripted_remote(port: int, options: Options = PATIENT) -> MqttRemote:
    """Speaks MQTT 5 first, whatever the brokers of the tests speak."""
    return remote(port, options._replace(versions=tuple(Version)))


def published(name: bytes, payload: bytes) -> bytes:
    """A PUBLISH packet of QoS 0."""
    rest = len(name).to_bytes(2) + name + b"\0" + payload
    return bytes([0x30, len(rest)]) + rest


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[int]:
    """A broker that answers the first packets with these and says no more; its port."""
    written = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        written.append(writer)
        for answer in answers:
            await reader.read(1 << 16)
            writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in written:
            writer.transport.abort()
        await server.wait_closed()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"moot/+/#", b"", b"\0", b"moot/1/" + b"0" * 64])
async def test_an_impossible_name_is_left_out_and_counted(name: bytes) -> None:
    good = f"moot/1/{TOPIC.hex()}/{BOB.hex()}/want".encode()
    async with scripted(CONNACK, SUBACK + published(name, b"odd") + published(good, b"good")) as port:
        to_broker = scripted_remote(port)
        async with to_broker.connect(ALICE, [TOPIC]) as line:
            assert [each.frame for each in await take(line, 1)] == [b"good"]
            assert to_broker.dropped == Dropped(foreign=1)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0", b"\xff" * 100, b"\x30\x02\xff\xff", b"\x32\x05\0\1a\0\0", b"\x40\x02\0\x63", b"\x90\x03\0\x63\0",
        CONNACK, CONNACK[:3] + b"\x87\0", b"\xe0\x02\x8e\0", b"\xe0\0", b"\xe0\x02\x07\x07", b"\x62\x02\0\1",
    ],
    ids=bytes.hex,
)  # fmt: skip
async def test_garbage_ends_a_line_at_most_and_leaves_nothing_behind(garbage: bytes) -> None:
    async with scripted(CONNACK, SUBACK + garbage) as port, scripted_remote(port).connect(ALICE, [TOPIC]) as line:
        with suppress(TimeoutError):
            async with asyncio.timeout(SOON):
                assert (await ending(line)).code in {Code.UNREACHABLE, Code.DENIED}


@pytest.mark.parametrize(
    "garbage", [b"\0\0", b"\xff" * 100, b"\x20\x02\0\0", b"\x20\x03\0\x01\0", SUBACK, b"\xe0\0"], ids=bytes.hex
)
async def test_garbage_instead_of_an_answer_refuses_the_connection(garbage: bytes) -> None:
    async with scripted(garbage) as port:
        error = await refused(scripted_remote(port, PATIENT._replace(connect_s=SOON)).connect(ALICE, [TOPIC]))
    assert error.code in {*UNREACHED, Code.INVALID}


UNSPOKEN = {"as MQTT 3.1.1": b"\x20\x02\0\1", "as MQTT 5": b"\x20\x03\0\x84\0"}
"""What brokers that speak MQTT 3.1.1 only answer to a later version."""


@asynccontextmanager
async def old_broker(unspoken: bytes, subscribed: bytes = b"\1\1\0\1") -> AsyncIterator[int]:
    """A broker that speaks MQTT 3.1.1 only; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_old = (await reader.read(1 << 16))[8] == 4
        writer.write(b"\x20\x02\0\0" if is_old else unspoken)
        if is_old and await reader.read(1 << 16):
            writer.write(b"\x90\x06\0\1" + subscribed)
            await reader.read(1 << 16)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("unspoken", UNSPOKEN.values(), ids=UNSPOKEN)
async def test_a_broker_that_does_not_speak_mqtt_5_is_spoken_to_in_3_1_1_unless_5_is_wanted(unspoken: bytes) -> None:
    async with old_broker(unspoken) as port:
        async with scripted_remote(port).connect(ALICE, [TOPIC]) as line:
            assert line.spoken.startswith("MQTT 3.1.1 only")
        error = await refused(remote(port, PATIENT._replace(versions=(Version.V5,))).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.INVALID, False)
    assert "must speak MQTT 5" in error.hint


async def test_a_broker_that_speaks_no_version_is_refused() -> None:
    async with scripted(UNSPOKEN["as MQTT 3.1.1"]) as port:
        error = await refused(scripted_remote(port).connect(ALICE, [TOPIC]))
    assert error.code in {*UNREACHED, Code.INVALID}


async def test_a_broker_that_says_nothing_to_mqtt_5_may_speak_3_1_1_which_a_hint_tells() -> None:
    async with scripted(b"") as port:
        for versions in (tuple(Version), (Version.V311,)):
            to_broker = remote(port, PATIENT._replace(versions=versions, connect_s=3 * SOON))  # it must get through
            error = await refused(to_broker.connect(ALICE, [TOPIC]))
            assert ("--protocol 3.1.1" in error.hint) is (Version.V5 in versions)


async def test_a_refused_subscription_over_mqtt_3_1_1_refuses_the_connection() -> None:
    async with old_broker(b"", b"\1\1\0\x80") as port:
        error = await refused(remote(port, PATIENT._replace(versions=(Version.V311,))).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.DENIED, False)


async def test_a_refused_subscription_refuses_the_connection() -> None:
    async with scripted(CONNACK, SUBACK[:-1] + b"\x87") as port:
        error = await refused(scripted_remote(port).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.DENIED, False)


async def test_no_more_frames_are_on_their_way_than_the_broker_allows() -> None:
    two_at_once = b"\x20\x06\0\0\x03\x21\0\x02"
    async with scripted(two_at_once) as port, scripted_remote(port).connect(ALICE, []) as line:
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(publish_refused(line, TOPIC, BATCHES, b"x")) for _ in range(10)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(line._connection._unacknowledged) == 2
            line._connection.cut()
        assert {each.result().code for each in waiting} == {Code.UNREACHABLE}


async def test_a_line_that_ends_as_it_begins_is_refused_or_ends() -> None:
    async with scripted(CONNACK + b"\xe0\x02\x8b\0") as port:
        errors = []
        try:
            async with scripted_remote(port).connect(ALICE, []) as line:
                errors.append(await ending(line))
        except RefusedError as error:
            errors.append(error)
    assert [(error.code, error.retryable) for error in errors] == [(Code.UNREACHABLE, True)]
