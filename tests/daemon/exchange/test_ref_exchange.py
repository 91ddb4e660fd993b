"""Exchange through refs under faults: what others may put there, and a process that dies at any step."""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import pytest

from moot_protocol.exchange.messages import Batches, build_batches
from moot_protocol.sealing.frame import frame_epoch, seal
from moot_testkit.towns.exchanging import Peer, in_place, in_step, peers, settle, through_refs
from mootd.edges.git.names import ref_name
from mootd.edges.memory_remote import Commit, MemoryRefRemote, MemoryRefs
from mootd.engine.exchange.carried import carried_of
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.forks import forks_of
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.exchange.losses import LOST_MS
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import MOST_PROBLEMS, Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange
from mootd.remotes import Fetched, Ref, RefRemote, Tip
from mootd.store.memory_store import CrashError, Faults
from mootd.store.port import Table

R = TypeVar("R")

NONCE = bytes(12)


class DiedError(BaseException):
    """The process ends here; no handler may survive it."""


class Ordered:
    """A remote that names one sender's refs last."""

    def __init__(self, remote: RefRemote) -> None:
        self._remote = remote
        self.last = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._remote, name)

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        fetched = await self._remote.fetch(topics)
        return fetched._replace(tips=sorted(fetched.tips, key=lambda tip: tip.ref.sender == self.last))


class Mortal:
    """A remote under whose caller the process dies, before or after the call that is due."""

    def __init__(self, remote: RefRemote) -> None:
        self._remote = remote
        self.steps = 0
        self.last = 0
        """The step at which the process dies; 0 for never. A call is two steps."""

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.last:
            raise DiedError

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        self._step()
        fetched = await self._remote.fetch(topics)
        self._step()
        return fetched

    async def read(self, tip: Tip, after: str | None, room: int) -> tuple[Sequence[bytes], str]:
        self._step()
        found = await self._remote.read(tip, after, room)
        self._step()
        return found

    async def push(self, ref: Ref, frames: Sequence[bytes]) -> Tip:
        self._step()
        tip = await self._remote.push(ref, frames)
        self._step()
        return tip

    async def drop(self, ref: Ref) -> None:
        self._step()
        await self._remote.drop(ref)
        self._step()

    async def close(self) -> None:
        await self._remote.close()


async def one_round(peer: Peer, remote: RefRemote) -> Progress:
    """What a process that has just begun does with a remote."""
    progress = Progress()
    exchange = RefExchange(remote, peer.number("origin"), peer.replica, peer.member.commit, in_place)
    await exchange.round([peer.on_remote()], progress)
    return progress


async def test_what_others_wrote_waits_a_while_for_them_to_push_it_unless_somebody_asks() -> None:
    near, far = MemoryRefs(), MemoryRefs()
    async with peers(2) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(near))
        bob.add(through_refs(MemoryRefs()), "far", mode="off")
        await settle(ada, bob)
        plane = PlaneOnRemote(
            bob.replica, bob.plane(), bob.number("far"), bob.commit, message_bytes=MESSAGE_BYTES, relay_ms=60_000
        )
        exchange = RefExchange(MemoryRefRemote(far), bob.number("far"), bob.replica, bob.commit, in_place)

        async def carried(*, is_asked: bool = False) -> int:
            """What is noted of ada's events on the far remote after a round of bob's."""
            await exchange.round([plane], Progress(), is_asked=is_asked)
            with bob.replica.read() as reader:
                known = carried_of(reader, bob.number("far"), bob.plane().number, ada.replica.id)
                return max((n for n, _ in known.places), default=0)

        for patience_s in (61, 0):
            ada.write()
            await settle(ada, bob)
            before = await carried()
            assert before < ada.own_n()
            if patience_s:
                bob.clock.advance(patience_s * 1000)
            assert await carried(is_asked=not patience_s) == ada.own_n()


