"""What a live plane hands over, in which order and how often, whatever breaks or ends meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from msgspec.msgpack import encode
from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.messages import Batches
from moot_protocol.log.batch import batch_link
from moot_testkit.live import QuietLine
from moot_testkit.tables import put
from moot_testkit.towns.counting import let_count
from moot_testkit.towns.exchanging import STILL, Peer, live_plane, peers, through_line, through_refs
from mootd.edges.memory_line import MemoryBroker
from mootd.edges.memory_remote import MemoryRefs
from mootd.engine.exchange.outbox import OutboxReader
from mootd.engine.machine.members import note_in_step, seen
from mootd.engine.machine.remotes import remove_remote
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.stored import layout
from mootd.exchange.live_plane import AT_ONCE, LivePlane, Reply
from mootd.exchange.progress import Progress
from mootd.remotes import Channel, Incoming
from mootd.store.port import Table


class Watched(QuietLine):
    """A line that notes what is published on it, and fails or does something at the so-manieth frame."""

    def __init__(self, at: int = -1, work: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self._at = at
        self._work = work

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        if channel is not Channel.BATCHES:
            return
        if len(self.frames) == self._at:
            if self._work is None:
                raise RefusedError("the line broke", code=Code.UNREACHABLE)
            self._work()
        self.frames.append(frame)


def waiting(peer: Peer) -> list[bool]:
    """Of each queued frame, whether it was published."""
    with peer.replica.read() as reader:
        return [bool(frame.published_ms) for _, frame in OutboxReader(reader, peer.number("origin")).frames()]


async def test_what_is_written_goes_out_before_the_queue_is_committed_and_is_queued_as_published() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        ada.write(2)
        before = ada.commits
        commits: list[int] = []
        line = Watched(0, lambda: commits.append(ada.commits))
        await plane.hand_over(line)
        assert commits == [before]
        assert len(line.frames) == 2  # the charter, and what was written
        assert not waiting(ada)  # nobody else is known: nobody is waited for
        again = Watched()
        await plane.hand_over(again)
        assert not again.frames


async def test_a_crash_between_the_publish_and_the_queue_sends_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        ada.write()

        def crash(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(plane, "_note", crash)
        line = Watched()
        with pytest.raises(KeyboardInterrupt):
            await plane.hand_over(line)
        sent = len(line.frames)
        assert sent
        later = Watched()
        await LivePlane(ada.hub, ada.plane(), ada.number("origin"), Progress()).hand_over(later)
        assert len(later.frames) == sent


async def test_of_frames_whose_line_breaks_the_rest_waits_and_goes_first_on_the_next() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        ada.write()
        with pytest.raises(RefusedError):
            await plane.hand_over(Watched(1))
        assert waiting(ada) == [True, False]
        ada.write()
        line = Watched()
        await plane.hand_over(line)
        assert len(line.frames) == 2
        assert AT_ONCE > 2


@pytest.mark.parametrize("way", ["line", "refs"])
async def test_what_is_written_while_the_remote_is_away_stands_in_the_queue(way: str) -> None:
    broker, refs = MemoryBroker(), MemoryRefs()
    async with peers(2) as (ada, _):
        broker.stop()
        refs.is_reachable = False
        ada.add(through_line(broker) if way == "line" else through_refs(refs), kind="mqtt")
        ada.write(3)
        await ada.sync()
        first = ada.gauge()
        assert (first.frames > 0, first.dropped) == (True, 0)
        ada.write(3)
        await ada.sync()
        assert ada.gauge().frames > first.frames
        broker.start()
        refs.is_reachable = True
        await ada.sync()
        assert not ada.gauge().frames


async def test_a_remote_that_is_removed_while_frames_are_on_their_way_leaves_nothing_behind() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        number = ada.number("origin")
        ada.write()

        def remove() -> None:
            ada.commit(lambda unit: remove_remote(unit, "origin"))

        line = Watched(0, remove)
        with pytest.raises(RefusedError) as raised:
            await plane.hand_over(line)
        assert raised.value.code is Code.NOT_FOUND
        with ada.replica.read() as reader:
            assert not list(OutboxReader(reader, number).frames())
            assert not plane.on_remote.prepare(0)
            assert not any(key.startswith(b"outbox/") for key, _ in reader.scan(Table.META, b"outbox/", b"outbox0"))


async def test_a_machine_told_to_stop_while_it_publishes_stops_whatever_has_become_of_the_remote() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        ada.write()

        def stop() -> None:
            ada.commit(lambda unit: remove_remote(unit, "origin"))
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await plane.hand_over(Watched(1, stop))


async def test_what_was_sealed_before_a_new_key_and_queued_after_it_goes_out_under_the_new_one() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = live_plane(ada)
        ada.write(2)
        old = plane.on_remote.prepare(AT_ONCE)
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), plane.on_remote.keys))
        ada.commit(lambda unit: plane.on_remote.queue(unit, old))
        line = Watched()
        await plane.hand_over(line)
        assert not plane.on_remote.sealing.is_outdated(*line.frames)
        assert plane.on_remote.sealing.is_outdated(*(ready.frame for ready in old))
        links = [batch_link(each) for frame in line.frames for each in brought(plane, frame)]
        assert {(link.author, link.last) for link in links} >= {
            (entry.author, entry.n) for entry in ada.position().frontier
        }


def brought(plane: LivePlane, frame: bytes) -> tuple[bytes, ...]:
    """The batches in a frame."""
    message = plane.on_remote.sealing.open(frame)
    assert isinstance(message, Batches)
    return message.batches


class Slow(QuietLine):
    """A line on which the first frame of a channel takes until it is let through."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self._channel = channel

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        if channel is self._channel and not self.begun.is_set():
            self.begun.set()
            await self.gate.wait()
        await super().publish(topic, channel, frame)


