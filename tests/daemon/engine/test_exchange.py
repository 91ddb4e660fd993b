"""The exchange: what may leave, what is let in, and that a stored log answers sessions as a log in memory does."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moot_protocol.batch import ZEROS, Batch, decode_batch
from moot_protocol.clock import from_ms
from moot_protocol.errors import Code
from moot_protocol.genesis import PlaneKind
from moot_protocol.limits import ASIDE_BATCHES_PER_AUTHOR, CLOCK_AHEAD_MS
from moot_protocol.messages import (
    ForkProof,
    Place,
    Single,
    build_batches,
    build_fork,
    decode_message,
    fork_proof,
)
from moot_protocol.requests import Create, IssueFields
from moot_testkit import model
from moot_testkit.engine import START_MS, Desk
from moot_testkit.feeds import FeedWriter, Town, note, stripped, wire
from moot_testkit.refusals import refusal_code
from moot_testkit.synclog import MemoryLog
from moot_testkit.town import Member, make_town
from moot_testkit.worlds import World, held_of, worlds
from mootd.engine import layout
from mootd.engine.exchange import COUNTERS_AT_ONCE, EVENTS_AT_ONCE, Exchange, Outgoing, SharedPlane, StoredLog, take_in
from mootd.engine.log import PlaneRow
from mootd.engine.membership import adopt_plane
from mootd.engine.receive import Outcome
from mootd.engine.state import REPLICA_KEY
from mootd.service.writes import carry_out
from mootd.store.memory_store import CrashError
from mootd.store.port import Table


def committing(desk: Desk) -> Any:
    def commit(work: Callable[[Any], Any]) -> Any:
        with desk.replica.transaction() as unit:
            return work(unit)

    return commit


def log_of(desk: Desk) -> StoredLog:
    return StoredLog(desk.replica, SharedPlane(desk.replica.ledger), committing(desk))


def create(member: Member, title: str = "a title") -> None:
    request = Create(actor="alice", project="demo", fields=IssueFields(title=title))
    member.commit(lambda unit: carry_out(unit, request))


def talk(one: Exchange, other: Exchange, ids: tuple[bytes, bytes]) -> list[Outgoing]:
    """Carry messages between two exchanges until neither has more to say; all that were sent."""
    ends = {ids[0]: one, ids[1]: other}
    sent: list[Outgoing] = []
    waiting = [(ids[0], each) for each in one.start(ids[1])]
    while waiting:
        sender, outgoing = waiting.pop(0)
        sent.append(outgoing)
        answers = ends[outgoing.to].take(sender, outgoing.message).outgoing
        waiting += [(outgoing.to, each) for each in answers]
        assert len(sent) < 1000
    return sent


def meet(one: Member, other: Member) -> tuple[Exchange, Exchange, list[Outgoing]]:
    ends = one.exchange(), other.exchange()
    return (*ends, talk(*ends, (one.id, other.id)))


# -- Operational planes ------------------------------------------------------------------------------------------
def operational(member: Member) -> PlaneRow:
    return member.replica.plane_named("operational")


@pytest.mark.parametrize("kind", ["operational", "", "ledgers", "LEDGER"])
def test_only_planes_whose_rule_says_so_can_be_shared(kind: str) -> None:
    row = PlaneRow(1, bytes(16), kind, "a name", bytes(32))
    assert refusal_code(lambda: SharedPlane(row)) is Code.DENIED


@pytest.mark.parametrize("kind", ["ledger", "federation"])
def test_ledgers_and_federations_can_be_shared(kind: str) -> None:
    assert SharedPlane(PlaneRow(3, b"x" * 16, kind, "a name", bytes(32))).number == 3


def test_a_row_that_lies_about_its_kind_is_not_believed() -> None:
    (member,) = make_town(1)
    lying = SharedPlane(replace(operational(member), kind="ledger"))
    assert refusal_code(lambda: StoredLog(member.replica, lying, member.commit)) is Code.DENIED
    assert refusal_code(lambda: Exchange(member.replica, lying, member.commit)) is Code.DENIED


def test_a_plane_that_is_not_held_can_not_be_exchanged() -> None:
    (member,) = make_town(1)
    for other in (replace(member.ledger, number=9), replace(member.ledger, id=b"y" * 16)):
        assert refusal_code(lambda row=other: StoredLog(member.replica, SharedPlane(row), member.commit)) is Code.DENIED  # type: ignore[misc]


def test_no_operational_event_is_in_anything_that_is_sent() -> None:
    one, two = make_town(2)
    plane = operational(one)
    one.commit(lambda unit: unit.append(plane.number, note("heartbeat of one")))
    create(one, "for everybody")
    *_, sent = meet(one, two)
    everything = b"".join(each.message for each in sent)
    assert b"for everybody" in everything
    assert b"heartbeat" not in everything
    assert plane.id not in everything


def test_an_operational_batch_that_comes_in_is_refused_though_its_plane_is_held() -> None:
    one, two = make_town(2)
    plane = operational(one)
    sender = one.keys.signer(REPLICA_KEY)
    forged = FeedWriter(plane.id, sender)
    forged.batches = one.batches(plane=plane.number)
    intruder = forged.write(note("slipped in"), hlc=from_ms(START_MS + 1))
    before = one.replica.feeds
    taken = one.exchange().take(two.id, build_batches(one.ledger.id, (wire(intruder),), (), ()))
    assert [error.code for error in taken.malformed] == [Code.WRONG_PLANE]
    assert taken.outcomes == []
    assert one.replica.feeds == before


def test_a_message_about_an_operational_plane_is_refused() -> None:
    one, two = make_town(2)
    message = build_batches(operational(one).id, (), (), ())
    assert refusal_code(lambda: one.exchange().take(two.id, message)) is Code.WRONG_PLANE


def test_a_batch_that_stands_in_the_wrong_feed_is_not_handed_out() -> None:
    """A bug or a damaged store must not leak either."""
    (member,) = make_town(1)
    numbers = [member.replica.feed_numbers[plane.number, member.id] for plane in (member.ledger, operational(member))]
    with member.store.write() as writer:
        leaked = writer.get(Table.BATCHES, layout.batch_key(numbers[1], 1))
        assert leaked is not None
        writer.put(Table.BATCHES, layout.batch_key(numbers[0], 1), leaked)
    log = member.exchange().log
    places = [Place(member.id, 0, ZEROS)]
    assert refusal_code(lambda: log.batches_after(member.id, places, 100_000)) is Code.DENIED
    leaked_id = member.batches(plane=operational(member).number)[0].id
    assert refusal_code(lambda: log.batch(member.id, leaked_id)) is Code.DENIED


def test_a_genesis_that_founds_an_operational_plane_is_refused_whatever_a_ticket_said() -> None:
    town = Town(kind=PlaneKind.OPERATIONAL)
    (member,) = make_town(1)
    member.commit(lambda unit: adopt_plane(unit, town.plane, PlaneKind.LEDGER, "gift", town.key.public))
    shared = SharedPlane(member.replica.plane_named("gift"))
    exchange = Exchange(member.replica, shared, member.commit)
    taken = exchange.take(bytes(32), build_batches(town.plane, (wire(town.charter.batches[0]),), (), ()))
    assert [error.code for error in taken.malformed] == [Code.WRONG_PLANE]
    assert exchange.log.position().frontier == ()


# -- A stored log is a log ---------------------------------------------------------------------------------------
def both_logs(town: Town, batches: list[tuple[Batch, bool]]) -> tuple[StoredLog, MemoryLog]:
    """What is held, in a store and in memory."""
    desk = Desk().watch(town)
    memory = MemoryLog(town.plane)
    desk.receive([batch for batch, _ in batches])
    for batch, _ in batches:
        memory.add(batch)
    return log_of(desk), memory


def everyone(world: World) -> list[bytes]:
    return [*{batch.header.author for batch in world.batches}, bytes(32)]


@given(st.data())
def test_it_stands_where_a_log_in_memory_stands(data: st.DataObject) -> None:
    world = data.draw(worlds())
    stored, memory = both_logs(world.town, list(data.draw(held_of(world)).batches))
    here, there = stored.position(), memory.position()
    assert here.frontier == there.frontier
    assert here.digest == model.expect(world.town.plane, memory.held).digest
    assert {*stored.missing(9999)} == {*memory.missing(9999)}
    assert len(stored.missing(1)) == min(1, len(memory.missing(9999)))
    for author in everyone(world):
        proof, other = stored.fork_proof(author), memory.fork_proof(author)
        assert (proof is None) == (other is None)
        if proof is not None and other is not None:
            assert (proof.author, proof.first) == (other.author, other.first)
            fork_proof(*zip(proof.headers, proof.signatures, strict=True))
        for batch in world.batches:
            if batch.header.author == author:
                assert stored.holds(author, batch.id) == memory.holds(author, batch.id)
                assert stored.batch(author, batch.id) == memory.batch(author, batch.id)


@given(st.data())
def test_it_hands_out_what_a_log_in_memory_hands_out(data: st.DataObject) -> None:
    world = data.draw(worlds())
    stored, memory = both_logs(world.town, list(data.draw(held_of(world)).batches))
    for author in everyone(world):
        mine = [batch for batch in world.batches if batch.header.author == author]
        places = [Place(author, batch.header.last, batch.id) for batch in mine] + [Place(author, 5, b"?" * 32)]
        places += [Place(author, 0, ZEROS)]
        asked = data.draw(st.lists(st.sampled_from(places), max_size=4))
        everything, there = (log.batches_after(author, asked, 10**6) for log in (stored, memory))
        assert (everything is None) == (there is None)
        if everything is None or there is None:
            continue
        # Branches of a fork may come in any order, each from its beginning.
        assert sorted(everything) == sorted(there)
        assert [decode_batch(batch).header.first for batch in everything] == sorted(
            decode_batch(batch).header.first for batch in there
        )
        room = data.draw(st.integers(0, 5_000))
        cut = stored.batches_after(author, asked, room) or []
        assert cut == everything[: len(cut)]
        assert sum(len(batch) + 5 for batch in cut) <= room
        assert len(cut) == len(everything) or sum(len(batch) + 5 for batch in everything[: len(cut) + 1]) > room


@given(st.data())
def test_its_trail_names_the_heads_first_and_the_beginning_last(data: st.DataObject) -> None:
    world = data.draw(worlds())
    stored, memory = both_logs(world.town, list(data.draw(held_of(world)).batches))
    for author in everyone(world):
        trail = list(stored.trail(author))
        heads = len(list(memory.held.heads(author)))
        assert trail[:heads] == list(memory.trail(author))[:heads]
        assert trail[-1] == Place(author, 0, ZEROS)
        assert len(set(trail)) == len(trail) <= 128
        for place in trail[:-1]:
            ref = memory.held.get(author, place.id)
            assert ref is not None
            assert ref.last == place.n


def test_the_trail_of_a_long_feed_goes_back_in_doubling_steps() -> None:
    town = Town()
    feed = town.replica("one")
    for _ in range(999):
        feed.write(note())
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *feed.batches])
    trail = log_of(desk).trail(feed.author)
    assert [place.n for place in trail] == [1000, *(1000 - (1 << power) for power in range(10)), 0]


def test_a_want_at_the_end_of_all_numbers_is_answered() -> None:
    (member,) = make_town(1)
    last = member.batches()[-1]
    log = member.exchange().log
    assert log.batches_after(member.id, [Place(member.id, 2**64 - 1, last.id)], 10_000) == []
    assert log.batches_after(member.id, [Place(member.id, 2**64 - 1, b"?" * 32)], 10_000) is None


def test_more_parked_batches_than_are_kept_are_not_asked_for_until_they_are_due() -> None:
    town = Town()
    feed = town.replica("one")
    ahead = from_ms(START_MS + 2 * CLOCK_AHEAD_MS)
    for step in range(ASIDE_BATCHES_PER_AUTHOR + 20):
        feed.write(note(), hlc=ahead + step * from_ms(1))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *feed.batches])
    log = log_of(desk)
    head, middle = feed.batches[-1], feed.batches[-10]
    assert log.holds(feed.author, head.id)
    assert not log.holds(feed.author, middle.id)
    desk.clock.advance(3 * CLOCK_AHEAD_MS)
    assert not log.holds(feed.author, head.id)


# -- Counters ----------------------------------------------------------------------------------------------------
def test_message_counters_rise_over_restarts_and_with_few_commits() -> None:
    (member,) = make_town(1)
    commits = member.store.faults.commits
    log = member.exchange().log
    counters = [log.next_counter() for _ in range(COUNTERS_AT_ONCE)]
    assert counters == list(range(1, COUNTERS_AT_ONCE + 1))
    assert member.store.faults.commits == commits + 1
    member.restart()
    assert member.exchange().log.next_counter() > counters[-1]


def test_a_counter_is_never_used_before_it_is_taken_out_of_circulation() -> None:
    (member,) = make_town(1)
    member.store.faults.crash_before_commit = member.store.faults.commits + 1
    with pytest.raises(CrashError):
        member.exchange().log.next_counter()
    member.restart()
    assert member.exchange().log.next_counter() == 1


# -- Bringing replicas into step ---------------------------------------------------------------------------------
def test_two_replicas_come_into_step_and_know_it() -> None:
    one, two = make_town(2)
    create(one, "by one")
    create(two, "by two")
    mine, theirs, _ = meet(one, two)
    assert mine.log.position() == theirs.log.position()
    talk(mine, theirs, (one.id, two.id))
    assert mine.in_step == {two.id}
    assert theirs.in_step == {one.id}
    assert mine.alarms == theirs.alarms == {}


def test_what_is_ten_thousand_events_behind_catches_up_in_portions() -> None:
    one, two = make_town(2)
    for _ in range(5):
        one.commit(lambda unit: [unit.append(unit.replica.ledger.number, note()) for _ in range(EVENTS_AT_ONCE // 2)])
    commits = two.store.faults.commits
    mine, theirs, _ = meet(one, two)
    assert mine.log.position() == theirs.log.position()
    assert two.store.faults.commits - commits >= 3


def test_one_bad_batch_does_not_keep_the_others_out() -> None:
    one, two = make_town(2)
    create(one)
    good = [wire(batch) for batch in one.batches()]
    bad = good[0][:-1], b"", good[0].replace(b"\x01", b"\x02", 1)
    taken = two.exchange().take(one.id, build_batches(one.ledger.id, (*bad, *good), (), ()))
    assert len(taken.malformed) == 3
    assert taken.outcomes == [Outcome.ACCEPTED] * len(good)


def test_withheld_values_are_fetched_even_between_replicas_in_step() -> None:
    one, two = make_town(2)
    create(one, "the title")
    first, *later = one.batches()
    two.take(first, *map(stripped, later))
    assert two.exchange().log.missing(9) == [Single(one.id, batch.id) for batch in later]
    mine, theirs, _ = meet(two, one)
    assert mine.log.position() == theirs.log.position()
    assert mine.log.missing(9) == []


def test_an_answer_that_finds_the_disk_full_is_asked_for_again() -> None:
    one, two = make_town(2)
    create(one)
    mine, theirs = one.exchange(), two.exchange()
    theirs.log.next_counter()
    two.store.faults.free_bytes = 0
    assert refusal_code(lambda: talk(theirs, mine, (two.id, one.id))) is Code.STORE_FULL
    two.store.faults.free_bytes = None
    talk(theirs, mine, (two.id, one.id))
    talk(mine, theirs, (one.id, two.id))
    assert mine.log.position() == theirs.log.position()


def test_different_digests_at_equal_frontiers_raise_an_alarm_until_they_agree() -> None:
    one, two = make_town(2)
    mine, theirs, _ = meet(one, two)
    key = layout.digest_key(two.replica.generation, two.ledger.number)
    with two.store.write() as writer:
        right = writer.get(Table.META, key) or b""
        writer.put(Table.META, key, b"\1" * 32)
    talk(mine, theirs, (one.id, two.id))
    assert mine.alarms[two.id].theirs == b"\1" * 32
    assert two.id not in mine.in_step
    with two.store.write() as writer:
        writer.put(Table.META, key, right)
    talk(mine, theirs, (one.id, two.id))
    assert mine.alarms == {}
    assert two.id in mine.in_step


# -- Fork proofs -------------------------------------------------------------------------------------------------
def forked_proof(member: Member, first: int, plane: bytes = b"") -> ForkProof:
    """The proof of a fork of a member's feed whose batches nobody has."""
    headers = []
    for name in ("one", "other"):
        writer = FeedWriter(plane or member.ledger.id, member.keys.signer(REPLICA_KEY), name)
        writer.batches = [batch for batch in member.batches() if batch.header.last < first]
        writer.hlc = from_ms(START_MS + 1000)
        batch = writer.write(note(name))
        headers.append((batch.header_bytes, batch.signature))
    return fork_proof(*headers)


