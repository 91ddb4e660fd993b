"""Sessions between logs in memory: how many rounds they take, what they say first, and that they always agree."""

from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.frontier import FrontierBody
from moot_protocol.exchange.messages import Batches, ForkProof, Want, build_batches, decode_message, fork_proof
from moot_protocol.exchange.sync import FIRST_REST, TORN_BYTES, DigestAlarm, ForkSeen, InStep, Send, Session, Store
from moot_protocol.log.batch import Batch
from moot_testkit.bytes.feeds import FeedWriter, Town, note, signer, stripped
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import settle
from moot_testkit.naive.synclog import MemoryLog, Peer, deliver_all, settle_down
from moot_testkit.towns.worlds import held_of, worlds


def peers(town: Town, *held: Iterable[Batch], message_bytes: int | None = None) -> list[Peer]:
    """A replica for each set of batches, everyone acquainted with everyone."""
    found = []
    for at, batches in enumerate(held):
        log = MemoryLog(town.plane)
        for batch in batches:
            log.add(batch)
        found.append(Peer(signer(f"peer {at}"), log, message_bytes=message_bytes))
    for peer in found:
        for other in found:
            if other is not peer:
                peer.meet(other)
    return found


def kinds(peer: Peer) -> list[type]:
    return [type(decode_message(effect.message)) for effect in peer.seen if isinstance(effect, Send)]


def grown(batches: int = 3, name: str = "one") -> tuple[Town, FeedWriter]:
    town = Town()
    feed = town.replica(name)
    for _ in range(batches - 1):
        feed.write(note())
    return town, feed


def all_of(*feeds: FeedWriter) -> list[Batch]:
    return [batch for feed in feeds for batch in feed.batches]


def frontiers(*found: Peer) -> int:
    return len({peer.log.position() for peer in found})


# -- Rounds ------------------------------------------------------------------------------------------------------
def test_replicas_in_step_find_so_in_one_round() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter, feed), all_of(town.charter, feed))
    one.start(two.key.public)
    assert deliver_all([one, two]) == 2
    assert InStep(two.key.public) in one.seen
    assert InStep(one.key.public) in two.seen


def test_a_replica_that_is_1000_batches_behind_catches_up_in_two_rounds() -> None:
    town, feed = grown(1001)
    one, two = peers(town, all_of(town.charter, feed)[:2], all_of(town.charter, feed))
    one.start(two.key.public)
    deliver_all([one, two])
    assert kinds(one) == [FrontierBody, FrontierBody, Want]
    assert kinds(two) == [FrontierBody, Batches]
    assert one.seen[-1] == InStep(two.key.public)


def test_a_replica_that_is_ahead_is_asked_by_the_other() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter, feed), [])
    one.start(two.key.public)
    deliver_all([one, two])
    assert kinds(two) == [FrontierBody, Want]
    assert two.seen[-1] == InStep(one.key.public)


def test_only_what_differs_is_spelled_out_to_who_has_sent_all() -> None:
    town, feed = grown()
    other = town.replica("other")
    one, two = peers(town, all_of(town.charter, feed), all_of(town.charter, feed, other))
    one.start(two.key.public)
    deliver_all([one, two])
    told = [decode_message(effect.message) for effect in one.seen if isinstance(effect, Send)]
    assert [len(message.entries) for message in told if isinstance(message, FrontierBody)] == [0, 1]


def test_an_answer_is_cut_at_its_cap_and_the_rest_asked_for() -> None:
    town = Town()
    feeds = [town.replica(name) for name in ("one", "two", "three")]
    for feed in feeds:
        for _ in range(6):
            feed.write(note("x" * 50_000))
    one, two = peers(town, [], all_of(town.charter, *feeds), message_bytes=120_000)
    one.start(two.key.public)
    deliver_all([one, two])
    assert frontiers(one, two) == 1
    answers = [effect.message for effect in two.seen if isinstance(effect, Send)]
    assert max(map(len, answers)) <= 120_000
    assert len([message for message in answers if isinstance(decode_message(message), Batches)]) >= 9