async def test_a_process_that_dies_at_any_call_of_a_remote_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.SMALL_PUSHES", 2)
    refs = MemoryRefs()
    async with peers(3, running=False) as (ada, bob, carl):
        mortal, other = Mortal(MemoryRefRemote(refs)), MemoryRefRemote(refs)
        for peer in (ada, bob, carl):
            peer.add(through_refs(refs))
        await one_round(ada, mortal)
        await one_round(bob, other)
        deaths = 0
        for step in count(1):
            ada.write()
            bob.write()
            await one_round(bob, other)
            mortal.steps, mortal.last = 0, step
            try:
                await one_round(ada, mortal)
                survived = True
            except DiedError:
                survived = False
                deaths += 1
            ada.member.restart()
            mortal.last = 0
            for _ in range(2):
                await one_round(ada, mortal)
                await one_round(bob, other)
            assert in_step(ada, bob), step
            if survived and step > 20:
                break
        assert deaths > 5
        await one_round(carl, MemoryRefRemote(refs))
        assert carl.events() == ada.events() + 2
        assert len(refs.tips) == 3, "old generations are dropped, whenever it died"


async def test_a_process_that_dies_at_any_commit_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.SMALL_PUSHES", 2)
    refs = MemoryRefs()
    async with peers(2, running=False) as (ada, bob):
        own, other = MemoryRefRemote(refs), MemoryRefRemote(refs)
        ada.add(through_refs(refs))
        bob.add(through_refs(refs))
        await one_round(ada, own)
        await one_round(bob, other)
        deaths = 0
        for number in count(1):
            ada.write()
            bob.write()
            await one_round(bob, other)
            kept = number % 2
            faults = Faults(**{"crash_after_commit" if kept else "crash_before_commit": (number + 1) // 2})
            ada.member.restart(faults)
            try:
                await one_round(ada, own)
                survived = True
            except CrashError:
                survived = False
                deaths += 1
            ada.member.restart()
            for _ in range(2):
                await one_round(ada, own)
                await one_round(bob, other)
            assert in_step(ada, bob), number
            if survived and kept:
                break
        assert deaths > 8


async def test_what_was_sealed_before_a_new_key_and_queued_after_it_is_pushed_under_the_new_one() -> None:
    refs = MemoryRefs()
    async with peers(2, running=False) as (ada, _):
        remote = MemoryRefRemote(refs)
        ada.add(through_refs(refs))
        there = ada.on_remote()
        old = there.prepare(100)
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), there.keys))
        ada.commit(lambda unit: there.queue(unit, old))
        assert there.sealing.is_outdated(*(ready.frame for ready in old))
        await one_round(ada, remote)
        (tip,) = (await remote.fetch([there.topic])).tips
        frames, _ = await remote.read(tip, None, 1 << 30)
        assert not there.sealing.is_outdated(*frames)
        brought = [message.batches for frame in frames if isinstance(message := there.sealing.open(frame), Batches)]
        assert sum(map(len, brought)) >= sum(len(ready.portion.after) for ready in old)


async def test_nothing_new_is_one_fetch_and_no_commit_and_no_push() -> None:
    refs = MemoryRefs()
    async with peers(2) as (ada, bob):
        ada.add(through_refs(refs))
        bob.add(through_refs(refs))
        ada.write(5)
        await settle(ada, bob)
        before = refs.connections, dict(refs.tips), ada.commits, bob.commits
        await settle(ada, bob, rounds=5)
        assert (refs.connections, dict(refs.tips), ada.commits, bob.commits) == (before[0] + 10, *before[1:])
        for peer in (ada, bob):
            peer.clock.advance(11 * 60 * 1000)
        await settle(ada, bob, rounds=2)
        told = dict(refs.tips)
        for _ in range(3):
            for peer in (ada, bob):
                peer.clock.advance(11 * 60 * 1000)
            await settle(ada, bob, rounds=1)
        assert refs.tips == told


async def test_a_round_in_which_nothing_moved_takes_as_many_steps_however_many_refs_there_are() -> None:
    refs = MemoryRefs()
    async with peers(2) as (ada, bob):
        ada.add(through_refs(refs))
        bob.add(through_refs(refs))
        ada.write()
        await settle(ada, bob)
        there = ada.on_remote()
        stranger = MemoryRefRemote(refs)
        steps: list[str] = []

        async def counted(work: Callable[[], R]) -> R:
            steps.append(str(work))
            return await in_place(work)

        async def in_a_quiet_round() -> int:
            exchange = RefExchange(MemoryRefRemote(refs), bob.number("origin"), bob.replica, bob.member.commit, counted)
            await exchange.round([bob.on_remote()], Progress())
            steps.clear()
            await exchange.round([bob.on_remote()], Progress())
            return len(steps)

        few = await in_a_quiet_round()
        empty = there.sealing.seal(build_batches(there.plane.id, (), (), ()))
        for number in range(20):
            await stranger.push(Ref(there.topic, number.to_bytes(16, "big"), 1), [empty])
        assert await in_a_quiet_round() == few


