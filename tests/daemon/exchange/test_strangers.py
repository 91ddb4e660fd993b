"""Strangers on a live plane: whoever has had a key of the plane's holds nothing up here and leaves nothing behind."""

from functools import partial
from hashlib import sha256

from moot_protocol.crypto import SeedSigner
from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.presence import Presence, build_presence
from moot_protocol.limits import EPOCH_RECIPIENTS
from moot_protocol.log.batch import ZEROS
from moot_protocol.sealing.frame import seal
from moot_testkit.towns.counting import let_count
from moot_testkit.towns.exchanging import QUICK, STILL, Peer, at_rest, in_step, live_plane, peers, through_line, until
from mootd.edges.memory_line import MemoryBroker
from mootd.engine.machine.members import Seen, seen, strangers
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.joining import present_epoch
from mootd.engine.stored import layout
from mootd.engine.stored.log import encode_row
from mootd.engine.unit import Unit
from mootd.exchange.strangers import MOST, Strangers
from mootd.remotes import Channel, Incoming
from mootd.store.port import Table

FLOOD = MOST * 2


class Removed:
    """Somebody who still has what a member had when they were removed: the topic's key, and an epoch's."""

    def __init__(self, peer: Peer) -> None:
        self.plane = peer.plane()
        self.keys = peer.on_remote().keys
        epoch = present_epoch(peer.replica, self.plane)
        assert epoch is not None
        key = self.keys.key_of(epoch)
        assert key is not None
        self._key = key
        self._count = 0

    def signer(self, number: int) -> SeedSigner:
        """A fresh key, which nobody let in."""
        return SeedSigner(sha256(b"stranger %d" % number).digest())

    def frontier(self, number: int, named: bytes = bytes(32)) -> Incoming:
        """What tells where a fresh key stands."""
        self._count += 1
        signer = self.signer(number)
        body = FrontierBody(
            FORMAT, self.plane.id, signer.public, ZEROS, self._count, bytes(32), named, Form.SUMMARY, ()
        )
        return self._sealed(signer, Channel.FRONTIER, build_frontier_message(signer, body))

    def presence(self, number: int) -> Incoming:
        """What tells that a fresh key listens."""
        self._count += 1
        signer = self.signer(number)
        told = Presence(1, self.plane.id, signer.public, self._count, is_there=True)
        return self._sealed(signer, Channel.PRESENCE, build_presence(signer, told))

    def _sealed(self, signer: SeedSigner, channel: Channel, message: bytes) -> Incoming:
        nonce = sha256(b"%d" % self._count).digest()[:12]
        frame = seal(self._key, self.keys.topic, nonce, message)
        return Incoming(self.keys.topic, self.keys.sender(signer.public), channel, frame)


def noted(peer: Peer) -> set[bytes]:
    """Of whom anything is noted, member or not."""
    number = peer.plane().number
    with peer.replica.read() as reader:
        return {*seen(reader, number), *strangers(reader, number)}


async def test_a_removed_member_s_frames_under_fresh_keys_keep_no_queue_from_getting_empty() -> None:
    broker = MemoryBroker()
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            peer.add(through_line(broker), kind="mqtt")
        await until(lambda: in_step(ada, bob))
        removed, before = Removed(ada), present_epoch(ada.replica, ada.plane())
        ada.commit(lambda unit: begin_epoch(unit, ada.plane(), removed.keys))
        await until(lambda: in_step(ada, bob) and present_epoch(bob.replica, bob.plane()) != before)
        await until(lambda: at_rest(ada, bob))
        for number in range(3):
            broker.publish(removed.frontier(number))
            broker.publish(removed.presence(number))
        ada.write(3)
        await until(lambda: at_rest(ada, bob))
        assert not ada.gauge().frames
        assert noted(ada) <= {ada.replica.id, bob.replica.id}
        await ada.sync()


async def test_what_a_stranger_says_is_answered_and_commits_nothing() -> None:
    async with peers(2, STILL) as (ada, _):
        here, removed = live_plane(ada), Removed(ada)
        assert here.take(removed.frontier(0))  # the first answer takes numbers for those to come
        events, commits = ada.events(), ada.commits
        for number in range(1, 4):
            assert here.take(removed.frontier(number))
        assert (ada.events(), ada.commits) == (events, commits)


