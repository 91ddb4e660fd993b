"""Machines of a town that exchange a plane live, through a real broker."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.exchange import Sync
from moot_testkit.machines.mqtt_broker import ANYBODY, MqttBroker, require_mosquitto, speaks
from moot_testkit.machines.tcp_proxy import Manner, TcpProxy
from moot_testkit.towns.exchanging import (
    HASTY,
    QUICK,
    STILL,
    Peer,
    at_rest,
    in_step,
    peers,
    settle,
    through_broker,
    through_line,
    until,
)
from mootd.edges.memory_line import MemoryBroker, MemoryRemote
from mootd.edges.mqtt.address import parse_address
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Options, Version
from mootd.engine.membership.inviting import invite
from mootd.engine.stored import layout
from mootd.exchange.live_plane import LivePlane
from mootd.exchange.live_worker import LiveWorker
from mootd.exchange.progress import Progress
from mootd.exchange.steadiness import HINT, MANY, STEADY_S
from mootd.remotes import Incoming, Line, LiveRemote
from mootd.service.reading.claims import LIVE_MS
from mootd.store.port import Table

IN_EACH_VERSION = pytest.mark.parametrize("version", speaks())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttBroker]:
    with MqttBroker(tmp_path, version=Version.V311) as served:
        yield served


def through_port(port: int, options: Options = HASTY) -> MqttRemote:
    return MqttRemote(parse_address(f"mqtt://127.0.0.1:{port}"), options=options)


def worker_of(peer: Peer, remote: LiveRemote) -> LiveWorker:
    """A worker for the ledger that only the test hands rounds to."""
    peer.commit(lambda unit: invite(unit, peer.plane(), Role.WRITER, 0, ()))
    peer.add(through_line(MemoryBroker()), kind="mqtt", mode="off")
    return LiveWorker(remote, peer.number("origin"), peer.hub)


def connect(peer: Peer, port: int, options: Options = HASTY) -> None:
    peer.add(through_broker(port, options), kind="mqtt")


def test_a_line_is_worked_on_three_times_before_who_is_silent_counts_as_away() -> None:
    assert LiveWorker.poll_s * 1000 * 3 <= LIVE_MS


async def test_a_machine_joins_live_and_both_hear_of_one_another_at_once(broker: MqttBroker) -> None:
    async with peers(2, QUICK) as (ada, bob):
        ada.write(3)
        for peer in (ada, bob):
            connect(peer, broker.port)
        await until(lambda: in_step(ada, bob))
        bob.write(2)
        ada.write(2)
        await until(lambda: in_step(ada, bob) and ada.events() > 8)
        await until(lambda: at_rest(ada, bob))
        assert not ada.progress().problems
        assert not bob.progress().problems


async def test_a_manual_plane_s_line_stays_open_until_what_others_hold_has_come() -> None:
    broker = MemoryBroker()
    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt", mode="manual")
        ada.write(5)
        await bob.sync()
        await ada.sync()
        await until(lambda: in_step(ada, bob))


async def test_who_asks_waits_for_what_those_who_listen_hold_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, gate, hear = MemoryBroker(), asyncio.Event(), LivePlane.hear

    async def hear_late(plane: LivePlane, line: Line, incoming: Incoming) -> None:
        await gate.wait()
        await hear(plane, line, incoming)

    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt")
        await settle(ada, bob)
        assert in_step(ada, bob)
        await bob.die()
        ada.write(3)
        await ada.sync()
        monkeypatch.setattr(LivePlane, "hear", hear_late)
        await bob.live_again()
        answer = await bob.hub.sync(Sync(wait_ms=200))
        assert not answer["done"]
        gate.set()
        while not answer["done"]:
            answer = await bob.hub.sync(Sync(cursor=answer["cursor"], wait_ms=1000))
        assert in_step(ada, bob)
        gate.clear()
        ada.write()
        await ada.sync()
        monkeypatch.setattr("mootd.exchange.served.SETTLE_S", 0.05)
        await bob.sync()
        assert not in_step(ada, bob)
        gate.set()


@IN_EACH_VERSION
async def test_a_broker_that_is_killed_and_comes_back_with_its_sessions_lost_loses_nothing(
    broker: MqttBroker, version: Version
) -> None:
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            connect(peer, broker.port, HASTY._replace(versions=(version,)))
        await until(lambda: in_step(ada, bob))
        for _ in range(2):
            ada.write()
            broker.kill()
            ada.write(3)
            bob.write(3)
            await until(lambda: ada.progress().failures > 0 and bob.progress().failures > 0)
            broker.start()
            await until(lambda: in_step(ada, bob))


async def test_who_asks_right_after_a_broker_has_come_back_is_not_told_that_its_old_line_was_dead(
    broker: MqttBroker,
) -> None:
    async with peers(1, STILL) as (ada,):
        worker = worker_of(ada, through_port(broker.port))
        try:
            await worker.round([ada.plane()], Progress(), is_asked=False)
            for is_asked in (True, False):
                broker.kill()
                broker.start()
                ada.write()
                if is_asked:
                    await worker.round([ada.plane()], Progress(), is_asked=True)
                else:
                    with pytest.raises(RefusedError) as raised:
                        await worker.round([ada.plane()], Progress(), is_asked=False)
                    assert raised.value.code is Code.UNREACHABLE
            await worker.round([ada.plane()], Progress(), is_asked=False)
            broker.kill()
            with pytest.raises(RefusedError, match="connection refused"):
                await worker.round([ada.plane()], Progress(), is_asked=True)
        finally:
            await worker.close()


@pytest.mark.parametrize("code", [Code.UNREACHABLE, Code.TIMEOUT])
async def test_who_asks_while_a_line_fails_gets_a_new_one_whatever_it_failed_of(
    broker: MqttBroker, monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    async def fail_once(plane: LivePlane, line: Line) -> None:
        monkeypatch.undo()
        raise RefusedError("this line is dead", code=code)

    async with peers(1, STILL) as (ada,):
        worker = worker_of(ada, through_port(broker.port))
        try:
            await worker.round([ada.plane()], Progress(), is_asked=False)
            (before,) = worker._lines.values()
            monkeypatch.setattr(LivePlane, "hand_over", fail_once)
            await worker.round([ada.plane()], Progress(), is_asked=True)
            (after,) = worker._lines.values()
            assert after is not before
        finally:
            await worker.close()


async def test_who_asks_is_told_of_a_broker_that_says_nothing_though_nothing_waits_for_it(broker: MqttBroker) -> None:
    async with peers(1, STILL) as (ada,):
        worker = worker_of(ada, through_port(broker.port, Options(speaks(), connect_s=0.2, publish_s=0.2)))
        try:
            await worker.round([ada.plane()], Progress(), is_asked=True)
            broker.pause()
            await worker.round([ada.plane()], Progress(), is_asked=False)
            with pytest.raises(RefusedError, match="no answer in time"):
                await worker.round([ada.plane()], Progress(), is_asked=True)
        finally:
            await worker.close()


async def test_a_copy_opens_no_line_says_why_and_opens_one_once_it_is_told_what_it_is() -> None:
    broker = MemoryBroker()
    async with peers(1, STILL) as (ada,):
        ada.commit(lambda unit: invite(unit, ada.plane(), Role.WRITER, 0, ()))
        ada.commit(lambda unit: unit.transaction.put(Table.META, layout.COPIED, b""))
        ada.add(through_line(broker), kind="mqtt")
        (shown,) = await ada.sync()
        assert shown["error"].startswith("not connected: this data directory is a copy")
        assert (ada.progress().failures, ada.progress().next_try_ms, broker.sessions) == (0, 0, {})
        ada.commit(lambda unit: unit.transaction.delete(Table.META, layout.COPIED))
        await until(lambda: bool(broker.sessions) and not ada.progress().error)


async def test_lines_that_original_and_copy_take_from_one_another_are_counted_and_a_copy_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker, hints = MemoryBroker(), list[str]()
    async with peers(1, STILL) as (ada,):
        one, other = worker_of(ada, MemoryRemote(broker)), LiveWorker(MemoryRemote(broker), 1, ada.hub)
        progress, plane = Progress(), ada.plane()
        try:
            await one.round([plane], progress, is_asked=False)
            for count in range(1, MANY + 1):
                await other.round([plane], Progress(), is_asked=True)
                with pytest.raises(RefusedError, match="took its place") as raised:
                    await one.round([plane], progress, is_asked=False)
                hints.append(raised.value.hint)
                assert progress.lines.brief == count
                await one.round([plane], progress, is_asked=False)
            assert hints == [*[""] * (MANY - 1), HINT]
            assert progress.lines.breaking() == {plane.number: MANY}
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(loop, "time", partial(_later, loop.time))
            await one.round([plane], progress, is_asked=False)
            assert progress.lines.breaking() == {}
        finally:
            await one.close()
            await other.close()


def _later(time: Callable[[], float]) -> float:
    return time() + STEADY_S


async def test_what_a_broker_had_no_room_for_comes_when_frontiers_are_compared(tmp_path: Path) -> None:
    broker = MqttBroker(tmp_path, (*ANYBODY, "max_queued_messages 5"))
    broker.start()
    try:
        async with peers(2, STILL) as (ada, bob):
            for peer in (ada, bob):
                connect(peer, broker.port)
            await settle(ada, bob)
            await bob.die()
            for _ in range(15):
                ada.write()
                await ada.sync()
            assert "messages are being dropped" in broker.log
            await bob.live_again()
            await until(lambda: in_step(ada, bob))
    finally:
        broker.kill()


async def test_trying_a_broker_out_says_what_it_speaks_and_leaves_no_session_there(broker: MqttBroker) -> None:
    require_mosquitto()  # amqtt says of every session that it is there
    async with peers(1) as (ada,):
        connect(ada, broker.port)
        names: list[bytes] = []
        drawn = ada.replica.entropy.bytes
        remote, probe = through_port(broker.port), through_port(broker.port, HASTY._replace(session_s=0))

        def noted(length: int) -> bytes:
            names.append(drawn(length))
            return names[-1]

        ada.replica.entropy.bytes = noted  # type: ignore[method-assign,assignment]
        for tried, is_kept in ((probe, False), (remote, True)):
            names.clear()
            (check,) = await LiveWorker(remote, 1, ada.hub, tried).check()
            assert check["ok"]
            assert check["detail"] == "MQTT 5"
            assert await has_session(broker.port, names[0].hex()) is is_kept


async def has_session(port: int, identifier: str) -> bool:
    """Whether the broker knows this client from before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    name = identifier.encode()
    body = b"\0\4MQTT\4\0\0\x3c" + len(name).to_bytes(2, "big") + name
    writer.write(b"\x10" + bytes([len(body)]) + body)
    answer = await reader.readexactly(4)  # CONNACK, its length, whether a session is there, the reason
    writer.close()
    await writer.wait_closed()
    return bool(answer[2])


