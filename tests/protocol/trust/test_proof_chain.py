"""Events of towns that were let in are proven up to the founder; with any step broken nothing is shown."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moot_protocol import limits
from moot_protocol.codec import encode
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MalformedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import Admission, admission_draft, certificate_draft, charter_draft
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.proof import (
    NOT_SHOWN,
    NOT_SHOWN_OF_INVITES,
    NOT_SHOWN_OF_TOWNS,
    ProvenEvent,
    build_proof,
    decode_proof,
    verify_proof,
)
from moot_protocol.trust.proof_chain import BrokenProofError, Link
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, note, seed, signer, stripped
from moot_testkit.bytes.strategies import damaged

Steps = Sequence[tuple[Batch, int]]

FOUNDER = Town("rivertown")
MIDDLE = FOUNDER.guest("middle")
LEAF = FOUNDER.guest("leaf")
PLAIN = (FOUNDER.admit(signer("somebody").public), FOUNDER.admit(MIDDLE))
"""Two admissions: each stands in a batch of its own."""
BELOW = MIDDLE.admit(LEAF, Role.WRITER)
LAPTOP = LEAF.replica("laptop", Role.ADMIN, note("hello"))
CERTIFICATE = LEAF.certificate(LAPTOP.author, Role.ADMIN)
STEPS = ((BELOW, BELOW.header.first), (PLAIN[1], PLAIN[1].header.first))
DATA = build_proof(LAPTOP.batches[0], 2, CERTIFICATE, FOUNDER.genesis, STEPS)

OWN_INVITE = LEAF.invite()
GUEST = LEAF.replica("guest", Role.ADMIN, note("from a guest"), by=OWN_INVITE)
GUEST_STEPS = ((LEAF.charter.batches[-1], LEAF.charter.n), *STEPS)
GUEST_DATA = build_proof(
    GUEST.batches[0], 2, LEAF.certificate(GUEST.author, Role.ADMIN, by=OWN_INVITE), FOUNDER.genesis, GUEST_STEPS
)

TOWN_INVITE = FOUNDER.invite("for a town", town=ZEROS)
MADE = (FOUNDER.charter.batches[-1], FOUNDER.charter.n)
COMER = FOUNDER.guest("comer", TOWN_INVITE)
COMER_ONE = COMER.replica("one", Role.ADMIN, note("here"))
COMER_STEPS = ((COMER.charter.batches[0], 1), MADE)
COMER_DATA = build_proof(
    COMER_ONE.batches[0], 2, COMER.certificate(COMER_ONE.author, Role.ADMIN), FOUNDER.genesis, COMER_STEPS
)


class AnybodysKey(SeedSigner):
    """The neutral element as a key: one signature is good for everything, and anybody can write it down."""

    def __init__(self) -> None:
        self.public = bytes([1, *bytes(31)])

    def sign(self, _message: bytes) -> bytes:
        return self.public + bytes(32)


def proven(steps: Steps, town: Town = LEAF) -> ProvenEvent:
    """What is shown of an event of a town's replica that rests on these steps."""
    return verify_proof(proof(steps, town))


def proof(steps: Steps, town: Town = LEAF) -> bytes:
    one = town.replica("one", Role.ADMIN, note("hello"))
    certificate = town.certificate(one.author, Role.ADMIN)
    return build_proof(one.batches[0], 2, certificate, FOUNDER.genesis, steps)


def broken(steps: Steps, town: Town = LEAF) -> tuple[Link, Code]:
    with pytest.raises(BrokenProofError) as caught:
        proof(steps, town)
    return caught.value.link, caught.value.code


def first(batch: Batch) -> tuple[Batch, int]:
    """The first event of a batch, as a step."""
    return batch, batch.header.first


def other_branch(town: Town) -> FeedWriter:
    """A writer with a town's key that changes nothing of what others have read."""
    return town.charter.fork("another branch", 1)


