"""formula and cook against a real daemon's service: nothing is made, and documents have the shapes of `bd`."""

import json

import pytest

from moot_protocol.errors import RefusedError
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.exchange import CreatePlane
from moot_protocol.requests.issues import Show
from moot_testkit.clients.pouring import TEXT, Pourer
from moot_testkit.clients.terminal import FACTS

IN_JSON = json.dumps(
    {"formula": "mol-arm", "version": 1, "vars": {"who": {"required": True}},
     "steps": [{"id": "a", "title": "Ask {{who}}"}, {"id": "b", "title": "Wait", "depends_on": ["a"]}]}
)  # fmt: skip


@pytest.fixture
def town() -> Pourer:
    return Pourer()


def test_formulas_are_listed_and_shown_with_whose_they_are(town: Pourer) -> None:
    assert town("formula list").startswith("release 1.0.0 own")
    (listed,) = town.json("formula list")
    assert (listed["name"], listed["type"], listed["steps"], listed["vars"]) == ("release", "workflow", 2, 1)
    assert listed["description"] == "What a release takes"
    assert town.json("formula list --type aspect") == []
    assert town("formula list --json-compact") == town("formula list --json")
    assert 'title = "Build {{version}}"' in town("formula show release")
    shown = town.json("formula show formula/release")
    assert (shown["standing"], shown["formula"], shown["vars"]) == ("own", "release", {"version": {"required": True}})


def test_cooking_without_values_leaves_them_open_and_makes_nothing(town: Pourer) -> None:
    assert town("cook release") == "build: Build {{version}}\nship: Ship {{version}} (after build)\n"
    assert town.json("cook release")["steps"][1] == {"id": "ship", "title": "Ship {{version}}", "needs": ["build"]}
    with pytest.raises(RefusedError, match="no value for version"):
        town("cook release --mode runtime")
    assert town.all() == []


def test_cooking_with_values_puts_them_in(town: Pourer) -> None:
    assert town("cook release --var version=2.0") == "build: Build 2.0\nship: Ship 2.0 (after build)\n"
    cooked = town.json("cook release --var version=2.0 --dry-run")
    assert (cooked["values"], cooked["steps"][1]["needs"]) == ({"version": "2.0"}, ["build"])


def test_a_name_that_is_no_document_means_a_file_where_bd_looks_for_it_also_in_json(town: Pourer) -> None:
    town.files["/home/alice/work/.beads/formulas/mol-arm.formula.json"] = IN_JSON.encode()
    assert town("cook mol-arm --var who=Bob") == "a: Ask Bob\nb: Wait (after a)\n"
    town.files = {"/home/alice/.beads/formulas/mol-arm.formula.toml": b"formula = 1"}
    at_home = FACTS._replace(environment={"HOME": "/home/alice"})
    with pytest.raises(RefusedError, match="mol-arm is no formula"):
        town.run("cook mol-arm", at_home)
    town.files = {"/home/alice/work/.beads/formulas/mol-arm.formula.json": b"{"}
    with pytest.raises(RefusedError, match="is no JSON"):
        town("cook mol-arm")
    with pytest.raises(RefusedError, match="no formula"):
        town("cook nothing")


FOLDER = "/home/alice/work/.beads/formulas"
GATED = """formula = "gated"
version = "1.0.0"
[[steps]]
id = "wait"
title = "Wait"
gate = "human"
"""


def test_formulas_in_files_are_listed_and_shown_where_cook_finds_them(town: Pourer) -> None:
    town.files = {
        f"{FOLDER}/mol-arm.formula.json": IN_JSON.encode(),
        f"{FOLDER}/bad.formula.toml": b"formula = 1",
        f"{FOLDER}/release.formula.toml": b"what the document of this name hides",
        f"{FOLDER}/README.md": b"no formula",
    }
    assert [line.split()[0] for line in town("formula list").splitlines()] == ["release", "bad", "mol-arm"]
    _, bad, arm = town.json("formula list")
    assert (arm["standing"], arm["source"]) == ("file", f"{FOLDER}/mol-arm.formula.json")
    assert (arm["type"], arm["steps"], arm["vars"]) == ("workflow", 2, 1)
    assert (bad["type"], bad["steps"], "formula" in bad["problem"]) == ("", 0, True)
    shown = town("formula show mol-arm").splitlines()
    assert (shown[0], any("Ask {{who}}" in line for line in shown)) == (f"{FOLDER}/mol-arm.formula.json (file)", True)
    assert (town.json("formula show mol-arm")["formula"], town.json("formula show mol-arm")["standing"]) == (
        "mol-arm", "file",
    )  # fmt: skip
    for name in ("nothing", "../formulas/mol-arm"):
        with pytest.raises(RefusedError, match="document"):
            town(["formula", "show", name])


def test_a_pipe_among_the_files_is_waited_for_by_no_command_and_told(town: Pourer) -> None:
    town.files[f"{FOLDER}/mol-arm.formula.json"] = IN_JSON.encode()
    town.pipes = {f"{FOLDER}/pipe.formula.toml"}
    arm, pipe = town.json("formula list")[1:]
    problem = f"{FOLDER}/pipe.formula.toml: it is no ordinary file"
    assert (arm["name"], pipe["name"], pipe["problem"]) == ("mol-arm", "pipe", problem)
    for argv in ("formula show pipe", "cook pipe"):
        with pytest.raises(RefusedError, match="no ordinary file"):
            town(argv)


