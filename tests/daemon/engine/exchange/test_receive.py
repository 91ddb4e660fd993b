"""Receiving: whatever comes, in whatever order, the log is what acceptance says of the set of batches held."""

from collections.abc import Callable
from contextlib import suppress
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.errors import Code, MalformedError
from moot_protocol.ids import key_text
from moot_protocol.limits import ASIDE_BATCHES_PER_AUTHOR, CLOCK_AHEAD_MS
from moot_protocol.log.batch import ZEROS, Batch, decode_batch
from moot_protocol.log.event import Dot
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, IssueFields
from moot_protocol.trust.acceptance import Accepted, settle_author
from moot_protocol.trust.branches import Feeds
from moot_protocol.trust.towns import Towns
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note, stripped, wire
from moot_testkit.laws.erasing import absent_at, erasing, of, told, two_feeds
from moot_testkit.laws.erasing import check as check_erased
from moot_testkit.laws.receiving import accepted_of, begun, check
from moot_testkit.towns.engine import START_MS, Desk, town_of
from moot_testkit.towns.town_worlds import town_worlds
from moot_testkit.towns.worlds import World, held_of, worlds
from mootd.engine.exchange import receive as receiving
from mootd.engine.exchange.receive import Outcome, has_due, receive, release_parked, unite
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.log import unpack_event
from mootd.store.port import Table

Worlds = Callable[[], st.SearchStrategy[World]]


@pytest.mark.timeout(900)  # many examples on a slow machine
@pytest.mark.parametrize("kind", [worlds, town_worlds])
@given(data=st.data())
def test_any_order_repetition_and_portions_give_what_acceptance_says(kind: Worlds, data: st.DataObject) -> None:
    world = data.draw(kind())
    batches = [batch for batch, _ in data.draw(held_of(world)).batches]
    again = data.draw(st.lists(st.sampled_from(batches), max_size=3)) if batches else []
    desk = Desk().watch(world.town)
    held: list[Batch] = []
    for batch in data.draw(st.permutations([*batches, *again])):
        desk.receive([batch])
        held.append(batch)
        if data.draw(st.integers(0, 3)) == 0:
            check(desk, world.town, held)
            desk.reopen()
    check(desk, world.town, held)


@pytest.mark.timeout(900)  # many examples on a slow machine
@pytest.mark.parametrize("kind", [worlds, town_worlds])
@given(data=st.data())
def test_one_transaction_for_all_gives_the_same(kind: Worlds, data: st.DataObject) -> None:
    world = data.draw(kind())
    batches = [batch for batch, _ in data.draw(held_of(world)).batches]
    desk = Desk().watch(world.town)
    desk.receive(data.draw(st.permutations(batches)))
    check(desk, world.town, batches)


# -- Outcomes ------------------------------------------------------------------------------------------------------
def test_the_next_batch_of_a_feed_counts_at_once_and_again_is_a_duplicate() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    batch = one.write(note("a"))
    assert desk.receive([batch, batch]) == [Outcome.ACCEPTED, Outcome.DUPLICATE]


def test_a_batch_whose_predecessor_is_missing_is_held_until_it_comes() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    first, second = one.write(note("a")), one.write(note("b"))
    assert desk.receive([second]) == [Outcome.HELD]
    assert desk.records() == {}
    assert desk.receive([second, first]) == [Outcome.DUPLICATE, Outcome.ACCEPTED]
    check(desk, town, [*town.charter.batches, *one.batches])


def test_a_batch_of_another_plane_is_refused() -> None:
    with pytest.raises(MalformedError) as raised:
        begun(town=Town()).receive([Town("elsewhere").charter.batches[0]])
    assert raised.value.code is Code.WRONG_PLANE


