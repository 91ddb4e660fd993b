"""Documents as people write them, name them, and as they stand in the log."""

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.documents.document import (
    DOCUMENT_KINDS,
    FORMULA,
    ROLE,
    TEMPLATE,
    Named,
    RoleText,
    TemplateText,
    check_text,
    content_hash,
    is_name,
    is_set,
    parse_document,
    problem_of,
    read_name,
    starting_text,
    text_in,
    title_of,
    value_of,
    version_in,
    version_names,
)
from moot_protocol.documents.formula import Formula
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import TEXT_BYTES
from moot_protocol.text.toml_text import DocumentError

REVIEWER = """\
+++
title = "Reviewer"
description = "Reads what others wrote"
labels = ["review"]

[commands]
test = "make test"

[hooks]
session-start = "moot ready"
+++

You read every change.
+++
"""
BUG = '+++\ntitle = "Bug"\ntype = "bug"\npriority = 1\nlabels = ["bug"]\n+++\nSteps:\n'


def refused(kind: str, text: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse_document(kind, text)
    return caught.value


# -- Texts -------------------------------------------------------------------------------------------------------
def test_a_role_has_front_matter_and_a_text() -> None:
    role = parse_document(ROLE, REVIEWER)
    assert role == RoleText(
        "Reviewer",
        "Reads what others wrote",
        ("review",),
        {"test": "make test"},
        {"session-start": "moot ready"},
        "You read every change.\n+++\n",
    )


def test_a_role_is_a_text_where_nothing_stands_before_it() -> None:
    assert parse_document(ROLE, "You review.\n") == RoleText("", "", (), {}, {}, "You review.\n")


def test_a_template_has_what_an_issue_begins_with() -> None:
    assert parse_document(TEMPLATE, BUG) == TemplateText("Bug", "", "bug", 1, ("bug",), "Steps:\n")


@pytest.mark.parametrize(
    ("kind", "text", "place"),
    [
        (ROLE, "+++\ntitle = 'x'\n", "line 1: "),
        (ROLE, "+++\ntitle = 'x'\na b\n+++\n", "line 3: "),
        (ROLE, "+++\ntitle = 1\n+++\n", "title: "),
        (ROLE, "+++\n[commands]\ntest = ['make']\n+++\n", "commands.test: "),
        (ROLE, "+++\ncomands = {a = 'b'}\n+++\n", "comands: no front matter has such a key"),
        (TEMPLATE, "+++\npriority = 9\n+++\n", "priority: "),
        (TEMPLATE, "+++\nhooks = {}\n+++\n", "hooks: "),
        (FORMULA, "+++\n", "line 1"),
        (ROLE, " \n", "an empty text"),
    ],
)
def test_a_text_of_another_shape_is_refused_with_its_place(kind: str, text: str, place: str) -> None:
    assert refused(kind, text).message.startswith(place)


@given(st.sampled_from(DOCUMENT_KINDS), st.text(max_size=60) | st.text(max_size=40).map("+++\n{}\n+++\n".format))
def test_any_text_is_read_or_refused(kind: str, text: str) -> None:
    problem = problem_of(kind, "x", text)
    if not problem:
        assert check_text(kind, "x", text) == parse_document(kind, text)


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
def test_what_one_begins_writing_from_is_a_document(kind: str) -> None:
    assert problem_of(kind, "some-name", starting_text(kind, "some-name")) == ""
    assert title_of(parse_document(kind, starting_text(kind, "some-name"))) == ("" if kind == FORMULA else "some-name")


def test_a_formula_bears_the_name_of_its_document() -> None:
    text = starting_text(FORMULA, "release")
    assert isinstance(check_text(FORMULA, "release", text), Formula)
    assert "release" in problem_of(FORMULA, "deploy", text)


def test_a_text_has_a_most_of_bytes() -> None:
    check_text(ROLE, "x", "é" * (TEXT_BYTES // 2))
    with pytest.raises(RefusedError) as caught:
        check_text(ROLE, "x", "é" * (TEXT_BYTES // 2) + "x")
    assert caught.value.code is Code.LIMIT


# -- Values ------------------------------------------------------------------------------------------------------
def test_a_formula_stands_in_the_log_with_its_version() -> None:
    text = starting_text(FORMULA, "f")
    value = value_of(parse_document(FORMULA, text), text)
    assert value == ["1.0.0", text]
    assert (text_in(FORMULA, value), version_in(FORMULA, value)) == (text, "1.0.0")
    assert value_of(parse_document(ROLE, REVIEWER), REVIEWER) == REVIEWER
    assert (text_in(ROLE, REVIEWER), version_in(ROLE, REVIEWER)) == (REVIEWER, "")


@pytest.mark.parametrize("kind", DOCUMENT_KINDS)
@pytest.mark.parametrize("value", [None, "", 7, b"x", [], ["1.0.0"], [1, "x"], ["1.0.0", 7], ["1.0.0", ""], {}])
def test_a_value_of_another_shape_has_no_text(kind: str, value: Any) -> None:
    assert text_in(kind, value) is None
    assert version_in(kind, value) == ""


def test_a_content_is_named_by_its_sha_256() -> None:
    assert content_hash("é") == sha256("é".encode()).digest()


def test_only_versions_of_templates_live_side_by_side() -> None:
    assert [kind for kind in DOCUMENT_KINDS if is_set(kind)] == [TEMPLATE]


# -- Names -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("bug", Named("", "bug", "")),
        ("template/bug", Named("template", "bug", "")),
        ("template/bug~a1b2", Named("template", "bug", "a1b2")),
        ("bug~a1b2c3", Named("", "bug", "a1b2c3")),
    ],
)
def test_what_is_typed_is_taken_apart(typed: str, named: Named) -> None:
    assert read_name(typed) == named


@pytest.mark.parametrize(
    "typed", ["", "Bug", "1bug", "bug report", "issue/bug", "bug~", "bug~a1", "bug~xyzw", "/bug~", "a/b/c"]
)
def test_what_can_t_mean_a_document_is_refused(typed: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_name(typed)
    assert caught.value.code is Code.INVALID


def test_a_name_has_a_most_of_characters_and_no_line_end() -> None:
    assert is_name("a" * 64)
    assert not is_name("a" * 65)
    assert not is_name("bug\n")
    assert not is_name("bug~a1b2")


def test_the_first_of_several_versions_has_the_name_alone() -> None:
    leaves = [bytes.fromhex(text + "00" * 6) for text in ("a1b2", "ffff", "0000")]
    assert version_names("bug", leaves) == ["bug", "bug~ffff", "bug~0000"]
    assert version_names("bug", leaves[1:2]) == ["bug"]
    assert version_names("bug", []) == []


@given(st.lists(st.sampled_from([b"\1\2\3\4", b"\1\2\3\5", b"\1\2\4\4", b"\2"]), unique=True))
def test_names_of_versions_tell_them_apart(starts: list[bytes]) -> None:
    leaves = [start.ljust(8, b"\0") for start in starts]
    names = version_names("bug", leaves)
    assert len(set(names)) == len(leaves)
    for leaf, name in list(zip(leaves, names, strict=True))[1:]:
        typed = read_name(name)
        assert [other for other in leaves if other.hex().startswith(typed.leaf)] == [leaf]