async def test_a_stranger_that_listens_keeps_nobody_from_having_reached_all_members() -> None:
    async with peers(2, STILL) as (ada, bob):
        here, plane = live_plane(ada), ada.plane().number
        ada.commit(partial(let_count, plane=plane, key=bob.replica.id))
        here._progress.present.add((plane, bob.replica.id))
        here._goals.reached.add(bob.replica.id)
        here.hear_presence(Removed(ada).presence(1))
        assert here.has_reached
        assert not here.is_settled, "it may be a newcomer, who brings something"


async def test_of_strangers_the_latest_few_are_remembered() -> None:
    async with peers(2, STILL) as (ada, _):
        here, removed = live_plane(ada), Removed(ada)
        for number in range(FLOOD):
            here.take(removed.frontier(number))
            here.hear_presence(removed.presence(number))
        latest = {removed.signer(number).public for number in range(FLOOD - MOST, FLOOD)}
        assert here._exchange._sessions.keys() == {*here._authors.values()} == latest


async def test_that_strangers_listen_is_remembered_of_as_many_as_a_plane_has_members() -> None:
    async with peers(2, STILL) as (ada, _):
        here, removed = live_plane(ada), Removed(ada)
        for number in range(EPOCH_RECIPIENTS + 2):
            here.hear_presence(removed.presence(number))
        latest = {removed.signer(number).public for number in range(2, EPOCH_RECIPIENTS + 2)}
        assert here._presence_counters.keys() == here._present() == latest


async def test_a_stranger_that_makes_up_a_digest_gives_no_alarm() -> None:
    async with peers(2, STILL) as (ada, _):
        here, removed = live_plane(ada), Removed(ada)
        here.take(removed.frontier(1, summary(here.on_remote.log.position().frontier)))
        assert not here._exchange.alarms


async def test_a_newcomer_is_let_in_however_many_strangers_there_are() -> None:
    broker = MemoryBroker()
    async with peers(2, QUICK) as (ada, bob):
        ada.add(through_line(broker), kind="mqtt")
        removed = Removed(ada)
        for number in range(FLOOD):
            broker.publish(removed.frontier(number))
            broker.publish(removed.presence(number))
        bob.add(through_line(broker), kind="mqtt")
        for number in range(FLOOD):
            broker.publish(removed.frontier(number))
        ada.write(3)
        await until(lambda: at_rest(ada, bob))


async def test_a_newcomer_who_said_where_it_stands_before_it_counted_is_waited_for_once_it_does() -> None:
    async with peers(2, STILL) as (ada, _):
        here, plane, removed = live_plane(ada), ada.plane().number, Removed(ada)
        newcomer = removed.signer(1).public
        here.take(removed.frontier(1))
        assert noted(ada) == here._heard == set()
        ada.commit(partial(let_count, plane=plane, key=newcomer))
        here.take(removed.frontier(2))
        assert noted(ada) == here._heard == {newcomer}


async def test_what_an_earlier_release_noted_of_strangers_is_dropped_at_the_first_round() -> None:
    async with peers(2, STILL) as (ada, _):
        here, number = live_plane(ada), ada.plane().number
        told = encode_row(Seen(ada.clock.now_ms(), 1, bytes(32)))
        for key in (Removed(ada).signer(1).public, ada.replica.id):
            ada.commit(partial(_note, key=layout.seen_key(number, key), told=told))
        here.retire()
        assert noted(ada) == {ada.replica.id}


def _note(unit: Unit, key: bytes, told: bytes) -> None:
    unit.transaction.put(Table.META, key, told)


async def test_whoever_has_come_to_count_is_a_stranger_no_more_and_stays() -> None:
    async with peers(2, STILL) as (ada, bob):
        number, forgotten = ada.plane().number, list[bytes]()
        met = Strangers(ada.replica, number, ada.commit, forgotten.append, forgotten.append)
        met.meet(bob.replica.id)
        assert bob.replica.id in met
        ada.commit(partial(let_count, plane=number, key=bob.replica.id))
        assert bob.replica.id not in met
        met.meet(bob.replica.id)
        for stranger in range(MOST + 1):
            met.meet(b"%032d" % stranger)
        assert forgotten == [b"%032d" % 0]
