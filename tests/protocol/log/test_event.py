"""An event is a skeleton that decides and values that are shown; the format's limits hold at their boundaries."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.codec import decode_value, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.log import event
from moot_protocol.log.event import (
    LEAF_PREFIX_BYTES,
    Dot,
    Draft,
    Event,
    PlainDraft,
    PlainShape,
    Write,
    build_event,
    decode_shaped,
    decode_skeleton,
    decode_values,
    event_from_bytes,
)
from moot_testkit.bytes.forging import SALT, forged_skeleton, forged_values
from moot_testkit.bytes.strategies import drafts, encodings, salts

OWN = b"\x01" * 32
OTHER = b"\x02" * 32
LEAF8 = b"leaf8..."
MAX = 2**64 - 1


def build(*writes: Write, kind: str = "issue", entity: str = "mo-1", actor: str = "alice", hlc: int = 1) -> Event:
    return build_event(1, Draft(kind, entity, actor, writes), hlc, SALT, {OWN: 0})


def change(key: str = "title", over: Any = (), *, removes: Any = False) -> list[Any]:
    return [key, list(over), removes]


def refusal(data: bytes, authors: int = 1) -> Code:
    with pytest.raises(MalformedError) as caught:
        decode_skeleton(data, authors)
    return caught.value.code


class TestBuilding:
    @given(drafts(), st.integers(1, MAX), salts)
    def test_what_is_built_decodes_to_what_was_said(self, draft: Draft, hlc: int, salt: bytes) -> None:
        authors = {OWN: 0}
        event = build_event(7, draft, hlc, salt, authors)
        skeleton = decode_skeleton(event.skeleton_bytes, len(authors))
        assert skeleton == event.skeleton
        assert (skeleton.hlc, skeleton.actor, skeleton.kind, skeleton.entity) == (
            hlc, draft.actor, draft.kind, draft.entity,
        )  # fmt: skip
        table = list(authors)
        assert {
            (change.key, tuple(Dot(table[index], n, leaf8) for index, n, leaf8 in change.over), change.removes)
            for change in skeleton.changes
        } == {(write.key, tuple(write.over), write.removes) for write in draft.writes}
        writes = sorted(draft.writes)
        assert encode(event.values()) == encode([write.value for write in writes if not write.removes])

    @given(drafts(), salts)
    def test_the_leaf_is_as_the_format_says(self, draft: Draft, salt: bytes) -> None:
        event = build_event(1, draft, 5, salt, {OWN: 0})
        assert event.values_bytes is not None
        assert event.values_hash == sha256(event.values_bytes).digest()
        assert event.leaf == sha256(b"\0" + sha256(event.skeleton_bytes).digest() + event.values_hash).digest()
        assert decode_value(event.values_bytes)[0] == salt

    @given(drafts(), salts)
    def test_an_event_without_its_values_has_the_same_leaf_and_no_values(self, draft: Draft, salt: bytes) -> None:
        event = build_event(1, draft, 5, salt, {OWN: 0})
        bare = event_from_bytes(1, event.skeleton, event.skeleton_bytes, None, event.values_hash)
        assert bare.leaf == event.leaf
        assert bare.values() is None

    def test_the_bytes_are_those_the_design_draws(self) -> None:
        event = build(Write("title", "Hello"), Write("status", removes=True, over=[Dot(OTHER, 3, LEAF8)]))
        assert event.skeleton_bytes == encode(
            [1, 1, "alice", "issue", "mo-1", [["status", [[1, 3, LEAF8]], True], ["title", [], False]]]
        )
        assert event.values_bytes == encode([SALT, "Hello"])

    def test_the_same_words_under_another_salt_have_another_hash(self) -> None:
        draft = Draft("issue", "mo-1", "alice", [Write("status", "open")])
        one, other = (build_event(1, draft, 1, salt * 16, {OWN: 0}) for salt in (b"a", b"b"))
        assert one.values_hash != other.values_hash
        assert one.skeleton_bytes == other.skeleton_bytes

    @pytest.mark.parametrize("size", [0, 15, 17])
    def test_a_salt_of_another_length_is_a_mistake_of_the_caller(self, size: int) -> None:
        with pytest.raises(ValueError, match="salt"):
            build_event(1, Draft("issue", "mo-1", "alice", [Write("a", 1)]), 1, bytes(size), {OWN: 0})

    def test_authors_enter_the_table_once_in_order_of_appearance(self) -> None:
        authors = {OWN: 0}
        over = [Dot(OTHER, 1, LEAF8), Dot(OWN, 2, LEAF8), Dot(b"3" * 32, 1, LEAF8), Dot(OTHER, 9, LEAF8)]
        event = build_event(5, Draft("issue", "mo-1", "a", [Write("a", 1, over)]), 1, SALT, authors)
        assert list(authors) == [OWN, OTHER, b"3" * 32]
        assert [index for index, _, _ in event.skeleton.changes[0].over] == [1, 0, 2, 1]

    def test_a_key_written_twice_is_refused(self) -> None:
        with pytest.raises(RefusedError, match="each once"):
            build(Write("title", "a"), Write("title", "b"))

    @pytest.mark.parametrize(
        "value",
        [
            2**64,
            -(2**63) - 1,
            float("nan"),
            float("inf"),
            {1: 2},
            {"a"},
            bytearray(b"a"),
            pytest.param(object(), id="an object"),
            "\udc80",
            {"\udc80": 1},
        ],
        ids=ascii,
    )
    def test_a_value_without_an_encoding_is_refused(self, value: Any) -> None:
        with pytest.raises(RefusedError) as caught:
            build(Write("title", value))
        assert caught.value.code is Code.INVALID

    @pytest.mark.parametrize("where", ["actor", "entity"])
    def test_names_that_utf8_cant_hold_are_refused(self, where: str) -> None:
        names: dict[str, Any] = {where: "a\udc80"}
        with pytest.raises(RefusedError):
            build(Write("title", "a"), **names)

    def test_values_may_nest_as_deep_as_readers_go(self) -> None:
        value: Any = None
        for _ in range(limits.NESTING - 1):
            value = [value]
        event = build(Write("title", value))
        assert event.values() == [value]
        with pytest.raises(RefusedError, match="nested"):
            build(Write("title", [value]))

    def test_an_event_may_fill_its_limit_exactly(self) -> None:
        empty = build(Write("notes", "x" * 60_000))
        assert empty.values_bytes is not None
        room = limits.EVENT_BYTES - len(empty.skeleton_bytes) - len(empty.values_bytes)
        full = build(Write("notes", "x" * (60_000 + room)))
        assert full.values() == ["x" * (60_000 + room)]
        with pytest.raises(RefusedError) as caught:
            build(Write("notes", "x" * (60_000 + room + 1)))
        assert caught.value.code is Code.LIMIT
        assert caught.value.hint


class TestLimitsHoldForWritersAndReadersAlike:
    """Each limit at its boundary: the same event is built and decoded, or refused and refused."""

    @pytest.mark.parametrize(
        ("fine", "too_much"),
        [
            ({"hlc": 1}, {"hlc": 0}),
            ({"hlc": MAX}, {"hlc": MAX + 1}),
            ({"actor": "a" * limits.ACTOR_BYTES}, {"actor": "a" * (limits.ACTOR_BYTES + 1)}),
            ({"actor": ""}, {"actor": "é" * (limits.ACTOR_BYTES // 2 + 1)}),
            ({"kind": "k" * limits.KIND_BYTES}, {"kind": "k" * (limits.KIND_BYTES + 1)}),
            ({"kind": "k"}, {"kind": ""}),
            ({"kind": "a.b-c/d"}, {"kind": "a b"}),
            ({"kind": "~"}, {"kind": "\x7f"}),
            ({"kind": "!"}, {"kind": "é"}),
            ({"entity": "e" * limits.ENTITY_BYTES}, {"entity": "e" * (limits.ENTITY_BYTES + 1)}),
            ({"entity": "e"}, {"entity": ""}),
            ({"entity": "é b"}, {"entity": "a\nb"}),
        ],
        ids=lambda parts: ascii(parts)[:40],
    )
    def test_names_and_times(self, fine: dict[str, Any], too_much: dict[str, Any]) -> None:
        event = build(Write("title", "a"), **fine)
        assert decode_skeleton(event.skeleton_bytes, 1) == event.skeleton
        with pytest.raises(RefusedError):
            build(Write("title", "a"), **too_much)
        if too_much.get("hlc") != MAX + 1:  # has no encoding at all
            assert refusal(forged_skeleton(**too_much)) is Code.BAD_STRUCTURE

    @pytest.mark.parametrize("key", ["", "k" * (limits.KEY_BYTES + 1), "a b", "é", "a\n", "\x7f", "\0"], ids=ascii)
    def test_keys_are_short_printable_names(self, key: str) -> None:
        build(Write("k" * limits.KEY_BYTES, "a"))
        with pytest.raises(RefusedError):
            build(Write(key, "a"))
        assert refusal(forged_skeleton(changes=[change(key)])) is Code.BAD_STRUCTURE

    def test_changes_in_one_event(self) -> None:
        writes = [Write(f"k{i:03}", i) for i in range(limits.KEYS_PER_EVENT + 1)]
        assert decode_skeleton(build(*writes[:-1]).skeleton_bytes, 1).changes[-1].key == writes[-2].key
        with pytest.raises(RefusedError):
            build(*writes)
        with pytest.raises(RefusedError):
            build()
        assert refusal(forged_skeleton(changes=[change(write.key) for write in writes])) is Code.BAD_STRUCTURE
        assert refusal(forged_skeleton(changes=[])) is Code.BAD_STRUCTURE

    def test_writes_superseded_at_once(self) -> None:
        over = [Dot(OWN, n, LEAF8) for n in range(1, limits.OVER_PER_KEY + 2)]
        assert len(decode_skeleton(build(Write("a", 1, over[:-1])).skeleton_bytes, 1).changes[0].over) == 1024
        with pytest.raises(RefusedError):
            build(Write("a", 1, over))
        forged = forged_skeleton(changes=[change("a", [[0, dot.n, LEAF8] for dot in over])])
        assert refusal(forged) is Code.BAD_STRUCTURE

    def test_a_dot_is_a_number_from_1_and_8_bytes_of_leaf(self) -> None:
        build(Write("a", 1, [Dot(OWN, MAX, LEAF8)]))
        for n, leaf8 in ((0, LEAF8), (1, LEAF8[:-1]), (1, LEAF8 + b"."), (1, b"")):
            with pytest.raises(RefusedError):
                build(Write("a", 1, [Dot(OWN, n, leaf8)]))
            assert refusal(forged_skeleton(changes=[change("a", [[0, n, leaf8]])])) is Code.BAD_STRUCTURE


# -- Plain events: over nothing -------------------------------------------------------------------------------------
@given(drafts(), st.integers(1, MAX), salts)
def test_a_draft_of_values_alone_makes_the_event_that_one_of_writes_makes(draft: Draft, hlc: int, salt: bytes) -> None:
    writes = [Write(write.key, write.value) for write in draft.writes]
    values = {write.key: write.value for write in writes}
    event = build_event(7, draft._replace(writes=writes), hlc, salt, {OWN: 0})
    plain = build_event(7, PlainDraft(draft.kind, draft.entity, draft.actor, values), hlc, salt, {OWN: 0})
    assert plain == event
    assert plain.plain_keys == tuple(sorted(values))


@pytest.mark.parametrize(
    "values",
    [{}, {"a b": 1}, {"a": float("nan")}, {"a": {1: 2}}, {"a": 2**64}, {"a": "x" * limits.EVENT_BYTES}],
    ids=["none", "a key", "no number", "no text as a name", "a large number", "a long text"],
)
def test_a_draft_of_values_is_held_to_the_same_rules(values: dict[str, Any]) -> None:
    with pytest.raises(RefusedError):
        build_event(1, PlainDraft("issue", "mo-1", "alice", values), 1, SALT, {OWN: 0})


@pytest.mark.parametrize("hlc", [0, -1, MAX + 1])
def test_a_draft_of_values_has_a_time_that_has_an_encoding(hlc: int) -> None:
    with pytest.raises(RefusedError, match="a time out of range"):
        build_event(1, PlainDraft("issue", "mo-1", "alice", {"title": "T"}), hlc, SALT, {OWN: 0})


@given(drafts(), st.integers(1, MAX), salts)
def test_plain_keys_are_told_of_events_over_nothing_alone_however_often_their_shape_was_met(
    draft: Draft, hlc: int, salt: bytes
) -> None:
    authors = {OWN: 0}
    event = build_event(7, draft, hlc, salt, authors)
    is_plain = not any(write.over or write.removes for write in draft.writes)
    keys = tuple(sorted(write.key for write in draft.writes)) if is_plain else None
    assert event.plain_keys == keys
    for _ in range(2):
        assert decode_shaped(event.skeleton_bytes, len(authors)) == (event.skeleton, keys)


def test_what_is_wrong_with_a_skeleton_is_found_when_its_shape_is_known() -> None:
    assert decode_shaped(forged_skeleton(), 1)[1] == ("title",)
    assert refusal(forged_skeleton(version=2)) is Code.BAD_VERSION
    assert refusal(forged_skeleton(hlc=0)) is Code.BAD_STRUCTURE
    assert refusal(forged_skeleton(entity="")) is Code.BAD_STRUCTURE
    assert refusal(forged_skeleton() + b"\0") is Code.BAD_STRUCTURE
    long_form = b"\xdc\x00\x06" + forged_skeleton()[1:]
    assert refusal(long_form) is Code.NOT_CANONICAL


def test_of_shapes_only_so_many_are_remembered_and_none_that_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are the writer's choice: nobody must be able to make a reader keep megabytes of them."""
    remembered: dict[bytes, PlainShape] = {}
    monkeypatch.setattr(event, "_shapes", remembered)
    long = [f"{number:064}" for number in range(limits.KEYS_PER_EVENT)]
    assert decode_shaped(forged_skeleton(changes=[change(key) for key in long]), 1)[1] == tuple(long)
    assert remembered == {}
    for number in range(1000):
        assert decode_shaped(forged_skeleton(changes=[change(f"k{number}")]), 1)[1] == (f"k{number}",)
    assert len(remembered) == 256
    assert sum(map(len, remembered)) < 256 * limits.KIB