async def test_what_strangers_and_members_put_there_is_counted_and_harms_nothing() -> None:
    refs = MemoryRefs()
    async with peers(2) as (ada, bob):
        ada.add(through_refs(refs))
        bob.add(through_refs(refs))
        ada.write(2)
        await settle(ada, bob)
        there = ada.on_remote()
        good = there.sealing.seal(build_batches(there.plane.id, (), (), ()))
        other_key = seal(b"k" * 32, there.topic, NONCE, b"message")
        frames = [
            b"garbage",
            b"",
            good[:-1] + bytes([good[-1] ^ 1]),
            other_key,
            seal(b"k" * 32, b"t" * 16, NONCE, b"message"),
            there.sealing.seal(b"no message"),
            there.sealing.seal(build_batches(b"p" * 16, (), (), ())),
            there.sealing.seal(build_batches(there.plane.id, (b"no batch",), (), ())),
        ]
        stranger = MemoryRefRemote(refs)
        await stranger.push(Ref(there.topic, b"s" * 16, 1), frames)
        held = bob.position()
        await bob.sync()
        assert bob.position() == held
        assert sum([*bob.progress().problems.values(), *bob.progress().unopened.values()]) == len(frames)
        bob.write()
        ada.write()
        await settle(ada, bob)
        assert in_step(ada, bob)


async def test_a_frame_whose_key_is_unknown_keeps_no_later_one_from_being_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mootd.exchange.ref_exchange.READ_BYTES", 10)
    refs = MemoryRefs()
    remote = MemoryRefRemote(refs)
    async with peers(2) as (ada, bob):
        ada.add(through_refs(remote))
        bob.add(through_refs(refs))
        await settle(ada, bob)
        topic, sender = ada.on_remote().topic, ada.on_remote().sender
        await remote.push(Ref(topic, sender, 1), [seal(b"k" * 32, topic, NONCE, b"message")])
        ada.write()
        await settle(ada, bob, rounds=2)
        assert in_step(ada, bob)


@asynccontextmanager
async def settled_over(refs: MemoryRefs) -> AsyncIterator[tuple[Peer, Peer]]:
    """Two machines that have come into step over a remote."""
    async with peers(2) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(refs))
        await settle(ada, bob)
        yield ada, bob


async def test_frames_that_cannot_be_opened_are_counted_once_however_many_rounds_read_them() -> None:
    refs = MemoryRefs()
    async with settled_over(refs) as (ada, bob):
        number, topic = bob.plane().number, ada.on_remote().topic
        frames = [seal(key * 32, topic, NONCE, b"message") for key in (b"k", b"k", b"l")]
        await MemoryRefRemote(refs).push(Ref(topic, ada.on_remote().sender, 1), frames)
        counts = {(number, frame_epoch(frames[0])): 2, (number, frame_epoch(frames[2])): 1}
        for _ in range(3):
            await bob.sync()
            assert bob.progress().unopened == counts


async def test_a_ref_full_of_made_up_keys_leaves_room_to_tell_of_what_is_in_others() -> None:
    refs = MemoryRefs()
    async with settled_over(refs) as (ada, bob):
        topic, sender, remote = ada.on_remote().topic, ada.on_remote().sender, MemoryRefRemote(refs)
        made_up = [seal(number.to_bytes(32, "big"), topic, NONCE, b"") for number in range(2 * MOST_PROBLEMS)]
        await remote.push(Ref(topic, bytes(16), 1), made_up)
        real = seal(b"k" * 32, topic, NONCE, b"message")
        await remote.push(Ref(topic, sender, 1), [real])
        await bob.sync()
        assert bob.progress().unopened[bob.plane().number, frame_epoch(real)] == 1
        assert len(bob.progress().unopened) == MOST_PROBLEMS + 1


