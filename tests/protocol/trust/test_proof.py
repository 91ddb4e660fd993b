"""A proof shows that a certified replica signed an event; with any link broken it shows nothing, and says which."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from msgspec.structs import replace

from moot_protocol import limits
from moot_protocol.clock import from_ms
from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.log.merkle import prove
from moot_protocol.merge.kinds import Role
from moot_protocol.merge.register import MISSING
from moot_protocol.trust.charter import CLOSE, Invite, certificate_draft, invite_draft
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.proof import (
    NOT_SHOWN,
    NOT_SHOWN_OF_INVITES,
    Proof,
    build_proof,
    decode_proof,
    verify_proof,
)
from moot_protocol.trust.proof_chain import BrokenProofError, Link, SignedEvent
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note, seed, signer, stripped
from moot_testkit.bytes.forging import forged_header
from moot_testkit.bytes.strategies import damaged

TOWN = Town("rivertown")
FEED = TOWN.replica("laptop")
FIRST = FEED.batches[0]
OPENING = FIRST.events[0].values()
assert OPENING is not None
CERTIFICATE: list[bytes] = OPENING[0]
SEEN = Dot(TOWN.key.public, 1, b"leaf8...")
CERTIFIED = dot_of(FIRST.events[0], FEED.author)
BATCH = FEED.write(
    note("one", entity="rt-1"),
    Draft(
        "issue", "rt-2", "alice/agent",
        [Write("title", "two", over=[SEEN]), Write("labels", removes=True, over=[CERTIFIED])],
    ),
    *(note(f"more {i}", entity="rt-3") for i in range(5)),
)  # fmt: skip
N = BATCH.header.first + 1
DATA = build_proof(BATCH, N, CERTIFICATE, TOWN.genesis)
PROOF = decode_proof(DATA)

INVITE = signer("invite")


def invited(role: Role = Role.WRITER, town: bytes = TOWN.key.public) -> Draft:
    """What makes the invite."""
    return invite_draft(INVITE.public, Invite(role, town, 0, seed("hpke")), "admin")


OTHER_INVITE = invite_draft(signer("other").public, Invite(Role.WRITER, TOWN.key.public, 0, seed("hpke")), "admin")
GUEST = TOWN.replica("guest", by=INVITE)
MADE = TOWN.charter.write(OTHER_INVITE, invited(), OTHER_INVITE)
MADE_N = MADE.header.first + 1
GUEST_CERTIFICATE = TOWN.certificate(GUEST.author, by=INVITE)
GUEST_BATCH = GUEST.write(note("mine"), note("and more"), note("and more"))
GUEST_DATA = build_proof(GUEST_BATCH, 3, GUEST_CERTIFICATE, TOWN.genesis, ((MADE, MADE_N),))
GUEST_PROOF = decode_proof(GUEST_DATA)


def altered(**changes: Any) -> bytes:
    """The proof with some of its parts exchanged."""
    return encode(replace(PROOF, **changes))


def broken(data: bytes) -> tuple[Link, Code]:
    with pytest.raises(BrokenProofError) as caught:
        verify_proof(data)
    return caught.value.link, caught.value.code


def malformed(data: bytes) -> Code:
    with pytest.raises(MalformedError) as caught:
        decode_proof(data)
    return caught.value.code


class TestWhatItShows:
    def test_everything_about_the_event_and_who_signed_it(self) -> None:
        shown = verify_proof(DATA)
        event = BATCH.events[1]
        assert (shown.plane, shown.plane_name) == (TOWN.plane, "rivertown")
        assert (shown.town, shown.replica, shown.role) == (TOWN.key.public, FEED.author, Role.WRITER)
        assert (shown.n, shown.leaf, shown.batch) == (N, event.leaf, BATCH.id)
        assert (shown.kind, shown.entity, shown.actor) == ("issue", "rt-2", "alice/agent")
        assert shown.hlc == event.skeleton.hlc
        assert from_ms(shown.time_ms) <= shown.hlc < from_ms(shown.time_ms + 1)
        assert shown.dot == dot_of(event, FEED.author)

    def test_its_changes_with_values_and_what_they_superseded(self) -> None:
        labels, title = verify_proof(DATA).changes
        assert (labels.key, labels.value, labels.removes) == ("labels", None, True)
        assert labels.over == (CERTIFIED,)
        assert (title.key, title.value, title.removes, title.over) == ("title", "two", False, (SEEN,))

    def test_and_it_says_what_it_does_not_show(self) -> None:
        shown = verify_proof(DATA)
        assert shown.not_shown == NOT_SHOWN
        assert all(any(word in line for line in NOT_SHOWN) for word in ("actor", "time", "counts", "supersede"))

    def test_an_event_whose_values_are_absent_is_proven_without_them(self) -> None:
        bare = verify_proof(build_proof(stripped(BATCH), N, CERTIFICATE, TOWN.genesis))
        labels, title = bare.changes
        assert title.value is MISSING
        assert labels.value is None
        assert bare.leaf == verify_proof(DATA).leaf

    def test_values_that_mean_nothing_are_missing(self) -> None:
        event = (BATCH.events[0].skeleton_bytes, b"no values")
        seen = BATCH.header
        header = forged_header(
            [event], FEED.key, plane=TOWN.plane, first=seen.first, prev=seen.prev, hlc_last=BATCH.events[0].skeleton.hlc
        )
        proof = Proof(
            1, *event, 0, (), header, FEED.key.sign(BATCH_DOMAIN + header), tuple(CERTIFICATE), TOWN.genesis, ()
        )
        assert [change.value for change in verify_proof(encode(proof)).changes] == [MISSING]

    @pytest.mark.parametrize("n", range(BATCH.header.first, BATCH.header.last + 1))
    def test_every_event_of_a_batch_can_be_proven(self, n: int) -> None:
        assert verify_proof(build_proof(BATCH, n, CERTIFICATE, TOWN.genesis)).n == n

    @given(st.integers(1, 40), st.data())
    def test_so_can_any_event_of_a_batch_of_any_size(self, size: int, data: st.DataObject) -> None:
        batch = TOWN.replica("other").write(*(note(i) for i in range(size)))
        n = data.draw(st.integers(batch.header.first, batch.header.last))
        certificate = TOWN.certificate(batch.header.author)
        assert verify_proof(build_proof(batch, n, certificate, TOWN.genesis)).changes[0].value == n - batch.header.first

    def test_a_charters_event_needs_no_certificate(self) -> None:
        shown = verify_proof(build_proof(TOWN.charter.batches[0], 1, (), TOWN.genesis))
        assert (shown.town, shown.replica, shown.role) == (TOWN.key.public, TOWN.key.public, Role.ADMIN)
        assert shown.changes[0].value == TOWN.genesis


class TestBuilding:
    @pytest.mark.parametrize("n", [0, BATCH.header.first - 1, BATCH.header.last + 1])
    def test_an_event_that_is_not_in_the_batch_is_not_found(self, n: int) -> None:
        with pytest.raises(RefusedError) as caught:
            build_proof(BATCH, n, CERTIFICATE, TOWN.genesis)
        assert caught.value.code is Code.NOT_FOUND

    def test_a_proof_that_would_not_hold_is_never_handed_out(self) -> None:
        with pytest.raises(BrokenProofError):
            build_proof(BATCH, N, TOWN.certificate(signer("stranger").public), TOWN.genesis)
        with pytest.raises(BrokenProofError):
            build_proof(BATCH, N, CERTIFICATE, Town("elsewhere").genesis)

    def test_the_largest_event_with_the_longest_author_table_fits(self) -> None:
        town = Town("e" * limits.ENTITY_BYTES)
        feed = town.replica("laptop")
        over = [Dot(i.to_bytes(32, "big"), 1, b"leaf8...") for i in range(900)]
        batch = feed.write(note("x" * 45_000, over=over))
        assert verify_proof(build_proof(batch, 2, town.certificate(feed.author), town.genesis)).n == 2


class TestBrokenLinks:
    def test_another_event_is_not_on_the_path(self) -> None:
        other = BATCH.events[2]
        assert broken(altered(skeleton=other.skeleton_bytes)) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(values=other.values_bytes)) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(values=Ext(1, other.values_hash))) == (Link.PATH, Code.BAD_HASH)

    def test_another_place_or_path_leads_elsewhere(self) -> None:
        assert broken(altered(index=2)) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(index=200)) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(index=-1)) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(path=PROOF.path[::-1])) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(path=PROOF.path[:-1])) == (Link.PATH, Code.BAD_HASH)
        assert broken(altered(path=(*PROOF.path, bytes(32)))) == (Link.PATH, Code.BAD_HASH)

    def test_a_batch_must_be_signed_by_its_author(self) -> None:
        for signature in (bytes(64), FIRST.signature, signer("stranger").sign(BATCH_DOMAIN + PROOF.header)):
            assert broken(altered(signature=signature)) == (Link.BATCH, Code.BAD_SIGNATURE)

    @pytest.mark.parametrize(
        ("certificate", "link", "code"),
        [
            ((), Link.CERTIFICATE, Code.BAD_KEY),
            (TOWN.certificate(signer("stranger").public), Link.CERTIFICATE, Code.BAD_KEY),
            (TOWN.certificate(FEED.author, plane=b"another plane..."), Link.CERTIFICATE, Code.WRONG_PLANE),
            ([CERTIFICATE[0], bytes(64), CERTIFICATE[2]], Link.CERTIFICATE, Code.BAD_SIGNATURE),
            ([b"\xc1", *CERTIFICATE[1:]], Link.CERTIFICATE, Code.BAD_STRUCTURE),
            (Town("other").certificate(FEED.author, plane=TOWN.plane), Link.TOWN, Code.BAD_KEY),
            (TOWN.certificate(FEED.author, by=signer("stranger")), Link.INVITE, Code.BAD_KEY),
        ],
        ids=["none", "for another replica", "for another plane", "not signed", "malformed", "by another town",
             "signed by another key for the town"],
    )  # fmt: skip
    def test_the_founders_town_must_have_certified_the_author(
        self, certificate: list[bytes], link: Link, code: Code
    ) -> None:
        assert broken(altered(certificate=tuple(certificate))) == (link, code)

    def test_the_plane_must_be_named_after_the_genesis(self) -> None:
        town = Town("rivertown", PlaneKind.FEDERATION)  # of the same keys
        assert town.key.public == TOWN.key.public
        assert broken(altered(genesis=town.genesis)) == (Link.GENESIS, Code.WRONG_PLANE)

    def test_another_founder_is_no_founder(self) -> None:
        assert broken(altered(genesis=Town("other").genesis))[0] is Link.TOWN

    @given(damaged(DATA, build_proof(FIRST, 1, CERTIFICATE, TOWN.genesis)))
    def test_no_damage_leaves_a_proof_that_shows_something_else(self, data: bytes) -> None:
        try:
            shown = verify_proof(data)
        except MalformedError:
            return
        assert shown in (verify_proof(DATA), verify_proof(build_proof(FIRST, 1, CERTIFICATE, TOWN.genesis)))

    def test_of_a_reader_nothing_is_shown_but_its_certificate(self) -> None:
        reader = TOWN.replica("reader", Role.READER, note("mine"))
        certificate = TOWN.certificate(reader.author, Role.READER)
        assert verify_proof(build_proof(reader.batches[0], 1, certificate, TOWN.genesis)).role is Role.READER
        with pytest.raises(BrokenProofError) as caught:
            build_proof(reader.batches[0], 2, certificate, TOWN.genesis)
        assert (caught.value.link, caught.value.code) == (Link.ROLE, Code.DENIED)

    @pytest.mark.parametrize("role", list(Role))
    def test_a_replicas_first_event_is_the_certificate_that_the_proof_rests_on(self, role: Role) -> None:
        feed = FeedWriter(TOWN.plane, signer("without a certificate"))
        batch = feed.write(note("Proven, as it seems", entity="rt-1"))
        with pytest.raises(BrokenProofError) as caught:
            build_proof(batch, 1, TOWN.certificate(feed.author, role), TOWN.genesis)
        assert (caught.value.link, caught.value.code) == (Link.CERTIFICATE, Code.BAD_KEY)

    def test_nor_is_it_another_certificate_of_the_same_replica(self) -> None:
        other = TOWN.certificate(FEED.author, Role.ADMIN)
        with pytest.raises(BrokenProofError) as caught:
            build_proof(FIRST, 1, other, TOWN.genesis)
        assert (caught.value.link, caught.value.code) == (Link.CERTIFICATE, Code.BAD_KEY)
        assert verify_proof(build_proof(FIRST, 1, CERTIFICATE, TOWN.genesis)).role is Role.WRITER

    @pytest.mark.parametrize(
        ("place", "moved"), [(0, 1), (0, -1), (5, 7)], ids=["its last, early", "its last, late", "one before, late"]
    )
    def test_an_events_time_fits_the_time_of_the_batchs_last(self, place: int, moved: int) -> None:
        events = [(event.skeleton_bytes, event.values_bytes) for event in BATCH.events if event.values_bytes]
        event, seen = BATCH.events[-1 - place], BATCH.header
        header = forged_header(
            events, FEED.key, plane=TOWN.plane, first=seen.first, prev=seen.prev,
            authors=list(seen.authors), hlc_last=event.skeleton.hlc + place + (moved if not place else -moved),
        )  # fmt: skip
        index = len(events) - 1 - place
        assert broken(
            altered(
                skeleton=event.skeleton_bytes, values=event.values_bytes, index=index, header=header,
                path=tuple(prove([each.leaf for each in BATCH.events], index)),
                signature=FEED.key.sign(BATCH_DOMAIN + header),
            )
        ) == (Link.PATH, Code.BAD_STRUCTURE)  # fmt: skip

    def test_the_recovery_key_is_no_replica(self) -> None:
        feed = FeedWriter(TOWN.plane, TOWN.recovery)
        certificate = TOWN.certificate(feed.author)
        batch = feed.write(certificate_draft(certificate, feed.author, "admin"))
        with pytest.raises(BrokenProofError) as caught:
            build_proof(batch, 1, certificate, TOWN.genesis)
        assert (caught.value.link, caught.value.code) == (Link.CERTIFICATE, Code.BAD_KEY)


class TestInvites:
    def test_a_replica_that_joined_with_an_invite_is_shown_with_it(self) -> None:
        shown = verify_proof(GUEST_DATA)
        assert (shown.town, shown.replica, shown.invite) == (TOWN.key.public, GUEST.author, INVITE.public)
        assert (shown.role, shown.n, shown.changes[0].value) == (Role.WRITER, 3, "and more")
        assert verify_proof(DATA).invite == b""

    def test_what_it_does_not_show_of_the_invite_is_said(self) -> None:
        assert verify_proof(GUEST_DATA).not_shown == NOT_SHOWN + NOT_SHOWN_OF_INVITES
        assert any("ends" in line for line in NOT_SHOWN)
        assert any("closes" in line for line in NOT_SHOWN_OF_INVITES)

    @pytest.mark.parametrize(
        ("invite", "certificate", "shown"),
        [
            (Role.WRITER, Role.WRITER, Role.WRITER),
            (Role.WRITER, Role.READER, Role.READER),
            (Role.READER, Role.WRITER, Role.READER),
            (Role.WRITER, Role.ADMIN, Role.WRITER),
        ],
    )
    def test_the_role_is_the_least_of_the_invites_and_the_certificates(
        self, invite: Role, certificate: Role, shown: Role
    ) -> None:
        town = Town("rivertown")
        made = town.charter.write(invited(invite))
        guest = town.replica("guest", certificate, by=INVITE)
        signed = town.certificate(guest.author, certificate, by=INVITE)
        proof = build_proof(guest.batches[0], 1, signed, town.genesis, ((made, made.header.first),))
        assert verify_proof(proof).role is shown

    def test_the_largest_event_with_the_largest_invite_fits(self) -> None:
        town = Town("e" * limits.ENTITY_BYTES)
        over = [Dot(i.to_bytes(32, "big"), 1, b"leaf8...") for i in range(900)]
        plain = invited(town=town.key.public)
        more = Write("other", "x" * 45_000, over)
        made = town.charter.write(plain._replace(writes=[*plain.writes, more]))
        guest = town.replica("guest", by=INVITE)
        batch = guest.write(note("x" * 45_000, over=over))
        certificate = town.certificate(guest.author, by=INVITE)
        proof = build_proof(batch, 2, certificate, town.genesis, ((made, made.header.first),))
        assert verify_proof(proof).n == 2
        assert len(proof) > limits.BATCH_BYTES + 4 * limits.KIB, "twice the room is needed"


def shown_by(batch: Batch) -> bytes:
    """The guest's proof with the first event of this batch as what made its invite."""
    event = batch.events[0]
    values = Ext(1, event.values_hash) if event.values_bytes is None else event.values_bytes
    path = tuple(prove([each.leaf for each in batch.events], 0))
    made = SignedEvent(event.skeleton_bytes, values, 0, path, batch.header_bytes, batch.signature)
    return encode(replace(GUEST_PROOF, further=(made,)))


