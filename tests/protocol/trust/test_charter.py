from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import crypto
from moot_protocol.codec import encode
from moot_protocol.ids import key_text
from moot_protocol.limits import ENTITY_BYTES, EVENT_BYTES, SALT_BYTES
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Dot, Draft, Event, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import (
    CLOSE,
    Admission,
    End,
    Invite,
    InviteProof,
    admission_draft,
    close_draft,
    end_draft,
    end_of,
    epoch_drafts,
    epoch_of_entity,
    invite_draft,
    invite_of,
    is_invite,
    is_proof_of,
    is_void,
    opening_value,
    parse,
)
from moot_testkit.bytes.feeds import FeedWriter, Town, note, seed, signer, stripped
from moot_testkit.bytes.strategies import hashes, values

AUTHOR, BATCH, TOWN_KEY, HPKE_KEY = seed("author"), seed("batch"), seed("town"), seed("hpke")
EPOCH, EARLIER = b"eight by", b"another!"
EPOCH_VALUE = [b"", [[AUTHOR, bytes(80)]]]


def event(draft: Draft) -> Event:
    return FeedWriter(bytes(16), signer("someone")).write(draft).events[0]


def said(draft: Draft) -> dict[str, Any] | None:
    """What an event of a charter says by key, None where it is void."""
    parsed = parse(event(draft))
    return None if parsed is None else dict(parsed.values)


def test_a_genesis_opens_a_charter() -> None:
    town = Town()
    opening = town.charter.batches[0].events[0]
    assert opening_value(opening, "genesis") == town.genesis
    assert opening_value(opening, "certificate") is None


def test_a_certificate_opens_a_replica_s_feed() -> None:
    town = Town()
    feed = town.replica("one")
    assert opening_value(feed.batches[0].events[0], "certificate") == town.certificate(feed.author)


@pytest.mark.parametrize(
    "opening",
    [
        event(Draft("genesis", "plane", "a", (Write("genesis", removes=True),))),
        event(Draft("genesis", "plane", "a", (Write("other", b""),))),
        event(Draft("genesis", "plane", "a", (Write("genesis", b""), Write("other", b"")))),
        stripped(
            FeedWriter(bytes(16), signer("a")).write(Draft("genesis", "plane", "a", (Write("genesis", b""),)))
        ).events[0],
    ],
)
def test_an_opening_that_says_more_or_less_than_its_one_value_opens_nothing(opening: Event) -> None:
    assert opening_value(opening, "genesis") is None


@given(st.integers(1, 2**64 - 1), hashes.filter(any), hashes)
def test_an_end_is_read_as_it_was_written(n: int, batch: bytes, town: bytes) -> None:
    end = End(n, batch, town)
    drafted = end_draft(AUTHOR, end, "admin")
    assert drafted.entity == key_text(AUTHOR)
    assert said(drafted) == {"end": end}
    assert end_of(event(drafted), AUTHOR) == end
    assert end_of(event(drafted), town) is None or town == AUTHOR


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, BATCH],
        [1, BATCH, TOWN_KEY, 0],
        [-1, BATCH, TOWN_KEY],
        [True, BATCH, TOWN_KEY],
        [1.0, BATCH, TOWN_KEY],
        [1, BATCH[1:], TOWN_KEY],
        [1, BATCH, "town"],
        [0, BATCH, TOWN_KEY],
        [1, ZEROS, TOWN_KEY],
    ],
)
def test_what_is_no_end_makes_its_event_void(value: Any) -> None:
    assert is_void(event(Draft("end", key_text(AUTHOR), "a", (Write("end", value),))))


@given(values, st.sampled_from(["admission", "end", "invite"]))
def test_any_value_makes_its_event_void_or_says_something(value: Any, kind: str) -> None:
    assert said(Draft(kind, key_text(AUTHOR), "a", (Write(kind, value),))) is None


def test_an_end_of_what_is_no_key_is_void() -> None:
    assert is_void(event(Draft("end", "someone", "a", (Write("end", [0, ZEROS, TOWN_KEY]),))))


def test_an_end_and_its_removal_are_not_void() -> None:
    assert not is_void(event(end_draft(AUTHOR, End(0, ZEROS, TOWN_KEY), "a")))
    assert not is_void(event(Draft("end", key_text(AUTHOR), "a", (Write("end", removes=True),))))


def test_a_charter_s_event_whose_values_are_missing_is_void_whatever_its_kind() -> None:
    batch = FeedWriter(bytes(16), signer("someone")).write(note())
    assert not is_void(batch.events[0])
    assert is_void(stripped(batch).events[0])


