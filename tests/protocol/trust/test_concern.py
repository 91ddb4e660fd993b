"""Whom a change between towns concerns: everybody who is settled otherwise, and of the others few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Accepted, settle_author
from moot_protocol.trust.concern import change_between, names_of
from moot_protocol.trust.levels import Readings, read_towns
from moot_protocol.trust.towns import Towns
from moot_testkit.bytes.feeds import FeedWriter, Town, note, signer
from moot_testkit.naive.held import HeldBatches
from moot_testkit.towns.town_worlds import town_worlds


class Watching:
    """What is held of a plane, and the towns by it, as batches come.

    Args:
        town: the founder.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.held = HeldBatches(town.plane)
        self.readings = Readings()

    def take(self, *feeds: FeedWriter) -> Towns:
        """Hold all of some feeds."""
        for feed in feeds:
            for batch in feed.batches:
                self.held.add(batch)
        towns = read_towns(self.town.plane, self.held, self.readings)
        assert towns is not None
        return towns

    def concerned(self, before: Towns, after: Towns) -> set[bytes]:
        """The authors whom a change concerns."""
        change = change_between(before, after)
        authors = self.held.authors()
        return {author for author in authors if change.includes(author, names_of(after, self.held, author))}


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_whom_a_change_does_not_concern_is_settled_as_before(data: st.DataObject) -> None:
    world = data.draw(town_worlds())
    held, readings = HeldBatches(world.town.plane), Readings()
    before: Towns | None = None
    settled: dict[bytes, Accepted] = {}
    for batch in data.draw(st.permutations(world.batches)):
        held.add(batch)
        after = read_towns(world.town.plane, held, readings)
        if before is not None and after is not None:
            change = change_between(before, after)
            for author, accepted in settled.items():
                if author != batch.header.author and not change.includes(author, names_of(after, held, author)):
                    assert settle_author(after, held, author) == accepted
        before = after
        settled = {author: settle_author(after, held, author) for author in held.authors()}


@pytest.fixture
def founder() -> Town:
    return Town()


def test_a_town_that_comes_concerns_itself_and_its_replicas_alone(founder: Town) -> None:
    others = [founder.guest(f"town {at}") for at in range(3)]
    for town in others:
        founder.admit(town, Role.WRITER)
    replicas = [town.replica("one", Role.WRITER, note()) for town in others]
    watching = Watching(founder)
    before = watching.take(founder.charter, *replicas, *(town.charter for town in others[:2]))
    after = watching.take(others[2].charter)
    assert watching.concerned(before, after) == {others[2].key.public, replicas[2].author}


def test_a_charter_that_says_nothing_of_others_concerns_its_author_alone(founder: Town) -> None:
    guest = founder.guest("guest")
    founder.admit(guest, Role.WRITER)
    replica = guest.replica("one", Role.WRITER, note())
    watching = Watching(founder)
    before = watching.take(founder.charter, guest.charter, replica)
    guest.invite("machines", Role.WRITER)
    assert watching.concerned(before, watching.take(guest.charter)) == {guest.key.public}


def test_a_closed_invite_concerns_whoever_came_with_it(founder: Town) -> None:
    key = founder.invite("machines", Role.WRITER)
    came, other = founder.replica("one", Role.WRITER, by=key), founder.replica("two", Role.WRITER)
    watching = Watching(founder)
    before = watching.take(founder.charter, came, other)
    founder.close(key)
    assert watching.concerned(before, watching.take(founder.charter)) == {founder.key.public, came.author}


def test_an_end_concerns_the_replica_that_it_ends(founder: Town) -> None:
    one, other = founder.replica("one", Role.WRITER, note()), founder.replica("two", Role.WRITER)
    watching = Watching(founder)
    before = watching.take(founder.charter, one, other)
    founder.end(one.author, 1, one.batches[0].id)
    assert watching.concerned(before, watching.take(founder.charter)) == {founder.key.public, one.author}


def test_a_removed_town_concerns_whom_it_let_in(founder: Town) -> None:
    middle, deep = founder.guest("middle"), founder.guest("deep")
    founder.admit(middle)
    middle.admit(deep, Role.WRITER)
    replica = deep.replica("one", Role.WRITER, note())
    watching = Watching(founder)
    before = watching.take(founder.charter, middle.charter, deep.charter, replica)
    founder.end(middle.key.public, 1, middle.charter.batches[0].id, of=middle.key.public)
    concerned = watching.concerned(before, watching.take(founder.charter))
    assert {middle.key.public, deep.key.public, replica.author} <= concerned


def test_a_role_that_rises_concerns_the_town_s_replicas(founder: Town) -> None:
    guest = founder.guest("guest")
    founder.admit(guest, Role.READER)
    replica = guest.replica("one", Role.WRITER, note())
    watching = Watching(founder)
    before = watching.take(founder.charter, guest.charter, replica)
    founder.admit(guest, Role.WRITER)
    assert replica.author in watching.concerned(before, watching.take(founder.charter))


def test_a_town_that_rises_concerns_whom_it_ended_in_vain(founder: Town) -> None:
    middle, one, other = (founder.guest(name) for name in ("middle", "one", "other"))
    founder.admit(middle)
    middle.admit(one)
    middle.admit(other)
    replica = other.replica("one", Role.WRITER, note())
    other.end(replica.author, 1, replica.batches[0].id, by=one.charter)
    watching = Watching(founder)
    before = watching.take(founder.charter, middle.charter, one.charter, other.charter, replica)
    founder.admit(one)
    assert replica.author in watching.concerned(before, watching.take(founder.charter))


def test_a_charter_that_forks_concerns_whom_it_invited_and_ended_after_that(founder: Town) -> None:
    ended = founder.replica("ended", Role.WRITER, note())
    twin = founder.charter.fork("twin")
    came = founder.replica("came", Role.WRITER, by=founder.invite())
    founder.end(ended.author, 1, ended.batches[0].id)
    watching = Watching(founder)
    before = watching.take(founder.charter, came, ended)
    twin.write(note())
    concerned = watching.concerned(before, watching.take(twin))
    assert concerned == {founder.key.public, came.author, ended.author}


def test_whom_somebody_admits_it_concerns_whatever_its_feed_is(founder: Town) -> None:
    feed = FeedWriter(founder.plane, signer("no town"))
    feed.write(note())
    watching = Watching(founder)
    before = watching.take(founder.charter, feed)
    founder.admit(feed.author)
    assert feed.author in watching.concerned(before, watching.take(founder.charter))