def test_values_that_come_late_are_filled_in() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    batch = one.write(note("a"), note("long", key="description"))
    assert desk.receive([stripped(batch)]) == [Outcome.ACCEPTED]
    assert desk.show("mt-1")["_missing"] == ["description", "title"]
    assert desk.receive([stripped(batch, [2]), batch, batch]) == [Outcome.COMPLETED, Outcome.COMPLETED, "duplicate"]
    assert desk.show("mt-1")["title"] == "a"
    assert "_missing" not in desk.show("mt-1")
    check(desk, town, [*town.charter.batches, *one.batches])


def test_values_that_are_absent_stay_in_the_digest() -> None:
    town = Town()
    one = town.replica("one")
    whole, without = begun(one, town=town), begun(one, town=town)
    batch = one.write(note("a"), note("long", key="description"))
    before = whole.digest()
    whole.receive([batch])
    without.receive([stripped(batch)])
    assert without.digest() == whole.digest() != before
    over = one.write(
        note("b", over=[dot_of(batch.events[0], one.author)])
    )  # what is absent is superseded like anything else
    whole.receive([over])
    without.receive([over])
    assert without.digest() == whole.digest()
    assert (whole.show("mt-1")["title"], without.show("mt-1")["title"]) == ("b", "b")


def test_two_copies_have_every_value_that_either_has() -> None:
    town = Town()
    batch = town.replica("one").write(note("a"), note("b"))
    parts = stripped(batch, [batch.header.first]), stripped(batch, [batch.header.last])
    assert unite(*parts) == batch
    assert unite(stripped(batch), stripped(batch)) == stripped(batch)


# -- Parked --------------------------------------------------------------------------------------------------------
def test_a_batch_from_the_future_is_parked_moves_no_clock_and_counts_when_its_time_has_come() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    clock = desk.replica.clock.last
    batch = one.write(note("a"), hlc=from_ms(START_MS + CLOCK_AHEAD_MS + 2))
    assert desk.receive([batch]) == [Outcome.PARKED]
    assert desk.replica.clock.last == clock
    assert desk.records() == {}
    desk.clock.advance(1)
    assert not is_due(desk)
    with desk.replica.transaction() as unit:
        assert release_parked(unit) == 0
    assert desk.records() == {}
    desk.clock.advance(1)
    assert is_due(desk)
    with desk.replica.transaction():
        pass  # every transaction begins by letting those count whose time has come
    assert desk.show("mt-1")["title"] == "a"
    assert not is_due(desk)
    check(desk, town, [*town.charter.batches, *one.batches])


def is_due(desk: Desk) -> bool:
    with desk.replica.read() as reader:
        return has_due(reader, desk.clock.now_ms())


def test_a_parked_batch_whose_values_come_later_stays_parked() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    batch = one.write(note("a"), hlc=from_ms(START_MS + CLOCK_AHEAD_MS + 2))
    assert desk.receive([stripped(batch), batch]) == [Outcome.PARKED, Outcome.COMPLETED]
    assert accepted_of(desk)[one.author][0] == 1


@pytest.mark.parametrize("is_stripped", [False, True])
def test_what_a_cut_puts_aside_is_known_to_have_counted(is_stripped: bool) -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    batch = one.write(note("a"))
    desk.receive([stripped(batch) if is_stripped else batch])
    desk.receive([town.end(one.author, 1, one.batches[0].id), batch])
    with desk.replica.read() as reader:
        rows = [*AsideReader(reader).rows(desk.replica.feed_numbers[1, one.author])]
    assert [row.was_accepted for _, _, row in rows] == [True]


def test_a_parked_batch_that_comes_again_when_due_still_counts() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    batch = one.write(note("a"), hlc=from_ms(START_MS + CLOCK_AHEAD_MS + 2))
    later = one.write(note("b"))
    assert desk.receive([later, batch]) == [Outcome.PARKED, Outcome.PARKED]
    desk.clock.advance(CLOCK_AHEAD_MS)
    desk.receive([batch, later])
    with desk.replica.transaction() as unit:
        release_parked(unit)
    check(desk, town, [*town.charter.batches, *one.batches])