async def test_a_broker_that_hangs_holds_nobody_up_for_ever(broker: MqttBroker) -> None:
    async with TcpProxy(broker.port).running() as wire, peers(2, QUICK) as (ada, bob):
        connect(ada, wire.port, HASTY._replace(publish_s=0.5))
        connect(bob, broker.port)
        await until(lambda: in_step(ada, bob))
        wire.manner = Manner.HANG
        ada.write(2)
        bob.write(2)
        await until(lambda: ada.progress().failures > 0)
        wire.manner = Manner.FORWARD
        wire.cut()
        await until(lambda: in_step(ada, bob))


@IN_EACH_VERSION
async def test_what_a_broker_does_not_let_a_machine_publish_comes_once_it_does(
    tmp_path: Path, version: Version
) -> None:
    rules = tmp_path / "acl"
    rules.write_text("user bob\ntopic readwrite #\n\nuser ada\ntopic read #\n")
    broker = MqttBroker(tmp_path, ("allow_anonymous true", f"acl_file {rules}"))
    broker.start()
    try:
        async with peers(2, QUICK) as (ada, bob):
            options = HASTY._replace(versions=(version,))
            ada.add(through_broker(broker.port, options, user="ada"), kind="mqtt")
            bob.add(through_broker(broker.port, options, user="bob"), kind="mqtt")
            ada.write(2)
            # Over MQTT 5 the broker says so; else it acknowledges what it drops.
            await until(lambda: ada.progress().failures > 0 or version is Version.V311)
            await until(lambda: ada.progress().sent > 0 or version is Version.V5)
            await until(lambda: bob.progress().rounds > 0)
            assert not bob.events()
            rules.write_text("user bob\ntopic readwrite #\n\nuser ada\ntopic readwrite #\n")
            broker.reload()  # it takes its time, and drops what comes before
            await until(lambda: at_rest(ada, bob))
    finally:
        broker.kill()


async def test_who_listens_is_known_until_its_connection_breaks_or_is_left(broker: MqttBroker) -> None:
    async with TcpProxy(broker.port).running() as wire, peers(3) as (ada, bob, carl):
        for peer, port in ((ada, broker.port), (bob, wire.port), (carl, broker.port)):
            connect(peer, port)
        await settle(ada, bob, carl)
        plane = ada.plane().number

        def present() -> set[bytes]:
            assert all(number == plane for number, _ in ada.progress().present)
            return {member for _, member in ada.progress().present}

        await until(lambda: present() == {bob.replica.id, carl.replica.id})
        wire.cut()
        await until(lambda: present() == {carl.replica.id})
        await carl.die()
        await until(lambda: present() == set())
        assert not ada.progress().problems
