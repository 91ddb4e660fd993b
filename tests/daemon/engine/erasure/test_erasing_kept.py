"""What is erased stays erased whatever is taken back, held aside, withheld, handed out, restarted or rebuilt."""

from itertools import permutations
from unittest.mock import Mock

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.exchange.messages import Place, Single
from moot_protocol.issues.erasure import names_in
from moot_protocol.limits import CLOCK_AHEAD_MS
from moot_protocol.log.batch import ZEROS, Batch, decode_batch
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import charter_draft
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note, signer, stripped, wire
from moot_testkit.laws.erasing import (
    KEPT,
    SECRET,
    absent_at,
    all_but,
    check,
    check_everywhere,
    check_kept,
    erased_at,
    erasing,
    forget,
    marks,
    of,
    places_of,
    refill,
    told,
    two_feeds,
    withheld_at,
)
from moot_testkit.towns.carrying import commit_of, log_of
from moot_testkit.towns.engine import START_MS, Desk
from mootd.engine import rebuild as rebuilding
from mootd.engine import replica
from mootd.engine.erasure import erasing as erasures
from mootd.engine.exchange.outbox import Outbox, OutboxReader, OutFrame
from mootd.engine.exchange.receive import Outcome
from mootd.engine.machine.remotes import add_remote
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader
from mootd.engine.unit import Unit
from mootd.store.port import Table


class _TakenBackError(Exception):
    pass


# -- What no longer counts, and counts again -----------------------------------------------------------------------
def test_an_erasure_beyond_an_end_erases_nothing_and_what_was_erased_is_asked_for() -> None:
    town, one, two, batch = two_feeds()
    n, head = two.n, two.head
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    assert places_of(desk, SECRET.encode()) == []
    end = town.end(two.author, n, head)
    desk.receive([end])
    assert erased_at(desk) == set()
    assert withheld_at(desk) == {(one.author, 2)}
    assert log_of(desk).missing(9) == [Single(one.author, batch.id)]
    assert desk.show("mt-1")["_missing"] == ["title"]
    check_kept(desk)
    assert desk.receive([batch]) == [Outcome.COMPLETED]
    assert (desk.show("mt-1")["title"], withheld_at(desk)) == (SECRET, set())
    check_everywhere(town, of(town, one, two), [], [SECRET, KEPT])


def test_what_is_erased_of_a_key_that_has_opened_a_charter_as_well_does_not_come_back() -> None:
    town, one, two, batch = two_feeds()
    charter = FeedWriter(town.plane, one.key, "charter")
    charter.write(charter_draft(one.author, "charter", ""))
    town.end(one.author, one.n, one.head)
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two, charter))
    assert (desk.show("mt-1")["_missing"], desk.show("mt-2")["title"]) == (["title"], KEPT)
    assert desk.receive([batch]) == [Outcome.DUPLICATE]
    assert desk.show("mt-1")["_missing"] == ["title"]
    check_kept(desk)


def test_an_end_behind_it_leaves_it() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    town.end(two.author, two.n, two.head)
    town.end(one.author, one.n, one.head)
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


def test_an_end_that_gives_way_to_a_later_one_lets_it_count_again() -> None:
    town, one, two, batch = two_feeds()
    early = town.end(two.author, two.n, two.head)
    two.write(erasing(batch, 2))
    town.end(two.author, two.n, two.head, over=[dot_of(early.events[0], town.key.public)])
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])
    desk = told(town, *all_but(town.charter.batches[-1], town, one, two))
    assert desk.show("mt-1")["title"] == SECRET
    desk.receive(town.charter.batches)
    check(desk, town.plane, of(town, one, two), {SECRET: True})


def test_a_fork_of_the_erasing_feed_before_it_takes_it_back() -> None:
    town, one, two, batch = two_feeds()
    twin = two.fork("twin")
    two.write(erasing(batch, 2))
    twin.write(note("beside it"))
    check_everywhere(town, of(town, one, two, twin), [], [SECRET, KEPT])


