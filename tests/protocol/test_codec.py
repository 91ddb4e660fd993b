"""One value has exactly one encoding, and decoding accepts no other."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import check_plain, decode_value, decoder, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.limits import NESTING
from moot_testkit.bytes.strategies import damaged, encodings, values


class Pair(msgspec.Struct, array_like=True, frozen=True):
    version: int
    name: str
    rest: tuple[int, ...] = ()


class Open(msgspec.Struct, array_like=True, frozen=True):
    version: int
    anything: Any


decode_pair = decoder(Pair, 1)


def typed(value: Any) -> Any:
    """A form of a value in which 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if isinstance(value, dict):
        return {key: typed(element) for key, element in value.items()}
    if isinstance(value, list):
        return [typed(element) for element in value]
    return (type(value), repr(value))


def code_of(data: bytes) -> Code:
    with pytest.raises(MalformedError) as caught:
        decode_value(data)
    return caught.value.code


@given(values)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert typed(decode_value(encode(value))) == typed(value)


@given(values.flatmap(lambda value: st.tuples(st.just(value), encodings(value))))
def test_of_all_encodings_of_a_value_only_the_shortest_in_key_order_is_accepted(case: tuple[Any, bytes]) -> None:
    value, data = case
    if data == encode(value):
        assert typed(decode_value(data)) == typed(value)
    else:
        assert code_of(data) is Code.NOT_CANONICAL


