"""formula, cook and mol against a real daemon's service: what was poured, how far it is, and that it goes again."""

import json
from typing import Any, cast

import pytest

from moot.console.commands.molecules import COMMANDS
from moot_protocol.document_requests import NewDocument
from moot_protocol.errors import RefusedError
from moot_protocol.request_base import Request
from moot_protocol.requests import Close, ListIssues, Ready, Update
from moot_testkit.canned_api import CannedApi, run
from moot_testkit.town import Api, make_api

TEXT = """
formula = "release"
version = "1.0.0"
[vars]
version = { required = true }
[[steps]]
id = "build"
title = "Build {{version}}"
[[steps]]
id = "ship"
title = "Ship {{version}}"
needs = ["build"]
"""


class Town:
    """A town with the formula, and its console."""

    def __init__(self) -> None:
        self.api: Api = make_api()
        self.asked: list[Any] = []
        self.api.call(NewDocument(actor="ada", kind="formula", name="release", text=TEXT))

    def call(self, request: Request[Any]) -> Any:
        return self.api.call(request)

    def __call__(self, argv: str) -> str:
        return run(COMMANDS, argv, cast("CannedApi", self), project="demo").out

    def json(self, argv: str) -> Any:
        return json.loads(self(f"{argv} --json"))

    def pour(self, how: str = "pour") -> dict[str, Any]:
        poured: dict[str, Any] = self.json(f"mol {how} release --var version=2.0")
        return poured

    def ready(self) -> list[str]:
        return [issue["title"] for issue in self.api.call(Ready()).issues]

    def close(self, poured: dict[str, Any], step: str) -> None:
        self.api.call(Close(actor="ada", id=poured["id_mapping"][step], reason="Done"))

    def all(self) -> list[str]:
        return [issue["title"] for issue in self.api.call(ListIssues(all=True)).issues]


@pytest.fixture
def town() -> Town:
    return Town()


def test_formulas_are_listed_and_shown_with_whose_they_are(town: Town) -> None:
    assert town("formula list").startswith("release 1.0.0 own")
    assert 'title = "Build {{version}}"' in town("formula show release")
    assert town.json("formula show formula/release")["standing"] == "own"


def test_cooking_makes_nothing(town: Town) -> None:
    assert town("cook release --var version=2.0") == "build: Build 2.0\nship: Ship 2.0 (after build)\n"
    assert town.json("cook release --var version=2.0")["steps"][1]["needs"] == ["build"]
    assert town("mol pour release --var version=2.0 --dry-run").startswith("✓ Would pour release into")
    assert town.all() == []
    with pytest.raises(RefusedError, match="no value for version"):
        town("cook release")


def test_what_is_poured_waits_as_the_formula_says(town: Town) -> None:
    poured = town.pour()
    assert set(poured["id_mapping"]) == {"build", "ship"}
    assert sorted(town.ready()) == ["Build 2.0", "release"]
    town.close(poured, "build")
    assert sorted(town.ready()) == ["Ship 2.0", "release"]
    assert [issue["id"] for issue in town.json("mol list")] == [poured["new_epic_id"]]


def test_how_far_it_is_and_what_is_next(town: Town) -> None:
    poured = town.pour()
    epic = poured["new_epic_id"]
    town.close(poured, "build")
    progress = town.json(f"mol progress {epic}")
    assert (progress["total"], progress["completed"], progress["percent"]) == (2, 1, 50)
    assert [step["title"] for step in town.json(f"mol current {epic}")["ready"]] == ["Ship 2.0"]
    town.api.call(Update(actor="ada", id=poured["id_mapping"]["ship"], claim=True))
    assert [step["title"] for step in town.json(f"mol current {epic}")["in_progress"]] == ["Ship 2.0"]
    assert town(f"mol show {epic}").splitlines()[0] == f"{epic} — release: 1 of 2 done (50 %)"
    with pytest.raises(RefusedError, match="is no molecule"):
        town(f"mol show {poured['id_mapping']['ship']}")


def test_a_wisp_is_no_work_of_the_list_and_is_cleared_away_when_done(town: Town) -> None:
    poured = town.pour("wisp")
    assert (poured["ephemeral"], town.ready()) == (True, [])
    assert [issue["id"] for issue in town.json("mol wisp list")] == [poured["new_epic_id"]]
    assert town.json("mol list") == []
    assert [step["title"] for step in town.json(f"mol current {poured['new_epic_id']}")["ready"]] == ["Build 2.0"]
    assert town.json("wisp gc --age 1ms")["deleted"] == []
    for step in ("build", "ship"):
        town.close(poured, step)
    assert town.json("wisp gc --age 1ms --dry-run")["deleted"] == [poured["new_epic_id"]]
    assert len(town.all()) == 3
    town("wisp gc --age 1ms")
    assert town.all() == []


def test_what_changed_lately_is_kept(town: Town) -> None:
    poured = town.pour("wisp")
    assert town.json("wisp gc --all --age 1000d")["deleted"] == []
    assert town.json("wisp gc --all")["deleted"] == [poured["new_epic_id"]]


def test_squashing_leaves_a_digest(town: Town) -> None:
    poured = town.pour()
    town.close(poured, "build")
    squashed = town.json(f"mol squash {poured['new_epic_id']}")
    assert squashed["deleted"] == 3
    (digest,) = town.api.call(ListIssues(all=True, texts=True)).issues
    assert (digest["id"], digest["status"]) == (squashed["digest_id"], "closed")
    assert digest["description"] == "- Build 2.0 (closed: Done)\n- Ship 2.0 (open)"


def test_a_digest_can_be_written_by_hand_and_the_steps_kept(town: Town) -> None:
    epic = town.pour()["new_epic_id"]
    assert town.json(f"mol squash {epic} --summary Fine --keep-children")["deleted"] == 0
    assert len(town.all()) == 4


def test_burning_takes_all_of_it_away_unless_work_has_begun(town: Town) -> None:
    poured = town.pour()
    epic = poured["new_epic_id"]
    town.api.call(Update(actor="ada", id=poured["id_mapping"]["build"], claim=True))
    with pytest.raises(RefusedError, match="in progress"):
        town(f"mol burn {epic}")
    assert town(f"mol burn {epic} --force --dry-run").startswith("✓ Would delete")
    assert len(town.all()) == 3
    town(f"mol burn {epic} --force")
    assert town.all() == []
