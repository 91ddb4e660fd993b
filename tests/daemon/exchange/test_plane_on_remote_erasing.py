"""An erasure that comes while something is on its way out: nothing that is queued or sent after it holds the text."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any

import pytest

from moot_protocol.exchange.frontier import FORMAT
from moot_protocol.exchange.messages import Place, Want, build_want
from moot_protocol.log.batch import ZEROS
from moot_testkit.laws.erasing import SECRET
from moot_testkit.laws.sealed_frames import (
    batches_in,
    fill_up,
    heads,
    is_everything_in,
    is_gapless,
    queued,
    said,
    shown,
    tells,
)
from moot_testkit.live import QuietLine
from moot_testkit.towns.exchanging import STILL, Peer, in_place, in_step, live_plane, peers, through_refs
from mootd.edges.memory_remote import MemoryRefRemote, MemoryRefs
from mootd.engine.exchange.outbox import Outbox
from mootd.engine.state import REPLICA_KEY
from mootd.exchange.live_plane import LivePlane, Reply
from mootd.exchange.plane_on_remote import AT_ONCE, PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange
from mootd.remotes import Channel, Incoming

MUCH = 1 << 20


class Interrupted(QuietLine):
    """A line on which something happens while the first frame with batches is on its way."""

    def __init__(self, work: Callable[[], None] | None = None) -> None:
        super().__init__()
        self.before: list[bytes] = []
        """The frame that was on its way then."""
        self.after: list[bytes] = []
        """Frames that went out later."""
        self._work = work

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        if channel is not Channel.BATCHES:
            return
        if self._work is None or self.before:
            self.after.append(frame)
        else:
            self.before.append(frame)
            await asyncio.to_thread(self._work)


class Restless(QuietLine):
    """A line on which something happens while each of the first frames with batches is on its way."""

    def __init__(self, work: Callable[[], None], most: int = 8) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self._work = work
        self._most = most

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """As the port's."""
        if channel is Channel.BATCHES:
            self.frames.append(frame)
            if len(self.frames) <= self._most:
                await asyncio.to_thread(self._work)


class Interrupting(MemoryRefRemote):
    """A remote on which something happens while a ref is read."""

    def __init__(self, refs: MemoryRefs) -> None:
        super().__init__(refs)
        self.work: Callable[[], None] | None = None

    async def read(self, *args: Any) -> Any:
        """As the port's."""
        found = await super().read(*args)
        work, self.work = self.work, None
        if work is not None:
            work()
        return found


def before_commit(peer: Peer, work: Callable[[], None], at: int = 0) -> Callable[[Callable[..., Any]], Any]:
    """A peer's commits, with something that happens right before the so-manieth, or before each."""
    numbers = count(1)

    def commit(job: Callable[..., Any]) -> Any:
        if next(numbers) == at or not at:
            work()
        return peer.commit(job)

    return commit


async def test_what_was_sealed_before_an_erasure_is_not_queued_after_it_and_counts_as_never_sent() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issue, there = ada.say(SECRET), ada.on_remote()
        old = there.prepare(99)
        assert tells(there, (ready.frame for ready in old))
        ada.erase(issue)
        assert ada.commit(lambda unit: there.queue(unit, old)) == len(old) - 1, "what holds it stands last"
        assert not tells(there, queued(ada))
        there.fill(MUCH)
        assert not tells(there, queued(ada))
        assert is_everything_in(ada, there, queued(ada))


async def test_what_was_sealed_with_no_erasure_between_is_queued() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        ada.say(SECRET)
        there = ada.on_remote()
        old = there.prepare(99)
        ada.write()
        assert ada.commit(lambda unit: there.queue(unit, old)) == len(old)
        assert queued(ada) == [ready.frame for ready in old]


async def test_a_queue_that_is_being_filled_while_something_is_erased_is_filled_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mootd.exchange.plane_on_remote.AT_ONCE", 1)
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issue, number = ada.say(SECRET), ada.number("origin")
        commit = before_commit(ada, lambda: ada.erase(issue), at=2)  # the charter is queued, what was written isn't
        there = PlaneOnRemote(ada.replica, ada.plane(), number, commit, message_bytes=MESSAGE_BYTES)
        assert fill_up(there) < 4
        assert not tells(there, queued(ada))
        assert (ada.replica.id, ada.own_n()) in heads(there, queued(ada)), "what was written is, without what is erased"
        assert is_everything_in(ada, there, queued(ada))


