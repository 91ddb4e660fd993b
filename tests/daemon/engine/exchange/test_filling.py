"""Filling a queue: everything the remote lacks goes once, in an order that can be taken in, in messages of a size."""

from itertools import pairwise
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.messages import Batches, ForkProof, decode_message
from moot_protocol.log.batch import Batch, batch_link, decode_batch
from moot_protocol.merge.kinds import ISSUE
from moot_testkit.bytes.feeds import FeedWriter, Town, note, wire
from moot_testkit.towns.carrying import REMOTE, ROOM, Sender, commit_of, founder, log_of, take_message
from moot_testkit.towns.engine import START_MS, Desk
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import NOTHING, Carried, extend
from mootd.engine.exchange.filling import BATCHES, Portion, portions, queue
from mootd.engine.stored.shared_plane import SharedPlane


class Forked:
    """A town with two replicas, one of which has forked after its first batch."""

    def __init__(self) -> None:
        self.town = Town()
        self.one, self.two = self.town.replica("one"), self.town.replica("two")
        self.twin = self.one.fork("twin")
        write(self.one, 4)
        write(self.twin, 3)
        write(self.two, 5)

    @property
    def batches(self) -> list[Batch]:
        batches = [*self.town.charter.batches, *self.one.batches, *self.twin.batches[1:], *self.two.batches]
        return list({batch.id: batch for batch in batches}.values())


def write(writer: FeedWriter, count: int) -> list[Batch]:
    return [writer.write(note(f"{writer.salt} {number}")) for number in range(count)]


def batches_in(message: bytes) -> list[bytes]:
    decoded = decode_message(message)
    return list(decoded.batches) if isinstance(decoded, Batches) else []


def sent(found: list[Portion]) -> list[bytes]:
    return [batch for each in found for batch in batches_in(each.message)]


def holder(town: Town, batches: list[Batch], name: str = "desk") -> Desk:
    desk = Desk(name).watch(town)
    desk.receive(batches)
    return desk


# -- What goes ---------------------------------------------------------------------------------------------------
def test_everything_goes_once_and_each_batch_after_what_it_follows() -> None:
    world = Forked()
    found = list(portions(log_of(holder(world.town, world.batches)), {}, ROOM))
    batches = sent(found)
    assert sorted(batches) == sorted(wire(batch) for batch in world.batches)
    seen = {bytes(32)}
    for link in map(batch_link, batches):
        assert link.prev in seen
        seen.add(link.id)


def test_the_proof_of_a_fork_goes_before_the_batches_of_the_forked_feed() -> None:
    world = Forked()
    found = list(portions(log_of(holder(world.town, world.batches)), {}, ROOM))
    messages = [decode_message(each.message) for each in found]
    (at,) = [index for index, each in enumerate(messages) if isinstance(each, ForkProof)]
    proof = messages[at]
    assert isinstance(proof, ForkProof)
    assert (proof.author, proof.first) == (world.one.author, 2)
    holding = [
        index for index, each in enumerate(found) for batch in batches_in(each.message)
        if batch_link(batch).author == world.one.author
    ]  # fmt: skip
    assert min(holding) > at
    assert found[at].before == {world.one.author: NOTHING}
    assert found[at].after == {world.one.author: Carried((), 2)}


def test_whoever_takes_the_messages_in_as_they_come_agrees() -> None:
    world = Forked()
    desk, other = holder(world.town, world.batches), holder(world.town, [], "other")
    for portion in portions(log_of(desk), {}, ROOM):
        take_message(other, decode_message(portion.message))
    assert log_of(other).position() == log_of(desk).position()


def test_nothing_goes_twice() -> None:
    world = Forked()
    desk = holder(world.town, world.batches)
    known: dict[bytes, Carried] = {}
    assert sent(list(portions(log_of(desk), known, ROOM)))
    assert list(portions(log_of(desk), known, ROOM)) == []
    new = [*write(world.one, 1), *write(world.twin, 1), *write(world.two, 2)]
    desk.receive(new)
    assert sorted(sent(list(portions(log_of(desk), known, ROOM)))) == sorted(map(wire, new))
    assert list(portions(log_of(desk), known, ROOM)) == []


def test_what_was_read_from_the_remote_is_not_sent_back() -> None:
    world = Forked()
    desk = holder(world.town, world.batches)
    links = [batch_link(wire(batch)) for batch in [*world.one.batches[:3], *world.twin.batches[1:2]]]
    known = {world.one.author: extend(Carried((), 2), links)}
    found = list(portions(log_of(desk), known, ROOM))
    sent_here = {batch_link(batch).id for batch in sent(found)}
    assert sent_here == {batch.id for batch in world.batches} - {link.id for link in links}
    assert not any(isinstance(decode_message(each.message), ForkProof) for each in found)


def test_a_remote_that_has_the_head_of_a_feed_is_sent_nothing_of_it() -> None:
    town = Town()
    one = town.replica("one")
    write(one, 3)
    known = {
        writer.author: Carried(((writer.n, writer.head),)) for writer in (town.charter, one)
    }  # fmt: skip
    assert list(portions(log_of(holder(town, [*town.charter.batches, *one.batches])), known, ROOM)) == []


def test_what_does_not_count_here_is_not_sent() -> None:
    town = Town()
    one = town.replica("one")
    write(one, 3)
    desk = holder(town, [*town.charter.batches, *one.batches[:2], one.batches[3]])
    assert sent(list(portions(log_of(desk), {}, ROOM))) == [
        wire(batch) for batch in [*town.charter.batches, *one.batches[:2]]
    ]