def test_a_batch_larger_than_the_cap_goes_alone() -> None:
    town = Town()
    feed = town.replica("one")
    for _ in range(3):
        feed.write(note("x" * 60_000))
    one, two = peers(town, [], all_of(town.charter, feed), message_bytes=1_000)
    one.start(two.key.public)
    deliver_all([one, two])
    assert frontiers(one, two) == 1


# -- Forks -------------------------------------------------------------------------------------------------------
def forked(keep: int = 2) -> tuple[Town, FeedWriter, FeedWriter]:
    town, left = grown(keep)
    right = left.fork("right")
    for step in range(3):
        left.write(note(f"left {step}"), note())
        right.write(note(f"right {step}"))
    return town, left, right


def test_a_proof_is_sent_before_anything_else_to_who_does_not_know_the_fork() -> None:
    town, left, right = forked()
    one, two = peers(town, all_of(town.charter, left, right), all_of(town.charter, left))
    one.start(two.key.public)
    deliver_all([one, two])
    assert kinds(one)[:2] == [FrontierBody, ForkProof]
    assert any(isinstance(effect, ForkSeen) for effect in two.seen)
    assert frontiers(one, two) == 1
    assert right.head in {ref.id for ref in two.log.held.heads(left.author)}, "the other history comes at once"


def test_who_has_only_the_proof_of_a_fork_asks_for_the_other_history_though_both_agree_on_what_counts() -> None:
    town, left, right = forked()
    one, two = peers(town, all_of(town.charter, left, right), all_of(town.charter, left))
    first = min(batch.header.first for batch in right.batches if batch not in left.batches)
    pair = [next(batch for batch in feed.batches if batch.header.first == first) for feed in (left, right)]
    two.log.add_evidence(fork_proof(*((batch.header_bytes, batch.signature) for batch in pair)))
    assert frontiers(one, two) == 1
    assert right.head not in {ref.id for ref in two.log.held.heads(left.author)}
    two.start(one.key.public)
    deliver_all([one, two])
    assert right.head in {ref.id for ref in two.log.held.heads(left.author)}
    two.seen.clear()
    two.start(one.key.public)
    deliver_all([one, two])
    assert Want not in kinds(two)


def test_two_branches_of_equal_length_meet_and_are_found_to_be_a_fork() -> None:
    for keep in (1, 2, 40):
        town, left, right = forked(keep)
        one, two = peers(town, all_of(town.charter, left), all_of(town.charter, right))
        settle_down([one, two], rounds=3)
        assert frontiers(one, two) == 1
        wants = [decode_message(effect.message) for effect in one.seen if isinstance(effect, Send)]
        assert len(next(want for want in wants if isinstance(want, Want)).places) > 2
        entry = next(entry for entry in one.log.position().frontier if entry.author == left.author)
        assert (entry.n, entry.forked_at) == (keep, keep + 1)


def test_a_longer_unknown_branch_is_asked_for_along_the_whole_trail() -> None:
    town, left, right = forked(20)
    for step in range(30):
        right.write(note(f"{step}"))
    one, two = peers(town, all_of(town.charter, left), all_of(town.charter, right))
    one.start(two.key.public)
    deliver_all([one, two])
    wants = [decode_message(effect.message) for effect in one.seen if isinstance(effect, Send)]
    places = [len([p for p in want.places if p.author == left.author]) for want in wants if isinstance(want, Want)]
    assert places[0] == 1
    assert max(places) > 3
    settle_down([one, two], rounds=3)
    assert frontiers(one, two) == 1


