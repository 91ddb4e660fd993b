"""Live exchange under faults, over a broker in memory that misbehaves by a seed."""

from functools import partial
from random import Random

import pytest
from msgspec.structs import replace

from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.presence import Presence, build_presence
from moot_protocol.log.batch import ZEROS
from moot_testkit.bytes.feeds import stripped
from moot_testkit.machines.git_servers import at_scale
from moot_testkit.towns.exchanging import (
    QUICK,
    STILL,
    Peer,
    at_rest,
    in_step,
    peers,
    settle,
    through_line,
    through_refs,
    until,
)
from mootd.config import OutboxConfig
from mootd.edges.memory_line import MemoryBroker
from mootd.edges.memory_remote import MemoryRefs
from mootd.engine.machine.members import seen
from mootd.engine.state import REPLICA_KEY
from mootd.exchange.live_plane import LivePlane
from mootd.exchange.progress import Progress
from mootd.remotes import Channel, Incoming


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
        broker.publish(Incoming(*key, frame))
        ada.write()
        broker.publish(Incoming(*key, frame))
        await bob.live_again()
        await until(lambda: in_step(ada, bob))


@pytest.mark.parametrize("way", ["line", "refs"])
async def test_more_is_written_offline_than_the_outbox_holds_and_all_of_it_arrives(way: str) -> None:
    cap, writes = at_scale(100, 1000), at_scale(150, 1500)
    broker, refs = MemoryBroker(), MemoryRefs()
    async with peers(2, STILL) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker) if way == "line" else through_refs(refs), kind="mqtt")
        await settle(ada, bob)
        if way == "line":
            await until(lambda: in_step(ada, bob))
        broker.stop(forget=True)
        refs.is_reachable = False
        ada.replica.outbox_caps = OutboxConfig(frames=cap)
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
        await settle(ada, bob)
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
        await settle(ada, bob, carl)
        ada.write()
        (last,) = ada.member.batches(after=ada.own_n() - 1)
        carl.member.take(stripped(last))
        assert carl.withheld() == 1
        ada_there = ada.position()
        bob.member.take(last)
        await ada.die()
        for peer in (bob, carl):
            peer.add(through_line(broker), "live", kind="mqtt")
        await settle(bob, carl)
        await until(lambda: not carl.withheld())
        assert carl.position() == ada_there == bob.position()


async def meet_on_a_line(ada: Peer, bob: Peer) -> None:
    """Bring two machines into step over a broker of their own."""
    broker = MemoryBroker()
    for peer in (ada, bob):
        peer.add(through_line(broker), kind="mqtt")
    await settle(ada, bob)
    await until(lambda: in_step(ada, bob))


async def test_who_derives_another_state_from_the_same_events_is_told_until_both_agree() -> None:
    async with peers(2, STILL) as (ada, bob):
        await meet_on_a_line(ada, bob)
        progress = Progress()
        here = LivePlane(ada.hub, ada.plane(), ada.number("origin"), progress)
        there, signer = bob.on_remote(), bob.replica.signer(REPLICA_KEY)
        position = there.log.position()
        for digest, apart in ((bytes(32), {bob.replica.id}), (position.digest, set())):
            place = (there.log.next_counter(), digest, summary(position.frontier), Form.ALL, position.frontier)
            body = FrontierBody(FORMAT, there.plane.id, bob.replica.id, ZEROS, *place)
            frame = there.sealing.seal(build_frontier_message(signer, body))
            incoming = Incoming(there.topic, there.sender, Channel.FRONTIER, frame)
            await ada.hub.in_thread(partial(here.take, incoming))
            assert set(progress.apart[ada.plane().number]) == apart


async def test_a_frontier_that_somebody_puts_back_is_not_heard_again_also_after_a_restart() -> None:
    async with peers(2, STILL) as (ada, bob):
        await meet_on_a_line(ada, bob)
        there, signer = bob.on_remote(), bob.replica.signer(REPLICA_KEY)
        position = there.log.position()

        def said(digest: bytes) -> Incoming:
            place = (there.log.next_counter(), digest, summary(position.frontier), Form.ALL, position.frontier)
            body = FrontierBody(FORMAT, there.plane.id, bob.replica.id, ZEROS, *place)
            frame = there.sealing.seal(build_frontier_message(signer, body))
            return Incoming(there.topic, there.sender, Channel.FRONTIER, frame)

        earlier, last = said(bytes(32)), said(position.digest)
        here = LivePlane(ada.hub, ada.plane(), ada.number("origin"), Progress())
        assert await ada.hub.in_thread(partial(here.take, last))
        for incoming in (earlier, last):
            progress = Progress()
            restarted = LivePlane(ada.hub, ada.plane(), ada.number("origin"), progress)
            assert await ada.hub.in_thread(partial(restarted.take, incoming)) == []
            assert not progress.apart[ada.plane().number]


# -- Who listens ---------------------------------------------------------------------------------------------------
async def test_presence_is_believed_of_its_sender_alone_and_only_when_it_is_news() -> None:
    async with peers(2, STILL) as (ada, bob):
        await meet_on_a_line(ada, bob)
        progress = Progress()
        here = LivePlane(ada.hub, ada.plane(), ada.number("origin"), progress)
        there = bob.on_remote()

        def said(presence: Presence, sender: bytes = there.sender) -> set[tuple[int, bytes]]:
            frame = there.sealing.seal(build_presence(bob.replica.signer(REPLICA_KEY), presence))
            here.hear_presence(Incoming(there.topic, sender, Channel.PRESENCE, frame))
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