@given(values, st.binary(min_size=1, max_size=4))
def test_trailing_bytes_are_refused(value: Any, more: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_value(encode(value) + more)


@given(values)
def test_every_cut_is_refused(value: Any) -> None:
    data = encode(value)
    for end in range(len(data)):
        assert code_of(data[:end]) is Code.BAD_STRUCTURE


@given(st.binary(max_size=60) | st.tuples(values, values).flatmap(lambda two: damaged(encode(two[0]), encode(two[1]))))
def test_what_decodes_encodes_to_the_same_bytes(data: bytes) -> None:
    try:
        value = decode_value(data)
    except MalformedError:
        return
    assert encode(value) == data


@pytest.mark.parametrize(
    ("what", "data", "code"),
    [
        ("an int in one byte too many", "cc01", Code.NOT_CANONICAL),
        ("a positive int in a signed form", "d001", Code.NOT_CANONICAL),
        ("a big positive int in a signed form", "d30000000100000000", Code.NOT_CANONICAL),
        ("a float32", "ca3f800000", Code.NOT_CANONICAL),
        ("a short text as str8", "d90161", Code.NOT_CANONICAL),
        ("an array of one as array16", "dc0001c0", Code.NOT_CANONICAL),
        ("a map of one as map16", "de0001a161c0", Code.NOT_CANONICAL),
        ("map keys that descend", "82a162c0a161c0", Code.NOT_CANONICAL),
        ("map keys ordered by length first", "82a162c0a26161c0", Code.NOT_CANONICAL),
        ("a map key twice", "82a161c0a161c0", Code.NOT_CANONICAL),
        ("a map key twice with different values", "82a16101a16102", Code.NOT_CANONICAL),
        ("a number as map key", "8101c0", Code.BAD_STRUCTURE),
        ("nothing as map key", "81c0c0", Code.BAD_STRUCTURE),
        ("bytes as map key", "81c40161c0", Code.BAD_STRUCTURE),
        ("an array as map key", "8190c0", Code.BAD_STRUCTURE),
        ("NaN", "cb7ff8000000000000", Code.BAD_STRUCTURE),
        ("NaN with a payload", "cbfff0000000000001", Code.BAD_STRUCTURE),
        ("NaN deep inside", "9181a161cb7ff8000000000000", Code.BAD_STRUCTURE),
        ("infinity", "cb7ff0000000000000", Code.BAD_STRUCTURE),
        ("minus infinity", "cbfff0000000000000", Code.BAD_STRUCTURE),
        ("an extension type", "d401ff", Code.BAD_STRUCTURE),
        ("an extension type in a long form", "c70101ff", Code.NOT_CANONICAL),
        ("a timestamp of 4 bytes", "d6ff00000000", Code.BAD_STRUCTURE),
        ("a timestamp of 12 bytes", "c70cff00000000ffffffffffffffff", Code.BAD_STRUCTURE),
        ("a timestamp out of range", "c70cffffffffff7fffffffffffffff", Code.BAD_STRUCTURE),
        ("text that is not UTF-8", "a1ff", Code.BAD_STRUCTURE),
        ("text with half a surrogate pair", "a3eda080", Code.BAD_STRUCTURE),
        ("text in an overlong form", "a2c080", Code.BAD_STRUCTURE),
        ("the byte that means nothing", "c1", Code.BAD_STRUCTURE),
        ("no byte at all", "", Code.BAD_STRUCTURE),
        ("two values", "c0c0", Code.BAD_STRUCTURE),
        ("an array of 4 billion", "ddffffffff", Code.BAD_STRUCTURE),
        ("a map of 4 billion", "dfffffffff", Code.BAD_STRUCTURE),
        ("a text of 4 GB", "dbffffffff", Code.BAD_STRUCTURE),
        ("an extension of 4 GB", "c9ffffffff01", Code.BAD_STRUCTURE),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) and " " in value else None,
)
def test_refused(what: str, data: str, code: Code) -> None:
    assert code_of(bytes.fromhex(data)) is code, what


def test_map_keys_are_ordered_by_their_bytes() -> None:
    keys = ["b", "", "aa", "\uffff", "a", "\U0001f600", "é", "z"]
    data = encode(dict.fromkeys(keys))
    assert list(decode_value(data)) == sorted(keys, key=str.encode)


def test_zero_and_minus_zero_are_two_values() -> None:
    assert encode(0.0) != encode(-0.0)
    assert str(decode_value(encode(-0.0))) == "-0.0"


@pytest.mark.parametrize(("head", "tail"), [(b"\x91", b""), (b"\x81\xa1k", b"")], ids=["arrays", "maps"])
def test_nesting_ends_at_its_limit(head: bytes, tail: bytes) -> None:
    decode_value(head * NESTING + b"\xc0")
    with pytest.raises(MalformedError, match="nested"):
        decode_value(head * (NESTING + 1) + b"\xc0")


@pytest.mark.parametrize("head", [b"\x91", b"\x81\xa1k", b"\x81"], ids=["arrays", "maps", "keys"])
def test_nesting_of_many_thousand_levels_is_refused_like_any_other(head: bytes) -> None:
    assert code_of(head * 60_000 + b"\xc0") is Code.BAD_STRUCTURE


@pytest.mark.parametrize("value", [{1: 2}, {"a": {None: 1}}, {1, 2}, bytearray(b"a"), object(), msgspec.Raw(b"\xc0")])
def test_what_is_not_plain_data_is_told(value: Any) -> None:
    with pytest.raises(MalformedError):
        check_plain([value])


class TestTypedDecoders:
    def test_a_struct_comes_back_as_it_was(self) -> None:
        assert decode_pair(encode(Pair(1, "a", (1, 2)))) == Pair(1, "a", (1, 2))

    @given(encodings([1, "name", [1, 70_000, -5]]))
    def test_of_all_encodings_only_one_is_accepted(self, data: bytes) -> None:
        if data == encode(Pair(1, "name", (1, 70_000, -5))):
            assert decode_pair(data).rest == (1, 70_000, -5)
        else:
            with pytest.raises(MalformedError):
                decode_pair(data)

    @pytest.mark.parametrize(
        "value",
        [
            [1, "a", [], 0],
            [1, "a"],
            [1],
            [],
            {"version": 1, "name": "a"},
            [1, b"a", []],
            [True, "a", []],
            [1, "a", [1.0]],
        ],
        ids=repr,
    )
    def test_another_shape_is_refused(self, value: Any) -> None:
        with pytest.raises(MalformedError) as caught:
            decode_pair(encode(value))
        assert caught.value.code in {Code.BAD_STRUCTURE, Code.NOT_CANONICAL}

    @pytest.mark.parametrize(
        "data",
        [
            encode([2, "a", []]),
            encode([2]),
            encode([2, {"other": "shape"}]),
            encode([3, *range(20)]),
            encode([200, "a", []]),
            b"\x93\x02\xd9\x01a\x90",
            b"\x93\x02",
        ],
        ids=["same shape", "shorter", "other shape", "longer", "large", "not canonical", "cut"],
    )
    def test_another_version_is_named_as_such_whatever_follows(self, data: bytes) -> None:
        with pytest.raises(MalformedError) as caught:
            decode_pair(data)
        assert caught.value.code is Code.BAD_VERSION

    @pytest.mark.parametrize("key", [encode(1), encode(None), b"\x90"], ids=["number", "nothing", "array"])
    def test_a_map_without_text_keys_in_an_open_place_is_refused(self, key: bytes) -> None:
        with pytest.raises(MalformedError):
            decoder(Open)(b"\x92\x01\x81" + key + b"\xc0")