def test_an_admin_that_is_none_any_more_has_erased_nothing_of_other_towns() -> None:
    town, one, _, batch = two_feeds()
    guest, third = town.guest("guest"), town.guest("third")
    town.admit(guest, Role.ADMIN)
    guest.admit(third, Role.ADMIN)
    town.admit(third, Role.WRITER)
    two = third.replica("two", Role.ADMIN)
    own = third.replica("three")
    two.write(erasing(batch, 2), erasing(own.write(note("a secret of its own"))))
    batches = of(town, guest.charter, third.charter, one, two, own)
    desk = told(town, *batches)
    removal = town.remove(guest)
    later = of(town, guest.charter, third.charter, one, two, own)
    desk.receive([removal])
    refill(desk, later)
    check(desk, town.plane, later)
    check_everywhere(town, later)


def test_who_becomes_an_admin_has_erased_what_it_named_before() -> None:
    town, one, _, batch = two_feeds()
    guest = town.guest("guest")
    town.admit(guest, Role.WRITER)
    two = guest.replica("two", Role.ADMIN)
    two.write(erasing(batch, 2))
    earlier = of(town, guest.charter, one, two)
    desk = told(town, *earlier)
    check(desk, town.plane, earlier, {SECRET: False})
    desk.receive([town.admit(guest, Role.ADMIN)])
    check(desk, town.plane, of(town, guest.charter, one, two), {SECRET: True, KEPT: False})
    check_everywhere(town, of(town, guest.charter, one, two), [SECRET], [KEPT])


def test_of_a_feed_that_counts_for_no_town_nothing_is_erased_until_it_does() -> None:
    town = Town()
    guest = town.guest("guest")
    one, two = guest.replica("one"), town.replica("two", Role.ADMIN)
    batch = one.write(note(SECRET))
    two.write(erasing(batch))
    check_everywhere(town, of(town, guest.charter, one, two), [], [SECRET])
    town.admit(guest, Role.WRITER)
    check_everywhere(town, of(town, guest.charter, one, two), [SECRET])


# -- What is held without counting ---------------------------------------------------------------------------------
def test_what_an_end_cut_off_is_erased_aside() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    town.end(one.author, 1, one.batches[0].id)
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_what_only_admins_may_write_is_erased_aside_where_an_admin_named_it(role: Role) -> None:
    town = Town()
    one, two = town.replica("one", Role.ADMIN), town.replica("two", role)
    kept = one.write(note("counts"))
    cut = one.write(Draft("role", "reviewer", "ann", [Write("document", SECRET)]))
    two.write(erasing(cut))
    town.end(one.author, kept.header.last, kept.id)
    desk = told(town, *of(town, one, two))
    assert bool(places_of(desk, SECRET.encode())) is (role is Role.WRITER)
    desk.receive([cut])
    assert bool(places_of(desk, SECRET.encode())) is (role is Role.WRITER), "and stays so when it comes again"


def lying_aside(desk: Desk, author: bytes) -> list[tuple[bool, bool]]:
    """(parked, was accepted) of what is held of an author without counting."""
    with desk.replica.read() as reader:
        rows = AsideReader(reader).rows(desk.replica.feed_numbers[1, author])
        return [(row.parked, row.was_accepted) for _, _, row in rows]


def test_what_lies_aside_without_it_lies_there_for_the_reason_it_had() -> None:
    town, one, two, batch = two_feeds()
    later = one.write(note("from the future"), hlc=from_ms(START_MS + CLOCK_AHEAD_MS + 2))
    erasure = two.write(erasing(batch), erasing(later))
    end = town.end(one.author, 1, one.batches[0].id)
    desk = told(town, *town.charter.batches[:-1], *one.batches, two.batches[0], end)
    before = lying_aside(desk, one.author)
    assert before == [(False, True), (True, False)]
    desk.receive([erasure])
    assert lying_aside(desk, one.author) == before
    assert places_of(desk, SECRET.encode()) == places_of(desk, b"from the future") == []


