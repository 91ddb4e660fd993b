"""The exchange: replicas come into step, nothing of another plane is let in, and nothing operational leaves."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace

from moot_protocol.clock import from_ms
from moot_protocol.crypto import BATCH_DOMAIN
from moot_protocol.errors import Code
from moot_protocol.exchange.messages import ForkProof, Single, build_batches, build_fork, decode_message, fork_proof
from moot_protocol.log.batch import Batch, Link, decode_batch
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import FeedWriter, Town, note, stripped, wire
from moot_testkit.bytes.forging import forged_batch, forged_skeleton, forged_values
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import commit_of, create
from moot_testkit.towns.engine import START_MS, Desk
from moot_testkit.towns.town import Member, make_town
from mootd.engine.exchange.plane_exchange import EVENTS_AT_ONCE, EVENTS_BEFORE_OTHERS, Exchange, Outgoing, take_in
from mootd.engine.exchange.receive import Outcome
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.membership.charter_writing import adopt_plane
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.store.port import Table


def talk(one: Exchange, other: Exchange, ids: tuple[bytes, bytes]) -> list[Outgoing]:
    """Carry messages between two exchanges until neither has more to say; all that were sent."""
    ends = {ids[0]: one, ids[1]: other}
    sent: list[Outgoing] = []
    waiting = [(ids[0], each) for each in one.start(ids[1])]
    while waiting:
        sender, outgoing = waiting.pop(0)
        sent.append(outgoing)
        answers = ends[outgoing.to].take(sender, outgoing.message).outgoing
        waiting += [(outgoing.to, each) for each in answers]
        assert len(sent) < 1000
    return sent


def meet(one: Member, other: Member) -> tuple[Exchange, Exchange, list[Outgoing]]:
    ends = one.exchange(), other.exchange()
    return (*ends, talk(*ends, (one.id, other.id)))


# -- Operational planes ------------------------------------------------------------------------------------------
def operational(member: Member) -> PlaneRow:
    return member.replica.plane_named("operational")


def test_a_row_that_lies_about_its_kind_is_not_believed() -> None:
    (member,) = make_town(1)
    lying = SharedPlane(replace(operational(member), kind="ledger"))
    assert refusal_code(lambda: StoredLog(member.replica, lying, member.commit)) is Code.DENIED
    assert refusal_code(lambda: Exchange(member.replica, lying, member.commit)) is Code.DENIED


def test_a_plane_that_is_not_held_can_not_be_exchanged() -> None:
    (member,) = make_town(1)
    for other in (replace(member.ledger, number=9), replace(member.ledger, id=b"y" * 16)):
        assert refusal_code(partial(StoredLog, member.replica, SharedPlane(other), member.commit)) is Code.DENIED


def test_no_operational_event_is_in_anything_that_is_sent() -> None:
    one, two = make_town(2)
    plane = operational(one)
    one.commit(lambda unit: unit.append(plane.number, note("heartbeat of one")))
    create(one, "for everybody")
    *_, sent = meet(one, two)
    everything = b"".join(each.message for each in sent)
    assert b"for everybody" in everything
    assert b"heartbeat" not in everything
    assert plane.id not in everything


def test_an_operational_batch_that_comes_in_is_refused_though_its_plane_is_held() -> None:
    one, two = make_town(2)
    plane = operational(one)
    sender = one.keys.signer(REPLICA_KEY)
    forged = FeedWriter(plane.id, sender)
    forged.batches = one.batches(plane=plane.number)
    intruder = forged.write(note("slipped in"), hlc=from_ms(START_MS + 1))
    before = one.replica.feeds
    taken = one.exchange().take(two.id, build_batches(one.ledger.id, (wire(intruder),), (), ()))
    assert [error.code for error in taken.malformed] == [Code.WRONG_PLANE]
    assert taken.outcomes == []
    assert one.replica.feeds == before


def test_a_message_about_an_operational_plane_is_refused() -> None:
    one, two = make_town(2)
    message = build_batches(operational(one).id, (), (), ())
    assert refusal_code(lambda: one.exchange().take(two.id, message)) is Code.WRONG_PLANE


def test_a_genesis_that_founds_an_operational_plane_is_refused_whatever_a_ticket_said() -> None:
    town = Town(kind=PlaneKind.OPERATIONAL)
    (member,) = make_town(1)
    member.commit(lambda unit: adopt_plane(unit, town.plane, PlaneKind.LEDGER, "gift", town.key.public))
    shared = SharedPlane(member.replica.plane_named("gift"))
    exchange = Exchange(member.replica, shared, member.commit)
    taken = exchange.take(bytes(32), build_batches(town.plane, (wire(town.charter.batches[0]),), (), ()))
    assert [error.code for error in taken.malformed] == [Code.WRONG_PLANE]
    assert exchange.log.position().frontier == ()


# -- Bringing replicas into step ---------------------------------------------------------------------------------
def test_two_replicas_come_into_step_and_know_it() -> None:
    one, two = make_town(2)
    create(one, "by one")
    create(two, "by two")
    mine, theirs, _ = meet(one, two)
    assert mine.log.position() == theirs.log.position()
    talk(mine, theirs, (one.id, two.id))
    assert mine.in_step == {two.id}
    assert theirs.in_step == {one.id}
    assert mine.alarms == theirs.alarms == {}


def test_what_is_ten_thousand_events_behind_catches_up_in_portions() -> None:
    one, two = make_town(2)
    for _ in range(5):
        one.commit(lambda unit: [unit.append(unit.replica.ledger.number, note()) for _ in range(EVENTS_AT_ONCE // 2)])
    commits = two.store.faults.commits
    mine, theirs, _ = meet(one, two)
    assert mine.log.position() == theirs.log.position()
    assert 3 <= two.store.faults.commits - commits <= 5, "each of some thousand events, the last of what is left"


@pytest.mark.parametrize("waits", [False, True])
def test_a_transaction_takes_in_less_while_others_wait_for_theirs(*, waits: bool) -> None:
    one, two = make_town(2)
    one.commit(lambda unit: [unit.append(unit.replica.ledger.number, note()) for _ in range(EVENTS_AT_ONCE)])
    two.replica.others_wait = lambda: waits
    commits = two.store.faults.commits
    stored = take_in(two.commit, SharedPlane(two.ledger), [wire(batch) for batch in one.batches()])
    expected = math.ceil(EVENTS_AT_ONCE / EVENTS_BEFORE_OTHERS) if waits else 1
    assert two.store.faults.commits - commits == expected
    assert stored.outcomes == [Outcome.ACCEPTED] * len(one.batches())


def test_one_bad_batch_does_not_keep_the_others_out() -> None:
    one, two = make_town(2)
    create(one)
    good = [wire(batch) for batch in one.batches()]
    bad = good[0][:-1], b"", good[0].replace(b"\x01", b"\x02", 1)
    taken = two.exchange().take(one.id, build_batches(one.ledger.id, (*bad, *good), (), ()))
    assert len(taken.malformed) == 3
    assert taken.outcomes == [Outcome.ACCEPTED] * len(good)


def test_withheld_values_are_fetched_even_between_replicas_in_step() -> None:
    one, two = make_town(2)
    create(one, "the title")
    first, *later = one.batches()
    two.take(first, *map(stripped, later))
    assert two.exchange().log.missing(9) == [Single(one.id, batch.id) for batch in later]
    mine, theirs, _ = meet(two, one)
    assert mine.log.position() == theirs.log.position()
    assert mine.log.missing(9) == []


def torn(count: int, parts: int, kept: Callable[[int, int], bool]) -> tuple[list[Member], list[Batch]]:
    """Machines that each keep some values of a batch, and what was signed: kept(machine, part) says which."""
    one, *others = make_town(count + 1)
    one.commit(lambda unit: [unit.append(unit.replica.ledger.number, note(f"part {n}")) for n in range(parts)])
    *first, batch = one.batches()
    for at, other in enumerate(others):
        gone = [event.n for part, event in enumerate(batch.events) if not kept(at, part)]
        other.take(*first, stripped(batch, gone) if gone else batch)
    return others, one.batches()


def values_at(member: Member, author: bytes) -> list[bytes | None]:
    """The values of an author's last batch, where they are here."""
    return [event.values_bytes for event in member.batches(author)[-1].events]