def test_what_lies_aside_for_one_author_is_bounded_and_the_head_is_remembered() -> None:
    town = Town()
    one, stranger = town.replica("one"), Town("strange").replica("stranger")
    desk = begun(one, town=town)
    flood = FeedWriter(town.plane, stranger.key)
    for number in range(ASIDE_BATCHES_PER_AUTHOR + 5):
        flood.write(note(f"{number}"))
    outcomes = desk.receive(flood.batches[:0:-1])
    assert outcomes.count(Outcome.HELD) == ASIDE_BATCHES_PER_AUTHOR
    assert outcomes.count(Outcome.DROPPED) == 4
    assert desk.receive([one.write(note("a"))]) == [Outcome.ACCEPTED], "others are not touched by it"


def test_an_opening_without_its_values_opens_nothing_and_has_to_find_room_as_all_that_is_linked_to_nothing() -> None:
    town = Town()
    desk, other = begun(town=town), town.replica("other")
    for number in range(ASIDE_BATCHES_PER_AUTHOR):
        other.write(note(f"{number}"))
    opening, *later = other.batches
    assert set(desk.receive(later[::-1])) == {Outcome.HELD}
    assert desk.receive([stripped(opening)]) == [Outcome.DROPPED]
    assert desk.receive([opening]) == [Outcome.ACCEPTED]
    check(desk, town, [*town.charter.batches, *other.batches])


# -- What counts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("later", [0, -1])
def test_the_next_batch_counts_only_if_it_is_later_than_the_one_before_it(later: int) -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    backdated = one.write(note("a"), hlc=one.batches[-1].header.hlc_last + later)
    assert desk.receive([backdated]) == [Outcome.HELD]
    check(desk, town, [*town.charter.batches, *one.batches])


def test_what_supersedes_an_event_of_another_history_waits_for_it_though_one_of_that_number_has_come() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    elsewhere = Dot(one.author, one.n + 1, b"anywhere")
    desk.receive([one.write(note("a"), note("b", over=[elsewhere]))])
    (record,) = desk.records().values()
    assert [(key, n, leaf8) for key, _, n, leaf8 in record.pending] == [("title", *elsewhere[1:])]
    assert len(record.groups) == 2


def test_of_what_counts_at_once_the_charters_stand_first_and_the_shallower_before_the_deeper() -> None:
    town = Town()
    guest, deeper = (town.guest(name) for name in ("guest", "deeper"))
    town.admit(guest)
    guest.admit(deeper)
    one = deeper.replica("one")
    feeds = (town.charter, guest.charter, deeper.charter, one)
    for order in permutations(feeds[1:]):
        desk = Desk().watch(town)
        desk.receive([batch for feed in (*order, town.charter) for batch in feed.batches])
        arrived = [unpack_event(0, packed).feed for packed in desk.rows(Table.EVENTS).values()]
        assert [desk.replica.feeds[number].author for number in arrived] == [
            feed.author for feed in feeds for batch in feed.batches for _ in batch.events
        ]
        check(desk, town, [batch for feed in feeds for batch in feed.batches])


def test_ours_goes_on_being_refused_once_it_is_ended_and_says_so() -> None:
    first, second = town_of("first", "second")
    second.create("mt-1")
    first.receive(second.batches())
    with first.replica.transaction() as unit:
        end_replica(unit, first.replica.ledger.number, second.replica.id, 2)
    second.receive(first.batches())
    wanted = Create(actor="bob", project="mt", fields=IssueFields(title="More"))
    assert second.refusal(wanted) is Code.DENIED


def test_a_reader_is_heard_with_its_certificate_alone() -> None:
    town = Town()
    reader = town.replica("reader", Role.READER)
    desk = begun(reader, town=town)
    reader.write(note("not mine to say"))
    desk.receive(reader.batches)
    assert desk.records() == {}
    check(desk, town, [*town.charter.batches, *reader.batches])


