"""A proof of any accepted event convinces whoever has nothing but the proof."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.kinds import Role
from moot_protocol.proof import BrokenProofError, decode_proof, verify_proof
from moot_testkit.feeds import note
from moot_testkit.town import Member, make_town
from mootd.engine.entities import Entities
from mootd.engine.membership import end_replica
from mootd.engine.proving import proof_of
from mootd.engine.state import TOWN_KEY
from mootd.engine.unit import Unit

LEDGER = 1


def proofs(member: Member, author: bytes) -> list[bytes]:
    """Proofs of all accepted events of an author on the ledger."""
    replica = member.replica
    with replica.read() as reader:
        entities = Entities(
            reader, replica.views_of(reader), lambda feed: replica.feeds[feed].author, replica.feed_number
        )
        number = replica.feed_number(LEDGER, author) or 0
        events = [each for _, batch in entities.log.batches(number, 1) for each in entities.log.events_of(batch)]
        return [proof_of(replica, entities, each) for each in events]


def write(unit: Unit) -> None:
    for text in ("one", "two", "three"):
        unit.append(LEDGER, note(text))


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


def test_an_event_whose_batch_a_pin_cuts_cannot_be_proven_and_that_is_said() -> None:
    founder, member = make_town(2)
    member.commit(write)
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    with pytest.raises(MootError) as raised:
        proofs(founder, member.id)
    assert raised.value.code is Code.STORE_DAMAGED
