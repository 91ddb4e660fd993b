"""A transaction happens whole or not at all, and deferred issues come due by themselves."""

from contextlib import suppress

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import MootError
from moot_protocol.requests.issues import AddEdge, Close, Conflicts, Create, Edge, IssueFields, RemoveEdge, Update
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import note, seed
from moot_testkit.laws.erasing import problems_at
from moot_testkit.tables import tables
from moot_testkit.towns.engine import START_MS, Desk, exchange, imported, town_of
from moot_testkit.towns.town import Member, make_town
from mootd.engine.membership.charter_writing import found_plane
from mootd.engine.membership.removing import retire
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views import graph, rows
from mootd.engine.views.standing import OPEN
from mootd.service.writing.writes import carry_out
from mootd.store.memory_store import CrashError, Faults
from mootd.store.port import Table

LEDGER = 1


def write(member: Member, text: str) -> None:
    member.commit(lambda unit: unit.append(LEDGER, note(text)))


def known(member: Member) -> tuple[object, ...]:
    """All that a replica knows between transactions, as it is now."""
    it = member.replica
    maps = dict(it.feeds), dict(it.feed_numbers), dict(it.planes), dict(it.projects)
    return (*maps, it.arrival, it.cuts, it.generation, it.clock.last)


@pytest.mark.parametrize("is_kept", [False, True])
def test_a_crash_around_a_commit_leaves_all_of_it_or_nothing(*, is_kept: bool) -> None:
    (member,), (twin,) = make_town(1), make_town(1)
    if is_kept:
        write(twin, "x")
    faults = Faults(crash_after_commit=1) if is_kept else Faults(crash_before_commit=1)
    member.restart(faults)
    with pytest.raises(CrashError):
        write(member, "x")
    member.restart()
    twin.restart()
    assert tables(member.replica) == tables(twin.replica)
    assert known(member) == known(twin)


def test_a_full_disk_at_any_write_leaves_nothing_behind_and_the_next_transaction_goes_on() -> None:
    (member,) = make_town(1)
    before, was = tables(member.replica), known(member)
    failures = 0
    for ordinal in range(1, 100):
        member.restart(Faults(full_at_write=ordinal))
        try:
            write(member, "x")
        except MootError:
            failures += 1
            assert tables(member.replica) == before
            assert known(member) == was
        else:
            break
    assert failures > 5
    assert tables(member.replica) != before


def test_readers_see_nothing_of_a_transaction_before_it_commits() -> None:
    (member,) = make_town(1)
    before, was = tables(member.replica), known(member)
    with member.replica.transaction() as unit:
        unit.append(LEDGER, note("x"))
        unit.seal()
        unit.flush()
        assert tables(member.replica) == before
        assert known(member) == was
    assert tables(member.replica) != before


def test_only_what_changes_whose_feeds_there_are_makes_others_look_through_them_again() -> None:
    founder, member = make_town(2)
    replica = founder.replica
    before = replica.changes.feeds
    write(founder, "x")
    assert replica.changes.feeds == before
    founder.take(*member.batches())
    assert replica.changes.feeds > before
    joined = replica.changes.feeds
    write(member, "y")
    founder.take(*member.batches())
    assert replica.changes.feeds == joined
    with replica.transaction() as unit:
        found_plane(unit, PlaneKind.FEDERATION, "shared", SeedSigner(seed("recovery")).public)
    assert replica.changes.feeds > joined
    founded = replica.changes.feeds
    founder.commit(lambda unit: retire(unit, founder.ledger, member.id))  # whose a key was can follow from what ended
    assert replica.changes.feeds > founded


def test_the_next_transaction_releases_what_was_deferred_until_now() -> None:
    desk = Desk().found()
    desk.create("mt-1")
    desk.create("mt-2", defer_until=START_MS + 1000)
    assert (len(desk.index(layout.READY)), len(desk.index(layout.DEFERRED))) == (1, 1)
    desk.clock.advance(1001)
    with desk.replica.transaction():
        pass
    assert (len(desk.index(layout.READY)), len(desk.index(layout.DEFERRED))) == (2, 0)


def as_committed_by_an_earlier_release(desk: Desk) -> None:
    """Leave the store as one does that knows nothing of rules: it writes the arrival number in its own way."""
    with desk.replica.store.write() as writer:
        writer.put(Table.META, layout.ARRIVAL, desk.replica.arrival.to_bytes(8, "big"))


def test_the_first_transaction_of_a_release_brings_what_an_earlier_one_kept_up_to_its_rules() -> None:
    desk = Desk().found()
    desk.create("mt-1", status="deferred", defer_until=START_MS + 1000)
    before = desk.index(layout.DEFERRED)
    with desk.replica.transaction() as unit:  # as a release leaves it that goes by the status alone
        for key in before:
            unit.views.graph.standing(layout.eid_of(key)).flags &= ~OPEN
    as_committed_by_an_earlier_release(desk)
    assert not desk.index(layout.DEFERRED)
    with desk.replica.transaction():
        pass
    assert desk.index(layout.DEFERRED) == before


