"""What a feed lost is there again once all of it is said elsewhere so that it counts: later, or known by its salt."""

from collections.abc import Sequence

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import ZEROS, Batch, BatchBuilder
from moot_protocol.log.event import Draft, Event, Write
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note
from moot_testkit.towns.engine import Desk
from mootd.engine.stored.log import LogReader
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.restored import histories, salt_of, stand_ins
from mootd.store.port import Table


class Loss:
    """A desk that holds a replica's feed, and takes back what lies behind its certificate, or that too."""

    def __init__(self, *drafts: Draft, to_n: int = 1) -> None:
        self.town = Town()
        self.desk = Desk().watch(self.town)
        self.lost = self.town.replica("lost", Role.ADMIN)
        for draft in drafts:
            self.lost.write(draft)
        self.desk.receive([*self.town.charter.batches, *self.lost.batches])
        self.desk.receive([self.town.end(self.lost.author, to_n, self.lost.batches[0].id if to_n else ZEROS)])

    def again(self, *drafts: Draft, role: Role = Role.ADMIN, name: str = "again") -> FeedWriter:
        """Another replica that writes these, a moment later."""
        feed = self.town.replica(name, role)
        feed.hlc += from_ms(1000)
        for draft in drafts:
            feed.write(draft)
        self.desk.receive([self.town.charter.batches[-1], *feed.batches])
        return feed

    def is_whole(self) -> bool:
        """As it is found now."""
        replica = self.desk.replica
        number = replica.feed_numbers[1, self.lost.author]
        with replica.read() as reader:
            return replica.restored.is_whole(reader, number, self.lost.batches[-1].header.last)


def labelled(entity: str = "mt-1") -> Draft:
    """An event of another shape."""
    return Draft("issue", entity, "alice", (Write("label/x", True),))


def test_it_is_not_while_nobody_says_it() -> None:
    assert not Loss(note()).is_whole()


def test_it_is_once_another_feed_says_all_of_it_whatever_is_superseded() -> None:
    loss = Loss(note(), note("second"), labelled())
    first = loss.again(note(), labelled())
    assert not loss.is_whole()
    over = [dot_of(first.batches[1].events[0], first.author)]
    loss.again(note("second", over=over), name="third")
    assert loss.is_whole()


def test_nobody_misses_a_certificate() -> None:
    loss = Loss(note(), to_n=0)
    loss.again(note())
    assert loss.is_whole()


def test_of_what_is_not_held_any_more_nobody_knows_whether_it_is() -> None:
    loss = Loss(note(), note("second"))
    loss.again(note(), note("second"))
    key, *_ = loss.desk.rows(Table.ASIDE)
    with loss.desk.replica.store.write() as writer:
        writer.delete(Table.ASIDE, key)
    assert not loss.is_whole()


def test_each_event_stands_for_one_that_was_lost() -> None:
    loss = Loss(note(), note())
    loss.again(note())
    assert not loss.is_whole()
    loss.again(note(), name="third")
    assert loss.is_whole()


@pytest.mark.parametrize(
    "other",
    [note("another"), note(entity="mt-9"), note()._replace(actor="eve"), labelled(), note(key="description")],
    ids=["value", "entity", "actor", "keys", "key"],
)
def test_what_says_something_else_is_not_it(other: Draft) -> None:
    loss = Loss(note())
    loss.again(other)
    assert not loss.is_whole()


def test_what_was_said_before_is_not_it() -> None:
    town, desk = Town(), Desk()
    desk.watch(town)
    before, lost = town.replica("before"), town.replica("lost")
    before.write(note())
    lost.write(note())
    desk.receive([*town.charter.batches, *before.batches, *lost.batches])
    desk.receive([town.end(lost.author, 1, lost.batches[0].id)])
    with desk.replica.read() as reader:
        assert not desk.replica.restored.is_whole(reader, desk.replica.feed_numbers[1, lost.author], 2)


def anew(feed: FeedWriter, draft: Draft, lost: Event) -> Batch:
    """A batch that writes a lost event anew, as a salvage does: with its salt."""
    salt = salt_of(lost)
    assert salt is not None
    builder = BatchBuilder(feed.plane, feed.author, feed.n + 1, feed.head)
    builder.add(draft, feed.hlc, salt)
    feed.batches.append(builder.seal(feed.key.sign))
    return feed.batches[-1]


def test_what_has_its_salt_is_it_though_it_is_dated_earlier() -> None:
    loss = Loss(note())
    lost = loss.lost.batches[-1].events[0]
    feed = loss.town.replica("anew")
    before = feed.batches[0].events[0].skeleton.hlc
    assert before < lost.skeleton.hlc
    feed.hlc = before + 1
    loss.desk.receive([loss.town.charter.batches[-1], *feed.batches, anew(feed, note(), lost)])
    assert feed.batches[-1].events[0].skeleton.hlc < lost.skeleton.hlc
    assert loss.is_whole()


def test_what_has_its_salt_and_says_something_else_is_not_it() -> None:
    loss = Loss(note())
    feed = loss.town.replica("anew")
    feed.hlc = feed.batches[0].events[0].skeleton.hlc + 1
    loss.desk.receive([*feed.batches, anew(feed, note("another"), loss.lost.batches[-1].events[0])])
    assert not loss.is_whole()