def charter(*drafts: Draft) -> Batch:
    """A batch of the town's charter."""
    return TOWN.charter.fork("another branch").write(*drafts)


def about_invite(*writes: Write) -> Draft:
    """An event about the invite."""
    return Draft("invite", key_text(INVITE.public), "admin", writes)


VALUE = [Role.WRITER, TOWN.key.public, 0, seed("hpke")]


class TestForgedInvites:
    @pytest.mark.parametrize(
        ("batch", "code"),
        [
            (FeedWriter(TOWN.plane, signer("other town")).write(invited()), Code.BAD_KEY),
            (FEED.fork("more").write(invited()), Code.BAD_KEY),
            (GUEST.fork("more").write(invited()), Code.BAD_KEY),
            (Town("rivertown", PlaneKind.FEDERATION).charter.write(invited()), Code.WRONG_PLANE),
            (charter(OTHER_INVITE), Code.BAD_KEY),
            (charter(invited(town=signer("other town").public)), Code.BAD_KEY),
            (charter(invited(town=bytes(32))), Code.BAD_KEY),
            (charter(invited(Role.ADMIN)), Code.BAD_KEY),
            (charter(about_invite(Write(CLOSE, [GUEST.author]))), Code.BAD_KEY),
            (charter(about_invite(Write("invite", VALUE))._replace(kind="issue")), Code.BAD_KEY),
            (charter(about_invite(Write("other", VALUE))), Code.BAD_KEY),
            (charter(about_invite(Write("invite", removes=True))), Code.BAD_KEY),
            (charter(about_invite(Write("invite", VALUE), Write(CLOSE, "nobody"))), Code.BAD_KEY),
            (stripped(charter(invited())), Code.BAD_KEY),
            (replace(charter(invited()), signature=bytes(64)), Code.BAD_SIGNATURE),
            (replace(charter(invited()), header_bytes=MADE.header_bytes, signature=MADE.signature), Code.BAD_HASH),
            (replace(charter(invited()), header_bytes=b"\xc1"), Code.BAD_STRUCTURE),
        ],
        ids=["another town's charter", "a replica's feed", "its own feed", "another plane", "another key",
             "for another town", "for no town yet", "for admins", "a close", "no invite by kind", "no invite by key",
             "taken back", "void", "without its values", "not signed", "under another root", "no header"],
    )  # fmt: skip
    def test_the_town_must_have_made_the_invite_in_its_charter(self, batch: Batch, code: Code) -> None:
        assert broken(shown_by(batch)) == (Link.INVITE, code)

    def test_what_the_forgeries_are_measured_against_holds(self) -> None:
        assert verify_proof(shown_by(charter(invited()))).invite == INVITE.public

    def test_a_readers_invite_makes_no_writer_whatever_its_certificate_says(self) -> None:
        assert broken(shown_by(charter(invited(Role.READER)))) == (Link.ROLE, Code.DENIED)

    def test_nor_does_its_value_once_it_is_changed(self) -> None:
        reader, writer = charter(invited(Role.READER)), charter(invited())
        (made,) = decode_proof(shown_by(reader)).further
        claimed = replace(made, values=writer.events[0].values_bytes or b"")
        assert broken(encode(replace(GUEST_PROOF, further=(claimed,)))) == (Link.INVITE, Code.BAD_HASH)

    def test_the_key_of_the_invite_must_have_signed_the_certificate(self) -> None:
        body, signature, _ = TOWN.certificate(GUEST.author, by=signer("stranger"))
        data = encode(replace(GUEST_PROOF, certificate=(body, signature, INVITE.public)))
        assert broken(data) == (Link.CERTIFICATE, Code.BAD_SIGNATURE)

    def test_an_invite_that_nothing_rests_on_is_malformed(self) -> None:
        founding = build_proof(TOWN.charter.batches[0], 1, (), TOWN.genesis)
        for proof in (PROOF, decode_proof(founding)):
            with pytest.raises(MalformedError) as caught:
                verify_proof(encode(replace(proof, further=GUEST_PROOF.further)))
            assert caught.value.code is Code.BAD_STRUCTURE

    def test_an_event_that_is_not_in_the_invites_batch_is_not_found(self) -> None:
        with pytest.raises(RefusedError) as caught:
            build_proof(GUEST_BATCH, 3, GUEST_CERTIFICATE, TOWN.genesis, ((MADE, MADE.header.last + 1),))
        assert caught.value.code is Code.NOT_FOUND

    @given(st.integers(0, len(GUEST_DATA) - 1), st.integers(1, 255))
    def test_no_changed_byte_changes_what_is_shown(self, place: int, mask: int) -> None:
        data = bytearray(GUEST_DATA)
        data[place] ^= mask
        with pytest.raises(MalformedError):
            verify_proof(bytes(data))

    @given(damaged(GUEST_DATA, DATA))
    def test_no_damage_leaves_a_proof_that_shows_something_else(self, data: bytes) -> None:
        try:
            shown = verify_proof(data)
        except MalformedError:
            return
        assert shown in (verify_proof(GUEST_DATA), verify_proof(DATA))


