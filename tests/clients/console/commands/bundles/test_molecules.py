"""mol against a real daemon's service: what was poured, how far it is, and what may go on."""

import pytest

from moot_protocol.errors import RefusedError
from moot_protocol.requests.gates import CreateGate
from moot_protocol.requests.issues import IssueFields, Update
from moot_testkit.clients.pouring import Pourer


@pytest.fixture
def town() -> Pourer:
    return Pourer()


def test_what_is_poured_waits_as_the_formula_says(town: Pourer) -> None:
    assert town("mol pour release --var version=2.0 --dry-run").startswith("✓ Would pour mol release: created 3 issues")
    assert town.all() == []
    poured = town.pour()
    mapping, epic = poured["id_mapping"], poured["new_epic_id"]
    assert (mapping["release"], mapping["release.build"], poured["phase"]) == (epic, mapping["build"], "liquid")
    assert sorted(town.ready()) == ["Build 2.0", "release"]
    town.close(mapping["build"])
    assert sorted(town.ready()) == ["Ship 2.0", "release"]
    assert [issue["id"] for issue in town.json("mol list")] == [epic]


def test_what_was_poured_is_told_in_the_words_that_programs_look_for(town: Pourer) -> None:
    told = town("pour release --var version=2.0").splitlines()
    assert told[0] == "✓ Poured mol release: created 3 issues"
    assert told[1].startswith("  Root issue: demo-")
    assert town("wisp create release --var version=2.0").startswith("✓ Poured wisp release")


def test_how_far_it_is_and_what_is_next(town: Pourer) -> None:
    poured = town.pour()
    epic, steps = poured["new_epic_id"], poured["id_mapping"]
    town.close(steps["build"])
    progress = town.json(f"mol progress {epic}")
    assert (progress["molecule_id"], progress["total"], progress["completed"], progress["percent"]) == (epic, 2, 1, 50)
    (current,) = town.json(f"mol current {epic}")
    assert (current["next_step"]["id"], "current_step" in current) == (steps["ship"], False)
    town.begin(steps["ship"], "alice")
    (current,) = town.json(f"mol current {epic}")
    assert [(step["status"], step["is_current"]) for step in current["steps"]] == [("done", False), ("current", True)]
    assert (current["current_step"]["id"], current["completed"], current["total"]) == (steps["ship"], 1, 2)
    assert town(f"mol show {epic}").splitlines()[0] == f"{epic} — release: 1 of 2 done (50 %)"


def test_without_an_id_it_is_what_one_works_on(town: Pourer) -> None:
    assert (town.json("mol current"), town("mol progress")) == ([], "No molecules in progress.\n")
    poured = town.pour()
    town.begin(poured["id_mapping"]["build"], "alice")
    assert [each["molecule_id"] for each in town.json("mol current")] == [poured["new_epic_id"]]
    assert town.json("mol progress")["current_step_id"] == poured["id_mapping"]["build"]
    assert town.json("mol current --for bob") == []


def test_some_of_many_steps_can_be_asked_for(town: Pourer) -> None:
    epic = town.pour()["new_epic_id"]
    assert [len(town.json(f"mol current {epic} {some}")[0]["steps"]) for some in ("--limit 1", "--range 2-2")] == [1, 1]
    assert town.json(f"mol current {epic} --range 2-2")[0]["steps"][0]["issue"]["title"] == "Ship 2.0"
    with pytest.raises(RefusedError, match="no range"):
        town(f"mol current {epic} --range 2-1")


def test_an_epic_written_by_hand_is_looked_at_as_well_and_a_step_is_none(town: Pourer) -> None:
    epic = town.create("Tower", issue_type="epic")
    town.create("Walls", epic)
    assert town.json(f"mol progress {epic}")["total"] == 1
    with pytest.raises(RefusedError, match="is no molecule"):
        town(f"mol show {town.create('Alone')}")


def test_a_wisp_is_no_work_of_the_list(town: Pourer) -> None:
    poured = town.pour("wisp")
    assert (poured["ephemeral"], poured["phase"], town.ready()) == (True, "vapor", [])
    listed = town.json("mol wisp list")
    assert (listed["count"], {wisp["id"] for wisp in listed["wisps"]}) == (3, set(poured["id_mapping"].values()))
    assert [wisp["old"] for wisp in listed["wisps"]] == [True] * listed["old_count"]  # that town's clock is behind
    assert town.json("mol wisp list --type epic")["count"] == 1
    assert town.json("mol list") == []
    assert town.json(f"mol current {poured['new_epic_id']}")[0]["next_step"]["title"] == "Build 2.0"


def test_a_wisps_epic_can_be_made_without_its_steps(town: Pourer) -> None:
    assert town.json("mol wisp release --root-only --var version=2.0")["created"] == 1
    assert town.all() == ["release"]


def test_when_it_was_last_changed_and_by_what(town: Pourer) -> None:
    poured = town.pour()
    epic, build = poured["new_epic_id"], poured["id_mapping"]["build"]
    assert town.json(f"mol last-activity {epic}")["source"] == "molecule_updated"
    town.api.clock.advance(1000)
    town.begin(build)
    assert town.json(f"mol last-activity {epic}")["source"] == "step_updated"
    town.close(build)
    activity = town.json(f"mol last-activity {epic}")
    assert (activity["source"], activity["source_step_id"]) == ("step_closed", build)
    assert town(f"mol last-activity {epic}") == f"{activity['last_activity']}\n"


def test_what_is_done_and_not_closed_is_stale(town: Pourer) -> None:
    assert town.json("mol stale") == {"stale_molecules": [], "total_count": 0, "blocking_count": 0}
    epic = town.create("Tower", issue_type="epic")
    step = town.create("Walls", epic)
    assert town("mol stale") == "No stale molecules found.\n"
    town.close(step)
    waiting = town.create("Flag", needs=[epic])
    (stale,) = town.json("mol stale --blocking")["stale_molecules"]
    assert (stale["id"], stale["closed_children"], stale["blocking_issues"]) == (epic, 1, [waiting])
    town.api.call(Update(actor="ada", id=epic, fields=IssueFields(assignee="ada")))
    assert town.json("mol stale --unassigned")["total_count"] == 0


def test_a_molecule_whose_gate_was_closed_may_go_on_unless_somebody_has_it(town: Pourer) -> None:
    poured = town.pour()
    build, epic = poured["id_mapping"]["build"], poured["new_epic_id"]
    gate = CreateGate(actor="ada", project="demo", await_type="human", blocks=(build,))
    held = town.api.call(gate)["id"]
    assert town.json("mol ready --gated") == {"molecules": [], "count": 0}
    town.close(held)
    (found,) = town.json("mol ready")["molecules"]
    assert (found["molecule_id"], found["closed_gate"]["id"], found["ready_step"]["id"]) == (epic, held, build)
    town.api.call(Update(actor="ada", id=epic, fields=IssueFields(status="hooked")))
    assert town.json("mol ready")["count"] == 0