@pytest.mark.parametrize("number", [2, 3])
@pytest.mark.parametrize("at", [2, 3])
def test_of_a_batch_that_an_end_cuts_in_two_both_copies_lose_it(number: int, at: int) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, number))
    town.end(one.author, at, batch.id)
    texts = [SECRET, KEPT]
    check_everywhere(town, of(town, one, two), [texts.pop(number - 2)], texts)


def test_a_batch_from_the_future_loses_it_while_it_waits() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    batch = one.write(note(SECRET), note(KEPT), hlc=from_ms(START_MS + CLOCK_AHEAD_MS + 2))
    two.write(erasing(batch, 2))
    batches = of(town, one, two)
    for order in permutations(batches[-3:]):
        desk = told(town, *batches[:-3], *order)
        assert desk.replica.feeds[desk.replica.feed_numbers[1, one.author]].n == 1
        assert places_of(desk, SECRET.encode()) == []
        assert places_of(desk, KEPT.encode()) == ["ASIDE"]
        desk.clock.advance(2 * CLOCK_AHEAD_MS)
        with desk.replica.transaction():
            pass
        check(desk, town.plane, batches, {SECRET: True, KEPT: False})


def test_a_batch_whose_predecessor_is_missing_loses_it_while_it_waits() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    first, batch = one.write(note("before it")), one.write(note(SECRET), note(KEPT))
    two.write(erasing(batch, 3))
    desk = told(town, *town.charter.batches, one.batches[0], batch, *two.batches)
    assert (places_of(desk, SECRET.encode()), places_of(desk, KEPT.encode())) == ([], ["ASIDE"])
    desk.receive([first])
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_a_batch_that_would_open_another_history_stays_whole() -> None:
    """Whether it may ever count is told by its values, and that must not depend on what came first."""
    town = Town()
    one = town.replica("one")
    one.write(note("a history"))
    twin = FeedWriter(town.plane, one.key, "twin")
    (other,) = [twin.write(town.opening(one.author), note(KEPT))]
    two = town.replica("two")
    two.write(erasing(other, 2))
    check_everywhere(town, of(town, one, two, twin), [], [KEPT])
    town.end(one.author, 2, other.id)
    check_everywhere(town, of(town, one, two, twin), [], [KEPT])


def test_a_change_to_a_history_of_the_same_length_is_settled_too() -> None:
    town = Town()
    one = FeedWriter(town.plane, signer("town one"))
    one.write(town.opening(one.author), note(KEPT))
    one.write(note("more"))
    twin = FeedWriter(town.plane, one.key, "twin")
    twin.write(town.opening(one.author))
    batch = twin.write(note(SECRET), note("more"))
    two = town.replica("two")
    two.write(erasing(batch, 2))
    town.end(one.author, 3, batch.id)
    batches = of(town, one, two, twin)
    check_everywhere(town, batches, [SECRET], [KEPT])
    desk = told(town, *of(town, one, two), *twin.batches)
    check(desk, town.plane, batches, {SECRET: True})


# -- Values that are withheld --------------------------------------------------------------------------------------
@pytest.mark.parametrize("order", list(permutations(["bare", "erasure", "whole"])), ids="-".join)
@pytest.mark.parametrize("bare", [[2], [3], [2, 3]])
def test_marks_are_right_in_every_order(order: tuple[str, ...], bare: list[int]) -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    parts = {"bare": stripped(batch, bare), "erasure": erasure, "whole": batch}
    desk = told(town, *town.charter.batches, one.batches[0], two.batches[0])
    came: set[str] = set()
    for part in order:
        desk.receive([parts[part]])
        came.add(part)
        missing = {2, 3} - ({2} if "erasure" in came else set()) if came & {"bare", "whole"} else set()
        is_missing = "whole" not in came and bool(missing & set(bare))
        assert withheld_at(desk) == ({(one.author, 2)} if is_missing else set()), came
        check_kept(desk)
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_what_is_withheld_beside_it_is_still_asked_for() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *town.charter.batches, one.batches[0], *two.batches, stripped(batch))
    assert log_of(desk).missing(9) == [Single(one.author, batch.id)]
    check_kept(desk)
    assert desk.receive([stripped(batch, [2])]) == [Outcome.COMPLETED]
    assert log_of(desk).missing(9) == []
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


