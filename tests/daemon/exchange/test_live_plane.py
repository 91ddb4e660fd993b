"""Live exchange under faults, over a broker in memory that misbehaves by a seed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

import pytest
from msgspec.structs import replace

from moot_protocol.batch import batch_link
from moot_protocol.errors import Code, RefusedError
from moot_protocol.frame import seal
from moot_protocol.messages import Batches
from moot_protocol.presence import Presence, build_presence
from moot_protocol.siv import NONCE_BYTES
from moot_testkit.exchanging import QUICK, STILL, Peer, at_rest, in_step, peers, through_line, through_refs, until
from moot_testkit.feeds import stripped
from moot_testkit.git_servers import at_scale
from mootd.edges.memory_line import MemoryBroker
from mootd.edges.memory_remote import MemoryRefs
from mootd.engine.epochs import begin_epoch
from mootd.engine.members import seen
from mootd.engine.outbox import Outbox, OutboxReader
from mootd.engine.remotes import remove_remote
from mootd.engine.state import REPLICA_KEY
from mootd.exchange.live_plane import AT_ONCE, LivePlane, Reply
from mootd.exchange.progress import Progress
from mootd.remotes import Channel, Incoming
from mootd.store.port import Table


class Unruly(MemoryBroker):
    """A broker whose frames are lost, doubled and late by a seed."""

    def __init__(self, seed: int, *, is_unruly: bool = True) -> None:
        super().__init__()
        self._random = Random(seed)
        self.is_unruly = is_unruly
        self.published: list[Incoming] = []
        self._late: list[Incoming] = []

    def publish(self, incoming: Incoming) -> None:
        """Pass a frame on, or not, or twice, or some time."""
        self.published.append(incoming)
        luck = self._random.random() if self.is_unruly else 1.0
        if luck < 0.3:
            return
        if luck < 0.5:
            self._late.append(incoming)
            return
        for _ in range(2 if luck < 0.7 else 1):
            super().publish(incoming)
        while self._late and luck > 0.6:
            super().publish(self._late.pop())


@pytest.mark.parametrize("seed", range(at_scale(3, 30)))
async def test_machines_agree_whatever_is_lost_doubled_or_late(seed: int) -> None:
    unruly = Unruly(seed)
    async with peers(3, QUICK) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_line(unruly), kind="mqtt")
        await until(lambda: unruly.published != [])
        for _ in range(5):
            ada.write()
            for peer in (bob, carl):
                if peer.replica.is_waiting(peer.plane().number):
                    continue
                peer.write()
        unruly.is_unruly = False
        for peer in (ada, bob, carl):
            peer.clock.advance(61_000)
        unruly.stop()
        unruly.start()
        await until(lambda: in_step(ada, bob, carl))


async def test_what_just_came_is_not_sent_back() -> None:
    unruly = Unruly(0, is_unruly=False)
    async with peers(3, QUICK) as everyone:
        for peer in everyone:
            peer.add(through_line(unruly), kind="mqtt")
        await until(lambda: at_rest(*everyone))
        unruly.published.clear()
        ada = everyone[0]
        for _ in range(at_scale(4, 10)):
            ada.write()
            await until(lambda: in_step(*everyone))
        senders = {each.sender for each in unruly.published if each.channel is Channel.BATCHES}
        assert senders == {ada.on_remote().sender}


@pytest.mark.parametrize("tampering", ["rolled back", "garbage", "another's"])
async def test_a_retained_frontier_that_somebody_changed_keeps_nobody_from_agreeing(tampering: str) -> None:
    broker = MemoryBroker()
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt")
        await until(lambda: in_step(ada, bob))
        key = (ada.on_remote().topic, ada.on_remote().sender, Channel.FRONTIER)
        await until(lambda: key in broker.retained)
        old = broker.retained[key]
        ada.write(3)
        await until(lambda: in_step(ada, bob) and broker.retained[key] != old)
        others = broker.retained[key[0], bob.on_remote().sender, Channel.FRONTIER]
        frame = {"rolled back": old, "garbage": b"garbage", "another's": others}[tampering]
        await bob.die()
        broker.publish(Incoming(*key, frame, is_retained=False))
        ada.write()
        broker.publish(Incoming(*key, frame, is_retained=False))
        await bob.live_again()
        await until(lambda: in_step(ada, bob))


@pytest.mark.parametrize("way", ["line", "refs"])
async def test_more_is_written_offline_than_the_outbox_holds_and_all_of_it_arrives(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap, writes = at_scale(100, 1000), at_scale(150, 1500)
    monkeypatch.setitem(Outbox.__init__.__kwdefaults__ or {}, "most_frames", cap)
    broker, refs = MemoryBroker(), MemoryRefs()
    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker) if way == "line" else through_refs(refs), kind="mqtt")
        for _ in range(3):
            await ada.sync()
            await bob.sync()
        if way == "line":
            await until(lambda: in_step(ada, bob))
        broker.stop(forget=True)
        refs.is_reachable = False
        there = ada.on_remote()
        for _ in range(writes):
            ada.write()
            there.fill(1 << 30)
        gauge = ada.gauge()
        assert gauge.frames == cap
        assert gauge.dropped >= writes - cap
        await ada.sync()
        assert ada.progress().error is not None
        broker.start()
        refs.is_reachable = True
        for _ in range(3):
            await ada.sync()
            await bob.sync()
        await until(lambda: in_step(ada, bob))
        assert bob.events() > writes


def has_heard(peer: Peer, other: Peer, since_ms: int) -> bool:
    """Whether a machine has heard from another since then that both are in step, and so all that came before that."""
    with peer.replica.read() as reader:
        row = seen(reader, peer.plane().number).get(other.replica.id)
    return row is not None and row.in_step_ms > since_ms


def have_heard(one: Peer, other: Peer, since_ms: int) -> bool:
    """Whether both have heard from one another since then; else a minute passes, after which they tell again."""
    if has_heard(one, other, since_ms) and has_heard(other, one, since_ms):
        return True
    for peer in (one, other):
        peer.clock.advance(61_000)
    return False


async def test_the_outbox_keeps_what_a_member_heard_of_lately_has_not_confirmed() -> None:
    broker = MemoryBroker()
    async with peers(3, QUICK) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_line(broker), kind="mqtt")
        await until(lambda: at_rest(ada, bob, carl) and have_heard(ada, carl, 0))
        await carl.die()
        ada.write()
        await until(lambda: in_step(ada, bob))
        await until(lambda: ada.progress().rounds > 0 and ada.gauge().frames == 1)
        await carl.live_again()
        await until(lambda: at_rest(ada, bob, carl))


async def test_members_not_heard_of_for_a_month_are_waited_for_no_more() -> None:
    broker = MemoryBroker()
    async with peers(3, QUICK) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_line(broker), kind="mqtt")
        await until(lambda: at_rest(ada, bob, carl) and have_heard(ada, carl, 0))
        await carl.die()
        since = max(peer.clock.now_ms() for peer in (ada, bob))
        for peer in (ada, bob):
            peer.clock.advance(since - peer.clock.now_ms() + 1)
        ada.write()
        await until(lambda: in_step(ada, bob) and ada.gauge().frames == 1)
        await until(lambda: have_heard(ada, bob, since))
        for peer in (ada, bob):
            peer.clock.advance(31 * 24 * 3600 * 1000)
        bob.write()
        ada.write()
        await until(lambda: at_rest(ada, bob))
        assert not ada.gauge().frames


class Deaf(MemoryBroker):
    """A broker that acknowledges all and passes nothing on."""

    is_deaf = True

    def publish(self, incoming: Incoming) -> None:
        """Pass a frame on, or not."""
        if not self.is_deaf:
            super().publish(incoming)


async def test_what_a_broker_acknowledged_and_dropped_comes_without_anybody_writing_anew() -> None:
    broker = Deaf()
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt")
        ada.write(3)
        await until(lambda: ada.progress().sent > 0 and bob.progress().rounds > 0)
        assert not bob.events()
        broker.is_deaf = False
        await until(lambda: at_rest(ada, bob))


async def test_a_batch_whose_values_are_withheld_is_completed_by_another_member() -> None:
    broker, refs = MemoryBroker(), MemoryRefs()
    async with peers(3, STILL) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_refs(refs))
        for _ in range(3):
            for peer in (ada, bob, carl):
                await peer.sync()
        ada.write()
        (last,) = ada.member.batches(after=ada.own_n() - 1)
        carl.member.take(stripped(last))
        assert carl.withheld() == 1
        ada_there = ada.position()
        bob.member.take(last)
        await ada.die()
        for peer in (bob, carl):
            peer.add(through_line(broker), "live", kind="mqtt")
        for _ in range(3):
            await bob.sync()
            await carl.sync()
        await until(lambda: not carl.withheld())
        assert carl.position() == ada_there == bob.position()


# -- Handing over --------------------------------------------------------------------------------------------------
class Watched:
    """A line that notes what is published on it, and fails or does something at the so-manieth frame."""

    def __init__(self, at: int = -1, work: Callable[[], None] | None = None) -> None:
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

    def incoming(self) -> "asyncio.Queue[Incoming]":
        """Nobody listens."""
        raise AssertionError


def waiting(peer: Peer) -> list[bool]:
    """Of each queued frame, whether it was published."""
    with peer.replica.read() as reader:
        return [bool(frame.published_ms) for _, frame in OutboxReader(reader, peer.number("origin")).frames()]


async def handing(peer: Peer) -> LivePlane:
    """A plane of a peer whose remote nobody serves, with nothing handed over so far."""
    peer.add(through_line(MemoryBroker()), kind="mqtt")
    peer.hub._loop = asyncio.get_running_loop()
    return LivePlane(peer.hub, peer.plane(), peer.number("origin"), Progress())


async def test_what_is_written_goes_out_before_the_queue_is_committed_and_is_queued_as_published() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = await handing(ada)
        ada.write(2)
        before = ada.commits
        commits: list[int] = []
        line = Watched(0, lambda: commits.append(ada.commits))
        await plane.hand_over(line)  # type: ignore[arg-type]
        assert commits == [before]
        assert len(line.frames) == 2  # the charter, and what was written
        assert not waiting(ada)  # nobody else is known: nobody is waited for
        again = Watched()
        await plane.hand_over(again)  # type: ignore[arg-type]
        assert not again.frames


async def test_a_crash_between_the_publish_and_the_queue_sends_it_again() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = await handing(ada)
        ada.write()

        def crash() -> None:
            raise KeyboardInterrupt

        plane._note = lambda due, published: crash()  # type: ignore[method-assign]
        line = Watched()
        with pytest.raises(KeyboardInterrupt):
            await plane.hand_over(line)  # type: ignore[arg-type]
        sent = len(line.frames)
        assert sent
        later = Watched()
        await LivePlane(ada.hub, ada.plane(), ada.number("origin"), Progress()).hand_over(later)  # type: ignore[arg-type]
        assert len(later.frames) == sent


async def test_of_frames_whose_line_breaks_the_rest_waits_and_goes_first_on_the_next() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = await handing(ada)
        ada.write()
        with pytest.raises(RefusedError):
            await plane.hand_over(Watched(1))  # type: ignore[arg-type]
        assert waiting(ada) == [True, False]
        ada.write()
        line = Watched()
        await plane.hand_over(line)  # type: ignore[arg-type]
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
        plane = await handing(ada)
        number = ada.number("origin")
        ada.write()

        def remove() -> None:
            ada.commit(lambda unit: remove_remote(unit, "origin"))

        line = Watched(0, remove)
        with pytest.raises(RefusedError) as raised:
            await plane.hand_over(line)  # type: ignore[arg-type]
        assert raised.value.code is Code.NOT_FOUND
        with ada.replica.read() as reader:
            assert not list(OutboxReader(reader, number).frames())
            assert not plane.on_remote.prepare(0)
            assert not any(key.startswith(b"outbox/") for key, _ in reader.scan(Table.META, b"outbox/", b"outbox0"))


async def test_a_machine_told_to_stop_while_it_publishes_stops_whatever_has_become_of_the_remote() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = await handing(ada)
        ada.write()

        def stop() -> None:
            ada.commit(lambda unit: remove_remote(unit, "origin"))
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await plane.hand_over(Watched(1, stop))  # type: ignore[arg-type]


async def test_what_was_sealed_before_a_new_key_and_queued_after_it_goes_out_under_the_new_one() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane = await handing(ada)
        ada.write(2)
        old = plane.on_remote.prepare(AT_ONCE)
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), plane.on_remote.keys))
        ada.commit(lambda unit: plane.on_remote.queue(unit, old))
        line = Watched()
        await plane.hand_over(line)  # type: ignore[arg-type]
        assert not plane.on_remote.is_outdated(*line.frames)
        assert plane.on_remote.is_outdated(*(ready.frame for ready in old))
        links = [batch_link(each) for frame in line.frames for each in brought(plane, frame)]
        assert {(link.author, link.last) for link in links} >= {
            (entry.author, entry.n) for entry in ada.position().frontier
        }


def brought(plane: LivePlane, frame: bytes) -> tuple[bytes, ...]:
    """The batches in a frame."""
    message = plane.on_remote.open(frame)
    assert isinstance(message, Batches)
    return message.batches


class Slow:
    """A line on which the first frame of a channel takes until it is let through."""

    def __init__(self, channel: Channel) -> None:
        self.published: list[Channel] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self._channel = channel

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        if channel is self._channel and not self.begun.is_set():
            self.begun.set()
            await self.gate.wait()
        self.published.append(channel)


@asynccontextmanager
async def held_up(ada: Peer, channel: Channel, replies: Callable[[LivePlane], list[Reply]]) -> AsyncIterator[Slow]:
    """A plane that hands over while something comes in, a frame of this channel of its own held up within."""
    plane, line = await handing(ada), Slow(channel)
    incoming = Incoming(plane.on_remote.topic, bytes(16), Channel.WANT, b"", is_retained=False)
    plane.take = lambda _: replies(plane)  # type: ignore[method-assign,assignment]
    hearing, handing_over = plane.hear(line, incoming), plane.hand_over(line)  # type: ignore[arg-type]
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
        await plane.hand_over(line)  # type: ignore[arg-type]


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


# -- Who listens ---------------------------------------------------------------------------------------------------
async def test_presence_is_believed_of_its_sender_alone_and_only_when_it_is_news() -> None:
    async with peers(2, STILL) as (ada, bob):
        broker = MemoryBroker()
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt")
        for _ in range(3):
            await ada.sync()
            await bob.sync()
        await until(lambda: in_step(ada, bob))
        progress = Progress()
        here = LivePlane(ada.hub, ada.plane(), ada.number("origin"), progress)
        there = bob.on_remote()
        key = there.keys.key_of(there._epoch() or b"") or b""

        def said(presence: Presence, sender: bytes = there.sender) -> set[tuple[int, bytes]]:
            message = build_presence(bob.replica.signer(REPLICA_KEY), presence)
            frame = seal(key, there.topic, bytes(NONCE_BYTES), message)
            here.hear_presence(Incoming(there.topic, sender, Channel.PRESENCE, frame, is_retained=True))
            return progress.present

        coming = Presence(1, there.plane.id, bob.replica.id, 10, is_there=True)
        member = (ada.plane().number, bob.replica.id)
        assert not said(coming, ada.on_remote().sender)
        assert not said(replace(coming, plane=bytes(16)))
        assert said(coming) == {member}
        assert said(replace(coming, counter=9, is_there=False)) == {member}
        assert said(replace(coming, counter=11, is_there=False)) == set()
        assert said(replace(coming, counter=12)) == {member}
        here.forget_present()
        assert not progress.present
        assert sum(progress.problems.values()) == 1
