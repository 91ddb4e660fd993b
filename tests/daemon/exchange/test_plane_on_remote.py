"""A new key after somebody was left out: who stays reads on, who comes later reads all, who left reads nothing new."""

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.exchange.frontier import FORMAT, Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.messages import Batches, ForkProof, build_fork, fork_proof
from moot_protocol.log.batch import ZEROS, batch_link
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, InitProject, IssueFields, Show
from moot_protocol.sealing.frame import epoch_id, frame_epoch
from moot_protocol.trust.ticket import Ticket
from moot_testkit.towns.carrying import plane_of, send
from moot_testkit.towns.exchanging import in_place
from moot_testkit.towns.federating import copy_of, federation, meet, put_back
from moot_testkit.towns.federating import machine as joined_machine
from moot_testkit.towns.town import PROJECT, Api, Member
from mootd.edges.memory_remote import MemoryRefRemote, MemoryRefs
from mootd.engine.exchange.outbox import OutboxReader
from mootd.engine.machine.remotes import add_remote, isolate
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.membership.charters import epochs_of
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.forks import branch_meant, forks_of, settle_fork
from mootd.engine.membership.inviting import Invited, close_invite, invite
from mootd.engine.membership.joining import join
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import retire
from mootd.engine.stored import layout
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.exchange.plane_on_remote import PlaneOnRemote
from mootd.exchange.progress import Progress
from mootd.exchange.ref_exchange import MESSAGE_BYTES, RefExchange
from mootd.remotes import Ref
from mootd.store.port import Table


class Machine(NamedTuple):
    """A machine of the town, with its end of the remote."""

    member: Member
    api: Api
    exchange: RefExchange
    plane: PlaneOnRemote

    def round(self) -> Progress:
        progress = Progress()
        asyncio.run(self.exchange.round([self.plane], progress))
        return progress

    def write(self, title: str) -> str:
        made: dict[str, Any] = self.api.call(
            Create(actor=self.member.name, project=PROJECT, fields=IssueFields(title=title))
        )
        return str(made["id"])

    def has(self, issue: str) -> bool:
        return bool(self.api.call(Show(ids=(issue,)))) if self.knows(issue) else False

    def knows(self, issue: str) -> bool:
        with self.member.replica.read() as reader:
            ids = self.member.replica.views_of(reader).ids
            return any(issue.encode() in key for key, _ in reader.scan(ids, b"\0"))


def machine(name: str, refs: MemoryRefs, ticket: Ticket | None) -> Machine:
    member = Member(name, len(name))
    planes = {} if ticket is None else {"planes": OPERATIONAL_ONLY}
    member.commit(lambda unit: found_town(unit, SeedSigner(name.encode().ljust(32)[:32]).public, **planes))
    if ticket is not None:
        member.commit(lambda unit: join(unit, ticket))
    else:
        member.commit(lambda unit: invite(unit, unit.replica.ledger, Role.WRITER, 0, ()))
    member.commit(lambda unit: add_remote(unit, "origin", "git", "/hub.git", "auto", {}))
    exchange = RefExchange(MemoryRefRemote(refs), 1, member.replica, member.commit, in_place)
    plane = PlaneOnRemote(member.replica, member.ledger, 1, member.commit, message_bytes=MESSAGE_BYTES)
    return Machine(member, Api(member), exchange, plane)


def ticket_of(founder: Machine) -> Invited:
    return founder.member.commit(lambda unit: invite(unit, unit.replica.ledger, Role.WRITER, 0, ()))


def all_round(*machines: Machine) -> None:
    for _ in range(3):
        for each in machines:
            each.round()


def test_who_stays_reads_on_who_is_left_out_reads_nothing_new_and_who_comes_later_reads_all() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    desk.api.call(InitProject(actor="ada", prefix=PROJECT))
    before = desk.write("before")
    staying, leaving = ticket_of(desk), ticket_of(desk)
    laptop, lost = machine("laptop", refs, staying.ticket), machine("lost phone", refs, leaving.ticket)
    all_round(desk, laptop, lost)
    assert all(each.has(before) for each in (desk, laptop, lost))

    desk.member.commit(lambda unit: close_invite(unit, unit.replica.ledger, leaving.key, []))
    secret = desk.write("after the phone was lost")
    all_round(desk, laptop)
    answer = laptop.write("an answer")
    all_round(desk, laptop)
    assert laptop.has(secret)
    assert desk.has(answer)
    assert laptop.plane.summary() == desk.plane.summary()

    progress = lost.round()
    assert not lost.knows(secret)
    assert not lost.knows(answer)
    assert progress.problems == {}
    assert progress.unopened  # told as long as it should have the keys: `reading/test_exchange.py`

    tablet = machine("tablet", refs, ticket_of(desk).ticket)
    all_round(desk, laptop, tablet)
    assert all(tablet.has(issue) for issue in (before, secret, answer))
    assert tablet.plane.summary() == desk.plane.summary() == laptop.plane.summary()


