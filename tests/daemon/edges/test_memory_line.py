"""The live remote in memory, where it goes beyond what the conformance suite asks of all."""

from moot_testkit.live import ALICE, BATCHES, BOB, FRONTIER, PRESENCE, TOPIC, WANT, ending, frames_until, take
from mootd.edges.memory_line import MemoryBroker, MemoryRemote
from mootd.remotes import Incoming, Will


async def test_what_waits_for_a_sender_is_capped_and_the_latest_go() -> None:
    broker = MemoryBroker(queue=2)
    a, b = MemoryRemote(broker), MemoryRemote(broker)
    async with b.connect(BOB, [TOPIC]):
        pass
    async with a.connect(ALICE, [TOPIC]) as alice:
        for content in (b"1", b"2", b"3"):
            await alice.publish(TOPIC, BATCHES, content)
        async with b.connect(BOB, [TOPIC]) as bob:
            await alice.publish(TOPIC, WANT, b"last")
            assert await frames_until(bob, b"last") == [b"1", b"2", b"last"]


async def test_a_broker_that_goes_away_speaks_nobodys_last_word_and_may_come_back_with_what_it_kept() -> None:
    broker = MemoryBroker()
    a, b = MemoryRemote(broker), MemoryRemote(broker)
    async with a.connect(ALICE, [TOPIC], Will(TOPIC, b"gone")) as alice:
        await alice.publish(TOPIC, FRONTIER, b"kept")
        broker.stop()
        await ending(alice)
    broker.start()
    async with b.connect(BOB, [TOPIC]) as bob:
        assert await take(bob, 1) == [Incoming(TOPIC, ALICE, FRONTIER, b"kept")]
    assert (TOPIC, ALICE, PRESENCE) not in broker.retained


async def test_anybody_can_put_anything_into_the_broker() -> None:
    broker = MemoryBroker()
    b = MemoryRemote(broker)
    async with b.connect(BOB, [TOPIC]) as bob:
        forged = Incoming(TOPIC, ALICE, FRONTIER, b"forged")
        broker.publish(forged)
        assert await take(bob, 1) == [forged]
    assert broker.retained == {(TOPIC, ALICE, FRONTIER): b"forged"}


async def test_cutting_one_machines_lines_leaves_the_others() -> None:
    broker = MemoryBroker()
    a, b = MemoryRemote(broker), MemoryRemote(broker)
    async with b.connect(BOB, [TOPIC]) as bob:
        async with a.connect(ALICE, [TOPIC]) as alice:
            a.cut()
            await ending(alice)
        async with a.connect(ALICE, [TOPIC]) as alice:
            await alice.publish(TOPIC, WANT, b"again")
            assert [each.frame for each in await take(bob, 1)] == [b"again"]