def test_replicas_that_each_lost_another_part_of_a_batch_complete_one_another() -> None:
    others, signed = torn(4, 4, lambda at, part: at == part)
    author, whole = signed[-1].header.author, [event.values_bytes for event in signed[-1].events]
    for _ in range(2):
        for one, other in combinations(others, 2):
            meet(one, other)
            meet(other, one)
    assert [values_at(member, author) for member in others] == [whole] * 4
    assert [member.exchange().log.missing(9) for member in others] == [[]] * 4
    assert len({member.exchange().log.position() for member in others}) == 1


def test_what_nobody_has_stays_missing_and_the_exchange_comes_to_an_end() -> None:
    others, signed = torn(2, 3, lambda at, part: at == part)
    author = signed[-1].header.author
    for _ in range(3):
        meet(*others)
        meet(*others[::-1])
    values = [event.values_bytes for event in signed[-1].events]
    assert [values_at(member, author) for member in others] == [[*values[:2], None]] * 2
    assert [member.exchange().log.missing(9) for member in others] == [[Single(author, signed[-1].id)]] * 2


def test_what_nobody_has_does_not_keep_out_what_others_can_complete() -> None:
    """An answer holds as many batches as go into a message, here one."""
    one, two, three = make_town(3)
    for _ in range(3):
        one.commit(lambda unit: [unit.append(unit.replica.ledger.number, note("x" * 40_000)) for _ in "ab"])
    *first, lost, torn_one, torn_other = one.batches()
    gone = [[batch.header.first] for batch in (lost, torn_one, torn_other)]
    two.take(*first, stripped(lost, gone[0]), stripped(torn_one, gone[1]), torn_other)
    three.take(*first, stripped(lost, gone[0]), torn_one, stripped(torn_other, gone[2]))
    ends = [
        Exchange(member.replica, SharedPlane(member.ledger), member.commit, message_bytes=100_000)
        for member in (two, three)
    ]
    for _ in range(40):
        talk(ends[0], ends[1], (two.id, three.id))
        talk(ends[1], ends[0], (three.id, two.id))
    assert [end.log.missing(9) for end in ends] == [[Single(one.id, lost.id)]] * 2


