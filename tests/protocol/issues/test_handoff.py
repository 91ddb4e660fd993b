"""A hand-off is a comment that holds the same for people and for programs."""

from typing import Any

import pytest

from moot_protocol.issues.handoff import Handoff, handoff_comment, read_handoff
from moot_protocol.text import json_text

WHOLE = Handoff(("Use LMDB",), ("SQLite: slow\nvery",), "Write the store", "1a2b3c4")


def document(element: list[Any]) -> dict[str, Any]:
    """The comment's document, as `issue.document` makes it."""
    return {"text": element[0]} | {name: json_text.from_text(text) for name, text in element[4].items()}


@pytest.mark.parametrize("handoff", [WHOLE, Handoff(next="Go on"), Handoff()])
def test_what_is_handed_over_comes_back_as_it_was(handoff: Handoff) -> None:
    assert read_handoff(document(handoff_comment(handoff))) == handoff


def test_people_read_it_as_text() -> None:
    assert handoff_comment(WHOLE)[0] == (
        "Handoff at 1a2b3c4\nDecided: Use LMDB\nDead end: SQLite: slow\nvery\nNext: Write the store"
    )


@pytest.mark.parametrize("comment", [{"text": "x"}, {"handoff": "x"}, {"handoff": {"next": 1}}, {"handoff": None}])
def test_an_ordinary_comment_is_none(comment: dict[str, Any]) -> None:
    assert read_handoff(comment) is None
