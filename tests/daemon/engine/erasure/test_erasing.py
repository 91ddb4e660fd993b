"""Erasing: of whatever an erasure that counts names no value is left, whoever wrote it, and nothing else goes."""

import pytest

from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import Erased, erasures
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Draft, Event, Write
from moot_protocol.merge.kinds import ERASE, ISSUE, Role
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import certificate_draft
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, dot_of, note, seed, signer
from moot_testkit.laws.erasing import (
    KEPT,
    SECRET,
    accepted_at,
    check,
    check_everywhere,
    check_kept,
    erased_at,
    erasing,
    of,
    places_of,
    problems_at,
    rebuild,
    told,
    two_feeds,
)
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import commit_of, log_of, plane_of
from moot_testkit.towns.engine import Desk, exchange, town_of
from moot_testkit.towns.federating import federation, meet
from moot_testkit.towns.planes import two_planes
from moot_testkit.towns.town import Member
from mootd.engine.erasure.erasing import append_erasures, refuse_others, said_under, settle_erasures, written
from mootd.engine.exchange.cut import Place
from mootd.engine.state import TOWN_KEY
from mootd.engine.unit import Unit
from mootd.store.port import Table


# -- Whoever may -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_any_writer_of_the_town_erases_what_its_town_wrote(role: Role) -> None:
    town, one, two, batch = two_feeds(role)
    two.write(erasing(batch, 2))
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


def test_a_writer_erases_what_it_wrote_itself_even_in_the_same_batch() -> None:
    town = Town()
    one = town.replica("one")
    twin = one.fork("the same drafts, to learn the names")
    said = [note(SECRET), note(KEPT, entity="mt-2")]
    one.salt = twin.salt
    one.write(*said, erasing(twin.write(*said), 2))
    assert erased_at(told(town, *of(town, one)))
    check_everywhere(town, of(town, one), [SECRET], [KEPT])


def test_all_of_a_batch_can_be_erased() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch))
    check_everywhere(town, of(town, one, two), [SECRET, KEPT])


def test_two_erasures_of_the_same_erase_as_one() -> None:
    town, one, two, batch = two_feeds()
    for feed in (two, one, two):
        feed.write(erasing(batch, 2))
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


def of_another_town(at: Role, role: Role) -> tuple[Town, Guest, list[Batch], FeedWriter]:
    """A replica of a town that was let in, which erases what a replica of the founder wrote."""
    town, one, _, batch = two_feeds()
    guest = town.guest("guest")
    town.admit(guest, at)
    two = guest.replica("two", role)
    two.write(erasing(batch, 2))
    return town, guest, of(town, guest.charter, one, two), two


def test_an_admin_of_another_town_erases_what_any_replica_wrote() -> None:
    town, _, batches, _ = of_another_town(Role.ADMIN, Role.ADMIN)
    check_everywhere(town, batches, [SECRET], [KEPT])


@pytest.mark.parametrize(
    ("at", "role"),
    [(Role.ADMIN, Role.WRITER), (Role.WRITER, Role.ADMIN), (Role.WRITER, Role.WRITER), (Role.READER, Role.ADMIN)],
)
def test_nobody_else_of_another_town_erases_anything(at: Role, role: Role) -> None:
    town, _, batches, _ = of_another_town(at, role)
    check_everywhere(town, batches, [], [SECRET, KEPT])


def test_a_writer_of_another_town_erases_what_its_own_wrote() -> None:
    town = Town()
    guest = town.guest("guest")
    town.admit(guest, Role.WRITER)
    one, two, founder = guest.replica("one"), guest.replica("two"), town.replica("one")
    two.write(erasing(one.write(note(SECRET))))
    founder.write(erasing(two.write(note(KEPT))))
    check_everywhere(town, of(town, guest.charter, one, two, founder), [SECRET], [KEPT])


@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_what_only_admins_may_write_only_admins_erase(role: Role) -> None:
    town = Town()
    one, two = town.replica("one", Role.ADMIN), town.replica("two", role)
    batch = one.write(Draft("role", "reviewer", "ann", [Write("document", SECRET)]), note(KEPT))
    two.write(erasing(batch))
    gone, kept = ([KEPT], [SECRET]) if role is Role.WRITER else ([KEPT, SECRET], [])
    check_everywhere(town, of(town, one, two), gone, kept)