async def test_all_of_a_plane_is_read_anew_where_something_is_erased_while_it_is_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issue, there = ada.say(SECRET), ada.on_remote()
        seal = there.sealing.seal
        waits = [lambda: ada.erase(issue)]

        def late(message: bytes, **options: Any) -> bytes:
            frame = seal(message, **options)
            if not options["is_charter"] and waits:
                waits.pop()()
            return frame

        everything = there.everything()
        assert tells(there, everything)
        monkeypatch.setattr(there.sealing, "seal", late)
        frames = there.everything()
        assert not waits
        assert not tells(there, frames)
        assert heads(there, frames) == heads(there, everything)


# -- While much is erased ----------------------------------------------------------------------------------------
def small(peer: Peer, commit: Any = None) -> PlaneOnRemote:
    """A plane on a remote in messages of which each holds a few issues."""
    return PlaneOnRemote(peer.replica, peer.plane(), peer.number("origin"), commit or peer.commit, message_bytes=2048)


def eraser(peer: Peer, count: int) -> Callable[[], None]:
    """Erases another issue each time, of so many; the remote has them already."""
    issues = [peer.say("for a while") for _ in range(count)]
    there = peer.on_remote()
    there.fill(MUCH)
    peer.commit(lambda unit: Outbox(unit.transaction, peer.number("origin")).retire(range(1000)))

    def erase() -> None:
        assert issues, "more readings than there should be"
        peer.erase(issues.pop())

    return erase


async def test_a_queue_is_filled_while_something_else_is_erased_between_each_reading_and_queueing() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        erase = eraser(ada, 12)
        for _ in range(60):
            ada.say(SECRET)
        n = ada.own_n()
        there = small(ada, before_commit(ada, erase))
        while (ada.replica.id, n) not in heads(there, queued(ada)):
            assert there.fill(MUCH) > 0
        assert len(queued(ada)) > AT_ONCE


async def test_a_queue_is_filled_while_what_goes_into_it_is_erased() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issues = [ada.say(f"{SECRET} {number}") for number in range(60)]
        told, commits = issues[::4], []

        def erase() -> None:
            commits.append(len(queued(ada)))
            if told:
                ada.erase(told.pop())

        there = small(ada, before_commit(ada, erase))
        assert fill_up(there) < 40
        assert len(commits) < 60
        assert is_everything_in(ada, there, queued(ada))
        assert sum(SECRET.encode() in values for values in said(there, queued(ada))) == 60 - 15 + len(told)


async def test_where_something_of_it_is_erased_a_queue_is_filled_frame_by_frame_so_that_what_is_there_goes_first() -> (
    None
):
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issues = [ada.say(f"{SECRET} {number}") for number in range(60)]
        told = issues[:2]
        there = small(ada, before_commit(ada, lambda: ada.erase(told.pop(0)) if told else None))
        before = there.fill(MUCH)
        assert before == len(queued(ada)) < AT_ONCE, "those before the first issue"
        assert there.fill(MUCH) == 1
        assert there.fill(MUCH) > AT_ONCE
        assert is_gapless(there, queued(ada), ada)


async def test_what_comes_after_a_message_that_has_to_go_again_is_not_queued_before_it() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issues, there = [ada.say(f"{SECRET} {number}") for number in range(30)], small(ada)
        old = there.prepare(99)
        first = next(at for at, ready in enumerate(old) if tells(there, [ready.frame]))
        ada.commit(lambda unit: there.queue(unit, old[: first + 1]))
        ada.erase(issues[0])
        assert len(queued(ada)) == first, "the erasure has taken it out"
        assert ada.commit(lambda unit: there.queue(unit, old[first + 1 :])) == 0
        there.fill(MUCH)
        assert is_gapless(there, queued(ada), ada)