@asynccontextmanager
async def held_up(ada: Peer, channel: Channel, replies: Callable[[LivePlane], list[Reply]]) -> AsyncIterator[Slow]:
    """A plane that hands over while something comes in, a frame of this channel of its own held up within."""
    plane, line = live_plane(ada), Slow(channel)
    incoming = Incoming(plane.on_remote.topic, bytes(16), Channel.WANT, b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plane, "take", lambda _: replies(plane))
        hearing, handing_over = plane.hear(line, incoming), plane.hand_over(line)
        first, second = (hearing, handing_over) if channel is Channel.WANT else (handing_over, hearing)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first)
            await line.begun.wait()
            last = tasks.create_task(second)
            for _ in range(20):  # as far as it comes meanwhile
                await asyncio.gather(*(plane._hub.in_thread(int) for _ in range(4)))
            yield line
            line.gate.set()
            await last
            await plane.hand_over(line)


async def test_nothing_is_said_of_this_machine_while_something_said_before_is_on_its_way() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        async with held_up(ada, Channel.WANT, lambda _: [Reply(Channel.WANT, b"a reply")]) as line:
            assert Channel.FRONTIER not in line.published
        assert [each for each in line.published if each is not Channel.BATCHES] == [Channel.WANT, Channel.FRONTIER]


async def test_news_that_comes_while_this_machine_tells_where_it_stands_is_told_after_that() -> None:
    def news(plane: LivePlane) -> list[Reply]:
        plane.forget_told()
        return []

    async with peers(2, STILL, running=False) as (ada, _):
        async with held_up(ada, Channel.FRONTIER, news) as line:
            pass
        assert line.published.count(Channel.FRONTIER) == 2


async def test_a_frame_waits_until_everybody_is_known_to_have_been_in_step_after_it_was_published() -> None:
    async with peers(2, STILL, running=False) as (ada, bob):
        plane, number = live_plane(ada), ada.plane().number
        ada.commit(lambda unit: let_count(unit, number, bob.replica.id))
        ada.commit(lambda unit: note_in_step(unit, number, bob.replica.id))
        ada.write()
        await plane.hand_over(Watched())
        with ada.replica.read() as reader:
            frames = [frame for _, frame in OutboxReader(reader, ada.number("origin")).frames()]
            row = seen(reader, number)[bob.replica.id]
        published = {frame.published_ms for frame in frames}
        for in_step_ms, left in ((min(published), len(frames)), (max(published) + 1, 0)):
            known = encode(replace(row, in_step_ms=in_step_ms))
            put(ada.member.store, Table.META, layout.seen_key(number, bob.replica.id), known)
            plane.retire()
            assert len(waiting(ada)) == left