def test_an_admin_erases_what_a_writer_had_named_in_vain() -> None:
    town = Town()
    one, two = town.replica("one", Role.ADMIN), town.replica("two")
    batch = one.write(Draft("role", "reviewer", "ann", [Write("document", SECRET)]))
    two.write(erasing(batch))
    one.write(erasing(batch))
    check_everywhere(town, of(town, one, two), [SECRET])


def test_a_reader_erases_nothing() -> None:
    town, one, two, batch = two_feeds(Role.READER)
    two.write(erasing(batch))
    check_everywhere(town, of(town, one, two), [], [SECRET, KEPT])


def test_a_charter_erases_nothing() -> None:
    town, one, two, batch = two_feeds()
    town.charter.write(erasing(batch))
    check_everywhere(town, of(town, one, two), [], [SECRET, KEPT])


def test_who_has_no_place_in_the_plane_erases_nothing() -> None:
    town, one, two, batch = two_feeds()
    stranger = FeedWriter(town.plane, Town("strange").replica("stranger").key)
    stranger.write(Town("strange").opening(stranger.author))
    stranger.write(erasing(batch))
    check_everywhere(town, of(town, one, two, stranger), [], [SECRET, KEPT])


# -- Whatever can be -----------------------------------------------------------------------------------------------
def test_what_charters_say_is_never_erased() -> None:
    town, one, two, _ = two_feeds(Role.ADMIN)
    guest = town.guest("guest")
    for batch in (*town.charter.batches, town.admit(guest, Role.WRITER), *guest.charter.batches):
        two.write(erasing(batch))
        town.charter.write(erasing(batch))
    check_everywhere(town, of(town, guest.charter, one, two), [], [SECRET, "guest"])


def test_what_stands_in_the_batch_of_a_certificate_is_never_erased() -> None:
    town = Town()
    one, two = town.replica("one", Role.WRITER, note(KEPT)), town.replica("two")
    two.write(erasing(one.batches[0]))
    check_everywhere(town, of(town, one, two), [], [KEPT])


def test_an_erasure_that_is_erased_goes_on_erasing() -> None:
    town, one, two, batch = two_feeds()
    first = two.write(erasing(batch, 2))
    one.write(erasing(first))
    two.write(erasing(one.batches[-1]))
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


@pytest.mark.parametrize("removes", [False, True])
def test_what_supersedes_or_removes_an_erasure_doesn_t_take_it_back(removes: bool) -> None:
    town, one, two, batch = two_feeds()
    first = two.write(erasing(batch, 2)).events[0]
    (change,) = first.skeleton.changes
    write = Write(change.key, None, (dot_of(first, two.author),), removes)
    one.write(Draft(ERASE, key_text(one.author), "alice", (write,)))
    check_everywhere(town, of(town, one, two), [SECRET], [KEPT])


def test_removing_a_name_by_itself_erases_nothing() -> None:
    town, one, two, batch = two_feeds()
    (write,) = erasing(batch, 2).writes
    over = (dot_of(batch.events[0], one.author),)
    two.write(Draft(ERASE, key_text(one.author), "alice", (Write(write.key, None, over, True),)))
    check_everywhere(town, of(town, one, two), [], [SECRET])


@pytest.mark.parametrize(
    "key",
    ["2", "title", "02.{leaf}", "2.{upper}", "2.{leaf}00", "3.{leaf}", "2.0000000000000000", f"{2**64 - 1}.{{leaf}}"],
)
def test_a_key_that_names_no_event_of_the_author_erases_nothing(key: str) -> None:
    town, one, two, batch = two_feeds()
    leaf = batch.events[0].leaf[:8].hex()
    meant = key.format(leaf=leaf, upper=leaf.upper() if leaf != leaf.upper() else "X")
    two.write(Draft(ERASE, key_text(one.author), "alice", (Write(meant),)))
    two.write(Draft(ERASE, key_text(two.author), "alice", (Write(f"2.{leaf}"),)))
    two.write(Draft(ERASE, key_text(seed("nobody")), "alice", (Write(f"2.{leaf}"),)))
    two.write(Draft(ERASE, "no key at all", "alice", (Write(f"2.{leaf}"),)))
    check_everywhere(town, of(town, one, two), [], [SECRET, KEPT])


