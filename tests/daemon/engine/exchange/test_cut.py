"""After a cut, log and views are as if the events taken back had never come."""

import msgspec

from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, dot_of, note, stripped
from moot_testkit.laws.erasing import absent_at, erased_at, erasing, of, told, two_feeds, withheld_at
from moot_testkit.towns.engine import Desk, plain
from moot_testkit.towns.town_worlds import rule
from mootd.engine.exchange.cut import REPORTED_ENTITIES, CutReport, Place, change_role, cut, remake
from mootd.engine.exchange.receive import Outcome
from mootd.engine.stored import layout
from mootd.store.port import Table


def desk_of(town: Town, *batches: Batch) -> Desk:
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *batches])
    return desk


def cut_feed(desk: Desk, feed: FeedWriter, to_n: int) -> None:
    """Take a feed back to a number, as acceptance would have it."""
    with desk.replica.transaction() as unit:
        cut(unit, unit.feed_number(1, feed.author), to_n)


def content(desk: Desk) -> tuple[object, ...]:
    """Digest, and what stands in records, whatever their arrival numbers."""
    records = {
        name: (
            record.created,
            record.updated,
            sorted((group.n, group.leaf, repr(group.pairs)) for group in record.groups),
            sorted(waiting[2:] for waiting in record.pending),
        )
        for name, record in desk.records().items()
    }
    return desk.digest(), records


def history(desk: Desk, name: str) -> list[int]:
    """Numbers of an issue's events, newest first; walks the chain of back-pointers."""
    with desk.replica.read() as reader:
        log = desk.entities(reader).log
        return [each.event.n for each in log.history(desk.records()[name].head)]


def reports(desk: Desk) -> list[CutReport]:
    rows = desk.rows(Table.META).items()
    return [msgspec.msgpack.decode(value, type=CutReport) for key, value in rows if key.startswith(layout.CUT_REPORTS)]


def test_records_and_digest_are_as_if_the_events_had_never_come() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    first = one.write(note("kept"), note("gone with its issue", entity="mt-9"))
    kept = one.n - 1
    two.write(note("by another", entity="mt-2"))
    one.write(note("written over", over=[dot_of(first.events[0], one.author)]))
    desk = desk_of(town, *one.batches, *two.batches)
    plainer = desk_of(town, one.batches[0], *two.batches)
    plainer.receive([first])
    cut_feed(plainer, one, kept)
    cut_feed(desk, one, kept)
    assert content(desk) == content(plainer)
    assert set(desk.records()) == {"mt-1", "mt-2"}

    shorter = Town().replica("one", Role.WRITER)
    shorter.write(note("kept"), note("gone with its issue", entity="mt-9"))
    alone = desk_of(town, shorter.batches[0], *two.batches)
    cut_feed(desk, one, 1)
    assert content(desk) == content(alone)
    assert set(desk.records()) == {"mt-2"}


def test_a_value_that_was_written_over_by_what_is_gone_returns() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    first = one.write(note("first"))
    two.write(note("second", over=[dot_of(first.events[0], one.author)]))
    without = desk_of(town, *one.batches, two.batches[0])
    desk = desk_of(town, *one.batches, *two.batches)
    assert content(desk) != content(without)
    cut_feed(desk, two, 1)
    assert content(desk) == content(without)


def test_what_supersedes_a_write_that_is_gone_waits_for_it_again() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    first = one.write(note("first"))
    two.write(note("second", over=[dot_of(first.events[0], one.author)]))
    desk = desk_of(town, *one.batches, *two.batches)
    before = content(desk)
    cut_feed(desk, one, 1)
    waiting = desk.records()["mt-1"].pending
    assert [(key, n, leaf8) for key, _, n, leaf8 in waiting] == [("title", 2, first.events[0].leaf[:8])]
    assert content(desk) == content(desk_of(town, one.batches[0], *two.batches))
    assert desk.receive([first]) == [Outcome.DUPLICATE], "it lies aside, and nothing new has come"
    assert content(desk) != before


def test_the_chain_of_back_pointers_leads_past_what_is_gone() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    batches = [one.write(note("1")), two.write(note("2", key="status")), one.write(note("3")), two.write(note("4"))]
    desk = desk_of(town, one.batches[0], two.batches[0], *batches)
    assert history(desk, "mt-1") == [3, 3, 2, 2]
    cut_feed(desk, one, 2)
    assert history(desk, "mt-1") == [3, 2, 2]
    cut_feed(desk, one, 1)
    assert history(desk, "mt-1") == [3, 2]