@pytest.mark.parametrize(("absent", "is_asked"), [([3], False), ([2], True), ([2, 3], True)])
def test_of_a_batch_that_an_end_cuts_only_what_counts_is_asked_for(absent: list[int], *, is_asked: bool) -> None:
    town, one, _, batch = two_feeds()
    town.end(one.author, 2, batch.id)
    desk = told(town, *town.charter.batches, one.batches[0], stripped(batch, absent))
    assert withheld_at(desk) == ({(one.author, 2)} if is_asked else set())
    check_kept(desk)


def test_an_erasure_that_comes_with_values_missing_erases_all_the_same() -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    desk = told(town, *all_but(erasure, town, one, two), stripped(erasure))
    assert places_of(desk, SECRET.encode()) == []
    assert withheld_at(desk) == {(two.author, 2)}
    desk.receive([erasure])
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_what_is_erased_is_not_taken_from_anybody_again() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    kept = desk.tables()
    assert desk.receive([batch, stripped(batch), batch]) == [Outcome.DUPLICATE] * 3
    assert desk.tables() == kept


# -- What others get -----------------------------------------------------------------------------------------------
def test_a_peer_is_handed_the_batch_without_what_is_erased() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    log = log_of(desk)
    assert log.batch(one.author, batch.id) == wire(stripped(batch, [2]))
    assert log.batches_after(one.author, [Place(one.author, 0, ZEROS)], 99_999) == [
        wire(one.batches[0]), wire(stripped(batch, [2])),
    ]  # fmt: skip
    assert log.has_whole(one.author, 2, batch.id)
    bare = told(town, *town.charter.batches, one.batches[0], *two.batches, stripped(batch))
    assert log_of(bare).batch(one.author, batch.id) is None, "more than what is erased is missing from it"
    assert not log_of(bare).has_whole(one.author, 2, batch.id)


def test_a_peer_that_has_no_erasure_yet_asks_in_vain_and_then_no_more() -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    handed = log_of(desk).batch(one.author, batch.id) or b""
    other = told(town, *town.charter.batches, one.batches[0], two.batches[0], decode_batch(handed))
    assert log_of(other).missing(9) == [Single(one.author, batch.id)]
    assert other.receive([decode_batch(handed)]) == [Outcome.DUPLICATE]
    other.receive([erasure])
    assert log_of(other).missing(9) == []
    check(other, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_peers_that_lost_another_part_each_to_erasures_that_count_no_more_complete_one_another() -> None:
    town, one, two, batch = two_feeds()
    twin = two.fork("twin", 1)
    both = two.write(erasing(batch, 2)), twin.write(erasing(batch, 3))
    desks = [told(town, *town.charter.batches, *one.batches, two.batches[0], each) for each in both]
    assert [{n for _, n, _ in absent_at(desk)} for desk in desks] == [{2}, {3}]
    for desk in desks:
        desk.receive([*both])  # a fork that nobody has chosen from: neither counts
        assert marks(desk) == (set(), {(one.author, 2)})
        check_kept(desk)
    for desk, peer in (desks, desks[::-1]):
        (single,) = log_of(desk).missing(9)
        handed = log_of(peer).batch(single.author, single.id)
        assert handed is not None
        assert desk.receive([decode_batch(handed)]) == [Outcome.COMPLETED]
        check(desk, town.plane, of(town, one, two, twin), {SECRET: False, KEPT: False})


def test_what_waits_in_queues_of_the_plane_goes_and_is_made_again() -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    desk = told(town, *all_but(erasure, town, one, two))

    def fill(unit: Unit) -> int:
        row = add_remote(unit, "origin", "git", "git@example.org:a/b.git", "auto", {})
        for plane in (1, 2):
            Outbox(unit.transaction, row.number).put(OutFrame(plane, "batches", wire(batch), START_MS))
        return row.number

    remote = commit_of(desk)(fill)

    def waiting() -> list[int]:
        with desk.replica.read() as reader:
            return [frame.plane for _, frame in OutboxReader(reader, remote).frames()]

    assert waiting() == [1, 2]
    desk.receive([erasure])
    assert waiting() == [2]


def test_queues_stay_where_an_erasure_took_nothing_away() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    again = one.write(erasing(batch, 2))
    desk = told(town, *all_but(again, town, one, two))

    def fill(unit: Unit) -> None:
        row = add_remote(unit, "origin", "git", "git@example.org:a/b.git", "auto", {})
        Outbox(unit.transaction, row.number).put(OutFrame(1, "batches", b"a frame", START_MS))

    commit_of(desk)(fill)
    desk.receive([again])
    assert len(desk.rows(Table.OUTBOX)) == 1


# -- Restarts, rebuilds, releases ----------------------------------------------------------------------------------
def test_an_erasure_that_comes_is_settled_without_reading_all_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, two, batch = two_feeds()
    for _ in range(20):
        two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    with monkeypatch.context() as patched:
        reading = Mock(wraps=names_in)
        patched.setattr(erasures, "names_in", reading)
        desk.receive([two.write(erasing(batch, 3))])
        assert 0 < reading.call_count <= 2
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: True})


