"""Rules: which fields go, and what stays of them."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.redaction import BLACK, DEFAULT_FIELDS, Rule, projected, read_rule, stays_home

DOCUMENT = {
    "id": "mt-1", "title": "Acme calls", "status": "open", "priority": 2, "issue_type": "task", "notes": "ours",
    "labels": ["Private:a", "api", "cust-acme", "for-acme"], "assignee": "ann", "metadata": {"a": 1},
    "comments": [{"id": "c", "issue_id": "mt-1", "author": "acme ann", "text": "acme", "created_at": "t"}],
}  # fmt: skip


def test_without_a_rule_the_usual_fields_go_and_private_labels_stay() -> None:
    shown = projected(read_rule(""), DOCUMENT)
    assert tuple(shown) == DEFAULT_FIELDS
    assert shown["labels"] == ["api", "cust-acme", "for-acme"]


def test_a_rule_names_fields_labels_issues_and_words() -> None:
    rule = read_rule(" title, comments,labels,-label:CUST-*,-word:acme", ["title"])
    shown = projected(rule, DOCUMENT)
    assert shown["title"] == f"{BLACK} calls"
    assert shown["labels"] == ["api", f"for-{BLACK}"]
    assert shown["comments"] == [{"id": "c", "author": f"{BLACK} ann", "text": BLACK, "created_at": "t"}]
    assert rule == Rule(("title", "comments", "labels"), ("CUST-*",), (), ("acme",))


def test_a_rule_reads_as_it_was_written() -> None:
    rule = read_rule("notes,-label:a*,-issue:b,-word:c")
    assert read_rule(rule.text) == rule


def test_an_issue_stays_home_for_a_label() -> None:
    assert stays_home(read_rule("-issue:hush*"), ["a", "HUSH-1"])
    assert not stays_home(read_rule("-issue:hush"), ["hush-1"])


def test_what_a_source_hasn_t_got_isn_t_there() -> None:
    assert projected(read_rule("title,notes,labels"), {"title": "", "notes": None, "labels": []}) == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [("edges", Code.INVALID), ("metadata", Code.INVALID), ("-label:", Code.INVALID), ("-text:x", Code.INVALID),
     ("-word:" + "x" * 5000, Code.LIMIT)],
)  # fmt: skip
def test_what_is_no_rule_is_refused(text: str, code: Code) -> None:
    with pytest.raises(RefusedError) as raised:
        read_rule(text)
    assert raised.value.code is code


@pytest.mark.timeout(60)
def test_a_label_of_many_stars_is_compared_in_linear_time() -> None:
    rule = read_rule("-issue:" + "a*" * 20 + "b")
    assert not stays_home(rule, ["a" * 5_000])
    assert stays_home(rule, ["a" * 5_000 + "B"])
    assert stays_home(read_rule("-issue:a*b*b"), ["aXbYb"])
    assert not stays_home(read_rule("-issue:a*b*b"), ["aXb"])
    assert not stays_home(read_rule("-issue:a*b*c"), ["aXcYb"])
