"""The rules of acceptance about ends and charters, each by an example."""

from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Reason
from moot_protocol.trust.charter import End, certificate_draft, end_draft, genesis_draft
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note, seed, stripped
from moot_testkit.naive.settlement import settle
from moot_testkit.naive.settling import branches, held, of


# -- Ends --------------------------------------------------------------------------------------------------------
def test_an_end_cuts_a_feed_where_it_says() -> None:
    town = Town()
    one = town.replica("one")
    for _ in range(3):
        one.write(note(), note())
    town.end(one.author, 3, one.batches[1].id)
    found = of(one.author, one, town.charter)
    assert (found.n, found.batch, found.ended, found.reason) == (3, one.batches[1].id, True, Reason.ENDED)
    assert found.role is Role.WRITER


def test_an_end_may_fall_inside_a_batch() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note(), note(), note())
    town.end(one.author, 3, one.head)
    assert of(one.author, one, town.charter)[:2] == (3, one.head)


def test_an_end_at_nothing_leaves_nothing_whenever_the_feed_appears() -> None:
    town = Town()
    one = town.replica("one")
    town.end(one.author, 0, ZEROS)
    assert of(one.author, one, town.charter)[:2] == (0, ZEROS)
    assert of(one.author, one, town.charter).reason is Reason.ENDED


def test_of_several_ends_the_lowest_holds() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    one.write(note())
    town.end(one.author, 2, one.batches[1].id)
    town.end(one.author, 3, one.batches[2].id)
    assert of(one.author, one, town.charter).n == 2


def test_an_end_that_another_one_supersedes_no_longer_counts() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    first = town.end(one.author, 1, one.batches[0].id)
    dots = [dot_of(first.events[0], town.key.public)]
    town.end(one.author, 2, one.batches[1].id, over=dots)
    assert of(one.author, one, town.charter).n == 2
    removal = Draft("end", key_text(one.author), "admin", (Write("end", over=dots, removes=True),))
    town.charter.batches.pop()
    town.charter.write(removal)
    assert not of(one.author, one, town.charter).ended


def test_an_end_settles_a_fork_for_the_branch_it_names() -> None:
    for chosen in (0, 1):
        town = Town()
        pair = branches(town)
        town.end(pair[0].author, 4, pair[chosen].batches[2].id)
        found = of(pair[0].author, *pair, town.charter)
        assert (found.n, found.batch, found.forked_at) == (4, pair[chosen].batches[2].id, 2)


def test_an_end_settles_a_fork_at_the_first_event() -> None:
    town = Town()
    one = town.replica("one")
    other = one.fork("other", 0)
    other.write(certificate_draft(town.certificate(one.author, Role.READER), one.author, "admin"))
    town.end(one.author, 1, other.head)
    found = of(one.author, one, other, town.charter)
    assert (found.n, found.batch, found.role) == (1, other.head, Role.READER)


def test_ends_on_both_branches_leave_what_the_branches_share() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 5, left.batches[2].id)
    town.end(left.author, 7, right.batches[3].id)
    assert of(left.author, left, right, town.charter)[:2] == (3, left.batches[1].id)


def test_branches_share_whole_batches_only() -> None:
    town = Town()
    left = town.replica("one")
    right = left.fork("", 1)
    left.write(note("same"), note("left"))
    right.write(note("same"), note("right"))
    assert left.batches[1].events[0].leaf == right.batches[1].events[0].leaf
    town.end(left.author, 3, left.head)
    town.end(left.author, 3, right.head)
    assert of(left.author, left, right, town.charter).n == 1


def test_an_end_at_a_batch_that_is_not_held_counts_on_the_trunk() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 5, right.batches[2].id)
    assert of(left.author, left, town.charter)[:2] == (5, left.batches[2].id)
    assert of(left.author, left, right.batches[3:], town.charter)[:2] == (5, left.batches[2].id)
    assert of(left.author, left, right, town.charter)[:2] == (5, right.batches[2].id)


def test_an_end_at_a_batch_that_is_not_held_stops_before_a_fork() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 7, seed("unknown"))
    assert of(left.author, left, right, town.charter).n == 3


def test_an_end_at_a_batch_that_can_t_hold_its_number_is_void() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note(), note())
    for n in (1, 4):
        town.end(one.author, n, one.head)
    found = of(one.author, one, town.charter)
    assert (found.n, found.ended) == (3, False)


def test_a_malformed_end_is_void_and_takes_nothing_s_place() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    first = town.end(one.author, 1, one.batches[0].id)
    over = [dot_of(first.events[0], town.key.public)]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", ["nonsense"], over),)))
    town.charter.write(note())
    assert of(one.author, one, town.charter).n == 1
    assert of(town.key.public, town.charter).n == 4


def test_an_end_acts_only_on_the_town_that_it_names() -> None:
    town = Town()
    one = town.replica("one")
    value = [0, ZEROS, one.author]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", value),)))
    value = [0, ZEROS, Town("other").key.public]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", value),)))
    assert of(one.author, one, town.charter).n == 1