def test_the_charter_goes_first_and_by_itself_however_little_room_there_is() -> None:
    town = Town()
    one = town.replica("one")
    write(one, 3)
    for room in (1, ROOM, 100_000):
        found = list(portions(log_of(holder(town, [*town.charter.batches, *one.batches])), {}, room))
        flags = [portion.is_charter for portion in found]
        assert flags == sorted(flags, reverse=True)
        assert flags[0]
        assert not flags[-1]
        for portion in found:
            authors = {batch_link(batch).author for batch in batches_in(portion.message)}
            assert (authors == {town.charter.author}) == portion.is_charter


# -- Room --------------------------------------------------------------------------------------------------------
@given(st.integers(1, 4000), st.integers(1, 12))
def test_messages_keep_to_the_room_and_are_as_full_as_they_can_be(room: int, count: int) -> None:
    town = Town()
    one = town.replica("one")
    write(one, count)
    found = list(portions(log_of(holder(town, [*town.charter.batches, *one.batches])), {}, room))
    held = [batches_in(each.message) for each in found]
    assert sorted(batch for each in held for batch in each) == sorted(
        wire(batch) for batch in [*town.charter.batches, *one.batches]
    )
    assert all(len(each.message) <= room or len(batches) == 1 for each, batches in zip(found, held, strict=True))
    for (one_portion, _), (next_portion, after) in pairwise(zip(found, held, strict=True)):
        is_apart = one_portion.is_charter != next_portion.is_charter
        assert is_apart or len(one_portion.message) + len(after[0]) + 80 > room


def test_one_batch_always_goes_however_little_room_there_is() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note("x" * 50_000, key="description"))
    desk = holder(town, [*town.charter.batches, *one.batches])
    found = list(portions(log_of(desk), {}, 1))
    assert [len(batches_in(each.message)) for each in found] == [1, 1, 1]
    assert max(len(each.message) for each in found) > 50_000


# -- Notes -------------------------------------------------------------------------------------------------------
def test_each_portion_says_what_was_carried_before_it_and_is_after_it() -> None:
    town = Town()
    one = town.replica("one")
    write(one, 9)
    known: dict[bytes, Carried] = {}
    reached: dict[bytes, Carried] = {}
    for portion in portions(log_of(holder(town, [*town.charter.batches, *one.batches])), known, ROOM):
        authors = {batch_link(batch).author for batch in batches_in(portion.message)}
        assert portion.before.keys() == portion.after.keys() == authors
        for author in authors:
            assert portion.before[author] == reached.get(author, NOTHING)
            links = [batch_link(batch) for batch in batches_in(portion.message)]
            assert portion.after[author] == extend(
                portion.before[author], [link for link in links if link.author == author]
            )
        reached |= portion.after
    assert reached == known == {
        writer.author: Carried(((writer.n, writer.head),)) for writer in (town.charter, one)
    }  # fmt: skip


def test_a_portion_is_queued_sealed_and_noted_in_one_transaction() -> None:
    town = Town()
    one = town.replica("one")
    write(one, 5)
    desk = holder(town, [*town.charter.batches, *one.batches])
    sender = Sender(desk, sealed=lambda message: message[::-1])
    lacking = sender.lacking()
    sender.fill()
    frames = [frame for _, frame in sender.frames()]
    assert [frame.frame[::-1] for frame in frames] == [each.message for each in lacking]
    assert {(frame.plane, frame.channel, frame.at_ms) for frame in frames} == {(1, BATCHES, START_MS)}
    assert [dict(frame.before) for frame in frames] == [each.before for each in lacking]
    assert sender.lacking() == []

    def broken(message: bytes) -> bytes:
        raise RefusedError("no key", code=Code.NOT_READY)

    desk.receive(write(one, 1))
    sender.sealed = broken
    with pytest.raises(RefusedError):
        sender.fill()
    assert len(sender.lacking()) == 1
    assert len(sender.frames()) == len(frames)


def test_only_a_shared_plane_has_a_queue() -> None:
    member = founder()
    row = member.replica.plane_named("operational")
    assert get_type_hints(queue)["plane"] is SharedPlane
    with pytest.raises(RefusedError) as raised:
        portions(log_of(member, row), {}, ROOM)
    assert raised.value.code is Code.DENIED


def test_no_operational_event_is_ever_queued() -> None:
    member = founder()
    row = member.replica.plane_named("operational")
    commit_of(member)(lambda unit: unit.append(row.number, note("heartbeat")))
    sender = Sender(member)
    sender.fill()
    batches = [decode_batch(batch) for _, frame in sender.frames() for batch in batches_in(frame.frame)]
    assert {batch.header.plane for batch in batches} == {member.ledger.id}
    assert not any(event.skeleton.kind == ISSUE for batch in batches for event in batch.events)
    with member.replica.read() as reader:
        assert carried.carried(reader, REMOTE, row.number) == {}


def test_the_queue_holds_as_much_as_this_machine_was_told() -> None:
    desk = Desk("desk").watch(town := Town())
    writer = town.replica("one")
    write(writer, 12)
    desk.receive([*town.charter.batches, *writer.batches])
    sender = Sender(desk, room=1, most_frames=3)
    assert sender.fill() > 3
    assert len(sender.frames()) == 3
