"""config, statuses, types: what is asked and printed, in the shapes that `bd` has."""

from moot_protocol.requests.issues import Script
from moot_protocol.requests.memories import SetSetting, Settings
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console


def setting(key: str, value: str, of: str = "project", *, conflict: bool = False) -> dict[str, object]:
    return {"key": key, "value": value, "of": of, "conflict": conflict}


FOUND = [setting("custom.x", "1"), setting("kv.flag", "on"), setting("status.custom", "review:active", "town")]


def test_a_setting_is_set_for_the_project_or_the_town() -> None:
    ran = run_console("config set custom.x 1", {"set_setting": {}})
    assert ran.request == SetSetting(actor="unknown", project="bd", key="custom.x", value="1")
    assert ran.out == "Set custom.x = 1\n"
    assert run_console("config set custom.x 1 --town", {"set_setting": {}}, project="").request.project == ""
    assert run_console("config set custom.x 1 --json", {"set_setting": {}}).document == {
        "key": "custom.x",
        "value": "1",
    }
    assert run_console("config set jira.token x --force-git-tracked", {"set_setting": {}}).request.secrets is True


def test_of_a_setting_that_only_other_programs_read_that_is_said() -> None:
    ran = run_console("config set export.auto false", {"set_setting": {}})
    assert ran.out == "Set export.auto = false\n"
    assert ran.err == "export.auto is kept for programs that read it: Moot does nothing by it\n"
    for read in ("custom.x 1", "prime.max-memories 3"):
        assert run_console(f"config set {read}", {"set_setting": {}}).err == ""


def test_a_setting_is_read_and_one_that_is_not_set_is_no_failure() -> None:
    ran = run_console("config get custom.x", {"settings": FOUND[:1]})
    assert (ran.request, ran.out) == (Settings(project="bd", prefix="custom.x"), "1\n")
    ran = run_console("config get custom.y", {"settings": []})
    assert (ran.code, ran.out) == (0, "custom.y (not set)\n")
    assert run_console("config get custom.y --json", {"settings": []}).document == {"key": "custom.y", "value": ""}


def test_the_prefix_is_the_projects_name_and_is_not_changed_by_a_setting() -> None:
    assert run_console("config get issue_prefix --json").document == {"key": "issue_prefix", "value": "bd"}
    same = run_console("config set issue_prefix bd-")
    assert (same.code, same.asked) == (0, [])
    other = run_console("config set issue-prefix work")
    assert (other.code, other.asked, "rename-prefix work" in other.err) == (5, [], True)


def test_nothing_drifts_from_settings_that_can_be() -> None:
    for argv in ("config drift --json", "config apply --dry-run --json"):
        ran = run_console(argv, {"settings": FOUND})
        assert (ran.code, [each["status"] for each in ran.document]) == (0, ["ok"])
    drifted = run_console("config drift --json", {"settings": [setting("status.custom", "!")]})
    assert (drifted.code, drifted.document[1]["check"], drifted.document[1]["status"]) == (1, "status.custom", "drift")


def test_a_setting_is_taken_away() -> None:
    ran = run_console("config unset custom.x --json", {"set_setting": {}})
    assert (ran.request.value, ran.document) == (None, {"key": "custom.x"})


def test_what_is_set_so_already_is_told_as_such() -> None:
    again = {"set_setting": {"_unchanged": True}}
    assert run_console("config set custom.x 1", again).out == "Nothing to do: custom.x = 1 already\n"
    document = {"key": "custom.x", "value": "1", "_unchanged": True}
    assert run_console("config set custom.x 1 --json", again).document == document
    assert run_console("config set issue-prefix bd").out == "Nothing to do: issue-prefix = bd already\n"
    many = {"script": [{"_unchanged": True}, {}]}
    ran = run_console("config set-many custom.x=1 custom.y=2", many)
    assert ran.out == "Nothing to do: custom.x = 1 already\nSet custom.y = 2\n"
    both = run_console("config set-many custom.x=1 custom.y=2 --json", many).document
    assert ["_unchanged" in each for each in both] == [True, False]


