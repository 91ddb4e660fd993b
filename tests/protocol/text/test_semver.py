"""Precedence of semantic versions as semver.org, section 11, tells it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.text.semver import precedence

ASCENDING = [
    "0.0.0", "0.0.1", "0.9.9", "0.10.0", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1",
    "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0",
    "1.10.0", "2.0.0-0", "2.0.0",
]  # fmt: skip
NONE = ["1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.-3"]


def test_versions_ascend_as_the_standard_orders_them() -> None:
    for lower, higher in pairwise(ASCENDING):
        low, high = precedence(lower), precedence(higher)
        assert low is not None
        assert high is not None
        assert low < high, (lower, higher)


def test_build_metadata_has_no_precedence() -> None:
    assert precedence("1.2.3+a") == precedence("1.2.3+b.7") == precedence("1.2.3")


@pytest.mark.parametrize("text", [*NONE, "", " 1.2.3", "1.2.3\n", "1.2.3-" + "a" * 255])
def test_what_is_no_semantic_version_has_no_precedence(text: str) -> None:
    assert precedence(text) is None


@given(st.text())
def test_every_text_has_a_precedence_or_none(text: str) -> None:
    assert precedence(text) is None or text[0].isdigit()
