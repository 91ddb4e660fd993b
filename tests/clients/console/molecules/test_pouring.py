"""From a formula to the script that makes its issues."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import pytest

from moot.console.command import Context
from moot.console.molecules import pouring
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddEdge, Create
from moot_protocol.requests.molecules import AdoptedFormula
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

TEXT = """
formula = "release"
version = "1.0.0"
[vars]
who = "ada"
[[steps]]
id = "build"
title = "Build"
[[steps.children]]
id = "test"
title = "Test by {{who}}"
type = "chore"
[[steps]]
id = "ship"
title = "Ship"
needs = ["test"]
waits_for = "children-of(build)"
assignee = "bob"
"""


def context(files: Mapping[str, bytes] | None = None) -> Context:
    api = CannedApi(adopted_formula={"name": "release", "plane": "", "text": TEXT})
    arguments = Namespace(dry_run=True)
    return Context(api, RecordingTerminal(files=files), arguments, "alice", "bd", json=False, now_ms=NOW_MS, plane="ab")


def test_a_name_is_asked_of_the_town_and_a_file_is_the_users_own() -> None:
    here = context({"./r.toml": TEXT.encode()})
    assert isinstance(here.api, CannedApi)
    assert pouring.cooked(here, "release", {}).name == "release"
    assert here.api.asked == [AdoptedFormula(name="release", home="ab")]
    assert pouring.cooked(here, "./r.toml", {"who": "eve"}).steps[1].title == "Test by eve"
    assert len(here.api.asked) == 1
    with pytest.raises(RefusedError, match="is no formula"):
        pouring.cooked(context({"x.toml": b"nothing"}), "x.toml", {})


def script(**parts: Any) -> list[Any]:
    here = context()
    defaults: dict[str, Any] = {"title": "", "assignee": "", "ephemeral": False}
    return [step for _, step in pouring.script_of(here, pouring.cooked(here, "release", {}), **defaults | parts)]


@pytest.mark.parametrize("code", [Code.CANCELLED, Code.BAD_VERSION])
def test_a_client_that_can_not_list_files_is_not_taken_for_one_without_any(code: Code) -> None:
    class Gone(RecordingTerminal):
        def names_in(self, path: str) -> list[str]:
            raise RefusedError("the client has gone away, or is an earlier one", code=code)

    here = Context(
        CannedApi(workspace_info=None), Gone(FACTS), Namespace(), "alice", "bd", json=False, now_ms=NOW_MS, plane="ab"
    )
    with pytest.raises(RefusedError, match="gone away"):
        pouring.names_of_files(here)


def test_an_epic_its_steps_and_their_edges_are_made_at_once() -> None:
    epic, build, check, ship, *edges = script()
    assert isinstance(epic, Create)
    assert (epic.fields.issue_type, epic.parent, epic.labels, epic.dry_run) == ("epic", "", ("molecule",), True)
    assert epic.metadata == {"source_formula": "release", "source_version": "1.0.0", "values": {"who": "ada"}}
    assert [(each.parent, each.fields.issue_type) for each in (build, check, ship)] == [
        ("$1", "task"), ("$2", "chore"), ("$1", "task")
    ]  # fmt: skip
    assert build.metadata == {"source_formula": "release", "source_step": "build", "source_order": 0}
    assert all(isinstance(edge, AddEdge) and edge.id == "$4" for edge in edges)
    assert [(edge.edge.to, edge.edge.type, edge.edge.metadata) for edge in edges] == [
        ("$3", "blocks", ""), ("$2", "waits-for", '{"gate":"all-children"}')
    ]  # fmt: skip


def test_who_is_named_does_what_names_nobody() -> None:
    made = script(title="Mine", assignee="carol", ephemeral=True)[:4]
    assert [each.fields.assignee for each in made] == ["carol", "carol", "carol", "bob"]
    assert (made[0].fields.title, [each.fields.ephemeral for each in made]) == ("Mine", [True] * 4)


@pytest.mark.parametrize("given", [["x"], ["=x"], ["a=1", "a=2"]])
def test_what_sets_no_variable_is_refused(given: list[str]) -> None:
    assert pouring.values_of(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(RefusedError, match="sets no variable"):
        pouring.values_of(given)


def test_a_file_that_is_nested_too_deeply_is_refused_and_is_no_defect() -> None:
    deep = b'{"k": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(RefusedError, match="nested too deeply") as caught:
        pouring.parsed(context({"deep.json": deep}), "deep.json")
    assert caught.value.code is Code.INVALID