def test_a_proof_is_sent_to_who_knows_only_a_later_fork() -> None:
    town, left = grown(2)
    early, late = left.fork("early"), left.fork("late")
    left.write(note())
    early.write(note())
    late.batches.append(left.batches[-1])
    left.write(note())
    late.write(note())
    one, two = peers(town, all_of(town.charter, left), all_of(town.charter, left, late))
    batch, other = left.batches[2], early.batches[2]
    one.log.add_evidence(fork_proof((batch.header_bytes, batch.signature), (other.header_bytes, other.signature)))
    assert two.log.held.forked_at(left.author) == 4
    one.start(two.key.public)
    deliver_all([one, two])
    assert two.log.held.forked_at(left.author) == 3


def test_branches_that_two_pins_name_come_together() -> None:
    town, left, right = forked()
    town.end(left.author, right.n, right.head)
    town.end(left.author, right.n - 1, right.batches[-2].id)
    held = all_of(town.charter, left), all_of(town.charter, left) + right.batches[:-1], all_of(right)
    found = peers(town, *held)
    settle_down(found)
    assert frontiers(*found) == 1
    everything = HeldBatches(town.plane, all_of(town.charter, left, right))
    assert found[0].log.position().frontier[0].n in {one.n for one in settle(town.plane, everything).accepted.values()}


# -- Values, digests ---------------------------------------------------------------------------------------------
def test_withheld_values_are_asked_for_by_id() -> None:
    town, feed = grown()
    held = [*town.charter.batches, feed.batches[0], *map(stripped, feed.batches[1:])]
    one, two = peers(town, held, all_of(town.charter, feed, town.replica("other")))
    assert len(one.log.missing(9)) == 2
    one.start(two.key.public)
    deliver_all([one, two])
    assert one.log.missing(9) == []


def test_replicas_in_step_ask_one_another_for_withheld_values() -> None:
    town, feed = grown()
    whole = all_of(town.charter, feed)
    one, two = peers(town, [*whole[:2], *map(stripped, whole[2:])], [*whole[:2], stripped(whole[2]), whole[3]])
    assert frontiers(one, two) == 1
    one.start(two.key.public)
    deliver_all([one, two])
    assert [len(peer.log.missing(9)) for peer in (one, two)] == [1, 1]
    assert kinds(one) == kinds(two) == [FrontierBody, Want, Batches]


def test_withheld_values_are_asked_for_again_when_the_answer_was_lost() -> None:
    town, feed = grown()
    held = [*town.charter.batches, feed.batches[0], *map(stripped, feed.batches[1:])]
    one, two = peers(town, held, all_of(town.charter, feed, town.replica("other")))
    for _ in range(2):
        one.start(two.key.public)
        two.receive(one.key.public, one.sent.pop()[1])
        one.receive(two.key.public, two.sent.pop()[1])
        want = decode_message(one.sent[-1][1])
        assert isinstance(want, Want)
        assert len(want.singles) == 2


def torn_pair(count: int) -> tuple[Peer, Peer, list[Batch]]:
    """Two replicas that each lack the same value of each of so many batches, and these batches with it."""
    town = Town()
    feed = town.replica("one")
    batches = [feed.write(note("x" * 2000), note()) for _ in range(count)]
    held = [*town.charter.batches, feed.batches[0], *(stripped(batch, [batch.header.last]) for batch in batches)]
    one, two = peers(town, held, held)
    return one, two, batches


def answers(peer: Peer) -> list[Batches]:
    messages = (decode_message(effect.message) for effect in peer.seen if isinstance(effect, Send))
    return [message for message in messages if isinstance(message, Batches)]


def test_values_that_neither_has_are_asked_for_once_and_then_seldom() -> None:
    one, two, _ = torn_pair(1)
    asked = []
    for number in range(100):
        one.start(two.key.public)
        deliver_all([one, two])
        if answers(two):
            asked.append(number)
        two.seen.clear()
    assert asked == [0, 8, 24, 56]


