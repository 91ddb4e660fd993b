"""JSON values as text: exact, canonical, and refused where they can't be kept."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.limits import JSON_NESTING
from moot_protocol.requests.listing import Page
from moot_protocol.text import json_text

texts = st.text(st.characters(exclude_categories=["Cs"]))
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
)


def exactly(value: Any) -> str:
    """Tells 1 from 1.0 from True, which Python's == does not."""
    return repr(json.loads(json.dumps(value, sort_keys=True)))


@given(json_values)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    assert exactly(json_text.from_text(json_text.to_text(value))) == exactly(value)


@given(st.dictionaries(texts, st.integers()), st.randoms())
def test_equal_objects_have_equal_texts_in_whatever_order(value: dict[str, int], random: Any) -> None:
    names = list(value)
    random.shuffle(names)
    assert json_text.to_text({name: value[name] for name in names}) == json_text.to_text(value)


def test_whole_floats_stay_floats_and_long_integers_keep_every_digit() -> None:
    assert json_text.to_text([1.0, 1, 10**40, True]) == f"[1.0,1,{10**40},true]"
    assert repr(json_text.from_text(f"[1.0,{10**40}]")) == f"[1.0, {10**40}]"


@pytest.mark.parametrize("value", [math.nan, math.inf, [-math.inf], "\ud800", {"\udfff": 1}, ["a", {"b": "\ud83d"}]])
def test_what_json_or_utf_8_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"number out of range|lone surrogate"):
        json_text.to_text(value)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-Infinity", "1e999", '"\\ud800"', '{"\\uDFFF": 1}', "", "{", "[1,]"]
)
def test_a_text_that_is_no_exact_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        json_text.from_text(text)


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert json_text.from_text('"\\ud83d\\ude00"') == "\U0001f600"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_is_limited_in_both_directions(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    fits = opening * JSON_NESTING + "0" + closing * JSON_NESTING
    deep = opening * (JSON_NESTING + 1) + "0" + closing * (JSON_NESTING + 1)
    assert json_text.to_text(json_text.from_text(fits)) == fits
    for refused in (deep, opening * 100_000 + "0" + closing * 100_000):
        with pytest.raises(ValueError, match="nested deeper"):
            json_text.from_text(refused)
    with pytest.raises(ValueError, match="nested deeper"):
        json_text.to_text(json.loads(deep))


def test_a_wide_value_is_not_a_deep_one() -> None:
    wide: list[Any] = [[] for _ in range(JSON_NESTING * 3)]
    assert json_text.from_text(json_text.to_text(wide)) == wide


def test_a_line_keeps_the_order_of_its_names() -> None:
    assert json_text.to_line({"b": "é\n", "a": None}) == '{"b":"é\\n","a":null}'.encode()


@pytest.mark.parametrize(
    ("value", "packed"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, float(2**64)),
        (-(2**63) - 1, -float(2**63)),
        (10**400, "1" + "0" * 400),
        ({"a": [1, {"b": 2**70, "c": b"x", "d": True}]}, {"a": [1, {"b": float(2**70), "c": b"x", "d": True}]}),
    ],
)
def test_messagepack_gets_the_nearest_of_integers_that_it_can_t_hold(value: Any, packed: Any) -> None:
    assert msgspec.msgpack.decode(json_text.to_msgpack(value)) == packed


def test_what_holds_no_such_integer_is_packed_as_it_is() -> None:
    page = Page(issues=[{"id": "a", "n": 2**64 - 1}], total=1, truncated=False)
    assert json_text.to_msgpack(page) == msgspec.msgpack.encode(page)
    longer = Page(issues=[{"id": "a", "n": 2**64}], total=1, truncated=False)
    assert msgspec.convert(msgspec.msgpack.decode(json_text.to_msgpack(longer)), Page).issues == [
        {"id": "a", "n": 2.0**64}
    ]
