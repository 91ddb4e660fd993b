"""Labels of an issue, and all that are in use."""

import json
from typing import Any

from moot.console.commands.issues.labels import COMMANDS
from moot_protocol.requests.issues import Labels, ListIssues
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.terminal import at_terminal, without_colours

LABELS = [{"label": "auth", "count": 12}, {"label": "evil\x1b[2J", "count": 3}]


def shown(**fields: Any) -> CannedApi:
    return CannedApi(list=Page(issues=[{"id": "bd-1"} | fields], total=1, truncated=False))


def test_labels_of_an_issue_stand_on_lines_of_their_own() -> None:
    api = shown(labels=["auth", "two words", "evil\u202e"])
    assert run(COMMANDS, "label list bd-1", api).out == "auth\ntwo words\nevil<U+202E>\n"
    assert api.asked == [ListIssues(filter=Filter(ids=("bd-1",)), all=True)]


def test_labels_of_an_issue_as_json_are_an_array_of_texts() -> None:
    api = shown(labels=["auth"])
    assert run(COMMANDS, "label list bd-1 --json", api).out == '["auth"]\n'


def test_an_issue_without_labels_says_so_beside_the_output() -> None:
    ran = run(COMMANDS, "label list bd-1", shown())
    assert (ran.out, ran.err) == ("", "no labels on bd-1\n")
    assert run(COMMANDS, "label list bd-1 --json", shown()).out == "[]\n"


def test_all_labels_are_counted() -> None:
    api = CannedApi(labels=LABELS)
    assert run(COMMANDS, "label list-all", api).out == "12 auth\n3 evil^[[2J\n"
    assert api.asked == [Labels(projects=("bd",))]
    terminal = without_colours(at_terminal())
    assert run(COMMANDS, "label list-all", api, terminal).out == "12  auth\n 3  evil^[[2J\n"


def test_all_labels_as_json() -> None:
    assert json.loads(run(COMMANDS, "label list-all --json", CannedApi(labels=LABELS)).out) == LABELS


def test_labels_of_every_project_can_be_asked_for() -> None:
    api = CannedApi(labels=[])
    ran = run(COMMANDS, "label list-all --project all", api)
    assert api.asked == [Labels(projects=())]
    assert ran.err == "no labels in use\n"


def test_labels_of_one_plane_can_be_asked_for() -> None:
    api = CannedApi(labels=[])
    run(COMMANDS, "label list-all --plane team", api)
    assert api.asked == [Labels(plane="team")]
