"""What a replica knows between transactions is what it reads at opening, and says in words what it lacks."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import note, seed
from moot_testkit.towns.town import START_MS, Member, make_town
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, adopt_plane, end_replica, found_plane, found_town
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Table

LEDGER = 1
RECOVERY = SeedSigner(seed("recovery")).public


def opened(member: Member) -> State:
    """What another process would read from the same store."""
    return State(member.store.reopen(), member.keys, member.clock, member.entropy)


def test_an_empty_store_is_a_replica_without_a_town() -> None:
    state = Member("new", 0).replica
    assert not state.is_founded
    assert (state.feeds, state.planes, state.projects) == ({}, {}, {})
    assert (state.arrival, state.generation, state.cuts) == (1, 0, 0)
    with pytest.raises(RefusedError) as raised:
        _ = state.ledger
    assert (raised.value.code, raised.value.retryable) == (Code.NOT_READY, False)
    assert "moot init" in (raised.value.hint or "")


def test_opening_reads_planes_feeds_projects_and_counters() -> None:
    founder, member = make_town(2)
    founder.take(*member.batches())
    founder.commit(lambda unit: [unit.append(LEDGER, note("x")), unit.project_number(LEDGER, "mt")])
    state, known = opened(founder), founder.replica
    assert (state.feeds, state.feed_numbers) == (known.feeds, known.feed_numbers)
    assert (state.planes, state.projects) == (known.planes, known.projects)
    assert (state.arrival, state.clock.last) == (known.arrival, known.clock.last)
    assert state.is_founded
    assert state.own_feed(LEDGER) == known.feed_number(LEDGER, founder.id)


def test_opening_never_reads_the_log() -> None:
    (member,) = make_town(1)
    with member.store.write() as writer:
        for table in (Table.EVENTS, Table.BATCHES, Table.RECORDS_0):
            member.store.clear(writer, table)
    assert opened(member).feeds == member.replica.feeds


def test_the_clock_goes_on_from_where_it_stood_though_the_wall_went_back() -> None:
    (member,) = make_town(1)
    member.clock.advance(60_000)
    late = member.commit(lambda unit: unit.append(LEDGER, note("late")))
    member.clock.set_wall(START_MS)
    member.restart()
    later = member.commit(lambda unit: unit.append(LEDGER, note("later")))
    assert later.skeleton.hlc > late.skeleton.hlc


def test_each_public_key_leads_to_its_private_one() -> None:
    state = make_town(1)[0].replica
    own, town = state.signer(REPLICA_KEY), state.signer(TOWN_KEY)
    assert state.id == own.public
    assert [state.signer_of(key.public).public for key in (own, town)] == [own.public, town.public]
    assert own.public != town.public


def test_a_plane_goes_by_its_name() -> None:
    state = make_town(1)[0].replica
    assert (state.plane_named("ledger"), state.plane_named("operational")) == tuple(state.planes.values())
    with pytest.raises(MootError) as raised:
        state.plane_named("nothing")
    assert raised.value.code is Code.NOT_FOUND


def test_a_snapshot_names_the_views_of_its_own_generation() -> None:
    (member,) = make_town(1)
    with member.replica.read() as before:
        member.commit(lambda unit: unit.change_generation(1))
        with member.replica.read() as after:
            generations = [member.replica.views_of(reader).generation for reader in (before, after)]
    assert generations == [0, 1]
    assert member.replica.generation == opened(member).generation == 1


def test_rows_are_counted() -> None:
    (member,) = make_town(1)
    with member.replica.read() as reader:
        before = reader.count(Table.EVENTS)
    member.commit(lambda unit: unit.append(LEDGER, note("x")))
    with member.replica.read() as reader:
        assert reader.count(Table.EVENTS) == before + 1
        assert int.from_bytes(reader.get(Table.META, layout.ARRIVAL) or b"", "big") == before + 2


def test_the_first_ledger_is_where_new_projects_go_whatever_its_name() -> None:
    founder = Member("founder", 0)
    planes = ((PlaneKind.OPERATIONAL, "ledger"), (PlaneKind.LEDGER, "work"), (PlaneKind.LEDGER, "more"))
    founder.commit(lambda unit: found_town(unit, RECOVERY, planes))
    assert founder.replica.ledger.name == "work"


def test_a_machine_without_a_ledger_says_where_one_comes_from() -> None:
    founder = Member("founder", 0)
    founder.commit(lambda unit: found_town(unit, RECOVERY, OPERATIONAL_ONLY))
    with pytest.raises(RefusedError, match="no ledger") as raised:
        _ = founder.replica.ledger
    assert (raised.value.code, "`moot plane create" in raised.value.hint) == (Code.NOT_FOUND, True)
    assert founder.replica.settings_plane == 0
    founder.commit(lambda unit: adopt_plane(unit, b"f" * 16, PlaneKind.FEDERATION, "far", b"t" * 32))
    with pytest.raises(RefusedError, match="no ledger") as raised:
        _ = founder.replica.ledger
    assert "`moot invite`" in raised.value.hint
    founder.commit(lambda unit: found_plane(unit, PlaneKind.LEDGER, "work", RECOVERY))
    assert founder.replica.settings_plane == founder.replica.ledger.number == 3


def test_a_plane_whose_charter_has_not_come_has_no_feed_of_ours_and_says_so() -> None:
    founder, member = Member("founder", 0), Member("member", 0)
    founder.commit(lambda unit: found_town(unit, RECOVERY))
    row = founder.ledger

    def adopt(unit: Unit) -> None:
        number = adopt_plane(unit, row.id, PlaneKind.LEDGER, "far", row.town)
        unit.feed_number(number, member.id)

    member.commit(adopt)
    assert member.replica.is_waiting(LEDGER)
    with pytest.raises(RefusedError, match="plane far is waiting for its charter; run `moot sync --wait`") as raised:
        member.replica.own_feed(LEDGER)
    assert (raised.value.code, raised.value.retryable) == (Code.NOT_READY, True)


def test_a_feed_that_was_ended_at_its_beginning_is_not_waited_for() -> None:
    founder, member = make_town(2)
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 0))
    member.take(*founder.batches(founder.ledger.town))
    assert not member.replica.is_waiting(LEDGER)
    with pytest.raises(RefusedError) as raised:
        member.commit(lambda unit: unit.append(LEDGER, note("x")))
    assert raised.value.code is Code.DENIED