def test_what_is_not_set_is_not_taken_away() -> None:
    again = {"set_setting": {"_unchanged": True}}
    assert run_console("config unset custom.x", again).out == "Nothing to do: custom.x isn't set for this project\n"
    of_town = run_console("config unset custom.x --town", again).out
    assert of_town == "Nothing to do: custom.x isn't set for the town\n"
    assert run_console("config unset custom.x --json", again).document == {"key": "custom.x", "_unchanged": True}


def test_several_settings_are_set_together() -> None:
    ran = run_console("config set-many custom.x=1 custom.y=a=b --json", {"script": [{}, {}]})
    assert isinstance(ran.request, Script)
    assert [step["params"]["value"] for step in ran.request.steps] == ["1", "a=b"]
    assert ran.document == [{"key": "custom.x", "value": "1"}, {"key": "custom.y", "value": "a=b"}]
    assert run_console("config set-many custom.x").code == 2


def test_settings_are_listed_without_the_key_value_store() -> None:
    assert run_console("config list --json", {"settings": FOUND}).document == {
        "custom.x": "1", "status.custom": "review:active",
    }  # fmt: skip
    assert run_console("config list", {"settings": FOUND}).out.splitlines()[0] == "Configuration:"
    assert run_console("config list", {"settings": []}).err == "No configuration set\n"
    shown = run_console("config show --json", {"settings": FOUND}).document
    assert [each["source"] for each in shown] == ["project", "town"]


def test_settings_are_validated() -> None:
    ran = run_console("config validate --json", {"settings": FOUND})
    assert (ran.code, ran.document) == (0, {"valid": True, "issues": []})
    wrong = [setting("export.auto", "maybe"), setting("custom.x", "1", conflict=True)]
    ran = run_console("config validate --json", {"settings": wrong})
    assert (ran.code, ran.document["valid"], len(ran.document["issues"])) == (1, False, 2)


def test_statuses_and_types_are_those_built_in_and_ones_own() -> None:
    document = run_console("statuses --json", {"settings": FOUND[2:]}).document
    assert {"name": "open", "category": "active", "description": "Available to work on"} in document[
        "built_in_statuses"
    ]
    assert document["custom_statuses"] == [{"name": "review", "category": "active"}]
    document = run_console("types --json", {"settings": [setting("types.custom", "rig")]}).document
    assert {each["name"] for each in document["core_types"]} >= {"bug", "feature", "task", "epic", "chore"}
    assert document["custom_types"] == ["rig"]
    assert run_console("types", project="").code == 0
    assert (
        run_console("types --json", {"settings": [setting("types.custom", "9 lives")]}).document["custom_types"] == []
    )


def test_types_tell_which_sections_descriptions_should_have_if_asked() -> None:
    told = {
        each["name"]: each for each in run_console("types --sections --json", {"settings": []}).document["core_types"]
    }
    assert told["epic"]["sections"] == ["## Success Criteria"]
    assert "  epic: ## Success Criteria" in run_console("types --sections", {"settings": []}).out
    assert "Criteria" not in run_console("types", {"settings": []}).out


def test_the_settings_of_one_source_can_be_shown() -> None:
    told = run_console("config show --source town --json", {"settings": FOUND}).document
    assert [each["key"] for each in told] == ["status.custom"]


def test_what_a_setting_was_set_to_apart_is_told_wherever_it_is_read() -> None:
    values = [
        {"value": "1", "actor": "ann", "at": NOW_MS, "author": "k", "n": 1},
        {"value": "2", "actor": "bob", "at": NOW_MS, "author": "l", "n": 1},
    ]
    found = {"settings": [setting("custom.x", "1", "town", conflict=True) | {"values": values}]}
    ran = run_console("config get custom.x", found)
    assert (ran.out, ran.err.splitlines()) == (
        "1\n",
        ["(custom.x is in conflict; written apart by bob, just now:)", "2",
         "(`moot config set custom.x VALUE --town` settles it)"],
    )  # fmt: skip
    assert run_console("config get custom.x --json", found).document["others"] == values[1:]
    (shown,) = run_console("config show --json", found).document
    assert shown == {"key": "custom.x", "value": "1", "source": "town", "others": values[1:]}
    for argv in ("config list", "config list --json", "config show"):
        ran = run_console(argv, found)
        assert (ran.err, "2" in ran.out) == ("(in conflict: custom.x; `moot conflicts` shows all values)\n", False), (
            argv
        )