def test_what_is_known_by_its_salt_stands_for_no_other() -> None:
    loss = Loss(note(), note())
    feed = loss.town.replica("anew")
    feed.hlc += from_ms(1000)
    loss.desk.receive([*feed.batches, anew(feed, note(), loss.lost.batches[-1].events[0])])
    assert not loss.is_whole()
    loss.again(note())
    assert loss.is_whole()


def test_one_that_is_only_later_than_the_first_is_kept_for_it() -> None:
    loss = Loss(note(), note())
    first, second = (batch.events[0].skeleton.hlc for batch in loss.lost.batches[1:])
    for name, hlc in (("later than both", second + 1), ("between", first + 1)):
        feed = loss.town.replica(name)
        feed.write(note(), hlc=hlc)
        loss.desk.receive(feed.batches)
    assert loss.is_whole()


class Parted:
    """A desk that holds two histories of a replica's feed, the second of which is chosen after the first counted.

    What the first says is dated later than what the second says.
    """

    def __init__(self, first: Sequence[Draft], second: Sequence[Draft], *common: Draft) -> None:
        self.town = Town()
        self.desk = Desk().watch(self.town)
        self.lost = self.town.replica("lost", Role.WRITER, *common)
        other = self.lost.fork("twin")
        self.lost.hlc += from_ms(1000)
        for feed, drafts in ((self.lost, first), (other, second)):
            for draft in drafts:
                feed.write(draft)
        self.desk.receive([*self.town.charter.batches, *self.lost.batches])
        self.desk.receive([*other.batches[1:], self.town.end(self.lost.author, other.n, other.head)])
        self.other = other

    def is_whole(self) -> bool:
        replica = self.desk.replica
        with replica.read() as reader:
            return replica.restored.is_whole(reader, replica.feed_numbers[1, self.lost.author], self.lost.n)


def test_what_the_history_that_counts_says_as_well_is_there() -> None:
    assert Parted([note(), note("more")], [note("more"), note()]).is_whole()
    assert not Parted([note(), note("more")], [note()]).is_whole()
    assert not Parted([note(), note()], [note()]).is_whole()
    assert not Parted([note()], [note("other")], note()).is_whole(), "both said that before they parted"


def test_what_another_history_says_as_well_is_there_once_it_is_written_anew_for_that() -> None:
    world = Parted([note()], [note()])
    other = world.other.batches[-1].events[0]
    world.desk.receive([world.town.end(world.lost.author, 1, world.lost.batches[0].id)])
    assert not world.is_whole()
    feed = world.town.replica("anew")
    feed.hlc = other.skeleton.hlc - 1
    world.desk.receive([*feed.batches, anew(feed, note(), other)])
    assert world.is_whole()


def test_what_was_written_anew_for_another_history_stands_for_one_event_alone() -> None:
    world = Parted([note(), note()], [note()])
    world.desk.receive([world.town.end(world.lost.author, 1, world.lost.batches[0].id)])
    feed = world.town.replica("anew")
    feed.hlc = world.other.batches[-1].events[0].skeleton.hlc - 1
    world.desk.receive([*feed.batches, anew(feed, note(), world.other.batches[-1].events[0])])
    assert not world.is_whole()


def test_what_a_feed_said_before_does_not_stand_for_what_it_said_again_behind_its_end() -> None:
    world = Parted([note("other")], [note(), note()])
    world.desk.receive([world.town.end(world.lost.author, 2, world.other.batches[1].id)])
    replica = world.desk.replica
    with replica.read() as reader:
        number = replica.feed_numbers[1, world.lost.author]
        assert not stand_ins(LogSnapshot(reader), number, world.other.batches[2:])


def test_histories_are_told_apart_and_share_what_they_have_in_common() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    other = one.fork("twin")
    one.write(note("one"))
    other.write(note("other"))
    start, common, first = one.batches
    assert histories([start, common, first, other.batches[-1]]) == [one.batches, other.batches]
    assert histories([common, other.batches[-1]]) == [[common, other.batches[-1]]]
    assert histories([]) == []


def test_what_its_author_s_role_does_not_allow_is_not_it() -> None:
    rule = Draft("role", "a role", "ada", (Write("text", "be kind"),))
    loss = Loss(rule)
    loss.again(rule, role=Role.WRITER)
    assert not loss.is_whole()
    loss.again(rule, name="third")
    assert loss.is_whole()


def test_what_is_taken_back_in_its_turn_is_missing_again() -> None:
    loss = Loss(note())
    again = loss.again(note())
    assert loss.is_whole()
    loss.desk.receive([loss.town.end(again.author, 1, again.batches[0].id)])
    assert not loss.is_whole()


def test_a_further_look_reads_no_history_until_something_is_written_about_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loss = Loss(note(), labelled("mt-2"))
    loss.again(note())
    read: list[int] = []
    history = LogReader.history

    def counted(log: LogReader, head: int) -> object:
        read.append(head)
        return history(log, head)

    monkeypatch.setattr(LogReader, "history", counted)
    assert not loss.is_whole()
    first = len(read)
    assert first
    loss.again(note(entity="mt-3"), name="elsewhere")
    assert not loss.is_whole()
    assert len(read) == first
    loss.again(labelled("mt-2"), name="third")
    assert loss.is_whole()
    whole = len(read)
    loss.again(labelled("mt-2"), name="fourth")
    assert loss.is_whole()
    assert len(read) == whole