class TestTownsThatWereAdmitted:
    def test_an_event_is_shown_with_its_town_and_who_let_it_in(self) -> None:
        shown = verify_proof(DATA)
        assert (shown.town, shown.replica) == (LEAF.key.public, LAPTOP.author)
        assert shown.through == (MIDDLE.key.public, FOUNDER.key.public)
        assert (shown.plane, shown.invite, shown.changes[0].value) == (FOUNDER.plane, b"", "hello")

    def test_what_that_does_not_show_is_said(self) -> None:
        assert verify_proof(DATA).not_shown == NOT_SHOWN + NOT_SHOWN_OF_TOWNS
        assert any("removals" in line for line in NOT_SHOWN_OF_TOWNS)

    def test_the_role_is_at_most_that_of_the_admission(self) -> None:
        assert verify_proof(DATA).role is Role.WRITER
        reader = other_branch(MIDDLE).write(admission_draft(LEAF.key.public, Admission("leaf", Role.READER), "admin"))
        assert broken([first(reader), STEPS[1]]) == (Link.ROLE, Code.DENIED)

    def test_a_replica_that_joined_with_its_towns_invite_is_shown_with_both(self) -> None:
        shown = verify_proof(GUEST_DATA)
        assert (shown.invite, shown.role) == (OWN_INVITE.public, Role.WRITER)
        assert shown.through == (MIDDLE.key.public, FOUNDER.key.public)
        assert shown.not_shown == NOT_SHOWN + NOT_SHOWN_OF_INVITES + NOT_SHOWN_OF_TOWNS

    def test_an_event_of_the_towns_charter_rests_on_the_same_steps(self) -> None:
        shown = verify_proof(build_proof(LEAF.charter.batches[0], 1, (), FOUNDER.genesis, STEPS))
        assert (shown.town, shown.replica, shown.kind) == (LEAF.key.public, LEAF.key.public, "charter")

    def test_of_a_readers_charter_every_event_is(self) -> None:
        reader = FOUNDER.guest("reader")
        batch = other_branch(FOUNDER).write(
            admission_draft(reader.key.public, Admission("reader", Role.READER), "admin")
        )
        reader.invite()
        assert verify_proof(build_proof(reader.charter.batches[1], 2, (), FOUNDER.genesis, [first(batch)])).n == 2

    def test_the_recovery_key_lets_in_towns_as_the_founder_does(self) -> None:
        paper = Guest(FOUNDER, "paper", key=FOUNDER.recovery)
        step = first(paper.admit(LEAF))
        assert proven([step]).through == (FOUNDER.recovery.public,)
        assert verify_proof(build_proof(*step, (), FOUNDER.genesis)).town == FOUNDER.recovery.public

    def test_towns_may_be_as_deep_as_a_proof_may_hold_events(self) -> None:
        above: Town = FOUNDER
        steps: list[tuple[Batch, int]] = []
        for depth in range(limits.PROOF_EVENTS):
            town = FOUNDER.guest(f"town {depth}")
            by = FOUNDER.charter.fork("deep", 1) if above is FOUNDER else above.charter
            steps.insert(0, first(above.admit(town, by=by)))
            above = town
        assert len(proven(steps, above).through) == limits.PROOF_EVENTS


