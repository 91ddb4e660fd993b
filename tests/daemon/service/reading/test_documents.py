"""Documents through the service: one snapshot answers what is asked of them."""

import pytest

from moot_protocol.requests.documents import (
    DocumentConflicts,
    DocumentHistory,
    Documents,
    NewDocument,
    PublishDocument,
    ShowDocument,
)
from moot_testkit.towns.documents import formula_text, role_text, template_text
from moot_testkit.towns.town import Api, make_api


@pytest.fixture
def api() -> Api:
    made = make_api()
    for kind, name, text in (
        ("role", "reviewer", role_text()),
        ("formula", "ship", formula_text()),
        ("template", "bug", template_text()),
    ):
        made.call(NewDocument(actor="ada", kind=kind, name=name, text=text))
    return made


def test_documents_are_listed_by_kind_and_name(api: Api) -> None:
    rows = api.call(Documents())
    assert [(row["id"], row["version"], row["title"]) for row in rows] == [
        ("role/reviewer", "", "Reviewer"),
        ("formula/ship", "1.0.0", "How to ship"),
        ("template/bug", "", "Bug"),
    ]
    assert [row["id"] for row in api.call(Documents(kind="formula"))] == ["formula/ship"]


def test_an_entry_of_the_list_is_part_of_what_is_shown(api: Api) -> None:
    for row in api.call(Documents()):
        shown = api.call(ShowDocument(name=row["id"]))
        assert shown | row == shown
        assert shown["text"]
        assert (shown["adopted"], shown["diff"]) == (None, "")


def test_history_and_conflicts_are_of_the_document_that_was_named(api: Api) -> None:
    api.call(PublishDocument(actor="ada", name="ship", text=formula_text(version="1.1.0")))
    assert [row["version"] for row in api.call(DocumentHistory(name="ship"))] == ["1.1.0", "1.0.0"]
    assert api.call(DocumentConflicts()) == []
