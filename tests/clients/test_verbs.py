"""From what a caller says to the request that says it; the clients' tests go through all of them."""

from collections.abc import Callable
from typing import Any

import pytest

from moot import verbs
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import IssueFields


def test_every_field_that_can_be_set_has_an_argument() -> None:
    fields = set(IssueFields.__struct_fields__)
    assert fields - verbs.NewIssue.__optional_keys__ == {"title", "close_reason"}
    assert fields - verbs.Changes.__optional_keys__ == {"close_reason"}


def test_a_field_that_is_not_named_stays_as_it_is_and_an_empty_one_is_cleared() -> None:
    request = verbs.update("ada", "demo-1", {"notes": ""})
    assert request.fields == IssueFields(notes="")
    assert request.parent is None
    assert request.set_labels is None


def test_one_word_stands_for_a_list_of_it() -> None:
    request = verbs.listed("demo", {"status": ("open", "closed"), "issue_type": "bug", "priority": (0, 1)})
    assert request.filter.statuses == ("open", "closed")
    assert request.filter.types == ("bug",)
    assert request.filter.priorities == (0, 1)


WRONG: Any = 7


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: verbs.listed("demo", {}, limit=-1), "limit can't be negative"),
        (lambda: verbs.ready("demo", {}, limit=-1), "limit can't be negative"),
        (lambda: verbs.blocked("demo", {}, limit=-1), "limit can't be negative"),
        (
            lambda: verbs.create("ada", "demo", "", "One", {"metadata": WRONG}),
            "metadata maps names to values, .* no int",
        ),
        (lambda: verbs.update("ada", "demo-1", {"set_metadata": WRONG}), "set_metadata maps .* no int"),
        (lambda: verbs.claim("ada", "demo-1", "soon"), "ttl_s is a number of seconds, not 'soon'"),
        (lambda: verbs.claim("ada", "demo-1", float("nan")), "not nan"),
        (lambda: verbs.claim("ada", "demo-1", float("inf")), "not inf"),
        (lambda: verbs.claim("ada", "demo-1", 0, ends=True), "not 0"),
    ],
)
def test_what_no_request_can_say_is_refused_in_words(ask: Callable[[], object], words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        ask()
    assert caught.value.code is Code.USAGE


@pytest.mark.parametrize(("asked", "limit"), [(2**31 - 1, 2**31 - 1), (2**63 - 1, 0), (10**30, 0)])
def test_a_limit_beyond_any_list_is_none(asked: int, limit: int) -> None:
    assert verbs.listed("demo", {}, limit=asked).limit == limit


def test_all_statuses_are_one_word_and_all_projects_one_argument() -> None:
    request = verbs.listed("demo", {"status": "all", "all_projects": True})
    assert request.all
    assert request.filter.statuses == ()
    assert request.filter.projects == ()


@pytest.mark.parametrize("verb", [verbs.ready, verbs.blocked])
def test_what_a_list_cannot_be_chosen_by_is_refused(verb: object) -> None:
    assert callable(verb)
    with pytest.raises(RefusedError, match="takes no status") as caught:
        verb("demo", {"status": "open"})
    assert caught.value.code is Code.USAGE


def test_labels_are_a_list_and_a_text_by_itself_is_one_of_them() -> None:
    assert verbs.create("ada", "demo", "", "One", {"labels": "ui"}).labels == ("ui",)
    assert verbs.create("ada", "demo", "", "One", {"labels": ["a,b"]}).labels == ("a,b",)
    assert verbs.update("ada", "demo-1", {"add_labels": "ui", "set_labels": ()}).set_labels == ()


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("labels", lambda labels: verbs.create("ada", "demo", "", "One", {"labels": labels})),
        ("add_labels", lambda labels: verbs.update("ada", "demo-1", {"add_labels": labels})),
        ("remove_labels", lambda labels: verbs.update("ada", "demo-1", {"remove_labels": labels})),
        ("set_labels", lambda labels: verbs.update("ada", "demo-1", {"set_labels": labels})),
        ("labels", lambda labels: verbs.listed("demo", {"labels": labels})),
        ("any_labels", lambda labels: verbs.ready("demo", {"any_labels": labels})),
    ],
)
def test_several_labels_in_one_text_are_refused_with_the_list_that_was_meant(
    name: str, ask: Callable[[str], object]
) -> None:
    with pytest.raises(RefusedError, match=f"{name} is a list of labels, not 'x, y'") as caught:
        ask("x, y")
    assert (caught.value.code, caught.value.hint) == (Code.USAGE, f"{name}=['x', 'y']")