def test_an_earlier_release_reads_the_arrival_number_and_whatever_it_commits_says_that_it_went_by_other_rules() -> None:
    desk = Desk().found()
    with desk.replica.read() as reader:
        assert int.from_bytes(reader.get(Table.META, layout.ARRIVAL) or b"", "big") == desk.replica.arrival
        assert graph.follows_rules(reader)
    as_committed_by_an_earlier_release(desk)
    with desk.replica.read() as reader:
        assert not graph.follows_rules(reader)
    desk.reopen()
    desk.create("mt-1")
    with desk.replica.read() as reader:
        assert graph.follows_rules(reader)


def test_it_takes_away_what_an_earlier_release_held_to_be_in_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = town_of("one", "two")
    imported(one, {"id": "mt-1", "title": "T", "status": "open", "foo": 1})
    exchange(one, two)
    imported(
        two, {"id": "mt-1", "title": "T", "status": "open", "foo": 1, "bar": 1, "updated_at": "2040-01-01T00:00:00Z"}
    )
    with monkeypatch.context() as patched:
        patched.setattr(rows, "has_conflict", lambda _: True)
        exchange(one, two)
    assert one.index(layout.CONFLICT)
    assert not one.ask(Conflicts())
    as_committed_by_an_earlier_release(one)
    with one.replica.transaction():
        pass
    assert not one.index(layout.CONFLICT)
    assert problems_at(one) == []


# -- Who waits for whom ---------------------------------------------------------------------------------------------
class _TakenBackError(Exception):
    pass


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk where mt-waits waits for the children of mt-epic, and a single edge is taken for many."""
    monkeypatch.setattr(graph, "_MANY", 1)
    desk = Desk().found()
    desk.create("mt-epic", issue_type="epic")
    desk.create("mt-child", parent="mt-epic")
    desk.create("mt-waits", edges=(Edge("mt-epic", "waits-for"),))
    return desk


def find_nobody(unit: Unit) -> None:
    """Let mt-waits wait no longer, and a new child of mt-epic show that nobody does."""
    carry_out(unit, RemoveEdge(actor="alice", id="mt-waits", to="mt-epic"))
    carry_out(unit, Create(actor="alice", project="mt", id="mt-more", parent="mt-epic", fields=IssueFields(title="M")))
    unit.flush()
    assert [] in unit.views.graph.found_waiters.values()


def close_last(desk: Desk) -> list[str]:
    """What is freed when mt-child, which must be the last one open, is closed."""
    freed: list[str] = desk.do(Close(actor="alice", id="mt-child"))["_unblocked"]
    assert problems_at(desk) == []
    return freed


def test_what_a_transaction_found_that_is_not_committed_is_forgotten(desk: Desk) -> None:
    with suppress(_TakenBackError), desk.replica.transaction() as unit:
        find_nobody(unit)
        raise _TakenBackError
    assert close_last(desk) == ["mt-waits"]


def test_what_it_found_and_took_back_is_forgotten_too(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        unit.try_out(find_nobody)
        carry_out(unit, Update(actor="alice", id="mt-child", fields=IssueFields(title="New")))
    assert close_last(desk) == ["mt-waits"]


def test_who_begins_to_wait_in_the_same_transaction_is_seen(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        find_nobody(unit)
        carry_out(unit, AddEdge(actor="alice", id="mt-waits", edge=Edge("mt-epic", "waits-for")))
    desk.do(Close(actor="alice", id="mt-more"))
    assert close_last(desk) == ["mt-waits"]


def test_who_begins_to_wait_after_something_was_taken_back_is_seen(desk: Desk) -> None:
    desk.do(RemoveEdge(actor="alice", id="mt-waits", to="mt-epic"))
    desk.create("mt-2", parent="mt-epic")
    desk.do(Close(actor="alice", id="mt-2"))
    with desk.replica.transaction() as unit:
        unit.try_out(lambda unit: carry_out(unit, Close(actor="alice", id="mt-child")))
        carry_out(unit, AddEdge(actor="alice", id="mt-waits", edge=Edge("mt-epic", "waits-for")))
    assert close_last(desk) == ["mt-waits"]


def test_nothing_is_taken_over_to_another_generation_of_views_whose_numbers_are_others(desk: Desk) -> None:
    desk.do(RemoveEdge(actor="alice", id="mt-waits", to="mt-epic"))
    desk.create("mt-2", parent="mt-epic")
    with desk.replica.transaction() as unit:
        assert unit.waiters
        unit.change_generation(1)
        assert not unit.waiters
    with desk.replica.transaction() as unit:
        assert not unit.waiters