def test_a_name_means_the_event_of_one_branch() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    twin = one.fork("twin")
    left, right = one.write(note(SECRET)), twin.write(note(KEPT))
    two.write(erasing(left))
    batches = of(town, one, twin, two)
    check_everywhere(town, batches, [SECRET], [KEPT])
    for pinned in (left, right):
        ended = Town()
        ended.end(one.author, 2, pinned.id)
        check_everywhere(ended, [*batches, *ended.charter.batches[1:]], [SECRET], [KEPT])


def test_erasing_leaves_what_counts_as_it_is() -> None:
    town, one, two, batch = two_feeds()
    two.write(note("beside it", entity="mt-1", key="notes"), note(KEPT, over=(dot_of(batch.events[0], one.author),)))
    desk = told(town, *of(town, one, two))
    counted, live = accepted_at(desk).keys(), desk.show("mt-1")
    erasure = two.write(erasing(batch, 2))
    other = told(town, *of(town, one, two))
    desk.receive([erasure])
    assert desk.digest() == other.digest()
    assert accepted_at(desk).keys() == counted | {(two.author, erasure.events[0].n, erasure.events[0].leaf[:8])}
    shown = desk.show("mt-1")
    assert {key: value for key, value in shown.items() if key in live} == live, "what was written over stays so"


def test_what_is_live_of_it_is_shown_as_missing() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    assert desk.show("mt-1")["_missing"] == ["title"]
    assert log_of(desk).missing(9) == [], "but nobody is asked for it"


# -- In one transaction --------------------------------------------------------------------------------------------
def own_erasure(unit: Unit, *events: Event) -> None:
    """Erase own events, on the ledger."""
    names = [Erased(event.n, event.leaf[:8]) for event in events]
    for draft in erasures(unit.replica.id, names, "eve"):
        unit.append(1, draft)


def test_what_is_written_and_erased_in_one_transaction_is_never_committed() -> None:
    one, two = town_of("one", "two")
    with one.replica.transaction() as unit:
        own_erasure(unit, unit.append(1, note(SECRET)), unit.append(1, note(SECRET, key="description")))
        unit.append(1, note(KEPT, entity="mt-2"))
    assert len(erased_at(one)) == 2
    exchange(one, two)
    for desk in (one, two):
        assert (places_of(desk, SECRET.encode()), desk.show("mt-2")["title"]) == ([], KEPT)
        check_kept(desk)
    assert one.digest() == two.digest()


def test_an_erasure_on_one_plane_erases_nothing_on_another() -> None:
    desk = two_planes()
    ledger, other = (plane.number for plane in list(desk.replica.planes.values())[:2])
    with desk.replica.transaction() as unit:
        unit.append(other, note("something, so that a feed is here"))
        gone, kept = unit.append(ledger, note(SECRET)), unit.append(ledger, note(KEPT, entity="mt-2"))
    for plane, event in ((ledger, gone), (other, kept)):
        with desk.replica.transaction() as unit:
            for draft in erasures(unit.replica.id, [Erased(event.n, event.leaf[:8])], "eve"):
                unit.append(plane, draft)
    assert (places_of(desk, SECRET.encode()), desk.show("mt-2")["title"]) == ([], KEPT)
    assert problems_at(desk) == []


def test_what_an_erasure_names_may_come_after_it_in_its_transaction() -> None:
    town, one, two, batch = two_feeds()
    erasure = two.write(erasing(batch, 2))
    for order in ([erasure, batch], [batch, erasure], [batch, erasure, batch]):
        desk = told(town, *town.charter.batches, one.batches[0], two.batches[0])
        desk.receive(order)
        check(desk, town.plane, of(town, one, two), {SECRET: True, KEPT: False})


