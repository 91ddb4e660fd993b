"""A stored log answers sessions as a log in memory does, and hands out nothing of another plane."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.errors import Code
from moot_protocol.exchange.messages import Place, Single, build_batches, fork_proof
from moot_protocol.limits import ASIDE_BATCHES_PER_AUTHOR, CLOCK_AHEAD_MS
from moot_protocol.log.batch import ZEROS, Batch, decode_batch
from moot_testkit.bytes.feeds import Town, note, stripped, wire
from moot_testkit.laws.erasing import erasing, of, told, two_feeds
from moot_testkit.naive import model
from moot_testkit.naive.synclog import MemoryLog
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import log_of
from moot_testkit.towns.engine import START_MS, Desk
from moot_testkit.towns.town import make_town
from moot_testkit.towns.worlds import World, held_of, worlds
from mootd.engine.exchange.receive import Outcome
from mootd.engine.exchange.stored_log import COUNTERS_AT_ONCE, StoredLog
from mootd.engine.stored import layout
from mootd.store.memory_store import CrashError
from mootd.store.port import Table


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


# -- What may be handed out --------------------------------------------------------------------------------------
def test_a_batch_that_stands_in_the_wrong_feed_is_not_handed_out() -> None:
    """A bug or a damaged store must not leak either."""
    (member,) = make_town(1)
    hidden = member.replica.plane_named("operational")
    numbers = [member.replica.feed_numbers[plane.number, member.id] for plane in (member.ledger, hidden)]
    with member.store.write() as writer:
        leaked = writer.get(Table.BATCHES, layout.batch_key(numbers[1], 1))
        assert leaked is not None
        writer.put(Table.BATCHES, layout.batch_key(numbers[0], 1), leaked)
    log = member.exchange().log
    places = [Place(member.id, 0, ZEROS)]
    assert refusal_code(lambda: log.batches_after(member.id, places, 100_000)) is Code.DENIED
    leaked_id = member.batches(plane=hidden.number)[0].id
    assert refusal_code(lambda: log.batch(member.id, leaked_id)) is Code.DENIED


# -- A stored log is a log ---------------------------------------------------------------------------------------
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


# -- Forks, ends and what is withheld ----------------------------------------------------------------------------
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


def test_what_is_missing_is_asked_for_with_another_batch_first_each_time_since_some_may_be_lost_for_good() -> None:
    town = Town()
    one = town.replica("one")
    batches = [one.write(note()) for _ in range(5)]
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, one.batches[0], *map(stripped, batches)])
    wanted = [Single(one.author, batch.id) for batch in batches]
    log = log_of(desk)
    assert all({*log.missing(most)} <= {*wanted} and len(log.missing(most)) == min(most, 5) for most in (0, 1, 3, 99))
    assert {log.missing(1)[0] for _ in range(100)} == {*wanted}
    assert {log.missing(99)[0] for _ in range(100)} == {*wanted}
    assert all({*log.missing(99)} == {*wanted} for _ in range(9))


def test_what_stands_on_a_remote_loses_what_is_erased_since_and_nothing_else() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    standing = [wire(each) for each in (one.batches[0], batch, *two.batches)]
    kept = [wire(each) for each in (one.batches[0], stripped(batch, [2]), *two.batches)]
    assert log_of(desk).without_erased(standing) == kept
    assert log_of(desk).without_erased(kept) == kept
    assert log_of(told(town, one.batches[0])).without_erased(standing) == standing


def test_a_message_tells_what_is_erased_if_it_was_read_before_the_erasure() -> None:
    town, one, two, batch = two_feeds()
    before = told(town, *of(town, one, two))
    two.write(erasing(batch, 2))
    after = told(town, *of(town, one, two))
    old, new = (build_batches(town.plane, tuple(map(wire, each)), (), ()) for each in ([batch], [stripped(batch, [2])]))
    spans = {one.author: (batch.header.first, batch.header.last)}
    for known in (None, spans):
        assert [tells_erased(desk, old, known) for desk in (before, after)] == [False, True]
        assert not tells_erased(after, new, known)
    assert not tells_erased(after, old, {one.author: (3, 9), two.author: (1, 9)}), "only there anything is looked for"


def tells_erased(desk: Desk, message: bytes, spans: dict[bytes, tuple[int, int]] | None) -> bool:
    with desk.replica.read() as reader:
        return log_of(desk).tells_erased(reader, message, spans)


def test_a_batch_is_torn_if_it_is_accepted_and_any_value_is_withheld() -> None:
    town = Town()
    one = town.replica("one")
    whole, torn, unknown = (one.write(note(), note()) for _ in range(3))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, one.batches[0], whole, stripped(torn, [torn.header.first])])
    links = [each.link for each in (whole, torn, unknown)]
    assert log_of(desk).torn(links) == [Single(one.author, torn.id)]
    assert log_of(desk).torn([links[1]._replace(id=unknown.id)]) == []


# -- What is erased ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("at", [0, 2])
def test_a_batch_that_lacks_only_what_is_erased_is_handed_out_even_if_a_pin_cuts_it(at: int) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 3))
    if at:
        town.end(one.author, at, batch.id)
    desk = told(town, *of(town, one, two))
    log = log_of(desk)
    assert log.batch(one.author, batch.id) == wire(stripped(batch, [3]))
    assert log.has_whole(one.author, 2, batch.id) == (not at)
    assert log.missing(9) == []


def test_a_batch_that_lacks_more_is_handed_out_with_what_is_here() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 3))
    desk = told(town, *town.charter.batches, one.batches[0], two.batches[0], stripped(batch, [2]))
    assert log_of(desk).batch(one.author, batch.id) == wire(stripped(batch, [2]))
    assert log_of(desk).missing(9) == [Single(one.author, batch.id)]


def test_a_batch_of_which_no_value_is_here_is_not() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 3))
    desk = told(town, *town.charter.batches, one.batches[0], *two.batches, stripped(batch))
    assert log_of(desk).batch(one.author, batch.id) is None
    assert log_of(desk).missing(9) == [Single(one.author, batch.id)]
    places = [Place(one.author, 1, one.batches[0].id)]
    assert log_of(desk).batches_after(one.author, places, 99_999) == [wire(stripped(batch))], "who asks for all gets it"