def test_an_answer_that_finds_the_disk_full_is_asked_for_again() -> None:
    one, two = make_town(2)
    create(one)
    mine, theirs = one.exchange(), two.exchange()
    theirs.log.next_counter()
    two.store.faults.free_bytes = 0
    assert refusal_code(lambda: talk(theirs, mine, (two.id, one.id))) is Code.STORE_FULL
    two.store.faults.free_bytes = None
    talk(theirs, mine, (two.id, one.id))
    talk(mine, theirs, (one.id, two.id))
    assert mine.log.position() == theirs.log.position()


def test_different_digests_at_equal_frontiers_raise_an_alarm_until_they_agree() -> None:
    one, two = make_town(2)
    mine, theirs, _ = meet(one, two)
    key = layout.digest_key(two.replica.generation, two.ledger.number)
    with two.store.write() as writer:
        right = writer.get(Table.META, key) or b""
        writer.put(Table.META, key, b"\1" * 32)
    talk(mine, theirs, (one.id, two.id))
    assert mine.alarms[two.id].theirs == b"\1" * 32
    assert two.id not in mine.in_step
    with two.store.write() as writer:
        writer.put(Table.META, key, right)
    talk(mine, theirs, (one.id, two.id))
    assert mine.alarms == {}
    assert two.id in mine.in_step