class _TakenBackError(Exception):
    pass


def fail_after_erasing(unit: Unit, *events: Event) -> None:
    with unit.savepoint():
        own_erasure(unit, *events)
        raise _TakenBackError


def test_an_erasure_that_is_taken_back_erases_nothing() -> None:
    (one,) = town_of("one")
    with one.replica.transaction() as unit:
        event = unit.append(1, note(SECRET))
    before = one.rows(Table.EVENTS), one.digest()
    with one.replica.transaction() as unit:
        unit.try_out(lambda inner: own_erasure(inner, event))
        with pytest.raises(_TakenBackError):
            fail_after_erasing(unit, event)
    assert (one.rows(Table.EVENTS), one.digest()) == before
    assert (erased_at(one), one.show("mt-1")["title"]) == (set(), SECRET)
    check_kept(one)


def test_what_is_kept_beside_an_erasure_that_is_taken_back_is_erased() -> None:
    (one,) = town_of("one")
    with one.replica.transaction() as unit:
        gone, kept = unit.append(1, note(SECRET)), unit.append(1, note(KEPT, entity="mt-2"))
    with one.replica.transaction() as unit:
        own_erasure(unit, gone)
        with pytest.raises(_TakenBackError):
            fail_after_erasing(unit, kept)
    assert erased_at(one) == {(one.replica.id, gone.n, gone.leaf[:8])}
    assert (places_of(one, SECRET.encode()), one.show("mt-2")["title"]) == ([], KEPT)
    check_kept(one)


def fail_to_commit(desk: Desk, event: Event) -> None:
    with desk.replica.transaction() as unit:
        own_erasure(unit, event)
        settle_erasures(unit)
        raise _TakenBackError


def test_a_transaction_that_fails_erases_nothing() -> None:
    (one,) = town_of("one")
    with one.replica.transaction() as unit:
        event = unit.append(1, note(SECRET))
    before = one.tables()
    with pytest.raises(_TakenBackError):
        fail_to_commit(one, event)
    assert one.tables() == before
    with one.replica.transaction():
        pass
    assert one.show("mt-1")["title"] == SECRET


def test_settling_twice_changes_nothing() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    before = desk.tables()
    with desk.replica.transaction() as unit:
        unit.note_erasure(1, key_text(one.author))
        unit.note_erasure(1, key_text(two.author))
        unit.note_erasure(1, key_text(seed("nobody")))
        unit.note_erasure(1, "no key")
        settle_erasures(unit)
        assert not unit.erasures
    assert desk.tables() == before


# -- Erasing what was written --------------------------------------------------------------------------------------
TITLES = said_under("title")


def found_at(desk: Desk, *keys: str, name: str = "mt-1") -> list[tuple[int, int]]:
    """(feed, n) of the events of an issue that said something of these keys."""
    with desk.replica.transaction() as unit:
        return [(each.feed, each.event.n) for each in written(unit, 1, Place(ISSUE, name), said_under(*keys))]


def test_every_event_that_said_anything_of_a_key_is_found_what_was_written_over_too() -> None:
    town = Town()
    one = town.replica("one")
    first = one.write(note("a"), note("b", key="notes"), note("c", entity="mt-2"))
    one.write(note("d", over=(dot_of(first.events[0], one.author),)))
    desk = told(town, *of(town, one))
    number = desk.replica.feed_numbers[1, one.author]
    assert found_at(desk, "title") == [(number, 5), (number, 2)]
    assert found_at(desk, "notes") == [(number, 3)]
    assert sorted(found_at(desk, "notes", "title")) == [(number, n) for n in (2, 3, 5)]
    assert (found_at(desk, "status"), found_at(desk), found_at(desk, "title", name="mt-9")) == ([], [], [])


def test_what_holds_nothing_more_of_it_is_not_found() -> None:
    town, one, two, batch = two_feeds()
    one.write(note(""), note("(erased)"))
    removed = Draft(ISSUE, "mt-1", "alice", (Write("title", None, (dot_of(batch.events[0], one.author),), True),))
    two.write(erasing(batch, 2), removed)
    desk = told(town, *of(town, one, two))
    assert found_at(desk, "title") == []


