"""A proof of any accepted event convinces whoever has nothing but the proof."""

from collections.abc import Sequence
from functools import partial
from random import Random

import pytest
from msgspec.structs import replace

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.log.event import Draft
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import (
    Admission,
    Invite,
    admission_draft,
    charter_draft,
    close_draft,
    invite_draft,
)
from moot_protocol.trust.proof import ProvenEvent, decode_proof, verify_proof
from moot_protocol.trust.proof_chain import BrokenProofError
from moot_protocol.trust.ticket import Ticket, invite_signer
from moot_testkit.bytes.feeds import FeedWriter, note, seed
from moot_testkit.sim.towns import make_towns
from moot_testkit.sim.towns import write_charter as write_charter_of
from moot_testkit.towns.carrying import founder as founder_of
from moot_testkit.towns.carrying import joined as joined_plane
from moot_testkit.towns.carrying import plane_of
from moot_testkit.towns.federating import bring, federation, machine, meet, town_ticket
from moot_testkit.towns.federating import write as write_issue
from moot_testkit.towns.town import Member, make_town
from mootd.edges.entropy import SeededEntropy
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.membership.inviting import close_invite, invite
from mootd.engine.membership.joining import advance, join
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.proving import Prover
from mootd.engine.state import TOWN_KEY
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.store.port import Table

LEDGER = 1


def proofs(member: Member, author: bytes, plane: int = LEDGER) -> list[bytes]:
    """Proofs of all accepted events of an author on a plane."""
    replica = member.replica
    with replica.read() as reader:
        entities = Entities(
            reader, replica.views_of(reader), lambda feed: replica.feeds[feed].author, replica.feed_number
        )
        number = replica.feed_number(plane, author) or 0
        events = [each for _, batch in entities.log.batches(number, 1) for each in entities.log.events_of(batch)]
        prover = Prover(replica, entities)
        return [prover.proof_of(each) for each in events]


def write(unit: Unit) -> None:
    for text in ("one", "two", "three"):
        unit.append(LEDGER, note(text))


def guest_of(founder: Member, role: Role = Role.WRITER) -> tuple[Member, bytes]:
    """A machine that has joined a founder's ledger with an invite, and the invite's key."""
    made = founder.commit(lambda unit: invite(unit, founder.ledger, role, 0, ()))
    return joined(founder, made.ticket), made.key


def joined(founder: Member, ticket: Ticket) -> Member:
    """A machine that has joined a founder's ledger with a ticket."""
    guest = Member("guest", 0)
    plane = guest.commit(lambda unit: join(unit, ticket)).plane
    guest.take(*founder.batches(plane.town))
    advance(guest.replica, plane.number, PlaneKeys(guest.keys, plane.id), guest.commit)
    founder.take(*guest.batches())
    return guest


def write_charter(founder: Member, *drafts: Draft) -> None:
    charter = founder.replica.feed_number(LEDGER, founder.ledger.town)
    for draft in drafts:
        founder.commit(partial(Unit.append, plane=LEDGER, draft=draft, feed=charter))


def lose(member: Member, table: Table) -> None:
    """Empty a table behind the engine's back."""
    with member.replica.read() as reader:
        keys = [key for key, _ in reader.scan(table, b"\0")]
    with member.store.write() as writer:
        for key in keys:
            writer.delete(table, key)


def refused(member: Member, author: bytes) -> Code:
    with pytest.raises(MootError) as raised:
        proofs(member, author)
    return raised.value.code


def test_every_event_of_its_own_feed_can_be_proven() -> None:
    (member,) = make_town(1)
    member.commit(write)
    shown = [verify_proof(proof) for proof in proofs(member, member.id)]
    assert [(it.replica, it.role, it.n) for it in shown] == [(member.id, Role.ADMIN, n) for n in range(1, 5)]
    assert [it.changes[0].value for it in shown[1:]] == ["one", "two", "three"]
    assert {(it.plane, it.town) for it in shown} == {(member.ledger.id, member.ledger.town)}


def test_every_event_of_a_received_feed_can_be_proven() -> None:
    founder, member = make_town(2)
    member.commit(write)
    founder.take(*member.batches())
    shown = [verify_proof(proof) for proof in proofs(founder, member.id)]
    assert [(it.replica, it.role, it.n) for it in shown] == [(member.id, Role.WRITER, n) for n in range(1, 5)]
    assert proofs(founder, member.id) == proofs(member, member.id), "whoever proves it, the proof is the same"


def test_events_of_the_charter_can_be_proven_without_a_certificate() -> None:
    (member,) = make_town(1)
    town = member.replica.signer(TOWN_KEY).public
    (proof,) = proofs(member, town)
    assert decode_proof(proof).certificate == ()
    assert verify_proof(proof).kind == "genesis"


