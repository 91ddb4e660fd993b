"""What is to be written again is told event by event: what both histories say once, what only one says as well."""

from collections.abc import Callable
from functools import partial

import pytest

from moot_protocol.errors import Code
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Dot, Event
from moot_protocol.merge.kinds import CERTIFICATE
from moot_testkit.bytes import feeds
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import founder, joined, newcomer, send
from moot_testkit.towns.federating import bring, copy_of, feed, machine, machine_ticket
from moot_testkit.towns.town import Member
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.membership.forks import forks_of, settle_fork
from mootd.engine.membership.removing import retire
from mootd.engine.recovery.lost import lost
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored import layout
from mootd.engine.stored.aside import Aside, AsideReader
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.store.port import Table


def salvaged(member: Member) -> None:
    member.commit(salvage)


def joined_anew(one: Member, other: Member) -> None:
    salvaged(other)
    joined(other, machine_ticket(one, one.ledger.id).ticket)
    bring(one, other, one.ledger.id)


class Both:
    """A machine whose old data was put back and whose old key was retired, so that neither of its histories counts.

    Args:
        mine: batches of titles that it wrote on the old data.
        others: those that it had written before, and has forgotten.
    """

    def __init__(self, mine: list[list[str]], others: list[list[str]]) -> None:
        self.one = founder("one")
        self.two = machine(self.one, self.one.ledger.id)
        old = copy_of(self.two)
        self.key = self.two.id
        for member, batches in ((self.two, others), (old, mine)):
            member.clock.advance(1)
            for titles in batches:
                member.commit(partial(self._write, titles=titles))
        send(self.two, self.one)
        send(old, self.one)
        send(self.one, old)
        self.two = old

    def _write(self, unit: Unit, titles: list[str]) -> None:
        """Each title over the one before of the same batch."""
        over: list[Dot] = []
        for title in titles:
            event = unit.append(unit.replica.ledger.number, feeds.note(title, over=over))
            over = [feeds.dot_of(event, self.key)]

    def retired(self) -> "Both":
        joined_anew(self.one, self.two)
        self.one.commit(lambda unit: retire(unit, self.one.ledger, self.key, drops=True))
        bring(self.one, self.two, self.one.ledger.id)
        return self

    def salvaged(self) -> int:
        done = self.two.commit(lambda unit: salvage(unit, takes_both=True))
        return sum(each.salvaged for each in done.planes)

    def said(self) -> list[str]:
        """All that counts of the issue, in order."""

        def read(unit: Unit) -> list[str]:
            record = unit.record(unit.replica.ledger.number, "issue", "mt-1")
            assert record is not None
            history = unit.log.history(record.head)[::-1]
            return [title for each in history for title in each.event.values() or ()]

        return self.two.commit(read)

    def over(self) -> list[tuple[int, int, bytes]]:
        """What the last event about the issue supersedes."""

        def read(unit: Unit) -> list[tuple[int, int, bytes]]:
            record = unit.record(unit.replica.ledger.number, "issue", "mt-1")
            assert record is not None
            return list(unit.log.event(record.head).event.skeleton.changes[0].over)

        return self.two.commit(read)

    def say_later(self, title: str) -> None:
        """Let the founder say this by hand, so that the machine hears of it."""
        self.one.clock.advance(1000)
        self.one.commit(lambda unit: unit.append(unit.replica.ledger.number, feeds.note(title)))
        bring(self.one, self.two, self.one.ledger.id)

    def put_aside(self, work: Callable[[Aside, int, Batch], None]) -> "Both":
        """Do something with each batch of the other history that the machine holds."""

        def put(unit: Unit) -> None:
            number = unit.feed_number(unit.replica.ledger.number, self.key)
            aside = Aside(unit.transaction)
            for row in [each for _, _, each in aside.rows(number) if not each.was_accepted]:
                work(aside, number, aside.batch(row))

        self.two.commit(put)
        return self


HISTORIES = {
    "batched otherwise": ([["a", "b"]], [["a"], ["b"], ["c"]], ["a", "b", "c"]),
    "together with more": ([["a"]], [["a", "b"]], ["a", "b"]),
    "twice in both": ([["a"], ["a"]], [["a", "a"]], ["a", "a"]),
    "twice in the other": ([["a"]], [["a"], ["a"]], ["a", "a"]),
    "twice in its own": ([["a"], ["a"]], [["a"]], ["a", "a"]),
    "nothing in common": ([["a"]], [["b"]], ["a", "b"]),
}


@pytest.mark.parametrize("is_at_once", [True, False], ids=["at once", "one after the other"])
@pytest.mark.parametrize(("mine", "others", "said"), HISTORIES.values(), ids=list(HISTORIES))
def test_what_both_histories_say_is_written_once_and_what_only_one_says_is_kept(
    mine: list[list[str]], others: list[list[str]], said: list[str], *, is_at_once: bool
) -> None:
    both = Both(mine, others).retired()
    if is_at_once:
        both.salvaged()
    else:
        salvaged(both.two)
    if both.said() != said:
        both.salvaged()
    assert both.said() == said
    assert refusal_code(both.salvaged) is Code.CONFLICT


def test_while_its_key_has_not_ended_another_history_may_yet_be_chosen_and_is_not_written() -> None:
    both = Both([["a"]], [["b"]])
    joined_anew(both.one, both.two)
    assert both.salvaged() == 1
    assert both.said() == ["a"]
    assert refusal_code(both.salvaged) is Code.CONFLICT