class TestTownsThatCameWithAnInvite:
    def test_an_event_is_shown_with_who_made_the_invite(self) -> None:
        shown = verify_proof(COMER_DATA)
        assert (shown.town, shown.through) == (COMER.key.public, (FOUNDER.key.public,))
        assert (shown.role, shown.invite, shown.came_invited) == (Role.WRITER, b"", True)
        assert shown.not_shown == NOT_SHOWN + NOT_SHOWN_OF_INVITES + NOT_SHOWN_OF_TOWNS

    @pytest.mark.parametrize(
        ("steps", "link"),
        [
            ([COMER_STEPS[0]], Link.ADMISSION),
            ([first(LEAF.charter.batches[0]), MADE], Link.ADMISSION),
            ([first(COMER.open_charter(None, "uninvited").batches[0]), MADE], Link.ADMISSION),
            ([COMER_STEPS[0], first(PLAIN[0])], Link.ADMISSION),
            ([COMER_STEPS[0], (GUEST_STEPS[0][0], GUEST_STEPS[0][1])], Link.ADMISSION),
        ],
        ids=[
            "the invite isn't shown",
            "another town's charter",
            "no proof of an invite",
            "no invite",
            "another invite",
        ],
    )
    def test_the_charter_must_prove_the_invite_that_is_shown(self, steps: Steps, link: Link) -> None:
        assert broken(steps, COMER)[0] is link

    def test_the_invites_key_must_have_signed_for_the_town(self) -> None:
        value = ["comer", TOWN_INVITE.public, signer("stranger").sign(b"something")]
        draft = charter_draft(COMER.key.public, "comer", "admin")
        forged = FeedWriter(FOUNDER.plane, COMER.key, "forged").write(
            draft._replace(writes=[draft.writes[0]._replace(value=value)])
        )
        assert broken([first(forged), MADE], COMER) == (Link.ADMISSION, Code.BAD_KEY)

    def test_an_invite_for_replicas_lets_in_no_town(self) -> None:
        own = FOUNDER.invite("for replicas")
        step = (FOUNDER.charter.batches[-1], FOUNDER.charter.n)
        guest = FOUNDER.guest("sneaky", own)
        assert broken([first(guest.charter.batches[0]), step], guest) == (Link.ADMISSION, Code.BAD_KEY)

    def test_the_recovery_key_invites_nobody(self) -> None:
        paper = Guest(FOUNDER, "paper", key=FOUNDER.recovery)
        key = paper.invite("from paper", town=ZEROS)
        guest = FOUNDER.guest("hopeful", key)
        steps = [first(guest.charter.batches[0]), (paper.charter.batches[-1], paper.charter.n)]
        assert broken(steps, guest) == (Link.ADMISSION, Code.BAD_KEY)

    def test_only_the_first_event_of_a_charter_proves_an_invite(self) -> None:
        guest = FOUNDER.guest("late")
        late = guest.charter.write(charter_draft(guest.key.public, "late", "admin", guest.proof(TOWN_INVITE)))
        assert broken([first(late), MADE], guest) == (Link.ADMISSION, Code.BAD_KEY)