async def test_an_erasure_takes_out_of_a_queue_what_may_hold_it_and_what_follows_it_and_nothing_before() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(MemoryRefs()))
        issues, there = [ada.say(f"{SECRET} {number}") for number in range(30)], small(ada)
        there.fill(MUCH)
        before = queued(ada)
        ada.erase(issues[15])
        left = queued(ada)
        assert 0 < len(left) < len(before)
        assert left == before[: len(left)]
        assert any(b" 15" in values for values in said(there, [before[len(left)]]))
        there.fill(MUCH)
        assert is_gapless(there, queued(ada), ada)


# -- On an open line -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("queues", [False, True])
async def test_what_waits_to_be_published_behind_a_frame_is_read_anew_where_something_is_erased(
    *, queues: bool
) -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane, issue = live_plane(ada), ada.say(SECRET)
        there = plane.on_remote
        if queues:
            plane.fill()
            assert tells(there, queued(ada))
        line = Interrupted(lambda: ada.erase(issue))
        await plane.hand_over(line)
        assert not tells(there, [*line.before, *line.after, *queued(ada)])
        assert is_everything_in(ada, there, [*line.before, *line.after])


async def test_what_waits_to_be_published_is_while_something_else_is_erased_before_each_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane, erase = live_plane(ada), eraser(ada, 12)
        for _ in range(60):
            ada.say(SECRET * 40)
        n, line, dues = ada.own_n(), Restless(erase, 4), list[int]()
        due = plane._due

        def late() -> Any:
            found = due()
            dues.append(len(line.frames))
            if len(dues) <= 4:
                erase()
            return found

        monkeypatch.setattr(plane, "_due", late)
        await plane.hand_over(line)
        assert len(dues) > 4
        assert dues[1] > 0, "what was due goes out"
        assert (ada.replica.id, n) in heads(plane.on_remote, line.frames)
        sent = batches_in(plane.on_remote, line.frames)
        assert len(sent) == len(set(sent)), "none has to go again"


async def test_what_was_published_right_before_is_not_queued_and_goes_out_again_without_it() -> None:
    async with peers(2, STILL, running=False) as (ada, _):
        plane, issue = live_plane(ada), ada.say(SECRET)
        there = plane.on_remote
        due = plane._due()
        assert due is not None
        line = Interrupted()
        await plane._publish(line, due)
        assert tells(there, line.after)
        plane, second = LivePlane(ada.hub, ada.plane(), ada.number("origin"), Progress()), ada.say(SECRET)
        (ready,) = there.prepare(99)
        ada.erase(issue)
        ada.erase(second)
        ada.commit(lambda unit: there.queue(unit, [ready], 1))
        assert not tells(there, queued(ada))
        last = Interrupted()
        await plane.hand_over(last)
        assert not tells(there, last.after)
        assert is_everything_in(ada, there, [*line.after, *last.after])


@pytest.mark.parametrize("is_erased", [False, True])
async def test_an_answer_with_what_was_erased_since_it_was_read_does_not_go_out(*, is_erased: bool) -> None:
    async with peers(2, STILL, running=False) as (ada, bob):
        plane, issue = live_plane(ada), ada.say(SECRET)
        there = plane.on_remote
        places = (Place(ada.replica.id, 0, ZEROS),)
        want = Want(FORMAT, there.plane.id, bob.replica.id, ada.replica.id, 1, places, ())
        message = there.sealing.seal(build_want(bob.replica.signer(REPLICA_KEY), want))
        take = plane.take

        def late(incoming: Incoming) -> list[Reply]:
            replies = take(incoming)
            if is_erased:
                ada.erase(issue)
            return replies

        line = Interrupted()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plane, "take", late)
            sender = there.keys.sender(bob.replica.id)
            await plane.hear(line, Incoming(there.topic, sender, Channel.WANT, message))
        assert tells(there, line.after) == (not is_erased)