class TestDecodingASkeleton:
    def test_an_event_as_it_should_be_decodes(self) -> None:
        assert decode_skeleton(forged_skeleton(), 1).changes[0].key == "title"

    @given(encodings([1, 5, "a", "issue", "mo-1", [["a", [[0, 700, b"leaf8..."]], True]]]))
    def test_of_all_encodings_of_a_skeleton_only_one_is_accepted(self, data: bytes) -> None:
        if data == encode([1, 5, "a", "issue", "mo-1", [["a", [[0, 700, b"leaf8..."]], True]]]):
            assert decode_skeleton(data, 1).hlc == 5
        else:
            assert refusal(data) is Code.NOT_CANONICAL

    @pytest.mark.parametrize(
        "changes",
        [
            [change("b"), change("a")],
            [change("a"), change("a")],
            [change("a"), change("a", removes=True)],
            [change("a"), change("b"), change("aa")],
        ],
        ids=["descending", "twice", "written and removed", "not sorted"],
    )
    def test_keys_ascend_each_once(self, changes: list[Any]) -> None:
        assert refusal(forged_skeleton(changes=changes)) is Code.BAD_STRUCTURE

    def test_keys_ascend_as_text_not_by_length(self) -> None:
        keys = ["Z", "a", "aa", "b", "z~", "zz"]
        data = forged_skeleton(changes=[change(key) for key in sorted(keys)])
        assert [change.key for change in decode_skeleton(data, 1).changes] == sorted(keys, key=str.encode)

    @pytest.mark.parametrize(("index", "authors"), [(1, 1), (5, 5), (-1, 5), (2**40, 2)])
    def test_a_dot_whose_author_is_not_in_the_table_is_refused(self, index: int, authors: int) -> None:
        assert refusal(forged_skeleton(changes=[change("a", [[index, 1, LEAF8]])]), authors) is Code.BAD_STRUCTURE

    def test_the_last_author_of_the_table_can_be_named(self) -> None:
        data = forged_skeleton(changes=[change("a", [[4, 1, LEAF8]])])
        assert decode_skeleton(data, 5).changes[0].over == ((4, 1, LEAF8),)
        assert refusal(data, 4) is Code.BAD_STRUCTURE

    @pytest.mark.parametrize(
        "other",
        [
            {"changes": [["a", []]]},
            {"changes": [["a", [], False, 0]]},
            {"changes": [["a", [], 0]]},
            {"changes": [["a", [[0, 1]], False]]},
            {"changes": [["a", [[0, 1, LEAF8, 0]], False]]},
            {"changes": [["a", [[0, 1, "leaf8..."]], False]]},
            {"changes": {}},
            {"changes": None},
            {"actor": b"alice"},
            {"hlc": -1},
            {"hlc": 1.0},
            {"kind": None},
            {"more": 1},
        ],
        ids=repr,
    )
    def test_any_other_structure_is_refused(self, other: dict[str, Any]) -> None:
        assert refusal(forged_skeleton(**other)) in {Code.BAD_STRUCTURE, Code.NOT_CANONICAL}

    def test_size_is_checked_before_version_and_version_before_structure(self) -> None:
        assert refusal(b"\xff" * (limits.EVENT_BYTES + 1)) is Code.TOO_LARGE
        assert refusal(encode([2, "x" * limits.EVENT_BYTES])) is Code.TOO_LARGE
        assert refusal(forged_skeleton(version=2, changes="another shape")) is Code.BAD_VERSION
        assert refusal(forged_skeleton(version=2, actor="a" * 1000)) is Code.BAD_VERSION
        assert refusal(forged_skeleton(version=0)) is Code.BAD_VERSION

    @pytest.mark.parametrize("changes", [[change("a")], [change("a", removes=True)]])
    def test_whether_a_change_removes_stands_in_the_skeleton(self, changes: list[Any]) -> None:
        assert decode_skeleton(forged_skeleton(changes=changes), 1).changes[0].removes is changes[0][2]


