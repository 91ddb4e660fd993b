"""The hub over remotes that come and go: when one was reached is kept, and who loses every line comes less often."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from moot_protocol.merge.kinds import Role
from moot_protocol.time_units import HOUR_MS
from moot_testkit.towns.exchanging import STILL, Peer, peers, through_line, until
from mootd.edges.memory_line import MemoryBroker
from mootd.engine.machine.reached import reached_ms
from mootd.engine.machine.remotes import remove_remote
from mootd.engine.membership.inviting import invite

MINUTE_MS = 60_000


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Peer, MemoryBroker]]:
    """A machine whose ledger goes over a broker, which it has reached."""
    broker = MemoryBroker()
    async with peers(1, STILL) as (peer,):
        peer.commit(lambda unit: invite(unit, peer.plane(), Role.WRITER, 0, ()))
        peer.add(through_line(broker), kind="mqtt")
        await peer.sync()
        yield peer, broker


def kept_ms(peer: Peer, number: int = 1) -> int:
    """When the remote was reached, as a restart would know it."""
    with peer.replica.read() as reader:
        return reached_ms(reader, number)


async def test_that_a_remote_was_reached_is_kept_the_first_time_and_then_at_most_every_hour() -> None:
    async with connected() as (peer, _):
        first = kept_ms(peer)
        assert first > 0
        peer.clock.advance(HOUR_MS - 5 * MINUTE_MS)
        await peer.sync()
        assert kept_ms(peer) == first
        peer.clock.advance(5 * MINUTE_MS)
        await peer.sync()
        assert kept_ms(peer) >= first + HOUR_MS


async def test_when_a_remote_was_last_reached_is_kept_once_it_isn_t_any_more() -> None:
    async with connected() as (peer, broker):
        peer.clock.advance(MINUTE_MS)
        await peer.sync()
        last = peer.progress().last_ok_ms
        assert kept_ms(peer) < last
        broker.stop()
        await peer.sync()
        assert kept_ms(peer) == last


async def test_when_a_remote_was_last_reached_is_kept_when_the_daemon_ends() -> None:
    async with connected() as (peer, _):
        peer.clock.advance(MINUTE_MS)
        await peer.sync()
        last = peer.progress().last_ok_ms
        await peer.die()
        assert kept_ms(peer) == last


async def test_a_remote_that_is_removed_after_it_was_reached_leaves_nothing_kept_of_that() -> None:
    async with connected() as (peer, broker):
        peer.clock.advance(MINUTE_MS)
        await peer.sync()
        peer.commit(lambda unit: remove_remote(unit, "origin"))
        await until(lambda: all(session.line is None for session in broker.sessions.values()))
        await peer.die()
        assert kept_ms(peer) == 0


async def test_who_is_let_in_and_thrown_out_again_and_again_comes_back_later_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[int] = []
    expected: list[int] = []

    def drawn(attempt: int, *_: float) -> float:
        attempts.append(attempt)
        return 3600.0

    monkeypatch.setattr("mootd.exchange.hub.full_jitter", drawn)
    async with connected() as (peer, broker):
        for count in range(3):
            broker.stop()
            broker.start()
            expected.append(count)
            await until(lambda: attempts == expected)
            await peer.sync()  # it is let in again
