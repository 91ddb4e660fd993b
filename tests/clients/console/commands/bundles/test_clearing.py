"""mol squash|burn and wisp gc against a real daemon's service: what goes, what stays, and how it is told."""

from typing import cast

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Create, InitProject, IssueFields, ListIssues, Show, Update
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.pouring import COMMANDS, Pourer
from moot_testkit.clients.terminal import FACTS

ACTOR = "alice"
"""Whose console it is."""


@pytest.fixture
def town() -> Pourer:
    return Pourer()


def test_squashing_leaves_a_digest_in_the_place_of_the_steps_and_closes_the_epic(town: Pourer) -> None:
    poured = town.pour("wisp")
    epic, steps = poured["new_epic_id"], poured["id_mapping"]
    town.close(steps["build"])
    squashed = town.json(f"mol squash {epic}")
    assert squashed["squashed_ids"] == [steps["build"], steps["ship"]]
    assert (squashed["deleted_count"], squashed["kept_children"]) == (2, False)
    left = {issue["id"]: issue for issue in town.api.call(ListIssues(all=True, texts=True)).issues}
    assert set(left) == {epic, squashed["digest_id"]}
    assert left[squashed["digest_id"]]["description"] == "- Build 2.0 (closed: Done)\n- Ship 2.0 (open)"
    assert {issue["status"] for issue in left.values()} == {"closed"}


def test_only_what_is_ephemeral_is_squashed_and_the_epic_stays_open_for_the_rest(town: Pourer) -> None:
    poured = town.pour()
    epic, steps = poured["new_epic_id"], poured["id_mapping"]
    passing = town.create("Look around", parent=epic, ephemeral=True)
    squashed = town.json(f"mol squash {epic}")
    assert (squashed["squashed_ids"], squashed["deleted_count"]) == ([passing], 1)
    left = {issue["id"]: issue["status"] for issue in town.api.call(ListIssues(all=True)).issues}
    kept = {epic: "open", steps["build"]: "open", steps["ship"]: "open", squashed["digest_id"]: "closed"}
    assert left == kept
    for step in ("build", "ship"):
        town.close(steps[step])
    town.create("Look back", parent=epic, ephemeral=True)
    town(f"mol squash {epic}")
    assert town.api.call(Show(ids=(epic,)))[0]["status"] == "closed"


def test_steps_that_are_kept_are_not_squashed_nor_is_a_digest(town: Pourer) -> None:
    poured = town.pour()
    epic = poured["new_epic_id"]
    town.begin(poured["id_mapping"]["build"])
    before = town.all()
    nothing = town.json(f"mol squash {epic}")
    assert (nothing["squashed_count"], nothing["deleted_count"], nothing["digest_id"]) == (0, 0, "")
    assert town(f"mol squash {epic} --force").startswith("Nothing to do: ")
    assert town.all() == before

    wisp = town.pour("wisp")["new_epic_id"]
    digest = town.json(f"mol squash {wisp}")["digest_id"]
    town.api.call(Update(actor="ada", id=digest, fields=IssueFields(ephemeral=True)))
    assert town.json(f"mol squash {wisp}")["squashed_count"] == 0
    assert town.api.call(Show(ids=(digest,)))[0]["status"] == "closed"


def test_steps_that_somebody_works_on_are_squashed_only_if_that_is_insisted_on(town: Pourer) -> None:
    epic = town.pour()["new_epic_id"]
    town.begin(town.create("Look around", parent=epic, ephemeral=True), ACTOR)
    with pytest.raises(RefusedError, match="1 step of") as caught:
        town(f"mol squash {epic}")
    assert (caught.value.code, caught.value.hint) == (Code.CONFLICT, "add --force")
    assert town.json(f"mol squash {epic} --keep-children")["deleted_count"] == 0
    assert town.json(f"mol squash {epic} --force")["deleted_count"] == 1


def test_a_wisp_is_squashed_by_whoever_works_on_it_but_not_while_others_do(town: Pourer) -> None:
    theirs, mine = town.pour("wisp"), town.pour("wisp")
    town.begin(theirs["id_mapping"]["build"], "bob")
    town.begin(mine["id_mapping"]["build"], ACTOR)
    with pytest.raises(RefusedError, match="in progress"):
        town(f"mol squash {theirs['new_epic_id']}")
    assert "`undelete` brings them back" in town(f"mol squash {mine['new_epic_id']}")
    assert len(town.all()) == 5


def test_a_digest_can_be_written_by_hand_and_the_steps_kept(town: Pourer) -> None:
    epic = town.pour("wisp")["new_epic_id"]
    assert town(f"mol squash {epic} --dry-run").startswith("✓ Would squash molecule")
    squashed = town.json(f"mol squash {epic} --summary Fine --keep-children")
    assert (squashed["deleted_count"], squashed["wisp_squash"]) == (0, True)
    (digest,) = town.api.call(Show(ids=(squashed["digest_id"],)))
    assert (digest["description"], digest.get("ephemeral"), len(town.all())) == ("Fine", None, 4)


def test_burning_takes_all_of_it_away_unless_work_has_begun(town: Pourer) -> None:
    poured = town.pour()
    epic = poured["new_epic_id"]
    town.begin(poured["id_mapping"]["build"])
    with pytest.raises(RefusedError, match="in progress"):
        town(f"mol burn {epic}")
    assert town(f"mol burn {epic} --force --dry-run").startswith("✓ Would burn")
    assert len(town.all()) == 3
    burned = town.json(f"mol burn {epic} --force")
    assert (burned["molecule_id"], burned["deleted_count"]) == (epic, 3)
    assert town.all() == []
    with pytest.raises(RefusedError, match="is deleted"):
        town(f"mol burn {epic} --force")