async def test_what_came_before_its_key_is_taken_in_by_the_same_round() -> None:
    refs = MemoryRefs()
    async with peers(3) as (ada, bob, carl):
        first = Ordered(MemoryRefRemote(refs))
        bob.add(through_refs(first))
        for peer in (ada, carl):
            peer.add(through_refs(refs))
        await settle(ada, bob, carl)
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), ada.on_remote().keys))
        ada.write()
        await settle(ada, carl)
        carl.write()
        await carl.sync()
        first.last = ada.on_remote().sender
        await bob.sync()
        assert bob.events() == carl.events()
        assert bob.progress().unopened == {}


async def test_a_ref_that_cannot_be_read_is_an_alarm_and_the_others_are_read() -> None:
    refs = MemoryRefs()
    async with peers(3) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_refs(refs))
        await settle(ada, bob, carl)
        there = ada.on_remote()
        broken = Ref(there.topic, b"\0" * 16, 1)
        refs.tips[ref_name(broken)] = refs.add(Commit(None, None))
        ada.write()
        await settle(ada, bob, carl)
        assert in_step(ada, bob, carl)
        (alarm,) = bob.progress().alarms
        assert (alarm.kind, bool(alarm.detail)) == ("unreadable", True)
        assert bob.progress().error is None


async def test_a_ref_that_somebody_overwrote_begins_a_new_generation_with_everything() -> None:
    refs = MemoryRefs()
    async with peers(3) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_refs(refs))
        ada.write(2)
        await settle(ada, bob)
        name = ref_name(Ref(ada.on_remote().topic, ada.on_remote().sender, 1))
        refs.tips[name] = refs.add(Commit(None, [b"overwritten"]))
        await bob.sync()
        assert [alarm.kind for alarm in bob.progress().alarms] == ["went_back"]
        ada.write()
        await settle(ada, bob, carl)
        assert in_step(ada, bob, carl)
        assert ada.progress().error is None
        assert ref_name(Ref(ada.on_remote().topic, ada.on_remote().sender, 2)) in refs.tips
        assert name not in refs.tips
        await settle(ada, bob, carl)
        assert [peer.progress().alarms for peer in (ada, bob, carl)] == [[], [], []]


async def test_an_old_copy_that_was_put_back_gets_both_histories_of_its_key_from_its_own_ref() -> None:
    refs = MemoryRefs()
    async with peers(2) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_refs(refs))
        await settle(ada, bob)
        bob.write()
        await settle(bob, ada)
        with bob.replica.read() as reader:
            kept = {table: list(reader.scan(table, b"\0")) for table in Table}
        bob.write()
        await settle(bob, ada)
        await bob.die()
        with bob.member.store.write() as writer:
            for table in Table:
                for key, _ in list(writer.scan(table, b"\0")):
                    writer.delete(table, key)
                for key, value in kept[table]:
                    writer.put(table, key, value)
        await bob.live_again()
        bob.write()
        await settle(bob, ada, rounds=2)
        for peer in (ada, bob):
            with peer.replica.read() as reader:
                (fork,) = forks_of(LogSnapshot(reader), peer.plane())
            assert (fork.row.author, len(fork.branches)) == (bob.replica.id, 2)


@pytest.mark.parametrize("is_all", [True, False], ids=["everything", "one ref"])
async def test_what_a_machine_that_is_gone_had_brought_is_brought_back_by_those_who_hold_it(*, is_all: bool) -> None:
    refs = MemoryRefs()
    async with peers(3) as (ada, bob, carl):
        for peer in (ada, bob, carl):
            peer.add(through_refs(refs))
        await settle(ada, bob)
        bob.write(3)
        await settle(bob, ada)
        await bob.die()
        there = bob.on_remote()
        del refs.tips[ref_name(Ref(there.topic, there.sender, 1))]
        if is_all:
            refs.tips.clear()
        else:
            await ada.sync()
            ada.clock.advance(LOST_MS)
        await settle(ada, carl, rounds=2)
        assert in_step(ada, carl)
        assert carl.events() > bob.own_n() > 3
        held = []
        for _ in range(4):
            for peer in (ada, carl):
                peer.clock.advance(2 * LOST_MS)
            await settle(ada, carl)
            held.append(dict(refs.tips))
        assert held[1:] == [held[1]] * 3  # the alarm goes on; what is lost was made up for
        assert ada.progress().alarms
