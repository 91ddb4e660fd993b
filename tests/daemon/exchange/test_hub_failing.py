"""The hub over a store that fails now and then: it goes on, and says so meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from moot_protocol.errors import Code, RefusedError
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.exchange import Sync
from moot_testkit.towns.exchanging import STILL, Peer, peers, through_line, until
from mootd import waking
from mootd.edges.memory_line import MemoryBroker
from mootd.engine.membership.inviting import invite
from mootd.exchange.hub import Hub, Settings

HASTY = Settings(debounce_s=0, poll_s=60, base_s=0.01, cap_s=0.02)
BUSY = RefusedError("the store is busy", code=Code.BUSY, retryable=True)


class Failing:
    """Lets something of the hub's fail while it is told to.

    Args:
        name: the method.
        error: what it fails with.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
        self.works = False
        self.tries = 0
        method: Callable[..., Any] = getattr(Hub, name)

        def tried(hub: Hub, *arguments: Any) -> Any:
            self.tries += 1
            if not self.works:
                raise error
            return method(hub, *arguments)

        monkeypatch.setattr(Hub, name, tried)


def add(peer: Peer) -> None:
    peer.commit(lambda unit: invite(unit, peer.plane(), Role.WRITER, 0, ()))
    peer.add(through_line(MemoryBroker()), kind="mqtt")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "RETRY_S", 0.01)


async def test_while_remotes_can_not_be_read_who_asks_for_an_exchange_hears_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waking, "RETRY_S", 3600)
    async with peers(1, STILL, running=False) as (peer,):
        add(peer)
        rows = Failing(monkeypatch, "_rows", BUSY)
        peer.start()
        await until(lambda: bool(peer.hub.trouble))
        rows.works = True
        with pytest.raises(RefusedError, match="remotes can't be seen to: the store is busy") as raised:
            await peer.hub.sync(Sync())
        assert (raised.value.code, raised.value.retryable) == (Code.NOT_READY, True)


async def test_once_remotes_can_be_read_again_they_are_exchanged_with(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peers(1, STILL, running=False) as (peer,):
        add(peer)
        rows = Failing(monkeypatch, "_rows", OSError("no more files"))
        peer.start()
        await until(lambda: peer.hub.trouble == "a defect in Moot, OSError")
        rows.works = True
        await until(lambda: not peer.hub.trouble)
        (remote,) = await peer.sync()
        assert remote["error"] == ""


async def test_a_remote_about_which_nothing_can_be_read_fails_as_any_other_and_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peers(1, HASTY, running=False) as (peer,):
        add(peer)
        reached = Failing(monkeypatch, "_reached_ms", BUSY)
        peer.start()
        await until(lambda: reached.tries > 2)
        assert peer.progress().why() == "the store is busy"
        reached.works = True
        await until(lambda: not peer.progress().why() and peer.progress().rounds > 0)


async def test_a_defect_in_what_is_noted_beside_the_exchange_holds_it_up_no_more_than_a_busy_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with capture_logs() as lines:
        async with peers(1, STILL, running=False) as (peer,):
            add(peer)
            gauge = Failing(monkeypatch, "_gauge", KeyError("queue"))
            peer.start()
            (remote,) = await peer.sync()
            assert remote["error"] == ""
            assert gauge.tries > 0
    broke = [line for line in lines if line["event"] == "exchange.broke"]
    assert [repr(line["exc_info"]) for line in broke] == ["KeyError('queue')"] * gauge.tries
