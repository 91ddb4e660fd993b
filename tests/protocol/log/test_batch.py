"""A batch is accepted exactly if each rule of the format holds, and the first rule broken is the one that is named."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext

from moot_protocol import limits
from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN, SeedSigner, is_signed
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.log.batch import (
    ABSENT,
    ZEROS,
    Batch,
    BatchBuilder,
    Link,
    batch_link,
    decode_batch,
    decode_events,
    decode_header,
    decode_signed,
    encode_batch,
)
from moot_protocol.log.event import Dot, Draft, Write, event_from_bytes
from moot_protocol.log.merkle import root
from moot_testkit.bytes.feeds import wire
from moot_testkit.bytes.forging import (
    PLANE,
    SALT,
    SIGNER,
    absent,
    forged_batch,
    forged_header,
    forged_skeleton,
    forged_values,
)
from moot_testkit.bytes.strategies import batches, encodings

STRANGER = SeedSigner(b"\x08" * 32)
MAX = 2**64 - 1


def refusal(data: bytes) -> Code:
    with pytest.raises(MalformedError) as caught:
        decode_batch(data)
    return caught.value.code


def builder(first: int = 1, prev: bytes = ZEROS) -> BatchBuilder:
    return BatchBuilder(PLANE, SIGNER.public, first, prev)


def draft(value: Any = "a", over: tuple[Dot, ...] = ()) -> Draft:
    return Draft("issue", "mo-1", "alice", [Write("title", value, over)])


def several(count: int, **other: Any) -> list[tuple[bytes, bytes | Ext]]:
    return [(forged_skeleton(hlc=i + 1, **other), forged_values(i)) for i in range(count)]


@given(batches())
def test_a_batch_decoded_in_two_steps_is_the_one_decoded_at_once(batch: Batch) -> None:
    assert decode_events(decode_signed(wire(batch))) == decode_batch(wire(batch)) == batch


def test_the_first_step_refuses_what_nobody_signed_and_the_second_what_is_wrong_with_the_events() -> None:
    with pytest.raises(MalformedError) as unsigned:
        decode_signed(forged_batch(author=STRANGER.public))
    assert unsigned.value.code is Code.BAD_SIGNATURE
    signed = decode_signed(forged_batch([(forged_skeleton(hlc=2), forged_values("a"))] * 2))
    with pytest.raises(MalformedError) as disordered:
        decode_events(signed)
    assert disordered.value.code is Code.BAD_STRUCTURE


class TestRoundTrip:
    @given(batches())
    def test_what_is_sealed_is_what_is_read(self, batch: Batch) -> None:
        again = decode_batch(wire(batch))
        assert again == batch
        assert wire(again) == wire(batch)

    @given(batches())
    def test_header_signature_and_id_are_as_the_format_says(self, batch: Batch) -> None:
        header = batch.header
        assert batch.header_bytes == encode(
            [
                1, header.plane, header.author, header.first, len(batch.events), header.prev,
                root([event.leaf for event in batch.events]), list(header.authors), batch.events[-1].skeleton.hlc,
            ]
        )  # fmt: skip
        assert is_signed(header.author, batch.signature, b"moot/batch/1\0" + batch.header_bytes)
        assert batch.id == sha256(batch.header_bytes).digest()
        assert [event.n for event in batch.events] == list(range(header.first, header.last + 1))
        assert decode_header(batch.header_bytes) == header

    @given(batches(), st.data())
    def test_without_some_of_its_values_it_is_the_same_batch(self, batch: Batch, data: st.DataObject) -> None:
        stripped = [
            event_from_bytes(event.n, event.skeleton, event.skeleton_bytes, None, event.values_hash)
            if data.draw(st.booleans())
            else event
            for event in batch.events
        ]
        again = decode_batch(encode_batch(batch.header_bytes, batch.signature, stripped))
        assert (again.id, again.signature) == (batch.id, batch.signature)
        assert [event.leaf for event in again.events] == [event.leaf for event in batch.events]
        assert again.is_complete == (stripped == list(batch.events))

    def test_authors_are_found_behind_their_index(self) -> None:
        building = builder()
        building.add(draft(over=(Dot(STRANGER.public, 1, b"leaf8..."),)), 1, SALT)
        batch = decode_batch(wire(building.seal(SIGNER.sign)))
        assert [batch.author_of(index) for index in (0, 1)] == [SIGNER.public, STRANGER.public]
        assert building.authors == [SIGNER.public, STRANGER.public]

    def test_a_batch_made_by_hand_is_accepted(self) -> None:
        assert decode_batch(forged_batch()).events[0].values() == ["a title"]
        assert decode_batch(forged_batch(several(3), hlc_last=3)).header.last == 3


class TestEnvelope:
    HEADER = forged_header([(forged_skeleton(), forged_values("a title"))])
    SIGNATURE = SIGNER.sign(BATCH_DOMAIN + HEADER)
    EVENT = (forged_skeleton(), forged_values("a title"))

    @given(encodings([1, HEADER, SIGNATURE, [list(EVENT)]]))
    def test_of_all_encodings_of_a_batch_only_one_is_accepted(self, data: bytes) -> None:
        if data == forged_batch():
            decode_batch(data)
        else:
            assert refusal(data) is Code.NOT_CANONICAL

    @pytest.mark.parametrize(
        "envelope",
        [
            [1, HEADER, SIGNATURE],
            [1, HEADER, SIGNATURE, [], 0],
            [1, HEADER, SIGNATURE, [EVENT[:1]]],
            [1, HEADER, SIGNATURE, [(*EVENT, b"")]],
            [1, HEADER, SIGNATURE, [(EVENT[0], None)]],
            [1, HEADER, SIGNATURE, [(EVENT[0], "text")]],
            [1, HEADER.hex(), SIGNATURE, [EVENT]],
            [1, HEADER, None, [EVENT]],
            [True, HEADER, SIGNATURE, [EVENT]],
            {"version": 1},
            1,
        ],
        ids=["no events", "more behind", "half an event", "more in an event", "nothing for values", "text for values",
             "text for a header", "no signature", "true for a version", "a map", "a number"],
    )  # fmt: skip
    def test_any_other_structure_is_refused(self, envelope: Any) -> None:
        assert refusal(encode(envelope)) in {Code.BAD_STRUCTURE, Code.NOT_CANONICAL}

    @pytest.mark.parametrize("size", [0, 63, 65])
    def test_a_signature_has_64_bytes(self, size: int) -> None:
        data = encode([1, self.HEADER, (self.SIGNATURE * 2)[:size], [self.EVENT]])
        assert refusal(data) is Code.BAD_STRUCTURE
        with pytest.raises(MalformedError):
            decode_batch(data, verify=False)

    @pytest.mark.parametrize(
        "content",
        [
            Ext(ABSENT, bytes(31)),
            Ext(ABSENT, bytes(33)),
            Ext(ABSENT, b""),
            Ext(2, bytes(32)),
            Ext(-2, bytes(32)),
            Ext(0, bytes(32)),
        ],
        ids=lambda ext: f"type {ext.code} of {len(ext.data)}",
    )
    def test_absent_values_are_32_bytes_of_extension_type_1_and_nothing_else(self, content: Ext) -> None:
        events = [(forged_skeleton(), content)]
        assert refusal(forged_batch(events)) is Code.BAD_STRUCTURE

    def test_values_may_be_absent_in_an_otherwise_whole_batch(self) -> None:
        present = forged_batch()
        header, signature = encode_parts(present)
        batch = decode_batch(encode([1, header, signature, [(forged_skeleton(), absent(forged_values("a title")))]]))
        assert batch.id == decode_batch(present).id
        assert not batch.is_complete
        assert batch.events[0].values() is None


def encode_parts(data: bytes) -> tuple[bytes, bytes]:
    batch = decode_batch(data)
    return batch.header_bytes, batch.signature


class TestHeader:
    @pytest.mark.parametrize(
        ("other", "why"),
        [
            ({"plane": PLANE[:-1]}, "plane too short"),
            ({"plane": PLANE + b"."}, "plane too long"),
            ({"prev": bytes(31), "first": 2}, "prev too short"),
            ({"root": bytes(31)}, "root too short"),
            ({"root": bytes(33)}, "root too long"),
            ({"authors": [bytes(31)]}, "an author too short"),
            ({"authors": [SIGNER.public]}, "own author in the table"),
            ({"authors": [STRANGER.public, STRANGER.public]}, "an author twice"),
            ({"authors": [i.to_bytes(32, "big") for i in range(limits.BATCH_AUTHORS + 1)]}, "too many authors"),
            ({"first": 0}, "numbers begin at 1"),
            ({"first": -1}, "a negative number"),
            ({"first": MAX, "prev": b"p" * 32}, "numbers beyond 64 bits"),
            ({"count": 0}, "no events"),
            ({"count": limits.BATCH_EVENTS + 1}, "too many events"),
            ({"count": 2}, "more events than there are"),
            ({"prev": b"p" * 32}, "a first batch with a predecessor"),
            ({"first": 2}, "a later batch without one"),
            ({"hlc_last": 0}, "no time"),
            ({"hlc_last": 2}, "another time than the last event's"),
            ({"plane": PLANE.decode()}, "text for a plane"),
            ({"authors": None}, "nothing for a table"),
            ({"more": 1}, "more behind"),
        ],
        ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
    )
    def test_each_part_follows_its_rule(self, other: dict[str, Any], why: str) -> None:
        assert refusal(forged_batch(**other)) in {Code.BAD_STRUCTURE, Code.NOT_CANONICAL}, why

    def test_no_event_stands_beyond_those_that_are_counted(self) -> None:
        assert refusal(forged_batch(several(2), count=1, hlc_last=2)) is Code.BAD_STRUCTURE

    @pytest.mark.parametrize("author", [SIGNER.public[:-1], SIGNER.public + b".", b""], ids=["short", "long", "none"])
    def test_an_author_is_32_bytes(self, author: bytes) -> None:
        assert refusal(forged_batch(author=author)) is Code.BAD_STRUCTURE

    def test_each_part_may_go_to_its_boundary(self) -> None:
        table = [i.to_bytes(32, "big") for i in range(limits.BATCH_AUTHORS)]
        assert len(decode_batch(forged_batch(authors=table)).header.authors) == limits.BATCH_AUTHORS
        assert decode_batch(forged_batch(first=MAX - 1, prev=b"p" * 32)).header.last == MAX - 1
        last = [(forged_skeleton(hlc=MAX), forged_values("a"))]
        assert decode_batch(forged_batch(last, hlc_last=MAX)).header.hlc_last == MAX

    def test_a_batch_without_events_is_none(self) -> None:
        header = forged_header([])
        with pytest.raises(MalformedError, match="numbers"):
            decode_header(header)
        assert refusal(encode([1, header, SIGNER.sign(BATCH_DOMAIN + header), []])) is Code.BAD_STRUCTURE

    def test_a_header_by_itself_is_held_to_the_same_rules(self) -> None:
        with pytest.raises(MalformedError) as caught:
            decode_header(forged_header([], count=1, first=0))
        assert caught.value.code is Code.BAD_STRUCTURE
        with pytest.raises(MalformedError) as caught:
            decode_header(b"\xc4" * (limits.BATCH_BYTES + 1))
        assert caught.value.code is Code.TOO_LARGE


class TestEvents:
    def test_times_ascend(self) -> None:
        for times in ([1, 1], [2, 1], [1, 3, 2]):
            events: list[tuple[bytes, bytes | Ext]] = [(forged_skeleton(hlc=hlc), forged_values(1)) for hlc in times]
            assert refusal(forged_batch(events, hlc_last=times[-1])) is Code.BAD_STRUCTURE

    def test_256_events_are_a_batch_and_one_more_are_not(self) -> None:
        most = limits.BATCH_EVENTS
        assert len(decode_batch(forged_batch(several(most), hlc_last=most)).events) == most
        assert refusal(forged_batch(several(most + 1), hlc_last=most + 1)) is Code.BAD_STRUCTURE

    def test_a_dot_names_an_author_of_the_table(self) -> None:
        def events(index: int) -> list[tuple[bytes, bytes | Ext]]:
            over = [[index, 1, b"leaf8..."]]
            return [(forged_skeleton(changes=[["title", over, False]]), forged_values("a"))]

        decode_batch(forged_batch(events(1), authors=[STRANGER.public]))
        assert refusal(forged_batch(events(2), authors=[STRANGER.public])) is Code.BAD_STRUCTURE
        assert refusal(forged_batch(events(1))) is Code.BAD_STRUCTURE

    def test_values_too_large_are_missing_and_change_nothing_else(self) -> None:
        batch = decode_batch(forged_batch([(forged_skeleton(), forged_values("x" * limits.EVENT_BYTES))]))
        assert batch.events[0].values() is None
        assert batch.is_complete

    @pytest.mark.parametrize("values", [b"", b"\xc1", b"no MessagePack", forged_values(1, 2), encode(None)], ids=repr)
    def test_values_that_mean_nothing_are_missing_and_change_nothing_else(self, values: bytes) -> None:
        assert decode_batch(forged_batch([(forged_skeleton(), values)])).events[0].values() is None


class TestOrderOfChecks:
    """Size, version, structure, hash, signature: of several rules broken, the first is named."""

    def test_size_comes_first(self) -> None:
        assert refusal(bytes(limits.BATCH_BYTES + 1)) is Code.TOO_LARGE
        assert refusal(encode([2, bytes(limits.BATCH_BYTES)])) is Code.TOO_LARGE

    def test_a_batch_of_just_the_size_is_accepted(self) -> None:
        rest = limits.BATCH_BYTES - len(forged_batch(self._two(40_000, 50_000), hlc_last=2))
        full = forged_batch(self._two(40_000, 50_000 + rest), hlc_last=2)
        assert len(full) == limits.BATCH_BYTES
        decode_batch(full)
        assert refusal(forged_batch(self._two(40_000, 50_001 + rest), hlc_last=2)) is Code.TOO_LARGE

    @staticmethod
    def _two(*sizes: int) -> list[tuple[bytes, bytes | Ext]]:
        return [(forged_skeleton(hlc=i + 1), forged_values("x" * size)) for i, size in enumerate(sizes)]

    def test_version_comes_before_structure(self) -> None:
        assert refusal(encode([2, "another", "shape"])) is Code.BAD_VERSION
        assert refusal(encode([0])) is Code.BAD_VERSION
        assert refusal(forged_batch(header=encode([2, "another", "shape"]))) is Code.BAD_VERSION
        assert refusal(forged_batch(version=2, plane=b"")) is Code.BAD_VERSION
        assert refusal(forged_batch([(forged_skeleton(version=2, kind=""), forged_values(1))])) is Code.BAD_VERSION

    def test_structure_comes_before_hash_and_signature(self) -> None:
        assert refusal(forged_batch(root=bytes(32), hlc_last=7)) is Code.BAD_STRUCTURE
        assert refusal(forged_batch(author=STRANGER.public, first=0)) is Code.BAD_STRUCTURE

    def test_hash_comes_before_signature(self) -> None:
        assert refusal(forged_batch(author=STRANGER.public, root=bytes(32))) is Code.BAD_HASH

    def test_signature_comes_last(self) -> None:
        assert refusal(forged_batch(author=STRANGER.public)) is Code.BAD_SIGNATURE

    def test_a_signature_verified_before_may_be_trusted_and_nothing_else(self) -> None:
        assert decode_batch(forged_batch(author=STRANGER.public), verify=False).header.author == STRANGER.public
        with pytest.raises(MalformedError):
            decode_batch(forged_batch(root=bytes(32)), verify=False)


class TestTampering:
    @given(batches(), st.data())
    def test_one_bit_changed_anywhere_is_found(self, batch: Batch, data: st.DataObject) -> None:
        good = bytearray(wire(batch))
        good[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        refusal(bytes(good))

    def test_other_values_under_the_same_signature_are_found(self) -> None:
        header, signature = encode_parts(forged_batch())
        for values in (forged_values("another"), absent(forged_values("another"))):
            assert refusal(encode([1, header, signature, [(forged_skeleton(), values)]])) is Code.BAD_HASH

    def test_events_in_another_order_are_found(self) -> None:
        events = several(2)
        header = forged_header(events, hlc_last=2)
        swapped = [(events[1][0], events[0][1]), (events[0][0], events[1][1])]
        assert refusal(forged_batch(swapped, header=header)) is Code.BAD_STRUCTURE
        exchanged = [(events[0][0], events[1][1]), (events[1][0], events[0][1])]
        assert refusal(forged_batch(exchanged, header=header)) is Code.BAD_HASH

    def test_a_signature_over_other_bytes_of_ours_is_no_batchs(self) -> None:
        header = forged_header(several(1))
        for domain in (b"", b"moot/cert/1\0", b"moot/batch/2\0"):
            data = encode([1, header, SIGNER.sign(domain + header), several(1)])
            assert refusal(data) is Code.BAD_SIGNATURE


class TestBuilder:
    def test_it_numbers_events_from_its_first(self) -> None:
        building = builder(41, b"p" * 32)
        events = [building.add(draft(), hlc, SALT) for hlc in (5, 6)]
        assert [event.n for event in events if event] == [41, 42]
        assert building.next_n == 43
        assert building.author == SIGNER.public

    @pytest.mark.parametrize("hlc", [4, 5])
    def test_a_time_that_does_not_ascend_is_a_mistake_of_the_caller(self, hlc: int) -> None:
        building = builder()
        building.add(draft(), 5, SALT)
        with pytest.raises(ValueError, match="ascend"):
            building.add(draft(), hlc, SALT)
        assert len(building.events) == 1

    def test_it_is_full_at_256_events(self) -> None:
        building = builder()
        for hlc in range(1, limits.BATCH_EVENTS + 1):
            assert building.add(draft(), hlc, SALT)
        assert building.add(draft(), 999, SALT) is None
        assert len(decode_batch(wire(building.seal(SIGNER.sign))).events) == limits.BATCH_EVENTS

    @given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 300)), min_size=1, max_size=12), st.integers(0, 9))
    def test_no_draft_is_lost_and_every_batch_is_accepted(self, sizes: list[tuple[int, int]], seed: int) -> None:
        drafts = [
            draft(
                "x" * size,
                tuple(Dot(sha256(bytes([seed, i % 256, i // 256])).digest(), 1, b"leaf8...") for i in range(count)),
            )
            for size, count in sizes
        ]
        prev, first, written, building = ZEROS, 1, [], builder()
        for hlc, one in enumerate(drafts, 1):
            try:
                added = building.add(one, hlc, SALT)
            except RefusedError as refused:
                written.append(refused.code)
                continue
            if added is None:
                assert building.events, "an empty batch has room for every event"
                prev, first = self._accepted(building, written)
                building = builder(first, prev)
                assert building.add(one, hlc, SALT)
        if building.events:
            self._accepted(building, written)
        assert len(written) == len(drafts)
        assert set(written) <= {Code.LIMIT, *(write.value for one in drafts for write in one.writes)}

    @staticmethod
    def _accepted(building: BatchBuilder, written: list[Any]) -> tuple[bytes, int]:
        data = wire(building.seal(SIGNER.sign))
        batch = decode_batch(data)
        assert len(data) <= limits.BATCH_BYTES
        for event in batch.events:
            values = event.values()
            assert values is not None
            written.append(values[0])
        return batch.id, batch.header.last + 1

    def test_what_did_not_fit_or_was_refused_leaves_no_trace(self) -> None:
        building = builder()
        building.add(draft("x" * 50_000), 1, SALT)
        before = (list(building.events), building.authors)
        over = (Dot(STRANGER.public, 1, b"leaf8..."),)
        assert building.add(draft("x" * 50_000, over), 2, SALT) is None
        with pytest.raises(RefusedError):
            building.add(draft(object(), over), 2, SALT)
        assert (building.events, building.authors) == before
        assert building.add(draft("y"), 2, SALT)

    def test_the_author_table_takes_its_room_too(self) -> None:
        over = tuple(Dot(i.to_bytes(32, "big"), 1, b"leaf8...") for i in range(400))
        building = builder()
        assert building.add(draft("x" * 60_000), 1, SALT)
        assert building.add(draft("x" * 30_000, over), 2, SALT) is None
        assert building.add(draft("x" * 30_000, over[:40]), 2, SALT)
        decode_batch(wire(building.seal(SIGNER.sign)))

    def test_an_event_that_names_more_authors_than_a_batch_holds_is_refused(self) -> None:
        over = tuple(Dot(i.to_bytes(32, "big"), 1, b"leaf8...") for i in range(limits.BATCH_AUTHORS))
        with pytest.raises(RefusedError) as caught:
            builder().add(draft("x" * 60_000, over), 1, SALT)
        assert caught.value.code is Code.LIMIT

    def test_the_largest_event_fits_an_empty_batch(self) -> None:
        event = builder().add(draft("x" * 65_000), 1, SALT)
        assert event is not None
        room = limits.EVENT_BYTES - len(event.skeleton_bytes) - len(event.values_bytes or b"")
        building = builder()
        assert building.add(draft("x" * (65_000 + room)), 1, SALT)
        decode_batch(wire(building.seal(SIGNER.sign)))


class TestLink:
    @given(batches())
    def test_it_says_what_the_header_says(self, batch: Batch) -> None:
        header = batch.header
        expected = Link(header.author, header.first, header.last, header.prev, batch.id)
        assert batch_link(wire(batch)) == expected

    @given(batches(), st.binary(min_size=64, max_size=64))
    def test_it_looks_at_neither_events_nor_signature(self, batch: Batch, signature: bytes) -> None:
        data = encode([1, batch.header_bytes, signature, []])
        assert batch_link(data) == batch_link(wire(batch))

    @pytest.mark.parametrize("data", [b"", b"\xc0", encode([1, b"no header", b"", []]), encode([2, b"", b"", []])])
    def test_what_has_no_header_has_none(self, data: bytes) -> None:
        with pytest.raises(MalformedError):
            batch_link(data)

    def test_what_is_too_large_is_not_looked_at(self) -> None:
        with pytest.raises(MalformedError) as caught:
            batch_link(bytes(limits.BATCH_BYTES + 1))
        assert caught.value.code is Code.TOO_LARGE

    def test_a_header_that_breaks_a_rule_links_nothing(self) -> None:
        with pytest.raises(MalformedError):
            batch_link(encode([1, forged_header([], first=2, count=1), b"", []]))