# -- Invites ---------------------------------------------------------------------------------------------------------
@given(st.sampled_from([Role.WRITER, Role.READER]), hashes, st.integers(0, 2**48 - 1), hashes)
def test_an_invite_is_read_as_it_was_written(role: Role, town: bytes, expires_ms: int, hpke_key: bytes) -> None:
    invite = Invite(role, town, expires_ms, hpke_key)
    drafted = invite_draft(AUTHOR, invite, "admin")
    assert drafted.entity == key_text(AUTHOR)
    assert said(drafted) == {"invite": invite}
    assert is_invite(invite)


@pytest.mark.parametrize(
    "value",
    [
        None,
        ["writer", TOWN_KEY, 0],
        ["writer", TOWN_KEY, 0, HPKE_KEY, 0],
        ["admin", TOWN_KEY, 0, HPKE_KEY],
        ["owner", TOWN_KEY, 0, HPKE_KEY],
        [[], TOWN_KEY, 0, HPKE_KEY],
        ["writer", TOWN_KEY[1:], 0, HPKE_KEY],
        ["writer", None, 0, HPKE_KEY],
        ["writer", TOWN_KEY, -1, HPKE_KEY],
        ["writer", TOWN_KEY, 2**48, HPKE_KEY],
        ["writer", TOWN_KEY, True, HPKE_KEY],
        ["writer", TOWN_KEY, 1.0, HPKE_KEY],
        ["writer", TOWN_KEY, 0, HPKE_KEY[1:]],
        ["writer", TOWN_KEY, 0, "k" * 32],
    ],
)
def test_what_is_no_invite_makes_its_event_void(value: Any) -> None:
    assert is_void(event(Draft("invite", key_text(AUTHOR), "a", (Write("invite", value),))))


@given(st.sets(hashes, max_size=5))
def test_a_close_is_read_as_it_was_written(subjects: set[bytes]) -> None:
    assert said(close_draft(AUTHOR, list(subjects) * 2, "admin")) == {CLOSE: frozenset(subjects)}


@pytest.mark.parametrize(
    "value", [None, AUTHOR, [AUTHOR[1:]], ["k" * 32], [AUTHOR, AUTHOR], sorted([AUTHOR, BATCH])[::-1], {"a": AUTHOR}]
)
def test_what_is_no_close_makes_its_event_void(value: Any) -> None:
    assert is_void(event(Draft("invite", key_text(AUTHOR), "a", (Write(CLOSE, value),))))


def test_an_invite_is_found_in_the_event_that_makes_it_and_in_no_other() -> None:
    invite = Invite(Role.WRITER, TOWN_KEY, 0, HPKE_KEY)
    made = invite_draft(AUTHOR, invite, "a")
    assert invite_of(event(made), AUTHOR) == invite
    assert invite_of(event(made), TOWN_KEY) is None
    assert invite_of(event(made._replace(kind="issue")), AUTHOR) is None
    assert invite_of(event(close_draft(AUTHOR, [], "a")), AUTHOR) is None
    assert invite_of(event(made._replace(writes=(*made.writes, Write(CLOSE, "nobody")))), AUTHOR) is None


@pytest.mark.parametrize("expires_ms", [-1, 2**48])
def test_what_expires_at_no_time_is_no_invite(expires_ms: int) -> None:
    assert not is_invite(Invite(Role.WRITER, TOWN_KEY, expires_ms, HPKE_KEY))
    assert not is_invite(Invite(Role.ADMIN, TOWN_KEY, 0, HPKE_KEY))


def test_a_value_in_another_than_its_only_encoding_makes_its_event_void() -> None:
    made = event(end_draft(AUTHOR, End(1, BATCH, TOWN_KEY), "a"))
    packed = made.values_bytes or b""
    assert packed[19:21] == b"\x93\x01"  # behind the salt: an array of three, the first of them 1
    assert not is_void(made)
    assert is_void(msgspec.structs.replace(made, values_bytes=packed[:20] + b"\xcc\x01" + packed[21:]))


def test_an_invite_of_what_is_no_key_is_void() -> None:
    value = ["writer", TOWN_KEY, 0, HPKE_KEY]
    assert is_void(event(Draft("invite", "someone", "a", (Write("invite", value),))))


def test_keys_that_a_newer_version_may_write_beside_are_not_void() -> None:
    assert not is_void(event(Draft("invite", key_text(AUTHOR), "a", (Write("note", "for the laptop"),))))