def test_what_the_peer_has_got_since_is_asked_for_again() -> None:
    one, two, (whole,) = torn_pair(1)
    one.start(two.key.public)
    deliver_all([one, two])
    two.log.add(whole)
    for _ in range(FIRST_REST):
        assert one.log.missing(9)
        one.start(two.key.public)
        deliver_all([one, two])
    assert one.log.missing(9) == []


def test_on_a_new_line_all_is_asked_for_again_at_once() -> None:
    one, two, (whole,) = torn_pair(1)
    one.start(two.key.public)
    deliver_all([one, two])
    two.log.add(whole)
    one.sessions[two.key.public].ask_anew()
    one.start(two.key.public)
    deliver_all([one, two])
    assert one.log.missing(9) == []


def test_an_answer_holds_few_torn_batches_and_nothing_is_asked_for_after_one_that_completes_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("moot_protocol.limits.WANT_RANGES", 30)
    one, two, _ = torn_pair(100)
    missing, chooser = one.log.missing, Random(7)
    monkeypatch.setattr(one.log, "missing", lambda most: chooser.sample(missing(100), min(most, 100)))
    one.start(two.key.public)
    deliver_all([one, two])
    assert kinds(one).count(Want) == 1
    (answer,) = answers(two)
    assert TORN_BYTES / 2 < sum(map(len, answer.batches)) <= TORN_BYTES


def test_torn_batches_of_which_none_is_missing_at_the_other_are_all_completed_in_one_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("moot_protocol.limits.WANT_RANGES", 100)
    town = Town()
    feed = town.replica("one")
    batches = [feed.write(note("x" * 2000), note()) for _ in range(100)]
    first = [*town.charter.batches, feed.batches[0]]
    one, two = peers(town, [*first, *map(stripped, batches)], [*first, *batches])
    one.start(two.key.public)
    deliver_all([one, two])
    assert one.log.missing(9) == []


def test_what_is_no_batch_is_left_to_whoever_stores_it() -> None:
    one, two, _ = torn_pair(1)
    one.start(two.key.public)
    deliver_all([one, two])
    message = build_batches(one.log.plane, (b"no batch",), (), ())
    assert one.sessions[two.key.public].receive(message) == [Store((b"no batch",))]
    one.sessions[two.key.public].proceed()


def test_equal_frontiers_with_different_digests_raise_an_alarm() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter, feed), all_of(town.charter, feed))
    two.log.wrong_digest = True
    one.start(two.key.public)
    deliver_all([one, two])
    mine = one.log.position().digest
    assert DigestAlarm(two.key.public, mine, bytes(32)) in one.seen
    assert DigestAlarm(one.key.public, bytes(32), mine) in two.seen


def test_digests_of_different_frontiers_are_not_compared() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    two.log.wrong_digest = True
    one.start(two.key.public)
    message = one.sent.pop()[1]
    two.receive(one.key.public, message)
    one.receive(two.key.public, two.sent.pop()[1])
    assert not any(isinstance(effect, DigestAlarm) for peer in (one, two) for effect in peer.seen)


def test_a_parked_batch_is_not_asked_for_again() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter) + feed.batches[:-1], all_of(town.charter, feed))
    one.log.add(feed.batches[-1], parked=True)
    one.start(two.key.public)
    deliver_all([one, two])
    assert Want not in kinds(one)


# -- Stale, foreign and repeated messages ------------------------------------------------------------------------
def test_a_stale_frontier_has_no_effects() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    for _ in range(2):
        one.start(two.key.public)
    (_, older), (_, newer) = one.sent
    session = two.sessions[one.key.public]
    assert session.receive(newer) != []
    assert session.receive(newer) == []
    assert session.receive(older) == []
    assert session.seen == 2


def test_a_repeated_want_is_answered_once() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    one.start(two.key.public)
    two.receive(one.key.public, one.sent.pop()[1])
    one.receive(two.key.public, two.sent.pop()[1])
    want = one.sent[-1][1]
    assert isinstance(decode_message(want), Want)
    session = two.sessions[one.key.public]
    assert [type(effect) for effect in session.receive(want)] == [Send]
    assert session.receive(want) == []