def test_closing_an_invite_whose_users_all_count_begins_no_epoch() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    made = ticket_of(desk)
    laptop = machine("laptop", refs, made.ticket)
    all_round(desk, laptop)
    epochs = written(desk)
    desk.member.commit(lambda unit: close_invite(unit, unit.replica.ledger, made.key, None))
    assert written(desk) == epochs
    all_round(desk, laptop)
    assert desk.has(laptop.write("still here")) is False
    all_round(desk, laptop)
    assert laptop.plane.summary() == desk.plane.summary()


def written(machine: Machine) -> int:
    with machine.member.replica.read() as reader:
        return len(epochs_of(LogSnapshot(reader), machine.member.ledger).written)


def test_where_nothing_can_be_sealed_charters_still_go_so_that_admins_hear_why() -> None:
    plane, (one, two) = federation(Role.WRITER)
    lost = joined_machine(two, plane, one)
    one.commit(lambda unit: begin_epoch(unit, plane_of(one, plane), PlaneKeys(one.replica.keys, plane)))
    meet(plane, one, two, lost)
    row = plane_of(two, plane)
    remote = two.commit(lambda unit: add_remote(unit, "origin", "git", "test://hub", "auto", {})).number
    on_remote = PlaneOnRemote(two.replica, row, remote, two.commit, message_bytes=MESSAGE_BYTES)
    assert {ready.portion.is_charter for ready in on_remote.prepare(99)} == {True, False}
    two.commit(lambda unit: retire(unit, row, lost.id))
    assert on_remote.sealing.sealer() is None
    sent = on_remote.prepare(99)
    assert {ready.portion.is_charter for ready in sent} == {True}
    assert all(on_remote.sealing.open(ready.frame) for ready in sent)


def test_what_is_held_and_known_to_be_carried_needs_no_commit_however_often_it_comes() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    laptop = machine("laptop", refs, ticket_of(desk).ticket)
    all_round(desk, laptop)
    messages = [laptop.plane.sealing.open(frame) for frame in desk.plane.everything()]
    batches = [each for message in messages if isinstance(message, Batches) for each in message.batches]
    commits: list[object] = []
    problems: list[MalformedError] = []
    laptop.plane._commit = commits.append  # type: ignore[assignment]
    assert laptop.plane.unknown(batches, problems) == []
    assert laptop.plane.unknown([batches[0], b"no batch"], problems) == []
    assert (len(batches) > 2, commits, len(problems)) == (True, [], 1)
    laptop.plane._remote += 1  # one that isn't known to carry them
    laptop.plane.unknown(batches, problems)
    assert len(commits) == 1


def test_whatever_is_pushed_anew_charters_go_under_their_own_key_and_proofs_of_forks_go_too() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    laptop = machine("laptop", refs, ticket_of(desk).ticket)
    desk.api.call(InitProject(actor="ada", prefix=PROJECT))
    all_round(desk, laptop)
    twin = copy_of(laptop.member)
    laptop.write("one story")
    Api(twin).call(Create(actor="ada", project=PROJECT, fields=IssueFields(title="another")))
    stories = [each.batches(laptop.member.id, each.ledger.number)[-1] for each in (laptop.member, twin)]
    one, other = ((batch.header_bytes, batch.signature) for batch in stories)
    own = Ref(desk.plane.topic, desk.plane.sender, 1)
    proof = desk.plane.sealing.seal(build_fork(fork_proof(one, other)))
    asyncio.run(desk.exchange._remote.push(own, [proof]))
    repacked = asyncio.run(desk.exchange._repacked(desk.plane, own))
    assert any(isinstance(desk.plane.sealing.open(frame), ForkProof) for frame in repacked)
    key, charters = epoch_id(desk.plane.keys.charter_key), set(desk.plane.log.charters())
    for frames in (repacked, desk.plane.everything()):
        found = set()
        for frame in frames:
            message, is_charters = desk.plane.sealing.open(frame), frame_epoch(frame) == key
            if isinstance(message, Batches):
                found |= {(batch_link(batch).author in charters, is_charters) for batch in message.batches}
        assert found == {(True, True), (False, False)}


def test_its_own_batches_a_machine_brings_at_once_and_others_only_after_a_while() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    laptop = machine("laptop", refs, ticket_of(desk).ticket)
    desk.api.call(InitProject(actor="ada", prefix=PROJECT))
    all_round(desk, laptop)
    number = laptop.member.commit(lambda unit: add_remote(unit, "other", "git", "/other.git", "auto", {})).number
    member = laptop.member
    plane = PlaneOnRemote(
        member.replica, member.ledger, number, member.commit, message_bytes=MESSAGE_BYTES, relay_ms=60_000
    )

    def brought(*, at_once: bool) -> set[bytes]:
        plane.fill(2**20, at_once=at_once)
        with member.replica.read() as reader:
            messages = [plane.sealing.open(frame.frame) for _, frame in OutboxReader(reader, number).frames()]
        return {batch_link(batch).author for each in messages if isinstance(each, Batches) for batch in each.batches}

    machines = {member.id, desk.member.id}
    assert brought(at_once=False) & machines == {member.id}
    member.clock.advance(60_000)
    assert brought(at_once=False) & machines == machines


