"""Regular expressions: what they find is what Python's own find, and nothing of them takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import PATTERN_STEPS
from moot_protocol.text.regex import searching

ATOMS = st.sampled_from(["a", "b", "-", ".", "[ab]", "[^a]", "[a-b-]", "[\\d-]", "\\d", "\\W", "\\-", "^", "$", "\\t"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{1,3}", "{1,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=8,
)


@given(pattern=PATTERNS, text=st.text("ab-1\t", max_size=8))
def test_an_expression_is_found_where_pythons_own_finds_it(pattern: str, text: str) -> None:
    assert searching(pattern)(text) is bool(re.search(pattern, text))


def test_an_expression_that_would_try_every_division_of_a_text_is_answered_at_once() -> None:
    assert not searching("(a*)*(a|a)*(a+)+$")("a" * 100 + "b")


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        ("(", Code.INVALID), ("a)", Code.INVALID), ("*", Code.INVALID), ("[a", Code.INVALID), ("\\q", Code.INVALID),
        ("\\", Code.INVALID), ("(?=a)", Code.INVALID), ("a{3,1}", Code.INVALID), ("a{x}", Code.INVALID),
        ("(" * 60, Code.INVALID), (f"a{{{PATTERN_STEPS + 1}}}", Code.LIMIT), ("(a{50}){50}", Code.LIMIT),
        ("ab" * PATTERN_STEPS, Code.LIMIT),
    ],
)  # fmt: skip
def test_what_is_none_or_too_large_is_refused(pattern: str, code: Code) -> None:
    with pytest.raises(RefusedError) as refused:
        searching(pattern)
    assert refused.value.code is code