def test_a_proof_in_which_any_byte_is_changed_proves_nothing_else() -> None:
    (member,) = make_town(1)
    member.commit(write)
    proof = proofs(member, member.id)[2]
    for place in range(len(proof)):
        changed = proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :]
        with pytest.raises(MootError):
            verify_proof(changed)


def test_the_value_of_another_event_breaks_the_proof() -> None:
    (member,) = make_town(1)
    member.commit(write)
    with pytest.raises(BrokenProofError):
        verify_proof(proofs(member, member.id)[2].replace(b"two", b"six"))


class TestBatchesThatAPinCuts:
    def test_what_counts_of_it_is_proven_as_before(self) -> None:
        founder, member = make_town(2)
        member.commit(write)
        founder.take(*member.batches())
        before = proofs(founder, member.id)
        founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 3))
        assert proofs(founder, member.id) == before[:3]

    def test_whatever_came_first_the_pin_or_the_batch(self) -> None:
        founder, member, late = make_town(3)
        member.commit(write)
        founder.take(*member.batches())
        founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
        late.take(*founder.batches(founder.ledger.town), *member.batches())
        assert proofs(late, member.id) == proofs(member, member.id)[:2]

    def test_without_its_rest_the_store_is_damaged(self) -> None:
        founder, member = make_town(2)
        member.commit(write)
        founder.take(*member.batches())
        founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
        lose(founder, Table.ASIDE)
        assert refused(founder, member.id) is Code.STORE_DAMAGED


class TestReplicasThatJoinedWithAnInvite:
    def test_every_event_can_be_proven_by_whoever_holds_it(self) -> None:
        (founder,) = make_town(1)
        guest, key = guest_of(founder)
        guest.commit(write)
        founder.take(*guest.batches())
        shown = [verify_proof(proof) for proof in proofs(founder, guest.id)]
        assert [(it.replica, it.invite, it.role) for it in shown] == [(guest.id, key, Role.WRITER)] * 4
        assert [it.changes[0].value for it in shown[1:]] == ["one", "two", "three"]
        assert {(it.plane, it.town) for it in shown} == {(founder.ledger.id, founder.ledger.town)}
        assert proofs(founder, guest.id) == proofs(guest, guest.id)

    def test_of_a_reader_its_certificate(self) -> None:
        (founder,) = make_town(1)
        guest, _ = guest_of(founder, Role.READER)
        (shown,) = map(verify_proof, proofs(founder, guest.id))
        assert (shown.kind, shown.role) == ("certificate", Role.READER)

    def test_those_who_count_stay_provable_once_the_invite_is_closed(self) -> None:
        (founder,) = make_town(1)
        guest, key = guest_of(founder)
        before = proofs(founder, guest.id)
        founder.commit(lambda unit: close_invite(unit, founder.ledger, key, None))
        assert proofs(founder, guest.id) == before

    def test_it_is_the_first_invite_of_a_key_that_is_shown(self) -> None:
        (founder,) = make_town(1)
        guest, key = guest_of(founder)
        before = proofs(founder, guest.id)
        again = invite_draft(key, Invite(Role.READER, founder.ledger.town, 0, seed("hpke")), "")
        write_charter(founder, again)
        assert proofs(founder, guest.id) == before

    def test_what_else_was_written_about_the_invite_before_is_passed_over(self) -> None:
        (founder,) = make_town(1)
        ticket = founder.commit(lambda unit: invite(unit, founder.ledger, Role.WRITER, 0, ())).ticket
        ticket = replace(ticket, invite_seed=seed("ticket"))
        key = invite_signer(ticket.invite_seed).public
        made = invite_draft(key, Invite(Role.WRITER, founder.ledger.town, 0, seed("hpke")), "")
        founder.commit(lambda unit: unit.append(LEDGER, made))  # in a replica's feed it counts for nothing
        write_charter(founder, close_draft(key, [Member("guest", 0).id], ""), made)
        guest = joined(founder, ticket)
        assert [verify_proof(proof).invite for proof in proofs(founder, guest.id)] == [key]

    def test_a_batch_that_a_pin_cuts_is_proven_too(self) -> None:
        (founder,) = make_town(1)
        guest, key = guest_of(founder)
        guest.commit(write)
        founder.take(*guest.batches())
        founder.commit(lambda unit: end_replica(unit, LEDGER, guest.id, 2))
        assert [verify_proof(proof).invite for proof in proofs(founder, guest.id)] == [key, key]

    def test_without_the_invite_the_store_is_damaged(self) -> None:
        (founder,) = make_town(1)
        guest, _ = guest_of(founder)
        lose(founder, Table.RECORDS_0)
        assert refused(founder, guest.id) is Code.STORE_DAMAGED

    def test_a_proof_in_which_any_byte_is_changed_proves_nothing_else(self) -> None:
        (founder,) = make_town(1)
        guest, _ = guest_of(founder)
        (proof,) = proofs(founder, guest.id)
        for place in range(len(proof)):
            changed = proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :]
            with pytest.raises(MootError):
                verify_proof(changed)


