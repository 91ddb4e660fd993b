"""The remote over a real broker: who is let in, what others may inject, how long things are kept, and coming back."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.live import (
    ALICE,
    BATCHES,
    BOB,
    FRONTIER,
    PRESENCE,
    TOPIC,
    WAIT_S,
    WANT,
    ending,
    frames_until,
    publish_refused,
    refused,
    take,
)
from moot_testkit.machines.mqtt_broker import MqttBroker, speaks, write_passwords
from moot_testkit.machines.tcp_proxy import TcpProxy
from moot_testkit.machines.tls_files import Authority
from mootd.backoff import full_jitter
from mootd.edges.mqtt.address import NO_FILES, Address, Credentials, Tls
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options, Version
from mootd.remotes import Dropped, Incoming, Will

StartBroker = Callable[[list[str]], MqttBroker]
PASSWORD = "correct horse"  # noqa: S105 - none


def remote(port: int, options: Options = Options(speaks())) -> MqttRemote:  # noqa: B008 - it can't be changed
    return MqttRemote(Address("127.0.0.1", port, is_tls=False), options=options)


@asynccontextmanager
async def stranger(port: int) -> AsyncIterator[aiomqtt.Client]:
    """A client that is none of ours."""
    version = aiomqtt.ProtocolVersion.V5 if Version.V5 in speaks() else aiomqtt.ProtocolVersion.V311
    client = aiomqtt.Client("127.0.0.1", port, protocol=version, identifier="stranger")
    async with client:
        yield client


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartBroker]:
    brokers = []

    def start(settings: list[str]) -> MqttBroker:
        brokers.append(MqttBroker(tmp_path, settings))
        brokers[-1].start()
        return brokers[-1]

    yield start
    for each in brokers:
        each.kill()


# -- TLS ---------------------------------------------------------------------------------------------------------
class Secured:
    """A broker that wants certificates and calls users by their names, with two authorities."""

    def __init__(self, folder: Path, start: StartBroker, *, host: str = "localhost") -> None:
        self.trusted, self.other = Authority(folder, "trusted"), Authority(folder, "other")
        server = self.trusted.vouch("broker", host=host)
        self.client = self.trusted.vouch("client")
        self.broker = start(
            [
                f"cafile {self.trusted.certificate}", f"certfile {server.certificate}", f"keyfile {server.key}",
                "require_certificate true", "use_identity_as_username true",
            ]
        )  # fmt: skip

    def remote(self, tls: Tls, host: str = "localhost") -> MqttRemote:
        return MqttRemote(Address(host, self.broker.port, is_tls=True), tls, options=Options(connect_s=WAIT_S))


@pytest.fixture
def secured(tmp_path: Path, start: StartBroker) -> Secured:
    return Secured(tmp_path, start)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_client_with_a_certificate_is_let_in_by_its_name(secured: Secured, host: str) -> None:
    tls = Tls(secured.trusted.certificate, secured.client.certificate, secured.client.key)
    async with secured.remote(tls, host).connect(ALICE, [TOPIC]) as alice:
        await alice.publish(TOPIC, BATCHES, bytes(1 << 17))
    assert "u'client'" in secured.broker.log


async def test_a_broker_that_another_authority_vouches_for_is_not_trusted(secured: Secured) -> None:
    tls = Tls(secured.other.certificate, secured.client.certificate, secured.client.key)
    error = await refused(secured.remote(tls).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.DENIED, False)
    assert "isn't trusted" in str(error)


async def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path, start: StartBroker) -> None:
    secured = Secured(tmp_path, start, host="elsewhere.example")
    tls = Tls(secured.trusted.certificate, secured.client.certificate, secured.client.key)
    error = await refused(secured.remote(tls).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.DENIED, False)
    assert "localhost" in str(error)


@pytest.mark.parametrize("shown", ["none", "another authority's"])
async def test_a_client_without_a_certificate_that_the_broker_trusts_is_told(
    secured: Secured, tmp_path: Path, shown: str
) -> None:
    tls = Tls(secured.trusted.certificate)
    if shown != "none":
        pair = secured.other.vouch("foreigner")
        tls = tls._replace(certificate=pair.certificate, key=pair.key)
    error = await refused(secured.remote(tls).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.DENIED, False)
    assert "certificate" in str(error)


async def test_a_broker_without_tls_is_told(broker: MqttBroker) -> None:
    error = await refused(
        MqttRemote(Address("localhost", broker.port, True), options=Options(connect_s=2)).connect(ALICE, [TOPIC])
    )
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)


async def test_files_that_are_none_are_refused_when_connecting(broker: MqttBroker, tmp_path: Path) -> None:
    tls = Tls(ca=tmp_path / "missing.pem")
    error = await refused(MqttRemote(Address("localhost", broker.port, is_tls=True), tls).connect(ALICE, [TOPIC]))
    assert error.code is Code.INVALID


def test_settings_that_contradict_are_refused_before_anything_connects() -> None:
    with pytest.raises(RefusedError, match="password"):
        MqttRemote(Address("h", 1883, is_tls=False), NO_FILES, Credentials(PASSWORD))


# -- Passwords ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("password", "is_right"), [(PASSWORD, True), ("wrong", False), ("", False)])
async def test_a_user_needs_its_password(tmp_path: Path, start: StartBroker, password: str, is_right: bool) -> None:
    write_passwords(tmp_path / "passwords", {"alice": PASSWORD})
    broker = start(["allow_anonymous false", f"password_file {tmp_path}/passwords"])
    to_broker = MqttRemote(Address("127.0.0.1", broker.port, False, "alice"), NO_FILES, Credentials(password))
    if is_right:
        async with to_broker.connect(ALICE, [TOPIC]) as alice:
            await alice.publish(TOPIC, BATCHES, b"word")
    else:
        error = await refused(to_broker.connect(ALICE, [TOPIC]))
        assert (error.code, error.retryable) == (Code.DENIED, False)
        assert "wrong" not in f"{error} {error.hint}"


# -- What others may send ----------------------------------------------------------------------------------------
async def test_names_that_are_none_of_ours_are_left_out_and_counted(broker: MqttBroker) -> None:
    to_broker = remote(broker.port)
    async with to_broker.connect(ALICE, [TOPIC]) as alice, stranger(broker.port) as anybody:
        for sender in ("", "zz", BOB.hex().upper() + "AA", BOB.hex() + "00", "ü", "x" * 1000):
            await anybody.publish(f"moot/1/{TOPIC.hex()}/{sender}/batches", b"odd", qos=1)
        await anybody.publish(f"moot/1/{TOPIC.hex()}/{BOB.hex()}/batches", b"forged", qos=0)
        assert await take(alice, 1) == [Incoming(TOPIC, BOB, BATCHES, b"forged")]
        assert to_broker.dropped == Dropped(foreign=6)


async def test_topics_that_an_earlier_session_asked_for_are_left_out(broker: MqttBroker) -> None:
    to_broker = remote(broker.port)
    other = bytes(16)
    async with to_broker.connect(ALICE, [TOPIC, other]):
        pass
    async with to_broker.connect(ALICE, [TOPIC]) as alice, remote(broker.port).connect(BOB, []) as bob:
        await bob.publish(other, BATCHES, b"no longer")
        await bob.publish(TOPIC, BATCHES, b"still")
        assert await frames_until(alice, b"still") == [b"still"]
        assert to_broker.dropped == Dropped(foreign=1)


async def test_what_is_far_too_large_is_not_even_sent_to_us(modern: MqttBroker) -> None:
    to_broker = remote(modern.port)
    async with to_broker.connect(ALICE, [TOPIC]) as alice, stranger(modern.port) as anybody:
        for size in ((1 << 17) + 1, 1 << 24):
            await anybody.publish(f"moot/1/{TOPIC.hex()}/{BOB.hex()}/batches", bytes(size), qos=1)
        await anybody.publish(f"moot/1/{TOPIC.hex()}/{BOB.hex()}/batches", b"last", qos=1)
        assert await frames_until(alice, b"last") == [b"last"]
        assert to_broker.dropped == Dropped(too_large=1)


# -- How long things are kept ------------------------------------------------------------------------------------
async def test_batches_and_wants_expire_and_what_is_retained_does_not(modern: MqttBroker) -> None:
    async with stranger(modern.port) as anybody:
        await anybody.subscribe("moot/1/#")
        async with remote(modern.port, Options(batch_s=1000, want_s=20)).connect(ALICE, [TOPIC]) as alice:
            for channel in (BATCHES, WANT, FRONTIER, PRESENCE):
                await alice.publish(TOPIC, channel, b"word")
        expiries = {}
        async with asyncio.timeout(WAIT_S):
            for channel in (BATCHES, WANT, FRONTIER, PRESENCE):
                message = await anext(aiter(anybody.messages))
                assert message.topic.value == f"moot/1/{TOPIC.hex()}/{ALICE.hex()}/{channel}"
                expiries[channel] = getattr(message.properties, "MessageExpiryInterval", None)
        assert expiries[FRONTIER] is expiries[PRESENCE] is None
        assert 990 <= (expiries[BATCHES] or 0) <= 1000
        assert 10 <= (expiries[WANT] or 0) <= 20


@pytest.mark.parametrize("versions", [speaks(), (Version.V311,)], ids=str)
async def test_a_session_that_has_expired_keeps_nothing(broker: MqttBroker, versions: tuple[Version, ...]) -> None:
    forgetful = remote(broker.port, Options(versions, session_s=0))
    async with forgetful.connect(BOB, [TOPIC]):
        pass
    async with remote(broker.port).connect(ALICE, [TOPIC]) as alice:
        await alice.publish(TOPIC, BATCHES, b"meanwhile")
        async with forgetful.connect(BOB, [TOPIC]) as bob:
            await alice.publish(TOPIC, BATCHES, b"now")
            assert await frames_until(bob, b"now") == [b"now"]


async def test_over_mqtt_3_1_1_no_question_waits_for_who_is_away(broker: MqttBroker) -> None:
    plain = remote(broker.port, Options((Version.V311,)))
    async with plain.connect(BOB, [TOPIC]):
        pass
    async with remote(broker.port).connect(ALICE, [TOPIC]) as alice:
        await alice.publish(TOPIC, WANT, b"who has it?")
        await alice.publish(TOPIC, BATCHES, b"meanwhile")
        async with plain.connect(BOB, [TOPIC]) as bob:
            await alice.publish(TOPIC, BATCHES, b"now")
            assert await frames_until(bob, b"now") == [b"meanwhile", b"now"]


async def test_sessions_and_frontiers_outlive_a_restart_of_a_broker_that_keeps_them(tmp_path: Path) -> None:
    broker = MqttBroker(tmp_path, keeps=True)
    broker.start()
    try:
        async with remote(broker.port).connect(BOB, [TOPIC]):
            pass
        async with remote(broker.port).connect(ALICE, [TOPIC]) as alice:
            await alice.publish(TOPIC, BATCHES, b"meanwhile")
            await alice.publish(TOPIC, FRONTIER, b"frontier")
        broker.stop()
        broker.start()
        async with remote(broker.port).connect(BOB, [TOPIC]) as bob:
            assert {each.frame for each in await take(bob, 2)} == {b"meanwhile", b"frontier"}
    finally:
        broker.kill()


# -- What a broker allows ----------------------------------------------------------------------------------------
async def test_a_frame_larger_than_the_broker_carries_is_refused_before_it_is_sent(start: StartBroker) -> None:
    broker = start(["allow_anonymous true", "max_packet_size 2000"])
    async with remote(broker.port).connect(ALICE, [TOPIC]) as alice, remote(broker.port).connect(BOB, [TOPIC]) as bob:
        error = await publish_refused(alice, TOPIC, BATCHES, bytes(2000))
        assert (error.code, error.retryable) == (Code.LIMIT, False)
        await alice.publish(TOPIC, BATCHES, bytes(2000 - 128))
        assert [len(each.frame) for each in await take(bob, 1)] == [2000 - 128]


async def test_no_more_frames_are_on_their_way_than_the_broker_allows(start: StartBroker) -> None:
    broker = start(["allow_anonymous true", "max_inflight_messages 2"])
    async with remote(broker.port).connect(ALICE, [TOPIC]) as alice, remote(broker.port).connect(BOB, [TOPIC]) as bob:
        async with asyncio.TaskGroup() as tasks:
            for number in range(200):
                tasks.create_task(alice.publish(TOPIC, BATCHES, b"%d" % number))
        assert [each.frame for each in await take(bob, 200)] == [b"%d" % number for number in range(200)]


async def test_a_broker_that_retains_nothing_is_of_no_use(start: StartBroker) -> None:
    broker = start(["allow_anonymous true", "retain_available false"])
    error = await refused(remote(broker.port).connect(ALICE, [TOPIC]))
    assert (error.code, error.retryable) == (Code.INVALID, False)
    error = await refused(remote(broker.port).connect(ALICE, [TOPIC], Will(TOPIC, b"gone")))
    assert (error.code, error.retryable) == (Code.INVALID, False)


# -- Coming back -------------------------------------------------------------------------------------------------
async def test_fifty_that_lose_the_broker_at_once_spread_over_the_window_and_others_are_served(
    broker: MqttBroker, wire: TcpProxy
) -> None:
    window_s, draw = 2.0, random.Random(50)
    delays = [full_jitter(0, window_s, window_s, draw.random()) for _ in range(50)]
    tenths = Counter(int(delay / window_s * 10) for delay in delays)
    assert len(tenths) >= 5, "spread over the window"
    assert max(tenths.values()) <= 25, "and never most of them together"
    back = asyncio.Barrier(51)

    async def stay(sender: bytes, delay_s: float) -> None:
        to_broker = remote(wire.port)
        async with to_broker.connect(sender, [TOPIC]) as line:
            await back.wait()
            await ending(line)
        await asyncio.sleep(delay_s)
        async with to_broker.connect(sender, [TOPIC]):
            await back.wait()

    async with AsyncExitStack() as stack:
        alice = await stack.enter_async_context(remote(broker.port).connect(ALICE, [TOPIC]))
        bob = await stack.enter_async_context(remote(broker.port).connect(BOB, [TOPIC]))
        async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as tasks:
            for number, delay_s in enumerate(delays):
                tasks.create_task(stay(number.to_bytes(16), delay_s))
            await back.wait()
            first = len(wire.accepted)
            wire.cut()
            served = 0
            while len(wire.accepted) < first + 50:
                await alice.publish(TOPIC, WANT, b"%d" % served)
                assert [each.frame for each in await take(bob, 1)] == [b"%d" % served]
                served += 1
                await asyncio.sleep(0.01)
            await back.wait()
    assert len(wire.accepted) == first + 50, "one attempt each"
    assert served > 0, "others were served meanwhile"