def test_evidence_is_kept_acted_on_and_passed_on_though_nobody_has_the_batches() -> None:
    one, two, three = make_town(3)
    create(one)
    meet(one, two)
    meet(two, three)
    create(one)
    proof = forked_proof(one, 2)
    two.exchange().take(three.id, build_fork(proof))
    number = two.replica.feed_numbers[two.ledger.number, one.id]
    assert (two.replica.feeds[number].forked_at, two.replica.feeds[number].n) == (2, 1)
    two.restart()
    *_, sent = meet(two, three)
    assert any(isinstance(decode_message(each.message), ForkProof) for each in sent)
    mine, theirs, _ = meet(three, two)
    assert mine.log.position() == theirs.log.position()
    assert mine.log.fork_proof(one.id) == proof


def test_a_proof_of_a_later_fork_tells_nothing_new() -> None:
    (member,) = make_town(1)
    create(member)
    create(member)
    exchange = member.exchange()
    exchange.take(member.id, build_fork(forked_proof(member, 2)))
    before = exchange.log.position()
    exchange.take(member.id, build_fork(forked_proof(member, 3)))
    assert exchange.log.position() == before
    assert exchange.log.fork_proof(member.id) == forked_proof(member, 2)


def test_a_proof_for_another_plane_is_refused() -> None:
    one, two = make_town(2)
    proof = forked_proof(one, 2, operational(one).id)
    assert refusal_code(lambda: one.exchange().take(two.id, build_fork(proof))) is Code.WRONG_PLANE


