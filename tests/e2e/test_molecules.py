"""Molecules worked off with a real daemon: what waits for one goes on, and several processes share its steps."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from moot.client import Client
from moot_testkit.machines.machine import Machine

AGENTS = 6
"""Processes of one actor that close their steps at once."""


@pytest.fixture
def wisp(own_town: Machine) -> list[str]:
    """A wisp of four steps one after another, `after` waiting for it: the ids of the root, the steps, and that one."""
    names = ("build", "test", "tag", "tell")
    steps = [f'[[steps]]\nid = "{name}"\ntitle = "{name} {{{{name}}}}"\n' for name in names]
    needs = [f'needs = ["{before}"]\n' for before, _ in pairwise(names)]
    folder = own_town.folder / ".beads" / "formulas"
    folder.mkdir(parents=True)
    text = "".join(step + need for step, need in zip(steps, ["", *needs], strict=True))
    (folder / "release.formula.toml").write_text(
        f'formula = "release"\nversion = 1\n[vars.name]\nrequired = true\n{text}'
    )
    poured = own_town.json("mol", "wisp", "release", "--var", "name=x")
    after = own_town.ok("q", "after").strip()
    own_town.ok("dep", "add", after, poured["new_epic_id"])
    return [poured["new_epic_id"], *(poured["id_mapping"][name] for name in names), after]


def state(town: Machine, issue: str) -> tuple[str, Any]:
    (shown,) = town.json("show", issue)
    return shown["status"], shown.get("close_reason")


def test_what_waits_for_a_wisp_goes_on_when_its_last_step_is_closed(own_town: Machine, wisp: list[str]) -> None:
    root, *steps, after = wisp
    own_town.ok("close", steps[0])
    own_town.ok("update", steps[1], "-s", "closed")
    own_town.ok("todo", "done", steps[2])
    (last,) = own_town.json("close", steps[3])
    assert (last["id"], last["_finished"], last["_unblocked"]) == (steps[3], [root], [after])
    assert state(own_town, root) == ("closed", "all steps complete")
    assert own_town.json("blocked") == []
    assert sorted(own_town.json("mol", "wisp", "gc", "--closed", "--force")["cleaned_ids"]) == sorted([root, *steps])


def test_going_on_to_the_end_of_a_wisp_closes_it(own_town: Machine, wisp: list[str]) -> None:
    root, *steps, _ = wisp
    told = [own_town.ok("close", step, "--continue") for step in steps]
    assert f"Begun: {steps[1]}" in told[0]
    assert f"✓ Auto-closed completed molecule {root}" in told[-1]
    assert own_town.json("close", steps[-1], "--continue")["continue"]["molecule_complete"]


def test_an_undone_close_opens_the_wisp_again(own_town: Machine, wisp: list[str]) -> None:
    root, *steps, after = wisp
    own_town.ok("close", *steps[:3])
    own_town.ok("close", steps[3])
    own_town.ok("undo")
    assert [state(own_town, name)[0] for name in (steps[3], root)] == ["open", "open"]
    assert [each["id"] for each in own_town.json("blocked")] == [after]


def test_a_program_that_closes_the_last_step_closes_the_wisp(own_town: Machine, wisp: list[str]) -> None:
    root, *steps, _ = wisp
    own_town.ok("batch", stdin="".join(f"close {step}\n" for step in steps[:3]))
    with Client(own_town.folder, socket=own_town.socket, actor="ada") as moot:
        assert moot.close(steps[3]).finished == (root,)
    assert state(own_town, root)[0] == "closed"


def test_processes_of_one_name_that_go_on_at_once_begin_a_step_each(own_town: Machine) -> None:
    root = own_town.json("create", "Many hands", "-t", "epic")["id"]
    mine = [own_town.json("create", f"Begun {n}", "--parent", root)["id"] for n in range(AGENTS)]
    for step in mine:
        own_town.ok("claim", step)
    for n in range(AGENTS):
        own_town.ok("create", f"Open {n}", "--parent", root)
    with ThreadPoolExecutor(AGENTS) as agents:
        went_on = list(agents.map(lambda step: own_town.json("close", step, "--continue")["continue"], mine))
    begun = [each["next_step"]["id"] for each in went_on]
    assert sorted(begun) == sorted(set(begun))
    assert len(own_town.json("list", "--status", "in_progress")) == AGENTS