class TestValues:
    SKELETON = decode_skeleton(forged_skeleton(changes=[change("a"), change("b", removes=True), change("c")]), 1)

    def test_there_is_one_for_each_change_that_does_not_remove_in_order(self) -> None:
        assert decode_values(forged_values("first", None), self.SKELETON) == ["first", None]

    @pytest.mark.parametrize(
        "data",
        [
            forged_values("one"),
            forged_values(1, 2, 3),
            forged_values(),
            encode([SALT[:-1], 1, 2]),
            encode([SALT + b"x", 1, 2]),
            encode(["sixteen letters!", 1, 2]),
            encode({"a": 1}),
            encode([]),
            encode(None),
            forged_values(1, 2) + b"\xc0",
            forged_values(1, 2)[:-1],
            forged_values(1, 2)[:-1] + b"\xcc\x02",
            forged_values(1, 2)[:-1] + b"\xca\0\0\0\0",
            forged_values(1, 2)[:-1] + b"\xcb\x7f\xf8\0\0\0\0\0\0",
            forged_values(1, 2)[:-1] + b"\xd4\x01\x00",
            forged_values(1, 2)[:-1] + b"\x91" * limits.NESTING + b"\xc0",
            b"",
            b"\xc1",
        ],
        ids=[
            "too few", "too many", "none", "short salt", "long salt", "salt of text", "a map", "no salt", "nothing",
            "more behind", "cut", "long int", "float32", "NaN", "extension", "too deep", "empty", "no MessagePack",
        ],
    )  # fmt: skip
    def test_values_that_are_not_as_they_should_be_are_missing_not_an_error(self, data: bytes) -> None:
        assert decode_values(data, self.SKELETON) is None

    def test_values_too_large_together_with_their_skeleton_are_missing(self) -> None:
        skeleton_bytes = forged_skeleton()
        skeleton = decode_skeleton(skeleton_bytes, 1)
        room = limits.EVENT_BYTES - len(skeleton_bytes) - len(forged_values("x" * 40_000)) + 40_000
        fits, passes = (forged_values("x" * size) for size in (room, room + 1))
        assert event_from_bytes(1, skeleton, skeleton_bytes, fits, b"").values() == ["x" * room]
        assert event_from_bytes(1, skeleton, skeleton_bytes, passes, b"").values() is None
        assert decode_values(forged_values("x" * limits.EVENT_BYTES), skeleton) is None

    @given(st.binary(max_size=80))
    def test_any_bytes_are_values_or_missing(self, data: bytes) -> None:
        values = decode_values(data, self.SKELETON)
        assert values is None or len(values) == 2


def test_the_prefix_of_a_leaf_has_eight_bytes() -> None:
    assert LEAF_PREFIX_BYTES == len(LEAF8) == 8


@given(drafts(), salts)
def test_an_event_without_its_values_is_the_same_event_in_all_that_decides(draft: Draft, salt: bytes) -> None:
    whole = build_event(7, draft, 1, salt, {OWN: 0})
    bare = whole.without_values()
    assert (bare.values_bytes, bare.values()) == (None, None)
    assert msgspec.structs.replace(bare, values_bytes=whole.values_bytes) == whole
    assert bare.without_values() == bare
