"""What members said of themselves: stale messages tell nothing, and a queue waits for whoever was heard of lately."""

from moot_protocol.clock import COUNTER_BITS
from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import founder, plane_of
from moot_testkit.towns.counting import let_count
from moot_testkit.towns.federating import federation, machine, meet, town_key, towns
from moot_testkit.towns.town import START_MS, Member
from mootd.engine.machine.members import (
    MONTH_MS,
    Seen,
    covered_since,
    forget_strangers,
    last_seen_ms,
    note_in_step,
    note_seen,
    seen,
    strangers,
)
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.store.port import Table

ADA, BOB = seed("ada"), seed("bob")
HERE, THERE = seed("a frontier"), seed("another frontier")


def count(member: Member, key: bytes, n: int = 1, plane: int = 1) -> None:
    """Take so much of a key's feed to count on a plane."""
    member.commit(lambda unit: let_count(unit, plane, key, n))


def knowing() -> Member:
    """A founder that knows two machines."""
    made = founder()
    count(made, ADA)
    count(made, BOB)
    return made


def said(member: Member, sender: bytes, counter: int, summary: bytes = HERE, plane: int = 1) -> bool:
    body = FrontierBody(FORMAT, bytes(16), sender, bytes(32), counter, bytes(32), summary, Form.SUMMARY, ())
    return member.commit(lambda unit: note_seen(unit, plane, body))


def in_step(member: Member, other: bytes, plane: int = 1) -> None:
    member.commit(lambda unit: note_in_step(unit, plane, other))


def heard(member: Member, plane: int = 1) -> dict[bytes, Seen]:
    with member.replica.read() as reader:
        return seen(reader, plane)


def rows(member: Member) -> list[bytes]:
    """The keys of which anything is noted on the ledger."""
    prefix = layout.seen_key(1, b"")
    with member.replica.read() as reader:
        return [key[len(prefix) :] for key, _ in reader.scan(Table.META, prefix, layout.after(prefix))]


def covered(member: Member) -> int:
    """How many milliseconds after the start everybody heard of lately had everything."""
    with member.replica.read() as reader:
        return covered_since(reader, 1, member.clock.now_ms(), member.id) - START_MS


def later(member: Member, ms: int) -> None:
    member.clock.advance(ms)


def test_the_last_that_a_member_said_is_known_also_after_a_restart() -> None:
    member = knowing()
    assert said(member, ADA, 4)
    later(member, 10)
    assert said(member, ADA, 5, THERE)
    member.restart()
    assert heard(member) == {ADA: Seen(START_MS + 10, 5, THERE)}


def test_a_stale_message_tells_nothing() -> None:
    member = knowing()
    said(member, ADA, 5)
    later(member, 10)
    assert not said(member, ADA, 5, THERE)
    assert not said(member, ADA, 4, THERE)
    assert heard(member) == {ADA: Seen(START_MS, 5, HERE)}


def test_planes_are_kept_apart() -> None:
    member = knowing()
    count(member, ADA, plane=2)
    said(member, ADA, 5, plane=2)
    assert heard(member) == {}
    assert said(member, ADA, 5)


def test_of_a_key_of_whose_feed_nothing_counts_nothing_is_noted() -> None:
    member = founder()
    assert not said(member, ADA, 5)
    in_step(member, ADA)
    assert rows(member) == []
    count(member, ADA)
    assert said(member, ADA, 5)


def test_a_row_of_such_a_key_is_ignored_and_dropped() -> None:
    member = knowing()
    in_step(member, ADA)
    later(member, 10)
    in_step(member, BOB)
    count(member, ADA, n=0)  # all that it wrote was cut, or an earlier release noted it
    with member.replica.read() as reader:
        assert strangers(reader, 1) == [ADA]
    assert heard(member).keys() == {BOB}
    assert covered(member) == 10
    member.commit(lambda unit: forget_strangers(unit, 1))
    assert rows(member) == [BOB]


def test_when_a_member_was_in_step_stays_known_when_it_says_something_else() -> None:
    member = knowing()
    said(member, ADA, 1)
    later(member, 10)
    in_step(member, ADA)
    later(member, 10)
    said(member, ADA, 2, THERE)
    assert heard(member) == {ADA: Seen(START_MS + 20, 2, THERE, START_MS + 10)}


def test_a_member_may_be_in_step_before_it_said_where_it_stands() -> None:
    member = knowing()
    in_step(member, ADA)
    assert heard(member) == {ADA: Seen(START_MS, 0, b"", START_MS)}
    assert said(member, ADA, 1)


def test_who_is_alone_is_covered_by_now() -> None:
    member = knowing()
    later(member, 50)
    in_step(member, member.id)
    later(member, 10)
    assert covered(member) == 60


def test_who_writes_was_heard_of_whatever_it_said_before() -> None:
    row = FeedRow(1, ADA, 3, HERE, (START_MS + 70) << COUNTER_BITS)
    assert last_seen_ms(row, Seen(START_MS + 50, 1, HERE), START_MS + 90) == START_MS + 70
    assert last_seen_ms(row, Seen(START_MS + 80, 1, HERE), START_MS + 90) == START_MS + 80
    assert last_seen_ms(row, None, START_MS + 60) == START_MS + 60  # its clock runs ahead
    assert last_seen_ms(FeedRow(1, ADA), None, START_MS) == 0


def test_everybody_is_covered_up_to_where_the_last_one_was() -> None:
    member = knowing()
    in_step(member, ADA)
    later(member, 10)
    in_step(member, BOB)
    later(member, 10)
    assert covered(member) == 0
    in_step(member, ADA)
    assert covered(member) == 10


def test_who_was_never_in_step_covers_nothing() -> None:
    member = knowing()
    in_step(member, ADA)
    said(member, BOB, 1)
    assert covered(member) == -START_MS


def test_who_was_not_heard_of_for_a_month_is_waited_for_no_more() -> None:
    member = knowing()
    said(member, BOB, 1)
    later(member, MONTH_MS - 1)
    in_step(member, ADA)
    assert covered(member) == -START_MS
    later(member, 1)
    assert covered(member) == MONTH_MS - 1


def test_a_machine_that_was_retired_is_waited_for_no_more() -> None:
    one = founder("one")
    two = machine(one, one.ledger.id)
    count(one, ADA)
    said(one, two.id, 1)
    in_step(one, ADA)
    assert covered(one) == -START_MS
    one.commit(lambda unit: retire(unit, plane_of(one, one.ledger.id), two.id))
    assert covered(one) == one.clock.now_ms() - START_MS


def test_the_machines_of_a_town_that_was_removed_are_waited_for_no_more() -> None:
    plane, (one, two) = federation(Role.WRITER)
    said(one, two.id, 1)
    assert covered(one) == -START_MS
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    assert covered(one) == one.clock.now_ms() - START_MS
