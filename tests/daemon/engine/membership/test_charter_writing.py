"""A town is founded once, joined with its charter and a certificate, and left by an end."""

from collections.abc import Callable

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.exchange.messages import fork_proof
from moot_protocol.merge.kinds import CERTIFICATE, GENESIS, Role
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import FeedWriter, note, seed
from moot_testkit.towns.town import Member, join, make_town
from mootd.engine.exchange.receive import Outcome, keep_proof
from mootd.engine.membership.charter_writing import (
    FIRST_PLANES,
    adopt_plane,
    certify,
    end_replica,
    enter_plane,
    found_town,
)
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.unit import Unit
from mootd.store.port import Table

LEDGER = 1


def write(member: Member, text: str) -> None:
    member.commit(lambda unit: unit.append(LEDGER, note(text, entity=f"mt-{text}")))


def issues(member: Member) -> list[str]:
    """Every issue that a member has a record of."""
    with member.replica.read() as reader:
        entities = member.replica.views_of(reader)
        found = [key for key, value in reader.scan(entities.ids, b"\0") if reader.get(entities.records, value)]
    return [key.split(b"\0")[-1].decode() for key in found if b"issue\0" in key]


def refusal(member: Member, work: Callable[[Unit], object]) -> RefusedError:
    """How some work is refused; nothing may have been written."""
    with member.replica.read() as reader:
        before = {table: dict(reader.scan(table, b"\0")) for table in Table}
    with pytest.raises(RefusedError) as raised:
        member.commit(work)
    with member.replica.read() as reader:
        assert {table: dict(reader.scan(table, b"\0")) for table in Table} == before
    return raised.value


def test_a_new_town_has_its_planes_with_charter_and_certificate() -> None:
    (member,) = make_town(1)
    town = member.replica.signer(TOWN_KEY).public
    assert [(row.kind, row.name) for row in member.replica.planes.values()] == list(FIRST_PLANES)
    for row in member.replica.planes.values():
        (charter,), (own,) = member.batches(town, row.number), member.batches(plane=row.number)
        assert [event.skeleton.kind for event in (*charter.events, *own.events)] == [GENESIS, CERTIFICATE]
        assert charter.header.plane == row.id
    assert {(row.kind, row.role) for row in member.replica.feeds.values()} == {
        ("charter", "admin"),
        ("replica", "admin"),
    }


def test_a_machine_founds_no_second_town() -> None:
    (member,) = make_town(1)
    recovery = SeedSigner(seed("recovery")).public
    assert refusal(member, lambda unit: found_town(unit, recovery)).code is Code.EXISTS


def test_two_planes_of_one_town_have_different_ids() -> None:
    (member,) = make_town(1)
    assert len({row.id for row in member.replica.planes.values()}) == len(FIRST_PLANES)


def test_a_plane_that_is_held_is_adopted_once() -> None:
    (member,) = make_town(1)
    row = member.ledger

    def again(unit: Unit) -> int:
        return adopt_plane(unit, row.id, PlaneKind.LEDGER, "another name", row.town)

    assert member.commit(again) == row.number
    member.restart()
    assert member.ledger == row


def test_who_joins_reads_and_writes_with_the_others() -> None:
    founder, member = make_town(2)
    write(founder, "hers")
    member.take(*founder.batches())
    write(member, "his")
    assert founder.take(*member.batches()) == [Outcome.ACCEPTED] * 2
    assert sorted(issues(founder)) == sorted(issues(member)) == ["mt-hers", "mt-his"]


def test_before_the_charter_has_come_entering_is_refused_in_words() -> None:
    founder, stranger = make_town(1)[0], Member("stranger", 0)
    row, town = founder.ledger, founder.replica.signer(TOWN_KEY)

    def enter(unit: Unit) -> None:
        number = adopt_plane(unit, row.id, PlaneKind.LEDGER, row.name, row.town)
        enter_plane(unit, number, certify(town, row.id, stranger.id, stranger.keys, Role.WRITER))

    refused = refusal(stranger, enter)
    assert (refused.code, refused.retryable) == (Code.NOT_READY, True)
    assert "charter" in refused.message


def test_before_there_is_a_town_a_plane_is_not_ready_and_later_unknown_ones_are_not_found() -> None:
    stranger, (member,) = Member("stranger", 0), make_town(1)
    codes = []
    for replica in (stranger.replica, member.replica):
        with pytest.raises(RefusedError) as raised:
            replica.plane_named("other")
        codes.append(raised.value.code)
    assert codes == [Code.NOT_READY, Code.NOT_FOUND]


def test_nobody_enters_twice() -> None:
    founder, member = make_town(2)
    town = founder.replica.signer(TOWN_KEY)
    certificate = certify(town, member.ledger.id, member.id, member.keys, Role.WRITER)
    assert refusal(member, lambda unit: enter_plane(unit, LEDGER, certificate)).code is Code.EXISTS


def test_a_key_that_somebody_used_before_opens_no_feed() -> None:
    founder, _ = make_town(2)
    member = Member("late", 0)
    ledger, town = founder.ledger, founder.replica.signer(TOWN_KEY)
    signed = []
    for name in ("one", "other"):
        batch = FeedWriter(ledger.id, member.keys.signer(REPLICA_KEY), name).write(note(name))
        signed.append((batch.header_bytes, batch.signature))
    member.commit(lambda unit: adopt_plane(unit, ledger.id, PlaneKind.LEDGER, ledger.name, ledger.town))
    member.take(*founder.batches(town.public))
    member.commit(lambda unit: keep_proof(unit, fork_proof(*signed)))
    certificate = certify(town, ledger.id, member.id, member.keys, Role.WRITER)
    assert refusal(member, lambda unit: enter_plane(unit, LEDGER, certificate)).code is Code.DENIED


def test_what_is_no_certificate_opens_no_feed() -> None:
    _, member = make_town(2)
    with pytest.raises(MalformedError):
        member.commit(lambda unit: enter_plane(unit, LEDGER, [b"no", b"certi", b"ficate"]))


def test_an_ended_replica_keeps_what_was_accepted_up_to_its_end() -> None:
    founder, member = make_town(2)
    for text in ("kept", "gone"):
        write(member, text)
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    assert issues(founder) == ["mt-kept"]
    write(member, "later")
    assert founder.take(*member.batches())[-1] is Outcome.HELD
    assert issues(founder) == ["mt-kept"]


def test_a_replica_ended_at_nothing_loses_everything() -> None:
    founder, member = make_town(2)
    write(member, "gone")
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 0))
    assert issues(founder) == []


def test_an_ended_replica_is_told_when_it_writes() -> None:
    founder, member = make_town(2)
    write(member, "kept")
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    member.take(*founder.batches(founder.ledger.town))
    refused = refusal(member, lambda unit: unit.append(LEDGER, note("later")))
    assert refused.code is Code.DENIED
    assert "it was retired" in refused.message


def test_a_feed_ends_only_at_an_event_that_is_accepted_here() -> None:
    founder, member = make_town(2)
    founder.take(*member.batches())
    assert refusal(founder, lambda unit: end_replica(unit, LEDGER, member.id, 2)).code is Code.NOT_FOUND


def test_a_certificate_of_a_reader_lets_in_a_reader() -> None:
    founder = make_town(1)[0]
    reader = Member("reader", 0)
    join(reader, founder, Role.READER)
    founder.take(*reader.batches())
    for each in (founder, reader):
        assert each.replica.feeds[each.replica.feed_number(LEDGER, reader.id) or 0].role == Role.READER
