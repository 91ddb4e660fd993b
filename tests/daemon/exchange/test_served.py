"""A served remote: when its next round shouldn't wait, and when an exchange that was asked for is answered."""

import asyncio

import pytest

from mootd.engine.machine.remotes import RemoteRow
from mootd.exchange import served
from mootd.exchange.served import ServedRemote

LONG_S = 1e6


class Line:
    """As much of a worker as a remote asks while it waits for what others answer."""

    is_settled = False


def tried(monkeypatch: pytest.MonkeyPatch, settle_s: float) -> tuple[ServedRemote, Line]:
    """A remote on which one exchange was asked for and tried, and where more may be on its way."""
    monkeypatch.setattr(served, "SETTLE_S", settle_s)
    remote, line = ServedRemote(RemoteRow(1, "origin", "mqtt", "mqtt://host", "auto", {})), Line()
    remote.worker = line  # type: ignore[assignment]
    remote.asked = remote.answered = 1
    remote.begin_settling()
    return remote, line


async def test_what_no_try_has_answered_yet_is_urgent(monkeypatch: pytest.MonkeyPatch) -> None:
    remote, line = tried(monkeypatch, 0)
    line.is_settled = True
    assert (remote.has_answered(1), remote.is_urgent) == (True, False)
    remote.asked = 2
    assert (remote.has_answered(2), remote.is_urgent) == (False, True)


async def test_an_exchange_waits_for_what_it_has_set_off_as_long_as_that_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    remote, line = tried(monkeypatch, LONG_S)
    assert not remote.has_answered(1)
    line.is_settled = True
    assert remote.has_answered(1)


async def test_an_exchange_that_nothing_more_comes_of_is_answered_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remote, _ = tried(monkeypatch, 0)
    assert remote.has_answered(1)
    monkeypatch.setattr(served, "SETTLE_S", LONG_S)
    remote.progress.received += 1
    assert not remote.has_answered(1)


async def test_a_try_that_failed_answers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    remote, _ = tried(monkeypatch, LONG_S)
    remote.progress.failures = 1
    assert remote.has_answered(1)


async def test_who_waits_for_the_next_round_is_woken_by_what_hurries(monkeypatch: pytest.MonkeyPatch) -> None:
    remote, _ = tried(monkeypatch, 0)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(remote.urgency(asyncio.get_running_loop().time() + LONG_S), name="next round")
        await asyncio.sleep(0)
        remote.urged.set()
        await asyncio.sleep(0)
        assert not waiting.done()
        remote.hurries = True
        remote.urged.set()
