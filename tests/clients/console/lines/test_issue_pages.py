"""Many issues page by page: which are told, and how many at once."""

import json
from typing import Any, cast

import pytest

from moot.console.command import Context
from moot.console.lines.issue_pages import issue_pages
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, Create, Delete, IssueFields, ListIssues
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.transfer import Import
from moot_testkit.clients.canned_api import CannedApi, InTurn
from moot_testkit.towns.town import Api, make_api
from mootd.engine.listing import exporting

WANTED = Filter(projects=("demo",))


class Asking:
    """What a command has of its context here."""

    def __init__(self, api: Any) -> None:
        self.api = api

    def pages(self, wanted: Filter = WANTED) -> list[list[dict[str, Any]]]:
        return list(issue_pages(cast("Context", self), wanted))


def create(town: Api, title: str) -> str:
    fields = IssueFields(title=title, description=f"About {title}")
    return str(town.call(Create(actor="ada", project="demo", fields=fields))["id"])


def test_all_but_deleted_issues_are_told_with_their_texts_a_page_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "LINES", 2)
    town = make_api()
    names = [create(town, f"Number {number}") for number in range(5)]
    town.call(Close(actor="ada", id=names[0]))
    town.call(Delete(actor="ada", id=names[1]))
    pages = Asking(town).pages()
    assert max(map(len, pages)) == 2
    told = {issue["id"]: issue["description"] for page in pages for issue in page}
    assert told == {name: f"About Number {number}" for number, name in enumerate(names) if number != 1}
    open_ones = Asking(town).pages(Filter(projects=("demo",), exclude_statuses=("closed",)))
    assert {issue["id"] for page in open_ones for issue in page} == set(names[2:])


def test_fields_have_the_types_that_commands_take_them_for() -> None:
    town = make_api()
    odd = {"id": "demo-odd", "title": 7, "notes": 5, "dependencies": "no", "status": "open", "huge": 10**29}
    town.call(Import(actor="ada", project="demo", lines=(json.dumps(odd).encode(),), session="s"))
    ((issue,),) = Asking(town).pages()
    assert [type(issue.get(field, "")) for field in ("title", "notes")] == [str, str]
    assert issue.get("dependencies", []) == []


UNREACHABLE = RefusedError("the snapshot can't", code=Code.UNREACHABLE)


def test_in_a_sandbox_they_come_from_what_is_there() -> None:
    api = CannedApi(export=UNREACHABLE, list=Page(issues=[{"id": "bd-1"}], total=1, truncated=False))
    assert Asking(api).pages() == [[{"id": "bd-1"}]]
    asked = api.asked[-1]
    assert asked == ListIssues(filter=WANTED, all=True, limit=0, sort="id", texts=True)


@pytest.mark.parametrize(
    "answers", [[RefusedError("no", code=Code.DENIED)], [{"lines": [], "next": "bd-1"}, UNREACHABLE]]
)
def test_any_other_refusal_and_one_in_between_is_one(answers: list[Any]) -> None:
    with pytest.raises(RefusedError):
        Asking(CannedApi(export=InTurn(answers))).pages()