def test_a_report_of_what_was_lost_is_kept() -> None:
    town = Town()
    one = town.replica("one")
    one.write(*(note("x", entity=f"mt-{step}") for step in range(REPORTED_ENTITIES + 1)))
    one.write(note("y", entity="mt-0"))
    desk = desk_of(town, *one.batches)
    cut_feed(desk, one, REPORTED_ENTITIES + 2)
    cut_feed(desk, one, 1)
    few, many = reports(desk)
    assert plain(few) == [1, one.author, REPORTED_ENTITIES + 3, REPORTED_ENTITIES + 3, [["issue", "mt-0"]]]
    assert (many.first, many.last, len(many.entities)) == (2, REPORTED_ENTITIES + 2, REPORTED_ENTITIES)
    desk.reopen()
    assert desk.replica.cuts == 2


def test_what_was_cut_off_lies_aside_whole() -> None:
    town = Town()
    one = town.replica("one")
    written = one.write(note("kept"), note("gone"))
    desk = desk_of(town, *one.batches)
    cut_feed(desk, one, 2)
    held = desk.rows(Table.ASIDE)
    assert [key[-32:] for key in held] == [written.id]
    number = desk.replica.feed_number(1, one.author) or 0
    row = desk.replica.feeds[number]
    assert (row.n, row.head, row.hlc, row.is_aside) == (2, written.id, written.events[0].skeleton.hlc, True)


def test_an_end_takes_back_what_lies_beyond_it() -> None:
    town = Town()
    one = town.replica("one")
    kept, gone = one.write(note("kept")), one.write(note("gone", entity="mt-2"))
    desk = desk_of(town, *one.batches)
    assert desk.receive([town.end(one.author, kept.header.last, kept.id)]) == [Outcome.ACCEPTED]
    assert set(desk.records()) == {"mt-1"}
    assert [report.last for report in reports(desk)] == [gone.header.last]
    assert desk.receive([one.write(note("too late", entity="mt-3"))]) == [Outcome.HELD]
    assert set(desk.records()) == {"mt-1"}


def test_a_pin_on_the_other_branch_of_a_fork_brings_that_branch_back() -> None:
    town = Town()
    one = town.replica("one", Role.WRITER, note("common"))
    twin = one.fork("twin")
    one.write(note("mine", entity="mt-2"))
    theirs = twin.write(note("theirs", entity="mt-3"), note("theirs too", entity="mt-4"))
    desk = desk_of(town, *one.batches, theirs)
    assert set(desk.records()) == {"mt-1"}
    desk.receive([town.end(one.author, theirs.header.last, theirs.id)])
    assert set(desk.records()) == {"mt-1", "mt-3", "mt-4"}
    in_order = desk_of(town, *twin.batches)
    assert content(desk) == content(in_order)


def test_a_pin_inside_a_batch_keeps_its_first_events() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("kept"), note("gone", entity="mt-2"))
    desk = desk_of(town, *one.batches, town.end(one.author, batch.header.first, batch.id))
    assert set(desk.records()) == {"mt-1"}
    assert desk.rows(Table.ASIDE), "the whole batch is still held"
    assert len(desk.rows(Table.EVENTS)) == 1 + 1 + 1 + 1


def test_a_feed_ends_where_a_cut_leaves_it_at_the_time_of_its_last_event() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("kept"), note("the last"), note("gone"))
    desk = desk_of(town, *one.batches)
    cut_feed(desk, one, 3)
    row = next(row for row in desk.replica.feeds.values() if row.author == one.author)
    assert (row.n, row.head, row.hlc) == (3, batch.id, batch.events[1].skeleton.hlc)


def test_values_are_not_asked_for_of_what_is_gone() -> None:
    town = Town()
    one = town.replica("one")
    kept, gone = (stripped(one.write(note(text))) for text in ("kept", "gone"))
    desk = desk_of(town, one.batches[0], kept, gone)
    assert withheld_at(desk) == {(one.author, 2), (one.author, 3)}
    cut_feed(desk, one, 2)
    assert withheld_at(desk) == {(one.author, 2)}


def test_an_event_over_two_keys_returns_each_of_them() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    both = one.write(Draft("issue", "mt-1", "alice", (Write("title", "t"), Write("status", "open"))))
    over: list[Dot] = [dot_of(both.events[0], one.author)]
    two.write(Draft("issue", "mt-1", "bob", (Write("title", "u", over), Write("status", "closed", over))))
    desk = desk_of(town, *one.batches, *two.batches)
    cut_feed(desk, two, 1)
    (group,) = desk.records()["mt-1"].groups
    assert sorted(pair[0] for pair in group.pairs) == ["status", "title"]