def test_an_end_acts_only_on_a_branch_that_opens_as_a_replica_s() -> None:
    town = Town()
    one = town.replica("one")
    odd = one.fork("odd", 0)
    odd.write(note())
    town.end(one.author, 1, odd.head)
    assert of(one.author, one, odd, town.charter).reason is Reason.FORKED
    town.end(one.author, 1, one.head)
    assert of(one.author, one, odd, town.charter).n == 1


def test_only_a_charter_ends_feeds() -> None:
    town = Town()
    one = town.replica("one", Role.ADMIN)
    town.end(one.author, 0, ZEROS, by=one)
    assert of(one.author, one, town.charter).n == 2


# -- Charters ----------------------------------------------------------------------------------------------------
def forked_charter(town: Town) -> tuple[FeedWriter, FeedWriter]:
    left = town.charter
    left.write(note("shared"))
    right = left.fork("right")
    left.write(note("left"))
    right.write(note("right"))
    return left, right


def test_a_charter_s_batch_counts_as_held_only_with_all_its_values() -> None:
    town = Town()
    one = town.replica("one")
    town.end(one.author, 0, ZEROS)
    stripped_charter = [town.charter.batches[0], stripped(town.charter.batches[1])]
    assert of(town.key.public, stripped_charter, town=town).n == 1
    assert of(one.author, one, stripped_charter).n == 1
    assert of(one.author, one, town.charter).n == 0


def test_a_forked_charter_stands_before_its_fork_and_what_it_said_there_holds() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    town.end(one.author, 0, ZEROS)
    left, right = forked_charter(town)
    town.end(two.author, 0, ZEROS)
    found = settle(town.plane, held(left, right, one, two)).accepted
    assert (found[town.key.public].n, found[town.key.public].reason) == (3, Reason.FORKED)
    assert (found[one.author].n, found[two.author].n) == (0, 1)


def test_the_genesis_holds_though_the_charter_forks_at_its_first_event() -> None:
    town = Town()
    one = town.replica("one")
    other = town.charter.fork("other", 0)
    other.write(genesis_draft(town.genesis, "admin"))
    found = settle(town.plane, held(town.charter, other, one)).accepted
    assert (found[town.key.public].n, found[one.author].n) == (0, 1)


def test_a_charter_ends_itself_with_its_last_event() -> None:
    town = Town()
    town.charter.write(note())
    end = town.end_charter()
    town.charter.write(note())
    found = of(town.key.public, town.charter)
    assert (found.n, found.batch, found.ended, found.reason) == (3, end.id, True, Reason.ENDED)


def test_a_charter_s_end_of_itself_must_name_the_event_before_it() -> None:
    town = Town()
    town.charter.write(note(), note())
    previous = town.charter.batches[0]
    town.end(town.key.public, 1, previous.id)
    town.end(town.key.public, 0, ZEROS)
    town.end(town.key.public, town.charter.n, seed("unknown"))
    town.charter.write(note(), end_draft(town.key.public, End(7, town.charter.head, town.key.public), "admin"))
    found = of(town.key.public, town.charter)
    assert (found.n, found.ended) == (8, False)


def test_nothing_after_a_charter_s_end_of_itself_counts_not_even_in_its_batch() -> None:
    town = Town()
    one = town.replica("one")
    key = town.key.public
    town.charter.write(
        end_draft(one.author, End(1, one.head, key), "admin"),
    )
    town.charter.write(
        end_draft(key, End(town.charter.n, town.charter.head, key), "admin"),
        end_draft(one.author, End(0, ZEROS, key), "admin"),
    )
    assert of(key, town.charter).n == 3
    assert of(one.author, one, town.charter).n == 1


def test_a_charter_s_end_of_itself_counts_for_its_own_branch() -> None:
    town = Town()
    left, right = forked_charter(town)
    assert of(town.key.public, left, right).reason is Reason.FORKED
    end = town.end_charter(left)
    found = of(town.key.public, left, right)
    assert (found.n, found.batch, found.ended) == (4, end.id, True)


def test_two_branches_of_a_charter_that_end_themselves_leave_what_they_share() -> None:
    town = Town()
    left, right = forked_charter(town)
    town.end_charter(left)
    town.end_charter(right)
    found = of(town.key.public, left, right)
    assert (found.n, found.batch, found.ended) == (2, left.batches[1].id, True)


def test_a_branch_that_does_not_open_with_the_genesis_ends_nothing() -> None:
    town = Town()
    odd = town.charter.fork("odd", 0)
    odd.write(note())
    town.end_charter(odd)
    assert not of(town.key.public, town.charter, odd).ended


def test_the_end_of_a_charter_ends_at_nothing_every_replica_that_it_does_not_list() -> None:
    town = Town()
    listed, missing, late = town.replica("listed"), town.replica("missing"), town.replica("late")
    town.end(listed.author, 1, listed.head)
    town.end_charter()
    town.end(late.author, 1, late.head)
    found = settle(town.plane, held(town.charter, listed, missing, late)).accepted
    assert [found[feed.author].n for feed in (listed, missing, late)] == [1, 0, 0]
    assert found[missing.author].reason is Reason.ENDED