class TestBrokenSteps:
    @pytest.mark.parametrize(
        ("steps", "expected"),
        [
            ([], (Link.TOWN, Code.BAD_KEY)),
            (STEPS[:1], (Link.TOWN, Code.BAD_KEY)),
            (STEPS[1:], (Link.ADMISSION, Code.BAD_KEY)),
            (STEPS[::-1], (Link.ADMISSION, Code.BAD_KEY)),
            ([first(PLAIN[0]), STEPS[1]], (Link.ADMISSION, Code.BAD_KEY)),
            ([first(stripped(BELOW)), STEPS[1]], (Link.ADMISSION, Code.BAD_KEY)),
            ([first(replace(BELOW, signature=bytes(64))), STEPS[1]], (Link.ADMISSION, Code.BAD_SIGNATURE)),
            ([first(LAPTOP.batches[0]), STEPS[1]], (Link.ADMISSION, Code.BAD_KEY)),
        ],
        ids=["none", "up to an admin only", "of the admin only", "upside down", "of somebody else",
             "without its values", "not signed", "no admission"],
    )  # fmt: skip
    def test_every_step_must_be_shown(self, steps: Steps, expected: tuple[Link, Code]) -> None:
        assert broken(steps) == expected

    @pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
    def test_who_is_no_admin_lets_in_nobody(self, role: Role) -> None:
        admission = admission_draft(MIDDLE.key.public, Admission("middle", role), "admin")
        assert broken([STEPS[0], first(other_branch(FOUNDER).write(admission))]) == (Link.ADMISSION, Code.DENIED)

    def test_a_replicas_word_lets_in_nobody(self) -> None:
        one = FOUNDER.replica("one", Role.ADMIN)
        batch = one.write(admission_draft(LEAF.key.public, Admission("leaf", Role.ADMIN), "admin"))
        assert broken([first(batch)]) == (Link.TOWN, Code.BAD_KEY)

    def test_a_step_on_another_plane_counts_for_nothing(self) -> None:
        twin = Town("rivertown", PlaneKind.FEDERATION)
        assert broken([first(twin.admit(LEAF))]) == (Link.ADMISSION, Code.WRONG_PLANE)

    def test_towns_that_let_in_one_another_are_let_in_by_nobody(self) -> None:
        one, other = FOUNDER.guest("one"), FOUNDER.guest("other")
        steps = [first(other.admit(one)), first(one.admit(other))] * 2
        assert broken(steps, one) == (Link.ADMISSION, Code.BAD_KEY)

    def test_a_step_that_nothing_rests_on_is_malformed(self) -> None:
        with pytest.raises(MalformedError) as caught:
            proof([*STEPS, STEPS[1]])
        assert caught.value.code is Code.BAD_STRUCTURE

    def test_the_recovery_key_has_no_replicas(self) -> None:
        paper = Guest(FOUNDER, "paper", key=FOUNDER.recovery)
        assert broken([], paper) == (Link.TOWN, Code.BAD_KEY)

    def test_the_founders_key_is_no_replica_of_another_town(self) -> None:
        body = CertificateBody(1, FOUNDER.plane, LEAF.key.public, FOUNDER.key.public, seed("hpke"), Role.WRITER)
        certificate = build_certificate(body, LEAF.key)
        batch = FeedWriter(FOUNDER.plane, FOUNDER.key, "replica").write(
            certificate_draft(certificate, FOUNDER.key.public, "admin")
        )
        with pytest.raises(BrokenProofError) as caught:
            build_proof(batch, 1, certificate, FOUNDER.genesis, STEPS)
        assert caught.value.link is Link.CERTIFICATE

    def test_a_town_with_whose_key_anybody_can_sign_is_let_in_by_nobody(self) -> None:
        odd = FeedWriter(FOUNDER.plane, AnybodysKey())
        let_in = odd.write(admission_draft(LEAF.key.public, Admission("leaf", Role.ADMIN), "anybody"))
        steps = [first(let_in), first(FOUNDER.admit(odd.author))]
        assert broken(steps) == (Link.ADMISSION, Code.BAD_KEY)
        with pytest.raises(BrokenProofError) as caught:
            build_proof(let_in, 1, (), FOUNDER.genesis, steps[1:])
        assert (caught.value.link, caught.value.code) == (Link.ADMISSION, Code.BAD_KEY)

    def test_a_town_that_lets_in_another_is_no_replica_of_it(self) -> None:
        replica = FeedWriter(FOUNDER.plane, MIDDLE.key, "as a replica")
        replica.write(LEAF.opening(MIDDLE.key.public, Role.ADMIN), note("hello"))
        certificate = LEAF.certificate(MIDDLE.key.public, Role.ADMIN)
        with pytest.raises(BrokenProofError) as caught:
            build_proof(replica.batches[0], 1, certificate, FOUNDER.genesis, STEPS)
        assert (caught.value.link, caught.value.code) == (Link.CERTIFICATE, Code.BAD_KEY)

    @pytest.mark.parametrize("part", ["skeleton", "values", "index", "path", "header", "signature"])
    @pytest.mark.parametrize("step", range(3))
    def test_no_part_of_a_step_can_be_another_s(self, step: int, part: str) -> None:
        decoded = decode_proof(GUEST_DATA)
        strange = decode_proof(COMER_DATA).further[1]
        value: Any = 7 if part == "index" else (bytes(32),) if part == "path" else getattr(strange, part)
        changed = replace(decoded.further[step], **{part: value})
        further = (*decoded.further[:step], changed, *decoded.further[step + 1 :])
        with pytest.raises(BrokenProofError) as caught:
            verify_proof(encode(replace(decoded, further=further)))
        assert caught.value.link is (Link.ADMISSION if step else Link.INVITE)

    @given(st.sampled_from((DATA, GUEST_DATA, COMER_DATA)), st.integers(0, 1 << 16), st.integers(1, 255))
    def test_no_changed_byte_changes_what_is_shown(self, whole: bytes, place: int, mask: int) -> None:
        data = bytearray(whole)
        data[place % len(data)] ^= mask
        with pytest.raises(MalformedError):
            verify_proof(bytes(data))

    @given(damaged(GUEST_DATA, COMER_DATA))
    def test_no_damage_leaves_a_proof_that_shows_something_else(self, data: bytes) -> None:
        try:
            shown = verify_proof(data)
        except MalformedError:
            return
        assert shown in [verify_proof(each) for each in (GUEST_DATA, COMER_DATA)]


def test_the_steps_bytes_are_those_that_are_documented() -> None:
    decoded = decode_proof(DATA)
    (event,) = BELOW.events
    step: list[Any] = [event.skeleton_bytes, event.values_bytes, 0, [], BELOW.header_bytes, BELOW.signature]
    assert encode(decoded.further[0]) == encode(step)
    assert key_text(LEAF.key.public).encode() in event.skeleton_bytes
