"""One issue without what may be any amount."""

from typing import Any, cast

import pytest

from moot.console.command import Context
from moot.console.lines.brief import brief
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, Create, Delete, Edge, IssueFields, ListIssues, Show
from moot_testkit.towns.town import Api, make_api


class Recording:
    """Remembers what a town was asked."""

    def __init__(self) -> None:
        self.town: Api = make_api()
        self.asked: list[Any] = []

    def call(self, request: Any) -> Any:
        self.asked.append(request)
        return self.town.call(request)

    def brief(self, typed: str) -> Any:
        return brief(cast("Context", self), typed)

    @property
    def api(self) -> "Recording":
        return self


@pytest.fixture
def api() -> Recording:
    return Recording()


def create(api: Recording, **more: Any) -> str:
    fields = IssueFields(title="Title", description="long")
    return str(api.town.call(Create(actor="ada", project="demo", fields=fields, **more))["id"])


def test_what_depends_on_it_is_not_asked_for(api: Recording) -> None:
    parent = create(api, labels=("web",))
    for _ in range(3):
        create(api, edges=(Edge(to=parent, type="parent-child"),))
    found = api.brief(parent[:-2])
    assert (found["id"], found["labels"]) == (parent, ["web"])
    assert {"dependents", "description"}.isdisjoint(found)
    (asked,) = api.asked
    assert isinstance(asked, ListIssues)


def test_closed_and_deleted_ones_are_found_too(api: Recording) -> None:
    closed, deleted = create(api), create(api)
    api.town.call(Close(actor="ada", id=closed))
    api.town.call(Delete(actor="ada", id=deleted))
    assert [api.brief(name)["status"] for name in (closed, deleted)] == ["closed", "tombstone"]
    assert [type(asked) for asked in api.asked] == [ListIssues, ListIssues, Show]


def test_what_is_nobodys_is_refused_as_elsewhere(api: Recording) -> None:
    with pytest.raises(RefusedError) as refused:
        api.brief("demo-none")
    assert refused.value.code is Code.NOT_FOUND