def test_who_derives_another_state_from_the_same_events_is_told_until_both_agree() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    others = [machine(name, refs, ticket_of(desk).ticket) for name in ("laptop", "phone")]
    all_round(desk, *others)
    laptop, phone = others
    member = laptop.member
    key = layout.digest_key(member.replica.generation, member.ledger.number)
    with member.store.write() as writer:
        right = writer.get(Table.META, key) or b""
        writer.put(Table.META, key, bytes(32))
    wrong = laptop.plane.sealing.seal(laptop.plane.sealing.frontier_message())
    with member.store.write() as writer:
        writer.put(Table.META, key, right)
    progress = desk.round()
    for frame, apart in (
        (laptop.plane.sealing.seal(laptop.plane.sealing.frontier_message()), set()),
        (wrong, {member.id}),
        (phone.plane.sealing.seal(phone.plane.sealing.frontier_message()), {member.id}),
        (laptop.plane.sealing.seal(laptop.plane.sealing.frontier_message()), set()),
    ):
        assert desk.plane.take([frame]).problems == []
        assert progress.apart == {desk.member.ledger.number: apart}


def test_of_whoever_was_never_let_in_nothing_is_noted() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    laptop = machine("laptop", refs, ticket_of(desk).ticket)
    all_round(desk, laptop)
    progress, sealing = desk.round(), laptop.plane.sealing
    stranger = SeedSigner(b"x" * 32)
    where = summary(laptop.plane.log.position().frontier)
    body = FrontierBody(FORMAT, desk.plane.plane.id, stranger.public, ZEROS, 1, bytes(32), where, Form.SUMMARY, ())
    desk.plane.take([sealing.seal(build_frontier_message(stranger, body))])
    assert progress.apart == {desk.member.ledger.number: set()}


# -- Isolation ---------------------------------------------------------------------------------------------------
def isolate_from_hub(machine: Machine) -> None:
    """Let the plane be exchanged with another remote only."""

    def work(unit: Unit) -> None:
        other = add_remote(unit, "other", "git", "/other.git", "auto", {})
        isolate(unit, SharedPlane(machine.member.ledger), [other])

    machine.member.commit(work)


def test_of_an_isolated_plane_no_byte_is_queued_pushed_or_taken_in_on_another_remote() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    desk.api.call(InitProject(actor="ada", prefix=PROJECT))
    desk.write("before")
    laptop = machine("laptop", refs, ticket_of(desk).ticket)
    all_round(desk, laptop)
    frame = laptop.plane.everything()[0]
    desk.write("after")
    prepared = desk.plane.prepare(1)
    desk.plane.fill(2**20)
    desk.write("later")
    isolate_from_hub(desk)
    held = dict(refs.tips)
    attempts: list[Callable[[], Any]] = [
        lambda: desk.plane.take([frame]),
        lambda: desk.plane.prepare(1),
        desk.plane.everything,
        desk.plane.charter_frames,
        lambda: desk.member.commit(lambda unit: desk.plane.queue(unit, prepared)),
        desk.round,
    ]
    for attempt in attempts:
        with pytest.raises(RefusedError) as raised:
            attempt()
        assert raised.value.code is Code.DENIED
    assert refs.tips == held


def test_what_was_queued_before_a_plane_was_isolated_is_not_pushed_after() -> None:
    refs = MemoryRefs()
    desk = machine("desk", refs, None)
    desk.round()
    desk.api.call(InitProject(actor="ada", prefix=PROJECT))
    assert desk.plane.fill(2**20)
    held = dict(refs.tips)
    isolate_from_hub(desk)
    with pytest.raises(RefusedError) as raised:
        desk.round()
    assert (raised.value.code, refs.tips) == (Code.DENIED, held)


def test_an_own_fork_asks_for_what_lies_under_the_own_name_until_it_is_settled() -> None:
    one, two, chosen = put_back()
    plane = plane_of(two, one.ledger.id)
    here = PlaneOnRemote(two.replica, plane, 1, two.commit, message_bytes=MESSAGE_BYTES)
    assert not here.is_own_forked()
    send(one, two)
    assert here.is_own_forked()
    with one.replica.read() as reader:
        (fork,) = forks_of(LogSnapshot(reader), one.ledger)
    branch = branch_meant(fork, chosen.hex())
    one.commit(lambda unit: settle_fork(unit, one.ledger, fork, branch, frozenset()))
    send(one, two)
    assert not here.is_own_forked()