def test_a_fork_seen_in_a_batch_that_there_is_no_room_for_is_settled_and_proven() -> None:
    town = Town()
    one = town.replica("one")
    for _ in range(3):
        one.write(note())
    loose, other = one.fork("loose"), one.fork("other", 1)
    for _ in range(ASIDE_BATCHES_PER_AUTHOR + 1):
        loose.write(note())
    other.write(note("nobody has this"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, *loose.batches[5:]])
    number = desk.replica.feed_numbers[1, one.author]
    assert desk.replica.feeds[number].n == 4
    assert desk.receive([other.write(note("beside the third"))]) == [Outcome.DROPPED]
    assert (desk.replica.feeds[number].n, desk.replica.feeds[number].forked_at) == (2, 3)
    proof = log_of(desk).fork_proof(one.author)
    assert proof is not None
    assert proof.first == 3


def test_values_of_a_batch_that_a_pin_cuts_are_completed_in_both_its_parts() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("kept"), note("cut off"))
    town.end(one.author, 2, batch.id)
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, one.batches[0], stripped(batch)])
    log = log_of(desk)
    assert log.missing(9) == [Single(one.author, batch.id)]
    assert log.batch(one.author, batch.id) is None
    assert desk.receive([batch]) == [Outcome.COMPLETED]
    assert log.missing(9) == []
    assert log.batch(one.author, batch.id) == wire(batch)