class TestStructure:
    @pytest.mark.parametrize(
        "changes",
        [
            {"values": Ext(2, bytes(32))},
            {"values": Ext(1, bytes(31))},
            {"signature": bytes(63)},
            {"path": (bytes(31),)},
            {"certificate": (b"", b"")},
            {"certificate": (b"",) * 4},
            {"further": (DATA,)},
            {"further": (replace(GUEST_PROOF.further[0], signature=bytes(63)),)},
        ],
        ids=[
            "extension type",
            "short hash",
            "short signature",
            "short step",
            "two parts",
            "four parts",
            "further that is no event",
            "an invite's short signature",
        ],
    )
    def test_each_part_follows_its_rule(self, changes: dict[str, Any]) -> None:
        assert malformed(altered(**changes)) is Code.BAD_STRUCTURE

    def test_size_version_and_structure_are_checked_in_this_order(self) -> None:
        assert malformed(bytes(limits.PROOF_BYTES + 1)) is Code.TOO_LARGE
        assert malformed(altered(further=GUEST_PROOF.further * (limits.PROOF_EVENTS + 1))) is Code.TOO_LARGE
        assert malformed(encode([2, "another shape"])) is Code.BAD_VERSION
        assert malformed(encode([1, "another shape"])) is Code.BAD_STRUCTURE
        assert malformed(encode([*msgspec.structs.astuple(PROOF), 0])) is Code.NOT_CANONICAL

    @pytest.mark.parametrize("part", ["skeleton", "header", "genesis"])
    def test_a_part_that_means_nothing_is_malformed(self, part: str) -> None:
        with pytest.raises(MalformedError) as caught:
            verify_proof(altered(**{part: b"\xc1"}))
        assert caught.value.code is Code.BAD_STRUCTURE

    def test_a_proof_comes_back_as_it_was(self) -> None:
        assert encode(PROOF) == DATA

    def test_an_invite_s_bytes_are_those_that_are_documented(self) -> None:
        event = MADE.events[1]
        path = prove([each.leaf for each in MADE.events], 1)
        made = [event.skeleton_bytes, event.values_bytes, 1, path, MADE.header_bytes, MADE.signature]
        assert encode([*msgspec.structs.astuple(GUEST_PROOF)[:-1], [made]]) == GUEST_DATA

    def test_the_bytes_are_those_that_are_documented(self) -> None:
        event = BATCH.events[1]
        assert encode(
            [
                1, event.skeleton_bytes, event.values_bytes, 1, list(PROOF.path), BATCH.header_bytes, BATCH.signature,
                CERTIFICATE, TOWN.genesis, [],
            ]
        ) == DATA  # fmt: skip