def test_wisps_are_burned_as_they_are_and_several_at_once(town: Pourer) -> None:
    one, two = town.pour("wisp"), town.pour("wisp")
    town.begin(one["id_mapping"]["build"])
    burned = town.json(f"mol burn {one['new_epic_id']} {two['new_epic_id']}")
    assert (burned["total_deleted"], len(burned["results"]), town.all()) == (6, 2, [])


def test_what_is_kept_below_a_wisp_outlives_it(town: Pourer) -> None:
    burned, cleared = town.pour("wisp")["new_epic_id"], town.pour("wisp")["new_epic_id"]
    found = town.create("Found", parent=burned)
    digest = town.json(f"mol squash {cleared}")["digest_id"]
    assert town.json(f"mol burn {burned}")["deleted_count"] == 3
    assert town.json("wisp gc --age 1ms")["cleaned_ids"] == [cleared]
    assert {issue["id"] for issue in town.api.call(ListIssues(all=True)).issues} == {found, digest}


def test_wisps_that_are_done_are_cleared_away_as_a_whole(town: Pourer) -> None:
    poured = town.pour("wisp")
    assert town.json("wisp gc --age 1ms") == {"cleaned_ids": [], "cleaned_count": 0}
    for step in ("build", "ship"):
        town.close(poured["id_mapping"][step])
    tried = town.json("wisp gc --age 1ms --dry-run")
    assert (tried["candidates"], tried["cleaned_count"], tried["dry_run"], len(town.all())) == (3, 0, True, 3)
    assert town.json("wisp gc --age 1ms")["cleaned_count"] == 3
    assert (town.all(), town("wisp gc")) == ([], "No abandoned wisps found\n")


def test_what_changed_lately_is_kept_and_all_means_what_is_not_done_too(town: Pourer) -> None:
    town.pour("wisp")
    assert town.json("wisp gc --all --age 1000d")["cleaned_ids"] == []
    assert town.json("wisp gc --all")["cleaned_count"] == 3


def test_closed_ephemeral_issues_are_counted_and_deleted_if_that_is_insisted_on(town: Pourer) -> None:
    kept, gone = (town.create(title, ephemeral=True) for title in ("Open", "Closed"))
    town.close(gone)
    assert town.json("wisp gc --closed") == {
        "cleaned_ids": [gone],
        "cleaned_count": 0,
        "candidates": 1,
        "dry_run": True,
    }
    assert town.json("wisp gc --closed --force --exclude-type task")["cleaned_count"] == 0
    assert town.json("wisp gc --closed --force")["cleaned_ids"] == [gone]
    assert [wisp["id"] for wisp in town.json("mol wisp list --all")["wisps"]] == [kept]


# -- Outside of any project --------------------------------------------------------------------------------------
@pytest.fixture
def two(town: Pourer) -> Pourer:
    """Two projects with an ephemeral issue each that is closed, and the console in a folder that is neither's."""
    town.close(town.create("passing", ephemeral=True))
    town.call(InitProject(actor="ada", prefix="diary", folder="/elsewhere"))
    create = Create(actor="ada", project="diary", fields=IssueFields(title="day", ephemeral=True))
    town.close(town.call(create)["id"])
    return town


def outside(town: Pourer, argv: str) -> str:
    return run(COMMANDS, argv, cast("CannedApi", town), FACTS._replace(workspace=""), project="").out


def test_a_wisp_that_closed_itself_goes_as_a_whole_and_so_does_one_that_two_machines_left_open(town: Pourer) -> None:
    for is_left_open in (False, True):
        poured = town.pour("wisp")
        root, steps = poured["new_epic_id"], poured["id_mapping"]
        for step in ("build", "ship"):
            town.close(steps[step])
        assert town.api.call(Show(ids=(root,)))[0]["status"] == "closed"
        if is_left_open:
            town.api.call(Update(actor=ACTOR, id=root, fields=IssueFields(status="open")))
        assert town.json("wisp gc --closed --force")["cleaned_count"] == 3
        assert town.all() == []


def test_a_wisp_that_has_more_to_do_stays_without_its_closed_steps(town: Pourer) -> None:
    poured = town.pour("wisp")
    town.close(poured["id_mapping"]["build"])
    assert town.json("wisp gc --closed --force")["cleaned_ids"] == [poured["id_mapping"]["build"]]


@pytest.mark.parametrize("argv", ["wisp gc --age 1ms", "mol wisp gc --closed --force", "wisp gc --all --age 1ms"])
def test_outside_of_any_project_nothing_is_cleared_away_unless_it_is_said_of_which(two: Pourer, argv: str) -> None:
    with pytest.raises(RefusedError, match="mol wisp gc would delete in all projects of the town") as refused:
        outside(two, argv)
    assert (refused.value.code, "`--project all`" in refused.value.hint) == (Code.USAGE, True)
    assert set(two.all()) == {"passing", "day"}
    outside(two, f"{argv} --project diary")
    assert two.all() == ["passing"]
    outside(two, f"{argv} --project all")
    assert two.all() == []


def test_what_would_be_cleared_away_is_told_by_project_where_there_may_be_several(two: Pourer) -> None:
    for argv in ("wisp gc --age 1ms --dry-run", "wisp gc --closed"):
        told = outside(two, argv).splitlines()
        assert told[:2] == ["✓ Would clear away 2 ephemeral issues", "  By project: demo 1, diary 1"]
    assert told[2].startswith("  Add --project all --force to delete: ")
    assert two.json("wisp gc --closed --project all")["projects"] == {"demo": 1, "diary": 1}
    assert "projects" not in two.json("wisp gc --closed")
    assert set(two.all()) == {"passing", "day"}