def test_a_restart_knows_what_is_erased() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *all_but(batch, town, one, two))
    desk.reopen()
    desk.receive([batch])
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def under_an_earlier_release(monkeypatch: pytest.MonkeyPatch, town: Town, batches: list[Batch]) -> Desk:
    """A desk that received these while it knew nothing of erasures."""
    with monkeypatch.context() as patched:
        patched.setattr(replica, "_settle_erasures", lambda unit: unit.erasures.clear())
        desk = told(town, *batches)
    forget(desk, layout.ERASED)
    return desk


def test_what_came_under_an_earlier_release_is_erased_by_the_first_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = under_an_earlier_release(monkeypatch, town, of(town, one, two))
    assert desk.show("mt-1")["title"] == SECRET
    with desk.replica.transaction():
        pass
    assert desk.replica.follows_erasures
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})
    desk.reopen()
    assert not desk.replica.follows_erasures, "an earlier release may have run meanwhile"


def test_what_an_earlier_release_asked_for_is_asked_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    bare = [*all_but(batch, town, one, two), stripped(batch, [2])]
    desk = under_an_earlier_release(monkeypatch, town, bare)
    assert withheld_at(desk) == {(one.author, 2)}
    desk.receive([erasure])
    assert withheld_at(desk) == set()
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_a_failed_first_transaction_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = under_an_earlier_release(monkeypatch, town, of(town, one, two))
    with pytest.raises(_TakenBackError), desk.replica.transaction():
        raise _TakenBackError
    assert not desk.replica.follows_erasures
    with desk.replica.transaction():
        pass
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


def test_an_erasure_between_two_stretches_of_a_rebuild_leaves_nothing_in_the_new_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rebuilding, "STRETCH", 3)
    town, one, two, batch = two_feeds()
    one.write(*(note("more", entity=f"mt-{number}") for number in range(3, 9)))
    desk = told(town, *of(town, one, two))
    started = Rebuild()
    for _ in range(2):
        assert not commit_of(desk)(started.step)["done"]
    assert "RECORDS_1" in places_of(desk, SECRET.encode())
    desk.receive([two.write(erasing(batch, 2))])
    assert places_of(desk, SECRET.encode()) == [], "the rebuild may be broken off and never go on"
    while not commit_of(desk)(started.step)["done"]:
        pass
    check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})