# -- Taking in ---------------------------------------------------------------------------------------------------
def test_what_is_taken_in_is_verified_and_what_is_wrong_with_the_rest_is_told() -> None:
    town = Town()
    one = town.replica("one")
    good = [wire(batch) for batch in (*town.charter.batches, *one.batches, one.write(note()), one.write(note()))]
    spoilt = good[-1].replace(b"alice", b"mallo")
    desk = Desk().watch(town)
    received = [*good[:3], wire(Town("other").charter.batches[0]), spoilt, b"nothing", good[3], good[3]]
    stored = take_in(committing(desk), SharedPlane(desk.replica.ledger), received)
    assert stored.outcomes == [Outcome.ACCEPTED] * 4 + [Outcome.DUPLICATE]
    assert [error.code for error in stored.malformed][:2] == [Code.WRONG_PLANE, Code.BAD_HASH]
    assert len(stored.malformed) == 3


def test_a_batch_is_there_as_a_whole_only_if_it_is_accepted_with_all_its_events_and_values() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    cut, bare, missing = one.write(note("kept"), note("cut off")), two.write(note()), two.write(note())
    town.end(one.author, 2, cut.id)
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, two.batches[0], stripped(bare)])
    log = log_of(desk)
    assert log.has_whole(two.author, 1, two.batches[0].id)
    for author, first, batch in ((one.author, 2, cut), (two.author, 2, bare), (two.author, 2, missing)):
        assert not log.has_whole(author, first, batch.id)
    desk.receive([bare])
    assert log.has_whole(two.author, 2, bare.id)
    assert not log.has_whole(two.author, 3, missing.id)


def test_a_decoded_message_is_taken_as_its_bytes_are() -> None:
    one, two = make_town(2)
    create(one)
    message = decode_message(build_batches(one.ledger.id, tuple(map(wire, one.batches())), (), ()))
    assert set(two.exchange().take_decoded(one.id, message).outcomes) == {Outcome.ACCEPTED}
    assert two.batches(one.id) == one.batches()
