"""JSON as `bd` has it: one document, its values exact, nothing in it that acts on a terminal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console import documents
from moot.console.commands.lists import lists
from moot.console.terminal import Facts
from moot.console.text.safe_text import is_plain
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=10,
)


@given(JSON_VALUES, st.booleans())
def test_every_value_is_read_back_as_it_was(value: Any, indent: bool) -> None:
    assert json.loads(documents.encoded(value, indent=indent)) == value


@given(JSON_VALUES, st.booleans())
def test_what_is_encoded_part_by_part_is_what_would_be_encoded_at_once(value: Any, indent: bool) -> None:
    layout: dict[str, Any] = {"indent": 2} if indent else {"separators": (",", ":")}
    whole = documents.escaped(json.dumps(value, ensure_ascii=False, **layout))
    assert documents.encoded(value, indent=indent) == whole


@given(JSON_VALUES, st.booleans())
def test_every_character_is_printable(value: Any, indent: bool) -> None:
    text = documents.encoded(value, indent=indent)
    assert all(map(is_plain, text.split("\n") if indent else [text]))


def test_the_one_control_that_json_leaves_alone_is_escaped_too() -> None:
    assert documents.encoded("a\x7f") == '"a\\u007f"'


def test_half_a_character_is_written_as_an_escape() -> None:
    assert documents.encoded("\ud83d") == '"\\ud83d"'


def test_integers_of_any_size_keep_their_digits() -> None:
    assert documents.encoded({"n": 2**70}) == '{"n":1180591620717411303424}'


def test_what_acts_or_hides_is_escaped_and_letters_are_not() -> None:
    assert documents.encoded("検索 \x1b[31m\x7f\x9b\u202e\ufe0f\U000e0041") == (
        '"検索 \\u001b[31m\\u007f\\u009b\\u202e\\ufe0f\\udb40\\udc41"'
    )


def test_documents_are_bare_unless_the_envelope_is_asked_for() -> None:
    assert documents.enveloped([1], {}) == [1]
    assert documents.enveloped([1], {"BD_JSON_ENVELOPE": "0"}) == [1]
    assert documents.enveloped([1], {"BD_JSON_ENVELOPE": "1"}) == {"schema_version": 1, "data": [1]}


class Pieces(RecordingTerminal):
    """Remembers how much was put out at once."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.sizes: list[int] = []

    def out(self, text: str) -> None:
        self.sizes.append(len(text))
        super().out(text)


def listed(page: Page, argv: str = "list --json", *, terminal: bool = False, **environment: str) -> tuple[str, str]:
    facts = at_terminal(80, **environment) if terminal else FACTS._replace(environment=environment)
    ran = run(lists.COMMANDS, argv, CannedApi(list=page), facts)
    return ran.out, ran.err


@pytest.mark.parametrize("environment", [{}, {"BD_JSON_ENVELOPE": "1"}])
def test_a_long_list_is_encoded_by_its_elements_and_put_out_in_pieces(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    sizes: list[int] = []

    def encode(value: Any) -> str:
        text = json.dumps(value, ensure_ascii=False)
        sizes.append(len(text))
        return text

    monkeypatch.setattr(documents, "_COMPACT", encode)
    issues = [{"id": f"bd-{number}", "title": "x" * 1000} for number in range(1000)]
    terminal = Pieces(FACTS._replace(environment=environment))
    run(
        lists.COMMANDS,
        "list --json",
        CannedApi(list=Page(issues=issues, total=1000, truncated=False)),
        terminal=terminal,
    )
    assert max(sizes) < 2000
    assert max(terminal.sizes) < documents.PIECE_CHARS + 2000
    document = json.loads(terminal.written)
    assert [each["id"] for each in (document["data"] if environment else document)] == [each["id"] for each in issues]


PAGE = Page(issues=[{"id": "bd-1", "title": "One", "priority": 0}], total=312, truncated=True)


def test_a_pipe_gets_one_line_and_a_terminal_an_indented_document() -> None:
    assert listed(PAGE)[0] == '[{"id":"bd-1","title":"One","priority":0}]\n'
    assert listed(PAGE, terminal=True)[0].startswith('[\n  {\n    "id": "bd-1",\n')


def test_the_envelope_comes_from_the_clients_environment() -> None:
    document = json.loads(listed(PAGE, BD_JSON_ENVELOPE="1")[0])
    assert document == {"schema_version": 1, "data": PAGE.issues}


def test_what_is_left_out_is_said_on_standard_error() -> None:
    assert listed(PAGE)[1] == "1 of 312 shown; --limit 0 shows all\n"
    unknown = Page(issues=PAGE.issues, total=None, truncated=True)
    assert listed(unknown)[1] == "1 shown, more match; --limit 0 shows all\n"


def test_of_a_whole_list_nothing_is_said() -> None:
    assert listed(Page(issues=PAGE.issues, total=1, truncated=False))[1] == ""


def test_an_empty_list_is_an_empty_array() -> None:
    assert listed(Page(issues=[], total=0, truncated=False)) == ("[]\n", "")


def test_fields_are_chosen_in_the_order_of_their_names() -> None:
    assert documents.selected({"id": "a", "title": "t", "status": "open"}, ["status", "id", "assignee"]) == {
        "status": "open",
        "id": "a",
    }


@pytest.mark.parametrize("form", ["--json", ""])
def test_a_field_that_nobody_knows_and_no_issue_has_is_refused_with_the_one_that_was_meant(form: str) -> None:
    whole = Page(issues=[{"id": "bd-1", "title": "One", "odd": 3}], total=1, truncated=False, short=[4])
    assert listed(whole, f"list {form} --fields id,odd,assignee,parent")[1] == ""
    with pytest.raises(RefusedError, match="no issue has a field 'titel'; did you mean title") as refused:
        listed(whole, f"list {form} --fields id,titel")
    assert refused.value.code is Code.USAGE
    assert "acceptance_criteria, assignee," in refused.value.hint
    assert "odd," in refused.value.hint


@pytest.mark.parametrize("form", ["--json", ""])
def test_where_there_is_no_issue_one_could_have_any_field(form: str) -> None:
    """Else a script that asks for a file's own field would fail whenever its list is empty."""
    assert listed(Page(issues=[], total=0, truncated=False), f"list {form} --fields id,odd")[0] == (
        "[]\n" if form else ""
    )


@pytest.mark.parametrize(("fields", "needed"), [((), True), (("id", "title"), False), (("id", "notes"), True)])
def test_long_texts_are_asked_for_only_where_they_are_shown(fields: tuple[str, ...], needed: bool) -> None:
    assert documents.needs_texts(fields) is needed


def test_issues_inside_an_issue_have_the_kind_of_link_and_tell_the_parent() -> None:
    issue = {"id": "bd-1", "dependencies": [{"depends_on_id": "bd-0", "type": "parent-child"}], "_short": 4}
    parent = {"id": "bd-0", "title": "Epic", "dependency_type": "parent-child", "_short": 4}
    assert documents.issue_details(issue, [parent]) == {
        "id": "bd-1",
        "dependencies": [{"id": "bd-0", "title": "Epic", "dependency_type": "parent-child"}],
        "dependency_count": 1,
        "dependent_count": 0,
        "comment_count": 0,
        "parent": "bd-0",
    }


def test_an_issue_after_a_change_has_no_edges_since_parsers_take_them_for_issues() -> None:
    document = {"id": "bd-1", "dependencies": [{"depends_on_id": "bd-0"}], "labels": ["x"], "_short": 4}
    assert documents.changed(document) == {"id": "bd-1", "labels": ["x"]}