# -- Roles that change -----------------------------------------------------------------------------------------------
def promoted() -> tuple[Town, Guest, FeedWriter, Desk]:
    """A town let in as writer, then as admin, with a replica that wrote what admins may; and a desk that holds it."""
    town = Town()
    guest = town.guest("guest")
    town.admit(guest, Role.WRITER)
    town.admit(guest, Role.ADMIN)
    one = guest.replica("one", Role.ADMIN, rule("of an admin"), note("of anyone"))
    desk = desk_of(town, *guest.charter.batches, *one.batches)
    return town, guest, one, desk


def test_when_a_role_falls_what_only_admins_may_write_is_taken_back_and_reported() -> None:
    town, guest, one, desk = promoted()
    before = desk.digest()
    town.end_charter(left := town.charter.fork("shorter", 2))
    desk.receive(left.batches[-1:])
    assert accepted(desk, town.key.public) == (3, "admin")
    assert accepted(desk, one.author) == (3, "writer")
    kept = desk_of_batches(town, left, guest.charter, one)
    assert content(desk) == content(kept)
    assert desk.digest() != before
    (report,) = [each for each in reports(desk) if each.author == one.author]
    assert (report.first, report.last, report.entities) == (2, 2, [("role", "a role")])


def test_when_a_role_rises_what_was_written_before_counts() -> None:
    town, guest, one, desk = promoted()
    late = Desk().watch(town)
    late.receive([*town.charter.batches[:2], *guest.charter.batches, *one.batches])
    assert accepted(late, one.author) == (3, "writer")
    late.receive(town.charter.batches[2:])
    late.receive(desk.batches())
    assert accepted(late, one.author) == (3, "admin")
    assert content(late) == content(desk)
    assert reports(late) == []


def test_when_a_town_is_an_admin_no_more_its_charter_s_admissions_leave_the_digest() -> None:
    town, guest, _, desk = promoted()
    third = town.guest("third")
    guest.admit(third)
    desk.receive(guest.charter.batches[1:])
    town.end_charter(left := town.charter.fork("shorter", 2))
    desk.receive(left.batches[-1:])
    kept = desk_of_batches(town, left, guest.charter)
    assert accepted(desk, guest.key.public) == (2, "writer")
    assert content(kept)[0] != content(desk)[0], "the replica's events"
    assert [each.entities for each in reports(desk) if each.author == guest.key.public] == [
        [("admission", key_text(third.key.public))]
    ]


def desk_of_batches(town: Town, *feeds: FeedWriter) -> Desk:
    desk = Desk().watch(town)
    desk.receive([batch for feed in feeds for batch in feed.batches])
    return desk


def accepted(desk: Desk, author: bytes) -> tuple[int, str]:
    row = next(row for row in desk.replica.feeds.values() if row.author == author)
    return row.n, row.role


# -- What is erased ------------------------------------------------------------------------------------------------
def test_values_that_come_late_end_the_asking_once_all_but_the_erased_ones_are_here() -> None:
    town, one, two, batch = two_feeds()
    more = one.write(note("3"), note("4"), note("5"))
    two.write(erasing(more, 4))
    desk = told(town, *town.charter.batches, *one.batches[:2], *two.batches, stripped(more))
    for lacking, is_asked in (([4, 5, 6], True), ([4, 6], True), ([4], False)):
        desk.receive([stripped(more, lacking)])
        assert (withheld_at(desk) == {(one.author, more.header.first)}) == is_asked, lacking
    assert {n for _, n, _ in absent_at(desk)} == {4} == {n for _, n, _ in erased_at(desk)}
    assert batch.header.last == 3


def test_an_entity_made_anew_from_all_its_events_is_as_it_was() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2), note("beside it"))
    desk = told(town, *of(town, one, two))
    before = content(desk)
    with desk.replica.transaction() as unit:
        for kind, entity in (("issue", "mt-1"), ("erase", key_text(one.author)), ("issue", "mt-9")):
            remake(unit, 1, Place(kind, entity))
        assert not unit.erasures, "nothing of it is gone"
    assert content(desk) == before


def test_cutting_erasures_off_or_changing_whether_their_author_is_an_admin_lets_them_be_settled_anew() -> None:
    town, one, two, batch = two_feeds(Role.ADMIN)
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    name = (1, key_text(one.author))
    with desk.replica.transaction() as unit:
        change_role(unit, unit.feed_number(1, two.author), "reader")
        assert list(unit.erasures) == [name]
        unit.erasures.clear()
        cut(unit, unit.feed_number(1, two.author), 2)
        assert list(unit.erasures) == [], "it stands right before the cut"
        cut(unit, unit.feed_number(1, two.author), 1)
        assert list(unit.erasures) == [name]
    assert (erased_at(desk), withheld_at(desk)) == (set(), {(one.author, 2)})