# -- Fork proofs -------------------------------------------------------------------------------------------------
def forked_proof(member: Member, first: int, plane: bytes = b"") -> ForkProof:
    """The proof of a fork of a member's feed whose batches nobody has."""
    headers = []
    for name in ("one", "other"):
        writer = FeedWriter(plane or member.ledger.id, member.keys.signer(REPLICA_KEY), name)
        writer.batches = [batch for batch in member.batches() if batch.header.last < first]
        writer.hlc = from_ms(START_MS + 1000)
        batch = writer.write(note(name))
        headers.append((batch.header_bytes, batch.signature))
    return fork_proof(*headers)


def test_evidence_is_kept_acted_on_and_passed_on_though_nobody_has_the_batches() -> None:
    one, two, three = make_town(3)
    create(one)
    meet(one, two)
    meet(two, three)
    create(one)
    proof = forked_proof(one, 2)
    two.exchange().take(three.id, build_fork(proof))
    number = two.replica.feed_numbers[two.ledger.number, one.id]
    assert (two.replica.feeds[number].forked_at, two.replica.feeds[number].n) == (2, 1)
    two.restart()
    *_, sent = meet(two, three)
    assert any(isinstance(decode_message(each.message), ForkProof) for each in sent)
    mine, theirs, _ = meet(three, two)
    assert mine.log.position() == theirs.log.position()
    assert mine.log.fork_proof(one.id) == proof


def test_a_proof_of_a_later_fork_tells_nothing_new() -> None:
    (member,) = make_town(1)
    create(member)
    create(member)
    exchange = member.exchange()
    exchange.take(member.id, build_fork(forked_proof(member, 2)))
    before = exchange.log.position()
    exchange.take(member.id, build_fork(forked_proof(member, 3)))
    assert exchange.log.position() == before
    assert exchange.log.fork_proof(member.id) == forked_proof(member, 2)


def test_a_proof_for_another_plane_is_refused() -> None:
    one, two = make_town(2)
    proof = forked_proof(one, 2, operational(one).id)
    assert refusal_code(lambda: one.exchange().take(two.id, build_fork(proof))) is Code.WRONG_PLANE


# -- Taking in ---------------------------------------------------------------------------------------------------
def test_what_is_taken_in_is_verified_and_what_is_wrong_with_the_rest_is_told() -> None:
    town = Town()
    one = town.replica("one")
    good = [wire(batch) for batch in (*town.charter.batches, *one.batches, one.write(note()), one.write(note()))]
    spoilt = good[-1].replace(b"alice", b"mallo")
    desk = Desk().watch(town)
    received = [*good[:3], wire(Town("other").charter.batches[0]), spoilt, b"nothing", good[3], good[3]]
    stored = take_in(commit_of(desk), SharedPlane(desk.replica.ledger), received)
    assert stored.outcomes == [Outcome.ACCEPTED] * 4 + [Outcome.DUPLICATE]
    assert {error.code for error in stored.malformed} == {Code.WRONG_PLANE, Code.BAD_HASH, Code.BAD_STRUCTURE}
    assert len(stored.malformed) == 3


def forged(feed: FeedWriter, *skeletons: bytes) -> bytes:
    """A feed's next batch, well signed, with events by hand: the last at the time that the header says."""
    events = [(skeleton, forged_values("a title")) for skeleton in skeletons]
    hlc = feed.hlc + len(skeletons)
    return forged_batch(
        events, feed.key, plane=feed.plane, first=feed.n + 1, prev=feed.head, hlc_last=hlc, count=len(events)
    )