def test_values_that_can_t_be_read_are_found_since_their_bytes_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, _, _ = two_feeds()
    desk = told(town, *of(town, one))
    monkeypatch.setattr(Event, "values", lambda _: None)
    assert len(found_at(desk, "title")) == 1


def test_what_lies_aside_is_found_but_what_counts_only_once() -> None:
    town, one, _, _ = two_feeds()
    twin = one.fork("twin", 1)
    twin.write(note("on another branch"))
    cut = one.write(note("counts", key="notes"), note("cut off", key="notes"))
    town.end(one.author, cut.header.first, cut.id)
    desk = told(town, *of(town, one, twin))
    number = desk.replica.feed_numbers[1, one.author]
    assert sorted(found_at(desk, "title")) == [(number, 2), (number, 2)]
    assert sorted(found_at(desk, "notes")) == [(number, 4), (number, 5)]


def test_what_a_stranger_sent_keeps_nobody_from_erasing() -> None:
    town, one, two, _ = two_feeds()
    stranger = FeedWriter(town.plane, signer("stranger"))
    stranger.write(note("of nobody"))
    desk = told(town, *of(town, one, two), *stranger.batches)
    number = desk.replica.feed_numbers[1, stranger.author]
    assert desk.replica.feeds[number].is_aside
    assert number not in {feed for feed, _ in found_at(desk, "title")}


def refusal(desk: Desk | Member, plane: int = 1, name: str = "mt-1") -> Code:
    """Why a machine may not erase an issue's title."""

    def ask(unit: Unit) -> None:
        refuse_others(unit, plane, written(unit, plane, Place(ISSUE, name), TITLES))

    return refusal_code(lambda: commit_of(desk)(ask))


def test_what_a_town_s_own_machines_wrote_may_be_erased() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", SECRET)
    exchange(one, two)
    two.update("mt-1", title=KEPT)
    with two.replica.transaction() as unit:
        refuse_others(unit, 1, written(unit, 1, Place(ISSUE, "mt-1"), TITLES))
        refuse_others(unit, 1, [])


@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_what_another_town_wrote_is_refused_to_all_but_admins(role: Role) -> None:
    plane, (one, two) = federation(role)
    number = plane_of(one, plane).number
    one.commit(lambda unit: unit.append(number, note(SECRET)))
    meet(plane, one, two)
    numbered = plane_of(two, plane).number
    if role is Role.WRITER:
        assert refusal(two, numbered) is Code.DENIED
        return
    own = two.commit(lambda unit: unit.feed(unit.replica.own_feed(numbered)))
    assert own.role == Role.ADMIN
    two.commit(lambda unit: refuse_others(unit, numbered, written(unit, numbered, Place(ISSUE, "mt-1"), TITLES)))


def test_what_stands_beside_a_certificate_is_refused() -> None:
    (one,) = town_of("one")
    ledger, other = one.replica.ledger, FeedWriter(one.replica.ledger.id, signer("another machine"))
    body = CertificateBody(1, ledger.id, ledger.town, other.author, seed("hpke"), Role.WRITER)
    certificate = build_certificate(body, one.replica.signer(TOWN_KEY))
    one.clock.advance(60_000)
    one.receive([other.write(certificate_draft(certificate, other.author, "admin"), note(SECRET))])
    assert one.show("mt-1")["title"] == SECRET
    assert refusal(one) is Code.DENIED


def test_erasures_are_written_for_each_author_and_counted() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", SECRET)
    exchange(one, two)
    two.update("mt-1", title=f"{SECRET} too")
    with two.replica.transaction() as unit:
        found = written(unit, 1, Place(ISSUE, "mt-1"), TITLES)
        assert append_erasures(unit, 1, found, "eve") == 2
    assert {author for author, _, _ in erased_at(two)} == {one.replica.id, two.replica.id}
    assert {record.entity for record in two.records(ERASE).values()} == {
        key_text(one.replica.id),
        key_text(two.replica.id),
    }
    assert problems_at(two) == []
    rebuild(two)
    assert places_of(two, SECRET.encode()) == []
