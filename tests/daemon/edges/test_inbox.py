"""What waits between a live remote and whoever reads it."""

import asyncio
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_testkit.live import ALICE, BATCHES, BOB, FRONTIER, OTHER_TOPIC, TOPIC, WAIT_S, WANT
from mootd.edges.inbox import Inbox, InboxLimits, check_sent
from mootd.remotes import Channel, Dropped, Incoming

GONE = RefusedError("gone", code=Code.UNREACHABLE)


def frame(channel: Channel, content: bytes, *, topic: bytes = TOPIC, sender: bytes = ALICE) -> Incoming:
    return Incoming(topic, sender, channel, content)


def read_all(inbox: Inbox) -> list[bytes]:
    async def read() -> list[bytes]:
        frames = []
        with suppress(RefusedError):
            async for each in inbox.frames():
                frames.append(each.frame)  # noqa: PERF401 - it ends by raising
        return frames

    inbox.end(GONE)
    return asyncio.run(read())


def test_frames_are_read_in_their_order_and_then_the_end() -> None:
    inbox = Inbox(BOB, [TOPIC], Dropped())
    for content in (b"1", b"2", b"3"):
        inbox.put(frame(BATCHES, content))
    assert inbox.waiting == 3
    assert read_all(inbox) == [b"1", b"2", b"3"]
    assert inbox.waiting == 0


async def test_the_first_reason_for_an_end_counts() -> None:
    inbox = Inbox(BOB, [TOPIC], Dropped())
    inbox.end(GONE)
    inbox.end(RefusedError("because of the first"))
    with pytest.raises(RefusedError, match="gone"):
        await anext(inbox.frames())


def test_own_frames_and_empty_ones_are_left_out_as_a_matter_of_course() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped)
    inbox.put(frame(FRONTIER, b"own", sender=BOB))
    inbox.put(frame(FRONTIER, b""))
    assert (read_all(inbox), dropped) == ([], Dropped())


def test_foreign_topics_and_frames_too_large_are_left_out_and_counted() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(frame_bytes=3))
    inbox.put(frame(BATCHES, b"1", topic=OTHER_TOPIC))
    inbox.put(frame(BATCHES, b"four"))
    inbox.put(frame(BATCHES, b"yes"))
    assert (read_all(inbox), dropped) == ([b"yes"], Dropped(foreign=1, too_large=1))


def test_what_is_larger_than_this_machine_would_take_is_refused_before_it_is_sent() -> None:
    limits = InboxLimits(frame_bytes=3)
    check_sent(b"yes", limits)
    with pytest.raises(RefusedError, match="a frame of 4 bytes; a live remote carries 3") as caught:
        check_sent(b"four", limits)
    assert caught.value.code is Code.LIMIT


def test_without_batches_the_oldest_of_the_others_goes() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(frames=2))
    for content in (b"1", b"2", b"3"):
        inbox.put(frame(WANT, content))
    assert (read_all(inbox), dropped) == ([b"2", b"3"], Dropped(overflowed=1))


def test_a_flood_of_bytes_is_bounded_as_one_of_frames_is() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(bytes=10))
    for content in (b"aaaaaa", b"bbb", b"c", b"dddddd"):
        inbox.put(frame(BATCHES, content))
    assert (read_all(inbox), dropped) == ([b"bbb", b"c", b"dddddd"], Dropped(overflowed=1))


async def test_a_batch_that_was_read_already_is_no_longer_the_oldest() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(frames=2))
    inbox.put(frame(BATCHES, b"read"))
    async with asyncio.timeout(WAIT_S):
        assert (await anext(inbox.frames())).frame == b"read"
    for number, channel in enumerate((WANT, BATCHES, BATCHES)):
        inbox.put(frame(channel, b"%d" % number))
    incoming = inbox.frames()
    async with asyncio.timeout(WAIT_S):
        assert [(await anext(incoming)).frame, (await anext(incoming)).frame] == [b"0", b"2"]
    assert dropped == Dropped(overflowed=1)


async def test_what_was_read_leaves_room() -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(bytes=10))
    incoming = inbox.frames()
    async with asyncio.timeout(WAIT_S):
        for content in (b"1" * 10, b"2" * 10, b"3" * 10):
            inbox.put(frame(BATCHES, content))
            assert (await anext(incoming)).frame == content
    assert dropped == Dropped()


async def test_frames_that_are_read_as_they_come_leave_nothing_behind_however_many_they_were() -> None:
    inbox = Inbox(BOB, [TOPIC], Dropped())
    incoming = inbox.frames()
    batch = frame(BATCHES, b"1")

    async def pass_through(times: int) -> None:
        for _ in range(times):
            inbox.put(batch)
            await anext(incoming)

    tracemalloc.start()
    try:
        async with asyncio.timeout(WAIT_S):
            await pass_through(500)
            before, _ = tracemalloc.get_traced_memory()
            await pass_through(5000)
            after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16_000, "bytes"


async def test_a_reader_that_waits_is_woken_by_a_frame_and_by_the_end() -> None:
    inbox = Inbox(BOB, [TOPIC], Dropped())
    incoming = inbox.frames()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_S):
        loop.call_soon(inbox.put, frame(WANT, b"1"))
        assert (await anext(incoming)).frame == b"1"
        loop.call_soon(inbox.end, GONE)
        with pytest.raises(RefusedError, match="gone"):
            await anext(incoming)


@given(
    sent=st.lists(st.tuples(st.sampled_from(list(Channel)), st.binary(min_size=1, max_size=9)), max_size=40),
    frames=st.integers(1, 10),
    size=st.integers(9, 40),
)
def test_what_is_read_is_what_came_less_what_was_counted_and_no_batch_outlives_a_later_frame_lost(
    sent: list[tuple[Channel, bytes]], frames: int, size: int
) -> None:
    dropped = Dropped()
    inbox = Inbox(BOB, [TOPIC], dropped, InboxLimits(frames=frames, bytes=size))
    marked = [frame(channel, content) for channel, content in sent]
    for each in marked:
        inbox.put(each)
    read = read_all(inbox)
    rest = iter(each.frame for each in marked)
    assert all(content in rest for content in read), "the order of arrival"
    assert len(read) <= frames
    assert sum(map(len, read)) <= size
    assert len(read) + dropped.overflowed == len(sent)