# -- Through refs ----------------------------------------------------------------------------------------------------
async def test_a_queue_that_was_read_before_an_erasure_is_not_pushed_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    refs = MemoryRefs()
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(refs))
        issue, there = ada.say(SECRET), ada.on_remote()
        exchange = RefExchange(MemoryRefRemote(refs), ada.number("origin"), ada.replica, ada.commit, in_place)
        waiting, waits = exchange._waiting, [lambda: ada.erase(issue)]

        def late(plane: PlaneOnRemote) -> Any:
            found = waiting(plane)
            if tells(there, (frame.frame for _, frame in found)):
                waits.pop()()
            return found

        monkeypatch.setattr(exchange, "_waiting", late)
        await exchange.round([there], Progress())
        frames = await shown(refs, there)
        assert not waits
        assert not tells(there, frames)
        assert is_everything_in(ada, there, frames)
        assert queued(ada) == []


async def test_a_plane_is_pushed_in_one_round_while_something_else_is_erased_before_each_push(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.PUSH_BYTES", 8192)
    refs = MemoryRefs()
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(refs))
        erase, there = eraser(ada, 8), small(ada)
        for number in range(60):
            ada.say(f"{SECRET} {number}")
        n = ada.own_n()
        exchange = RefExchange(MemoryRefRemote(refs), ada.number("origin"), ada.replica, ada.commit, in_place)
        waiting = exchange._waiting
        reads: list[int] = []

        def late(plane: PlaneOnRemote) -> Any:
            found = waiting(plane)
            reads.append(len(found))
            if len(reads) <= 8:
                erase()
            return found

        monkeypatch.setattr(exchange, "_waiting", late)
        await exchange.round([there], Progress())
        frames = await shown(refs, there)
        assert (ada.replica.id, n) in heads(there, frames)
        assert len(reads) < 12, "each push takes what it has read"
        assert len(frames) == len(set(frames)) == sum(reads) + 1, "and none goes twice"


async def test_a_round_goes_on_where_all_that_it_has_queued_is_to_be_sealed_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refs = MemoryRefs()
    async with peers(2, STILL, running=False) as (ada, _):
        ada.add(through_refs(refs))
        issues, there = [ada.say(f"{SECRET} {number}") for number in range(9)], ada.on_remote()
        told, fill = issues[:4], there.fill

        def late(most: int, **options: Any) -> int:
            count = fill(most, **options)
            if told:
                ada.erase(told.pop(0))
            return count

        monkeypatch.setattr(there, "fill", late)
        exchange = RefExchange(MemoryRefRemote(refs), ada.number("origin"), ada.replica, ada.commit, in_place)
        await exchange.round([there], Progress())
        assert not told
        assert is_everything_in(ada, there, await shown(refs, there))
        assert is_gapless(there, await shown(refs, there), ada)


@pytest.mark.parametrize("erased", ["before", "when it is read", "when it is sealed"])
async def test_a_generation_that_is_begun_anew_brings_nothing_back_that_was_erased(
    monkeypatch: pytest.MonkeyPatch, erased: str
) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.SMALL_PUSHES", 2)
    refs = MemoryRefs()
    async with peers(2, STILL, running=False) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(refs))
        issue, there, remote = ada.say(SECRET), ada.on_remote(), Interrupting(refs)
        without_erased = there.log.without_erased
        waits = [lambda: ada.erase(issue)]

        def late(batches: Iterable[bytes]) -> list[bytes]:
            found = without_erased(batches)
            if erased == "when it is sealed" and waits:
                waits.pop()()
            return found

        monkeypatch.setattr(there.log, "without_erased", late)
        exchange = RefExchange(remote, ada.number("origin"), ada.replica, ada.commit, in_place)
        await exchange.round([there], Progress())
        assert tells(there, await shown(refs, there))
        if erased == "before":
            waits.pop()()
        elif erased == "when it is read":
            remote.work = waits.pop()  # its own ref is read where it is made anew, and nowhere else
        for _ in range(4):
            ada.write()
            await exchange.round([there], Progress())
            assert exchange._own(there).generation == 1 or not tells(there, await shown(refs, there))
        assert (remote.work, waits) == (None, [])
        assert exchange._own(there).generation > 1
        assert is_everything_in(ada, there, await shown(refs, there))
        bobs = RefExchange(MemoryRefRemote(refs), bob.number("origin"), bob.replica, bob.commit, in_place)
        for _ in range(2):
            await bobs.round([bob.on_remote()], Progress())
            await exchange.round([there], Progress())
        assert in_step(ada, bob)
