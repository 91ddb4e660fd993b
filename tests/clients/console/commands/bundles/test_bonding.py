"""mol bond and mol distill against a real daemon's service."""

from typing import Any

import pytest

from moot.console.commands.bundles.bonding import name_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Show
from moot_testkit.clients.pouring import Pourer


@pytest.fixture
def town() -> Pourer:
    return Pourer()


def shown(town: Pourer, issue: str) -> dict[str, Any]:
    (found,) = town.api.call(Show(ids=(issue,)))
    return dict(found)


def edges(town: Pourer, issue: str) -> set[tuple[str, str]]:
    return {(edge["depends_on_id"], edge["type"]) for edge in shown(town, issue).get("dependencies", ())}


@pytest.mark.parametrize(
    ("how", "edge"),
    [("", "blocks"), ("--type parallel", "parent-child"), ("--type conditional", "conditional-blocks")],
)
def test_two_that_are_there_are_joined_by_an_edge(town: Pourer, how: str, edge: str) -> None:
    one, two = town.create("One", issue_type="epic"), town.create("Two", issue_type="epic")
    bonded = town.json(f"mol bond {one} {two} {how}")
    assert (bonded["result_id"], bonded["result_type"]) == (one, "compound_molecule")
    assert edges(town, two) == {(one, edge)}


@pytest.mark.parametrize("order", ["release {}", "{} release"])
def test_a_formula_is_poured_onto_what_is_there_and_is_as_lasting_as_that(town: Pourer, order: str) -> None:
    joined = town.create("Tower", ephemeral=True)
    bonded = town.json(f"mol bond {order.format(joined)} --var version=2.0")
    assert (bonded["result_id"], bonded["spawned"]) == (joined, 3)
    epic = bonded["id_mapping"]["release"]
    assert edges(town, epic) == {(joined, "blocks")}
    assert shown(town, epic).get("ephemeral") is True
    kept = town.json(f"mol bond release {joined} --pour --var version=2.1")
    assert "ephemeral" not in shown(town, kept["new_epic_id"])


def test_ids_of_ones_own_choice_are_built_of_the_molecules_and_the_values(town: Pourer) -> None:
    joined = town.create("Patrol", issue_type="epic")
    bonded = town.json(f"mol bond release {joined} --ref arm-{{{{version}}}} --var version=2 --type parallel")
    assert bonded["id_mapping"]["release"] == f"{joined}.arm-2"
    assert bonded["id_mapping"]["build"] == f"{joined}.arm-2.build"
    town.files["arm.toml"] = (
        b'formula = "arm"\nversion = "1.0.0"\n[vars.arm-name]\n[[steps]]\nid = "look"\ntitle = "Look"\n'
    )
    bonded = town.json(f"mol bond arm.toml {joined} --ref {{{{arm-name}}}} --var arm-name=ace")
    assert bonded["id_mapping"]["look"] == f"{joined}.ace.look"


def test_what_is_neither_and_two_formulas_are_refused(town: Pourer) -> None:
    with pytest.raises(RefusedError, match="formulas both") as both:
        town("mol bond release release --var version=1")
    assert both.value.code is Code.USAGE
    with pytest.raises(RefusedError, match="neither an issue nor a formula"):
        town("mol bond release nothing --var version=1")


def test_trying_a_bond_makes_nothing(town: Pourer) -> None:
    joined = town.create("Tower", issue_type="epic")
    assert town(f"mol bond release {joined} --dry-run --var version=2").startswith("✓ Would bond")
    assert town.all() == ["Tower"]


def test_a_formula_made_of_work_that_was_done_can_be_poured_again(town: Pourer) -> None:
    poured = town.pour()
    distilled = town.json(f"mol distill {poured['new_epic_id']} again --var version=2.0")
    assert distilled == {
        "formula_name": "again", "formula_path": "formula/again", "steps": 2, "variables": ["version"],
    }  # fmt: skip
    cooked = town.json("cook again --var version=3.0")["steps"]
    assert [(step["title"], step.get("needs")) for step in cooked] == [
        ("Build 3.0", None), ("Ship 3.0", [cooked[0]["id"]]),
    ]  # fmt: skip


def test_a_variable_may_be_told_the_other_way_round_and_must_stand_somewhere(town: Pourer) -> None:
    epic = town.pour()["new_epic_id"]
    assert town.json(f"mol distill {epic} again --dry-run --var 2.0=version")["variables"] == ["version"]
    with pytest.raises(RefusedError, match="neither"):
        town(f"mol distill {epic} again --var version=9.9")
    with pytest.raises(RefusedError, match="replaces nothing"):
        town(f"mol distill {epic} again --var version")


def test_it_can_go_into_a_file_and_titles_of_one_name_make_steps_of_two(town: Pourer) -> None:
    epic = town.create("Big Job!", issue_type="epic")
    for _ in range(2):
        town.create("Check it", epic)
    ran = town.run(f"mol distill {epic} --output out")
    (path,) = set(ran.terminal.files) - set(town.files)
    assert (path, ran.terminal.modes[path]) == ("out/big-job.formula.toml", 0o600)
    text = ran.terminal.files[path].decode()
    assert ('id = "check-it"' in text, 'id = "check-it-2"' in text) == (True, True)
    assert [each["name"] for each in town.json("formula list")] == ["release"]


def test_an_epic_without_steps_makes_no_formula(town: Pourer) -> None:
    with pytest.raises(RefusedError, match="can't be made a formula of"):
        town(f"mol distill {town.create('Empty', issue_type='epic')}")


def test_a_title_becomes_a_name() -> None:
    assert [name_of(title) for title in ("Big Job!", "日本", "a" * 80)] == ["big-job", "untitled", "a" * 60]
