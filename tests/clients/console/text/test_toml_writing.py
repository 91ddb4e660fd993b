"""TOML that is written is read again as what it was."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.text.toml_writing import to_toml
from moot_protocol.errors import RefusedError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_what_is_written_is_read_again(document: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(document)) == document


def test_tables_stand_under_headings_and_what_is_none_is_left_out() -> None:
    document = {"steps": [{"id": "a", "priority": None}, {"id": "b"}], "vars": {"x": {"required": True}}, "version": 1}
    assert to_toml(document).splitlines() == [
        "version = 1", "", "[[steps]]", 'id = "a"', "", "[[steps]]", 'id = "b"', "", "[vars]",
        "x = { required = true }",
    ]  # fmt: skip


def test_what_toml_has_no_word_for_is_refused() -> None:
    with pytest.raises(RefusedError, match="no set"):
        to_toml({"x": {1}})