def test_receiving_the_bytes_as_sent_is_the_same() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note("a"))
    desk, other = Desk("x").watch(town), Desk("y").watch(town)
    batches = [*town.charter.batches, *one.batches]
    desk.receive(batches)
    with other.replica.transaction() as unit:
        for batch in batches:
            receive(unit, decode_batch(wire(batch)))
    assert desk.digest() == other.digest()
    assert [wire(batch) for batch in desk.batches()] == [wire(batch) for batch in other.batches()]


def test_what_a_unit_takes_back_it_has_not_settled() -> None:
    town = Town()
    one = town.replica("one")
    desk = begun(one, town=town)
    one.write(note("a"))
    desk.receive(one.batches)
    town.end(one.author, 1, one.batches[0].id)
    end = town.charter.batches[-1]
    with desk.replica.transaction() as unit:
        with suppress(LookupError), unit.savepoint():
            receive(unit, end)
            raise LookupError
        receive(unit, end)
    check(desk, town, [*town.charter.batches, *one.batches])
    with suppress(LookupError), desk.replica.transaction() as unit:
        town.end(one.author, 0, ZEROS)
        receive(unit, town.charter.batches[-1])
        raise LookupError
    desk.receive(town.charter.batches)
    check(desk, town, [*town.charter.batches, *one.batches])


def test_a_town_that_comes_leaves_others_feeds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    town = Town()
    guests = [town.guest(f"guest {number}") for number in range(4)]
    for guest in guests:
        town.admit(guest, Role.WRITER)
    replicas = [guest.replica("one", Role.WRITER, note(f"{number}")) for number, guest in enumerate(guests)]
    desk = Desk().watch(town)
    for feed in (town.charter, *(guest.charter for guest in guests[:3]), *replicas):
        desk.receive(feed.batches)
    town.invite()
    desk.receive(town.charter.batches)  # from now on it is known what everybody's first event names
    looked_at: list[bytes] = []

    def settle_one(towns: Towns | None, feeds: Feeds, author: bytes) -> Accepted:
        looked_at.append(author)
        return settle_author(towns, feeds, author)

    monkeypatch.setattr(receiving, "settle_author", settle_one)
    desk.receive(guests[3].charter.batches)
    assert set(looked_at) == {guests[3].key.public, replicas[3].author}
    batches = [batch for feed in (town.charter, *replicas) for batch in feed.batches]
    check(desk, town, [*batches, *(batch for guest in guests for batch in guest.charter.batches)])


# -- What is erased ------------------------------------------------------------------------------------------------
def test_what_is_erased_is_kept_out_wherever_a_batch_goes() -> None:
    town, one, two, batch = two_feeds()
    later = one.write(note("later"))
    two.write(erasing(batch, 2), erasing(later))
    desk = told(town, *town.charter.batches, one.batches[0], *two.batches)
    assert desk.receive([later, batch, batch, later]) == [
        Outcome.HELD, Outcome.ACCEPTED, Outcome.DUPLICATE, Outcome.DUPLICATE,
    ]  # fmt: skip
    assert {n for _, n, _ in absent_at(desk)} == {2, 4}
    check_erased(desk, town.plane, of(town, one, two))


def test_whose_feed_it_is_and_how_it_begins_is_told_to_what_settles_erasures() -> None:
    town, one, two, batch = two_feeds()
    twin, other = one.fork("twin", 1), one.fork("other", 1)
    twin.write(note("another history"), note("as long"))
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    name = (1, key_text(one.author))
    steps = [
        (town.end(two.author, two.n, two.head), []),
        (town.end(one.author, 3, batch.id), [name]),
        (twin.batches[-1], []),
        (
            town.end(one.author, 3, twin.head, over=[dot_of(town.charter.batches[-1].events[0], town.key.public)]),
            [name],
        ),
        (other.write(note("nobody's")), []),
    ]
    for step, noted in steps:
        with desk.replica.transaction() as unit:
            receive(unit, step)
            assert list(unit.erasures) == noted
    check(desk, town, of(town, one, twin, two, other))