def test_what_lies_in_the_users_folder_stands_in_for_what_can_not_be_read_in_the_projects(town: Pourer) -> None:
    town.pipes = {f"{FOLDER}/mol-arm.formula.json"}
    town.files = {"/home/alice/.beads/formulas/mol-arm.formula.json": IN_JSON.encode()}
    assert town.run("cook mol-arm", FACTS._replace(environment={"HOME": "/home/alice"})).out.startswith(
        "a: Ask {{who}}"
    )


@pytest.mark.parametrize("argv", ["cook gated", "cook gated --mode compile", "cook gated --var a=b", "mol seed gated"])
def test_what_can_not_be_poured_is_refused_by_name_with_and_without_values(town: Pourer, argv: str) -> None:
    town.files[f"{FOLDER}/gated.formula.toml"] = GATED.encode()
    with pytest.raises(RefusedError, match="uses what can't be poured here: gate of step wait"):
        town(argv)


def test_a_formula_that_is_no_workflow_can_be_looked_at_and_is_told_as_what_it_is(town: Pourer) -> None:
    text = 'formula = "e"\nversion = "1.0.0"\ntype = "expansion"\n[[template]]\nid = "{target}.a"\ntitle = "A"\n'
    town.files[f"{FOLDER}/e.formula.toml"] = text.encode()
    ran = town.run("cook e --json")
    assert (json.loads(ran.out)["type"], ran.err) == (
        "expansion", "It is of type expansion: only a workflow becomes issues\n",
    )  # fmt: skip
    with pytest.raises(RefusedError, match="only a workflow becomes issues"):
        town("cook e --mode runtime")


def test_the_shape_of_what_is_no_workflow_is_told_in_lines_too(town: Pourer) -> None:
    text = """
type = "expansion"
[[template]]
id = "{target}.draft"
title = "Draft {target}"
[[template]]
id = "{target}.refine"
title = "Refine"
needs = ["{target}.draft"]
"""
    town.files[f"{FOLDER}/e.formula.toml"] = f'formula = "e"\nversion = "1.0.0"\n{text}'.encode()
    assert town("cook e") == "{target}.draft: Draft {target}\n{target}.refine: Refine (after {target}.draft)\n"
    text = """
type = "aspect"
[[advice]]
target = "*.code"
[advice.around]
before = [{ id = "scan", title = "Scan" }]
after = [{ id = "test", title = "Test", needs = ["scan"] }]
"""
    town.files[f"{FOLDER}/a.formula.toml"] = f'formula = "a"\nversion = "1.0.0"\n{text}'.encode()
    assert town("cook a").splitlines() == [
        "before *.code:", "  scan: Scan", "after *.code:", "  test: Test (after scan)",
    ]  # fmt: skip
    assert town.json("cook a")["advice"] == [
        {
            "target": "*.code", "before": [{"id": "scan", "title": "Scan"}],
            "after": [{"id": "test", "title": "Test", "needs": ["scan"]}],
        }
    ]  # fmt: skip


def test_as_bd_values_that_a_formula_has_no_use_for_are_passed_over_and_told(town: Pourer) -> None:
    argv = "cook release --var version=2.0 --var issue=bd-1"
    ran = town.run(argv, FACTS._replace(program="bd"))
    assert (ran.out.startswith("build: Build 2.0"), "issue: passed over" in ran.err) == (True, True)
    with pytest.raises(RefusedError, match="no variable issue"):
        town(argv)


def test_seeding_makes_nothing_and_tells_which_formula_is_missing() -> None:
    town = Pourer()
    assert town.json("mol seed release") == {"status": "ok", "formulas": ["release"]}
    assert town("mol seed release") == "release can be poured\n"
    with pytest.raises(RefusedError, match="mol-deacon-patrol"):
        town("mol seed --patrol")
    with pytest.raises(RefusedError, match="which formula"):
        town("mol seed")
    assert town.all() == []


def test_a_formula_of_the_ledger_can_be_poured_where_there_is_a_federation_plane_and_if_both_have_it_by_plane() -> None:
    town = Pourer()
    town.api.call(CreatePlane(actor="ada", name="common", kind="federation"))
    assert town("cook release --var version=2.0").startswith("build: Build 2.0")
    assert town.json("mol pour release --var version=2.0")["created"] == 3
    shared = TEXT.replace("Build", "Make")
    town.api.call(NewDocument(actor="ada", kind="formula", name="release", text=shared, plane="common"))
    for plane, title in (("", "Make 2.0"), (" --plane common", "Make 2.0"), (" --plane ledger", "Build 2.0")):
        assert town(f"cook release --var version=2.0{plane}").startswith(f"build: {title}")
        assert (title.split()[0] in town(f"formula show release{plane}")) is True
        for how in ("mol pour", "mol wisp"):
            poured = town.json(f"{how} release --var version=2.0{plane}")
            assert town.api.call(Show(ids=(poured["id_mapping"]["build"],)))[0]["title"] == title
        joined = town.create("An epic", issue_type="epic")
        bonded = town.json(f"mol bond release {joined} --var version=2.0{plane}")
        assert town.api.call(Show(ids=(bonded["id_mapping"]["build"],)))[0]["title"] == title


def test_on_a_plane_that_is_named_no_file_stands_for_a_formula_that_is_not_there() -> None:
    town = Pourer()
    town.api.call(CreatePlane(actor="ada", name="common", kind="federation"))
    for argv in ("cook release", "formula show release", "mol pour release", "mol seed release"):
        town.files[f"{FACTS.folder}/.beads/formulas/release.formula.toml"] = TEXT.encode()
        with pytest.raises(RefusedError, match="release"):
            town(f"{argv} --plane common")