def test_messages_of_others_and_for_others_have_no_effects() -> None:
    town, feed = grown()
    one, two, three = peers(town, all_of(town.charter), all_of(town.charter, feed), all_of(town.charter))
    three.start(two.key.public)
    assert two.sessions[one.key.public].receive(three.sent[-1][1]) == []
    two.receive(three.key.public, three.sent.pop()[1])
    answer = two.sent.pop()[1]
    assert one.sessions[two.key.public].receive(answer) == []


def test_a_message_of_another_plane_is_refused() -> None:
    town, other = Town(), Town("other")
    one, two = peers(town, [])[0], peers(other, [], [])[1]
    session = Session(town.plane, one.key, None, one.log)
    two.start(signer("peer 0").public)
    with pytest.raises(MalformedError) as caught:
        session.receive(two.sent[-1][1])
    assert caught.value.code is Code.WRONG_PLANE


def test_a_message_that_was_decoded_before_is_taken_as_its_bytes_are() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    two.start(one.key.public)
    message = two.sent[-1][1]
    sessions = [Session(town.plane, one.key, two.key.public, MemoryLog(town.plane)) for _ in range(2)]
    assert sessions[0].receive_decoded(decode_message(message)) == sessions[1].receive(message) != []
    other = Session(Town("other").plane, one.key, two.key.public, MemoryLog(Town("other").plane))
    with pytest.raises(MalformedError) as caught:
        other.receive_decoded(decode_message(message))
    assert caught.value.code is Code.WRONG_PLANE


def test_a_session_without_a_peer_takes_the_first_that_speaks_but_itself() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    session = Session(town.plane, one.key, None, one.log)
    echo = session.start()[0]
    assert isinstance(echo, Send)
    assert session.receive(echo.message) == []
    assert session.peer is None
    two.start(one.key.public)
    assert session.receive(two.sent[-1][1]) != []
    assert session.peer == two.key.public


def test_nothing_is_asked_before_the_peer_has_spoken() -> None:
    town, feed = grown()
    (one,) = peers(town, all_of(town.charter, feed))
    assert Session(town.plane, one.key, None, one.log).proceed() == []


def test_batches_that_nobody_asked_for_are_handed_over_too() -> None:
    town, feed = grown()
    one, two = peers(town, all_of(town.charter), all_of(town.charter, feed))
    one.start(two.key.public)
    deliver_all([one, two])
    answer = next(
        effect.message
        for effect in two.seen
        if isinstance(effect, Send) and isinstance(decode_message(effect.message), Batches)
    )
    effects = Session(town.plane, one.key, None, one.log).receive(answer)
    assert [type(effect) for effect in effects] == [Store]


# -- Agreement ---------------------------------------------------------------------------------------------------
@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_replicas_over_a_bad_pipe_agree_in_the_end(data: st.DataObject) -> None:
    world = data.draw(worlds())
    count = data.draw(st.integers(2, 3))
    held = [[batch for batch, _ in data.draw(held_of(world)).batches] for _ in range(count)]
    found = peers(world.town, *held)
    by_key = {peer.key.public: peer for peer in found}
    for _ in range(data.draw(st.integers(0, 25))):
        peer = data.draw(st.sampled_from(found))
        match data.draw(st.sampled_from(["start", "deliver", "deliver", "repeat", "lose"])):
            case "start":
                peer.start(data.draw(st.sampled_from(list(peer.sessions))))
            case action if peer.sent:
                at = data.draw(st.integers(0, len(peer.sent) - 1))
                to, message = peer.sent[at] if action == "repeat" else peer.sent.pop(at)
                if action != "lose":
                    by_key[to].receive(peer.key.public, message)
    settle_down(found)
    assert frontiers(*found) == 1
    assert not any(isinstance(effect, DigestAlarm) for peer in found for effect in peer.seen)
