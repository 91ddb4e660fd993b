"""A burst goes at once, and then one in each interval; so a live plane tells where it stands."""

import asyncio

from moot_testkit.live import QuietLine
from moot_testkit.towns.exchanging import STILL, live_plane, peers
from mootd.exchange.pace import Pace
from mootd.remotes import Channel


def test_a_burst_goes_at_once_and_the_next_one_waits() -> None:
    pace = Pace(3, 0.5)
    assert [pace.wait_s(100.0) for _ in range(5)] == [0, 0, 0, 0.5, 0.5]


def test_who_waited_as_long_as_it_was_told_goes_then() -> None:
    pace = Pace(1, 0.5)
    assert pace.wait_s(100.0) == 0
    assert [pace.wait_s(at) for at in (100.25, 100.5, 100.75, 101.0)] == [0.25, 0, 0.25, 0]


def test_after_a_rest_a_burst_goes_again_and_no_more() -> None:
    pace = Pace(2, 0.5)
    for now in (100.0, 1000.0):
        assert [pace.wait_s(now) for _ in range(3)] == [0, 0, 0.5]


async def test_who_goes_on_writing_is_heard_at_once_and_tells_only_now_and_then_where_it_stands() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane, line, woken = live_plane(ada), QuietLine(), asyncio.Event()
        ada.hub.wake = lambda _: woken.set()  # type: ignore[method-assign,assignment]
        plane._pace = Pace(2, 1000)
        for number in range(6):
            ada.write()
            await plane.hand_over(line)
            assert line.published.count(Channel.BATCHES) > number
        assert line.published.count(Channel.FRONTIER) == 2
        plane.be_asked()
        await plane.hand_over(line)
        assert line.published.count(Channel.FRONTIER) == 3
        plane._pace, plane._later = Pace(1, 0.01), None
        for number in range(4, 6):  # the last word is told by and by
            ada.write()
            await plane.hand_over(line)
            while line.published.count(Channel.FRONTIER) < number:
                await woken.wait()
                woken.clear()
                await plane.hand_over(line)