def test_a_batch_of_which_one_event_is_malformed_costs_none_of_those_beside_it_and_leaves_nothing_behind() -> None:
    """Events are decoded in the transaction that takes in others: what is wrong with some must not take these back."""
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    bad = forged(two, forged_skeleton(hlc=two.hlc + 1, entity="mt-9"), forged_skeleton(hlc=two.hlc + 2, entity=""))
    good = list(map(wire, [*town.charter.batches, *one.batches, *two.batches]))
    after = wire(one.write(note()))
    desk, other = Desk().watch(town), Desk().watch(town)
    linked: list[Link] = []
    plane = SharedPlane(desk.replica.ledger)
    stored = take_in(twice(desk), plane, [*good, bad, after], partial(link, linked))
    take_in(commit_of(other), plane, [*good, after])
    assert [error.code for error in stored.malformed] == [Code.BAD_STRUCTURE]
    assert stored.outcomes == [Outcome.ACCEPTED] * 4
    assert stored.ids == {each.id for each in linked} == {decode_batch(each).id for each in (*good, after)}
    assert desk.tables() == other.tables()
    instead = take_in(commit_of(desk), plane, [wire(two.write(note()))])
    assert instead.outcomes == [Outcome.ACCEPTED], "its number is free"


def link(seen: list[Link], unit: Unit, links: Sequence[Link]) -> None:
    seen.extend(links)


def twice(desk: Desk) -> Any:
    """Carries out work in a transaction that is taken back, and again in another: as when others' work fails."""
    commit = commit_of(desk)

    def fail(unit: Unit, work: Callable[[Unit], Any]) -> None:
        work(unit)
        raise _TakenBackError

    def carry_out(work: Callable[[Unit], Any]) -> Any:
        with suppress(_TakenBackError):
            commit(lambda unit: fail(unit, work))
        return commit(work)

    return carry_out


class _TakenBackError(Exception):
    pass


def test_what_its_author_did_not_sign_is_not_taken_in() -> None:
    town = Town()
    one = town.replica("one")
    desk = Desk().watch(town)
    batch = one.write(note())
    by_another = replace(batch, signature=town.key.sign(BATCH_DOMAIN + batch.header_bytes))
    received = [wire(each) for each in (*town.charter.batches, one.batches[0], by_another)]
    stored = take_in(commit_of(desk), SharedPlane(desk.replica.ledger), received)
    assert [error.code for error in stored.malformed] == [Code.BAD_SIGNATURE]
    assert stored.outcomes == [Outcome.ACCEPTED] * 2
    assert desk.records() == {}


def test_what_is_of_another_plane_or_founds_one_that_must_not_be_shared_is_not_taken_in() -> None:
    town = Town()
    desk = Desk().watch(town)
    plane = SharedPlane(desk.replica.ledger)
    private = Town("private", PlaneKind.OPERATIONAL)
    with desk.replica.transaction() as unit:
        adopt_plane(unit, private.plane, PlaneKind.LEDGER, "lie", private.key.public)
    lying = SharedPlane(desk.replica.plane_named("lie"))
    other = Town("other").charter.batches[0]
    for into, batch in ((plane, other), (plane, private.charter.batches[0]), (lying, private.charter.batches[0])):
        linked: list[Link] = []
        stored = take_in(commit_of(desk), into, [wire(batch)], partial(link, linked))
        assert ([error.code for error in stored.malformed], stored.outcomes) == ([Code.WRONG_PLANE], [])
        assert (stored.ids, linked) == (frozenset(), [])
    assert not any(row.n for row in desk.replica.feeds.values())


def test_a_decoded_message_is_taken_as_its_bytes_are() -> None:
    one, two = make_town(2)
    create(one)
    message = decode_message(build_batches(one.ledger.id, tuple(map(wire, one.batches())), (), ()))
    assert set(two.exchange().take_decoded(one.id, message).outcomes) == {Outcome.ACCEPTED}
    assert two.batches(one.id) == one.batches()