@pytest.mark.parametrize("value", [float("nan"), msgspec.msgpack.Ext(5, b"x"), {"x": float("inf")}])
@pytest.mark.parametrize("key", ["close", "note"])
def test_a_value_that_no_event_may_hold_makes_the_whole_event_void(key: str, value: Any) -> None:
    made = event(Draft("invite", key_text(AUTHOR), "a", (Write(key, []),)))
    packed = encode([bytes(SALT_BYTES), value])
    assert not is_void(made)
    assert is_void(msgspec.structs.replace(made, values_bytes=packed))


@pytest.mark.parametrize("salt", [bytes(SALT_BYTES - 1), bytes(SALT_BYTES + 1), b"", "s" * SALT_BYTES, None])
def test_values_behind_what_is_no_salt_make_their_event_void(salt: Any) -> None:
    made = event(end_draft(AUTHOR, End(0, ZEROS, TOWN_KEY), "a"))
    packed = encode([salt, [0, ZEROS, TOWN_KEY]])
    assert is_void(msgspec.structs.replace(made, values_bytes=packed))


@pytest.mark.parametrize(("more", "is_too_large"), [(0, False), (1, True)])
def test_an_event_beyond_its_size_is_void(more: int, is_too_large: bool) -> None:
    made = event(end_draft(AUTHOR, End(0, ZEROS, TOWN_KEY), "a"))
    rest = EVENT_BYTES - len(made.values_bytes or b"") + more
    assert is_void(msgspec.structs.replace(made, skeleton_bytes=bytes(rest))) is is_too_large


# -- Admissions ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", list(Role))
def test_an_admission_is_read_as_it_was_written(role: Role) -> None:
    admission = Admission("ö" * (ENTITY_BYTES // 2), role)
    assert said(admission_draft(AUTHOR, admission, "a")) == {"admission": admission}


@pytest.mark.parametrize(
    "value", [["", "writer"], ["two\nlines", "writer"], ["x" * (ENTITY_BYTES + 1), "writer"], ["name", "Writer"]]
)
def test_what_is_no_admission_makes_its_event_void(value: Any) -> None:
    assert is_void(event(Draft("admission", key_text(AUTHOR), "a", (Write("admission", value),))))


# -- Epochs ----------------------------------------------------------------------------------------------------------
def test_an_epoch_is_named_by_its_8_bytes_in_hex() -> None:
    (drafted,) = epoch_drafts(EPOCH, EPOCH_VALUE, "admin", {})
    assert (drafted.kind, drafted.entity) == ("epoch", "6569676874206279")
    assert epoch_of_entity(drafted.entity) == EPOCH
    assert not is_void(event(drafted))


@pytest.mark.parametrize("entity", ["", "65696768742062", "656967687420627900", "6569676874206X79", "656967687420627A"])
def test_an_epoch_of_what_is_no_epoch_s_name_is_void(entity: str) -> None:
    assert epoch_of_entity(entity) is None
    assert not entity or is_void(event(Draft("epoch", entity, "a", (Write("epoch", EPOCH_VALUE),))))


def test_an_epoch_whose_value_is_none_is_void() -> None:
    assert is_void(event(Draft("epoch", EPOCH.hex(), "a", (Write("epoch", [b"", []]),))))


def test_an_epoch_takes_others_places_by_removing_what_is_live_in_them() -> None:
    dots = [Dot(AUTHOR, 7, b"leaf8..."), Dot(AUTHOR, 8, b"leaf8...")]
    begun, removed = epoch_drafts(EPOCH, EPOCH_VALUE, "admin", {EARLIER: dots})
    assert begun.entity == EPOCH.hex()
    assert (removed.entity, removed.writes) == (EARLIER.hex(), (Write("epoch", removes=True, over=dots),))
    assert not is_void(event(removed))


@given(values)
def test_no_value_of_any_kind_makes_these_readers_fail(value: Any) -> None:
    for kind, entity in (("end", key_text(AUTHOR)), ("invite", key_text(AUTHOR)), ("epoch", EPOCH.hex())):
        for key in (kind, CLOSE):
            assert is_void(event(Draft(kind, entity, "a", (Write(key, value),)))) in {True, False}


def test_a_key_of_small_order_proves_no_invite() -> None:
    neutral = bytes([1]) + bytes(31)
    proof = InviteProof(neutral, neutral + bytes(32))  # fits every message
    assert crypto.is_signed(proof.invite, proof.signature, b"whatever")
    assert not is_proof_of(proof, bytes(16), seed("town"))