def test_what_follows_in_one_history_stands_over_what_was_written_for_both() -> None:
    both = Both([["a"]], [["a", "b"]]).retired()
    salvaged(both.two)
    assert both.salvaged() == 1
    with both.two.replica.read() as reader:
        assert not list(reader.scan(Table.INDEX_0, layout.CONFLICT, layout.after(layout.CONFLICT)))


def test_what_counted_here_is_written_again_though_somebody_said_the_same_later() -> None:
    """Something else stood in between, and what comes next supersedes that."""
    both = Both([["a", "b"]], [["c"]]).retired()
    both.say_later("a")
    salvaged(both.two)
    assert both.said() == ["a", "a", "b"]


def test_what_never_counted_is_written_where_nobody_said_it_and_takes_the_place_of_nothing_that_was_said_later() -> (
    None
):
    both = Both([["z"]], [["a", "b"]]).retired()
    with both.two.replica.read() as reader:
        source = LogSnapshot(reader)
        number = source.feed_number(both.two.ledger.number, both.key)
        batches = [AsideReader(reader).batch(row) for _, _, row in AsideReader(reader).rows(number)]
    forgotten = next(batch for batch in batches if len(batch.events) == 2)
    both.say_later("a")
    both.salvaged()
    assert both.said() == ["a", "z", "b"]
    assert [leaf8 for *_, leaf8 in both.over()] == [forgotten.events[0].leaf[:8]]


def test_what_came_without_its_values_can_not_be_written_and_is_not_told_of() -> None:
    both = Both([["a"]], [["b", "c"]]).retired()
    salvaged(both.two)
    both.put_aside(lambda aside, number, batch: aside.put(number, feeds.stripped(batch)))
    assert refusal_code(both.salvaged) is Code.CONFLICT


def test_what_follows_a_batch_that_has_not_come_is_not_written() -> None:
    both = Both([["a"]], [["b"], ["c"]]).retired()
    salvaged(both.two)

    def lose(aside: Aside, number: int, batch: Batch) -> None:
        if batch.events[0].values() == ["b"]:
            aside.remove(number, batch.header.first, batch.id)

    assert refusal_code(both.put_aside(lose).salvaged) is Code.CONFLICT


def test_nothing_is_lost_with_a_second_opening() -> None:
    one, two = founder("one"), newcomer("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    clone = copy_of(two)
    key = two.id
    for member in (two, clone):
        bring(one, member, plane)
    for member in (two, clone):
        send(member, one, plane)
    assert feed(one, plane, key).forked_at == 1
    one.commit(lambda unit: retire(unit, one.ledger, key, drops=True))
    send(one, two, plane)
    salvaged(two)
    joined(two, machine_ticket(one, plane).ticket)
    bring(one, two, plane)
    salvaged(two)
    assert refusal_code(lambda: two.commit(lambda unit: salvage(unit, takes_both=True))) is Code.CONFLICT


def test_what_the_history_that_was_chosen_says_is_not_written_again() -> None:
    both = Both([["a"], ["b"]], [["a"]])
    with both.one.replica.read() as reader:
        (fork,) = forks_of(LogSnapshot(reader), both.one.ledger)
    (chosen,) = (branch for branch in fork.branches if len(branch.batches) == 1)
    both.one.commit(lambda unit: settle_fork(unit, both.one.ledger, fork, chosen, frozenset()))
    bring(both.one, both.two, both.one.ledger.id)
    joined_anew(both.one, both.two)
    salvaged(both.two)
    assert both.said() == ["a", "b"]


# -- How far what was lost was written again already ------------------------------------------------------------
class TwiceEnded:
    """A machine whose key ended within a batch, that wrote again what was behind, and whose keys then both end.

    Under the first key it wrote three batches: a; b and c; d. The first end leaves all up to b.
    """

    def __init__(self) -> None:
        self.one = founder("one")
        self.plane = self.one.ledger.id
        self.two = machine(self.one, self.plane)
        self.first = self.two.id
        for titles in (["a"], ["b", "c"], ["d"]):
            self.two.commit(partial(self._write, titles=titles))
        bring(self.two, self.one, self.plane)
        self.end(self.first, 3)
        joined_anew(self.one, self.two)
        salvaged(self.two)
        self.second = self.two.id

    @staticmethod
    def _write(unit: Unit, titles: list[str]) -> None:
        for title in titles:
            unit.append(unit.replica.ledger.number, feeds.note(title))

    def end(self, author: bytes, n: int) -> None:
        bring(self.two, self.one, self.plane)
        self.one.commit(lambda unit: end_replica(unit, self.one.ledger.number, author, n))
        bring(self.one, self.two, self.plane)

    def lost(self) -> list[tuple[list[str], list[str]]]:
        """Of each history what its batches say, and what of that is to be written again."""

        def read(unit: Unit) -> list[tuple[list[str], list[str]]]:
            found = lost(unit, unit.replica.ledger, takes_both=False)
            return [
                (
                    [said for batch in each.batches for event in batch.events for said in titles_of(event)],
                    [said for _, event in each.events for said in titles_of(event)],
                )
                for each in found
            ]

        return self.two.commit(read)


def titles_of(event: Event) -> list[str]:
    return [] if event.skeleton.kind == CERTIFICATE else [str(value) for value in event.values() or ()]


def test_what_was_written_again_is_told_of_no_more_and_only_a_batch_across_the_end_looked_at() -> None:
    assert TwiceEnded().lost() == [(["b", "c"], [])]


def test_of_what_a_lower_end_cuts_only_that_up_to_the_higher_one_is_told_of_under_the_old_key() -> None:
    ended = TwiceEnded()
    ended.end(ended.second, 1)
    ended.end(ended.first, 1)
    assert ended.lost() == [(["a", "b", "c"], ["a", "b"]), (["c", "d"], ["c", "d"])]
