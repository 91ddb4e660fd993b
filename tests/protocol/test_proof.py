"""A proof shows that a certified replica signed an event; with any link broken it shows nothing, and says which."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from moot_protocol import limits
from moot_protocol.clock import from_ms
from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.event import Dot, Draft, Write
from moot_protocol.genesis import PlaneKind
from moot_protocol.kinds import Role
from moot_protocol.proof import NOT_SHOWN, BrokenProofError, Link, Proof, build_proof, decode_proof, verify_proof
from moot_protocol.register import MISSING
from moot_testkit.feeds import Town, dot_of, note, signer, stripped
from moot_testkit.forging import forged_header
from moot_testkit.strategies import damaged

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


def altered(**changes: Any) -> bytes:
    """The proof with some of its parts exchanged."""
    return encode(msgspec.structs.replace(PROOF, **changes))


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
        assert (shown.plane, shown.plane_name, shown.plane_kind) == (TOWN.plane, "rivertown", PlaneKind.LEDGER)
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
        header = forged_header([event], FEED.key, plane=TOWN.plane, hlc_last=BATCH.events[0].skeleton.hlc)
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
            (Town("other").certificate(FEED.author, plane=TOWN.plane, town=TOWN.key.public), Link.TOWN, Code.BAD_KEY),
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
        ],
        ids=["extension type", "short hash", "short signature", "short step", "two parts", "four parts", "further"],
    )
    def test_each_part_follows_its_rule(self, changes: dict[str, Any]) -> None:
        assert malformed(altered(**changes)) is Code.BAD_STRUCTURE

    def test_size_version_and_structure_are_checked_in_this_order(self) -> None:
        assert malformed(bytes(limits.PROOF_BYTES + 1)) is Code.TOO_LARGE
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

    def test_the_bytes_are_those_that_are_documented(self) -> None:
        event = BATCH.events[1]
        assert encode(
            [
                1, event.skeleton_bytes, event.values_bytes, 1, list(PROOF.path), BATCH.header_bytes, BATCH.signature,
                CERTIFICATE, TOWN.genesis, [],
            ]
        ) == DATA  # fmt: skip