def provable(plane: bytes, members: Sequence[Member], author: bytes) -> list[ProvenEvent]:
    """What proofs of an author's events show; every one of these members makes the same."""
    numbers = [plane_of(member, plane).number for member in members]
    made = [proofs(member, author, number) for member, number in zip(members, numbers, strict=True)]
    assert made[0]
    assert all(each == made[0] for each in made), "whoever proves it, the proof is the same"
    return [verify_proof(proof) for proof in made[0]]


def three_towns() -> tuple[bytes, list[Member]]:
    """The founder, an admin, and a writer that the admin let in; everybody holds everything."""
    members = make_towns(3, 3, 0, Random(8))
    (plane,) = {member.ledger.id for member in members}
    for source in members:
        for target in members:
            target.take(*source.batches(source.ledger.town), *source.batches())
    assert len({member.exchange().log.position() for member in members}) == 1
    return plane, members


class TestTownsThatWereLetIn:
    def test_of_a_town_that_came_with_an_invite_the_invite_is_shown(self) -> None:
        one, guest = founder_of("town 0"), founder_of("town 1")
        plane = one.ledger.id
        joined_plane(guest, town_ticket(one, plane).ticket)
        bring(one, guest, plane)
        write_issue(guest, plane)
        own = plane_of(guest, plane).town
        for author in (guest.id, own):
            for shown in provable(plane, [guest], author):
                assert (shown.town, shown.through, shown.came_invited) == (own, (one.ledger.town,), True)
                assert (shown.plane, shown.role) == (plane, Role.WRITER)

    def test_once_it_is_admitted_for_that_the_admission_is(self) -> None:
        plane, (founder, guest) = federation(Role.WRITER)
        write_issue(guest, plane)
        meet(plane, founder, guest)
        for shown in provable(plane, [founder, guest], guest.id):
            assert (shown.through, shown.came_invited) == ((founder.ledger.town,), False)

    def test_so_can_those_of_a_machine_that_joined_it_with_an_invite(self) -> None:
        plane, (founder, guest) = federation(Role.WRITER)
        other = machine(guest, plane, founder)
        write_issue(other, plane)
        meet(plane, founder, guest, other)
        for shown in provable(plane, [founder, guest, other], other.id):
            assert shown.invite
            assert shown.town == plane_of(guest, plane).town

    def test_of_a_town_that_an_admitted_admin_let_in_the_whole_way_is_shown(self) -> None:
        plane, members = three_towns()
        founders, admins, own = (member.ledger.town for member in members)
        (shown,) = provable(plane, members, members[2].id)
        assert (shown.town, shown.through, shown.came_invited) == (own, (admins, founders), False)
        assert provable(plane, members, members[1].id)[0].through == (founders,)
        assert provable(plane, members, admins)[1].kind == "admission"

    def test_the_admission_that_is_shown_is_the_one_that_gives_the_role(self) -> None:
        _, members = three_towns()
        town = members[2].ledger.town
        for name, role in (("lower", Role.READER), ("higher", Role.ADMIN), ("again", Role.ADMIN)):
            drafts = [admission_draft(town, Admission(name, role), "")]
            members[1].commit(partial(write_charter_of, drafts=drafts))
        (proof,) = proofs(members[1], members[2].id)
        parsed = decode_proof(proof).further[0].values
        assert isinstance(parsed, bytes)
        assert b"higher" in parsed

    def test_a_town_that_the_recovery_key_let_in_needs_no_founder(self) -> None:
        plane, members = three_towns()
        town = members[2].ledger.town
        paper = FeedWriter(plane, SeedSigner(SeededEntropy(b"0 recovery").bytes(32)))
        paper.write(charter_draft(paper.author, "paper", ""))
        paper.write(admission_draft(town, Admission("saved", Role.WRITER), ""))
        for member in members:
            member.take(*paper.batches)
        assert [each.through for each in provable(plane, members, members[2].id)] == [(paper.author,)]
        assert [each.through for each in provable(plane, members, paper.author)] == [(), ()]

    def test_without_the_admission_the_store_is_damaged(self) -> None:
        _, members = three_towns()
        lose(members[0], Table.RECORDS_0)
        assert refused(members[0], members[2].id) is Code.STORE_DAMAGED
