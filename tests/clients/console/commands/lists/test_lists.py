"""Lists: what they ask of the daemon, and what they print at a terminal, in a pipe and as JSON."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from moot.console.commands.lists.lists import COMMANDS
from moot.console.terminal import Facts
from moot.console.text.style import unpainted
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import Blocked, Children, ListIssues, Ready
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, Ran, run
from moot_testkit.clients.console import issue, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal, without_colours

LOGIN = {
    "id": "bd-a1b2c3d4e5f6",
    "title": "Login fails when the clock is ahead of the broker by more than ten minutes",
    "status": "open",
    "priority": 0,
    "issue_type": "bug",
    "assignee": "alice",
    "labels": ["auth", "clock"],
    "created_at": "2026-01-30T10:00:00Z",
    "updated_at": "2026-01-31T11:00:00.123456789+01:00",
}
SEARCH = {
    "id": "bd-a9zzzzzzzzzz",
    "title": "検索 is slow 🚀",
    "status": "in_progress",
    "priority": 2,
    "issue_type": "feature",
    "due_at": "2026-02-01T00:00:00Z",
    "dependencies": [{"issue_id": "bd-a9zzzzzzzzzz", "depends_on_id": "bd-a1b2c3d4e5f6", "type": "parent-child"}],
}
EVIL = {
    "id": "bd-a1b2",
    "title": "Evil \x1b[31mred\u202etxet\nP0 bug forged",
    "status": "in\x07review",
    "priority": 4,
    "issue_type": "chore",
    "dependencies": [{"issue_id": "bd-a1b2", "depends_on_id": "bd-a9zzzzzzzzzz", "type": "parent-child"}],
}
PAGE = Page(issues=[LOGIN, SEARCH, EVIL], total=3, truncated=False, short=[8, 7, 7])
EMPTY = Page(issues=[], total=0, truncated=False)
COLOURLESS = without_colours(at_terminal(72))


def asked(argv: str | Sequence[str], *, project: str = "bd", facts: Facts = FACTS, **answers: Any) -> Any:
    """The only request of a command."""
    api = CannedApi(
        **(answers or {"list": EMPTY, "ready": EMPTY, "blocked": EMPTY, "children": EMPTY, "count": {"total": 0}})
    )
    run(COMMANDS, argv, api, project=project, facts=facts)
    assert len(api.asked) == 1
    return api.asked[0]


def lines(argv: str, facts: Facts = FACTS, page: Page = PAGE) -> list[str]:
    ran = run(COMMANDS, argv, CannedApi(list=page, ready=page, blocked=page, children=page), facts)
    assert ran.code == 0
    return ran.out.splitlines()


# -- What is printed ---------------------------------------------------------------------------------------------
def test_ready_in_a_pipe_is_one_short_line_an_issue() -> None:
    assert lines("ready") == [
        "bd-a1b2c P0 bug Login fails when the clock is ahead of the broker by more than ten minutes",
        "bd-a9zz P2 feature 検索 is slow 🚀",
        "bd-a1b2 P4 chore Evil ^[[31mred<U+202E>txet⏎P0 bug forged",
    ]


def test_list_in_a_pipe_tells_status_and_assignee_too() -> None:
    assert lines("list") == [
        "bd-a1b2c P0 bug open @alice Login fails when the clock is ahead of the broker by more than ten minutes",
        "bd-a9zz P2 feature in_progress 検索 is slow 🚀",
        "bd-a1b2 P4 chore in^Greview Evil ^[[31mred<U+202E>txet⏎P0 bug forged",
    ]


def test_list_at_a_terminal_is_a_table_that_fits_it() -> None:
    assert lines("list", COLOURLESS) == [
        "bd-a1b2c  P0  bug      open         @alice  Login fails when the clock…",
        "bd-a9zzz  P2  feature  in_progress          検索 is slow 🚀",
        "bd-a1b2   P4  chore    in^Greview           Evil ^[[31mred<U+202E>txet⏎…",
    ]


def test_colours_change_nothing_but_colours() -> None:
    coloured = lines("list", at_terminal(72))
    assert [unpainted(line) for line in coloured] == lines("list", COLOURLESS)
    assert "\x1b[1mbd-a9zz\x1b[0m\x1b[2mz\x1b[0m" in coloured[1]


def test_plain_lines_can_be_asked_for_at_a_terminal() -> None:
    assert lines("list --plain", at_terminal()) == lines("list")


def test_a_tree_has_children_below_their_parents() -> None:
    assert lines("list --tree", COLOURLESS) == [
        "○ bd-a1b2c P0 bug Login fails when the clock is ahead of the broker by…",
        "└─ ◐ bd-a9zzz P2 feature 検索 is slow 🚀",
        "   └─ · bd-a1b2 P4 chore Evil ^[[31mred<U+202E>txet⏎P0 bug forged",
    ]
    assert lines("list --tree")[1:] == [
        "  bd-a9zz P2 feature in_progress 検索 is slow 🚀",
        "    bd-a1b2 P4 chore in^Greview Evil ^[[31mred<U+202E>txet⏎P0 bug forged",
    ]


def test_parents_that_close_a_cycle_hide_no_issue_from_a_tree() -> None:
    def child(issue: str, parent: str) -> dict[str, Any]:
        return LOGIN | {"id": issue, "dependencies": [{"depends_on_id": parent, "type": "parent-child"}]}

    ring = [child("bd-1", "bd-2"), child("bd-2", "bd-1"), child("bd-3", "bd-3")]
    told = lines("list --tree", page=Page(issues=ring, total=3, truncated=False))
    assert [line.split()[0] for line in told] == ["bd-1", "bd-2", "bd-3"]


def test_an_issue_whose_parent_is_on_another_page_keeps_its_place() -> None:
    page = Page(issues=[SEARCH, LOGIN | {"id": "bd-0", "dependencies": []}], total=2, truncated=False)
    assert [line.split()[0] for line in lines("list --tree", page=page)] == ["bd-a9zzzzzzzzzz", "bd-0"]


def test_a_list_can_be_the_graph_of_its_dependencies() -> None:
    assert lines("list --format dot")[0] == 'digraph "issues" {'
    assert lines("list --format mermaid")[0] == "flowchart LR"
    assert lines("list --format digraph") == ["bd-a9zzzzzzzzzz bd-a1b2c3d4e5f6", "bd-a1b2 bd-a9zzzzzzzzzz"]


def test_a_long_list_tells_dates_labels_and_dependencies() -> None:
    page = Page(issues=[LOGIN, SEARCH], total=2, truncated=False, short=[8, 7])
    assert lines("list --long", COLOURLESS, page) == [
        "bd-a1b2c  P0  bug      open         @alice  Login fails when the clock…",
        "    created 1d ago, updated 1h ago",
        "    labels auth, clock",
        "bd-a9zzz  P2  feature  in_progress          検索 is slow 🚀",
        "    due 2026-02-01 00:00",
        "    depends on parent-child bd-a1b2c3d4e5f6",
    ]


def test_chosen_fields_are_divided_by_tabs_in_a_pipe() -> None:
    assert lines("list --fields id,labels,status") == [
        "bd-a1b2c3d4e5f6\tauth,clock\topen",
        "bd-a9zzzzzzzzzz\t\tin_progress",
        "bd-a1b2\t\tin^Greview",
    ]


def test_fields_that_are_no_text_are_shown_as_json() -> None:
    page = Page(issues=[LOGIN | {"metadata": {"k": "\x1b"}, "pinned": True, "n": 3}], total=1, truncated=False)
    assert lines("list --fields metadata,pinned,n", page=page) == ['{"k":"\\u001b"}\ttrue\t3']


def test_blocked_tells_what_blocks() -> None:
    page = Page(issues=[LOGIN | {"blocked_by": ["bd-x1", "bd-x2"]}], total=1, truncated=False, short=[8])
    title = "Login fails when the clock is ahead of the broker by more than ten minutes"
    assert lines("blocked", page=page) == [f"bd-a1b2c P0 bug by bd-x1,bd-x2 {title}"]


def test_children_tell_their_status() -> None:
    page = Page(issues=[SEARCH], total=1, truncated=False, short=[7])
    assert lines("children a1b2", page=page) == ["bd-a9zz P2 feature in_progress 検索 is slow 🚀"]


def test_an_empty_list_writes_nothing_to_standard_output() -> None:
    ran = run(COMMANDS, "list", CannedApi(list=EMPTY))
    assert (ran.code, ran.out, ran.err) == (0, "", "no issues match\n")


def test_what_a_list_leaves_out_is_said() -> None:
    ran = run(COMMANDS, "list", CannedApi(list=Page(issues=[LOGIN], total=312, truncated=True)))
    assert ran.err == "1 of 312 shown; --limit 0 shows all\n"


def test_json_has_the_issues_as_they_are_and_what_each_is_part_of() -> None:
    ran = run(COMMANDS, "list --json", CannedApi(list=PAGE))
    document = json.loads(ran.out)
    assert [issue.pop("parent", None) for issue in document] == [None, "bd-a1b2c3d4e5f6", "bd-a9zzzzzzzzzz"]
    assert document == PAGE.issues
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_json_can_be_kept_small() -> None:
    ran = run(COMMANDS, "list --json --fields id,priority", CannedApi(list=PAGE))
    assert json.loads(ran.out)[0] == {"id": "bd-a1b2c3d4e5f6", "priority": 0}


# -- What is asked -----------------------------------------------------------------------------------------------
def test_list_asks_for_fifty_open_issues_of_the_workspaces_project() -> None:
    assert asked("list") == ListIssues(filter=Filter(projects=("bd",)), sort="priority", limit=50)


def test_outside_a_workspace_every_project_is_listed() -> None:
    assert asked("list", project="", facts=FACTS._replace(workspace="")).filter.projects == ()


OUTSIDE = COLOURLESS._replace(workspace="")
NOTE = "This folder is no project: all projects of the town are meant\n"


@pytest.mark.parametrize(
    ("argv", "facts", "told"),
    [
        ("list", OUTSIDE, NOTE), ("ready", OUTSIDE, NOTE), ("search x", OUTSIDE, NOTE), ("list --json", OUTSIDE, NOTE),
        ("blocked", OUTSIDE, NOTE), ("list", OUTSIDE._replace(err_is_terminal=False), NOTE), ("list -q", OUTSIDE, ""),
        ("list --project gt", OUTSIDE, ""), ("list --plane team", OUTSIDE, ""), ("list", COLOURLESS, ""),
    ],
)  # fmt: skip
def test_outside_of_a_workspace_it_is_said_that_every_project_is_listed_to_programs_too(
    argv: str, facts: Facts, told: str
) -> None:
    answers = {"list": PAGE, "ready": PAGE, "blocked": PAGE}
    assert run_console(argv, answers, facts=facts, project="bd" if facts.workspace else "").err == told


def test_in_a_workspace_that_this_machine_does_not_know_nothing_is_listed() -> None:
    for argv in ("list", "ready", "count", "search x", "export"):
        ran = run_console(argv, project="")
        assert (ran.code, "workspace that this machine doesn't know" in ran.err) == (3, True), argv


def test_another_project_can_be_named() -> None:
    wanted: Any = run(COMMANDS, "list --project gt --rig hq", CannedApi(list=PAGE), project="bd").asked[-1]
    assert wanted.filter.projects == ("gt", "hq")
    assert asked("list --project all").filter.projects == ()


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        ("--plane team", {"projects": (), "plane": "team"}),
        ("--plane team --project bd", {"plane": "team"}),
        ("-s open,blocked --status deferred", {"statuses": ("open", "blocked", "deferred")}),
        ("-t bug -t feat", {"types": ("bug", "feature")}),
        ("--exclude-type mr", {"exclude_types": ("merge-request",)}),
        ("-p 1", {"priorities": (1,)}),
        ("-p P0,p2", {"priorities": (0, 2)}),
        ("--priority-min 1 --priority-max P3", {"priorities": (1, 2, 3)}),
        ("--priority-max 1", {"priorities": (0, 1)}),
        ("-p 0,3 --priority-min 2", {"priorities": (3,)}),
        ("-a bob", {"assignee": "bob"}),
        ("--no-assignee", {"unassigned": True}),
        ("-l a,b -l c", {"labels": ("a", "b", "c")}),
        ("--label-any a,b", {"any_labels": ("a", "b")}),
        ("--exclude-label a", {"exclude_labels": ("a",)}),
        ("--no-labels", {"no_labels": True}),
        ("--id bd-1,bd-2", {"ids": ("bd-1", "bd-2")}),
        ("--parent a1b2", {"parent": "a1b2"}),
        ("--no-parent", {"no_parent": True}),
        ("--title Log", {"title_contains": "Log"}),
        ("--title-contains Log", {"title_contains": "Log"}),
        ("--text-contains Log", {"text_contains": "Log"}),
        ("--desc-contains Log --notes-contains X", {"description_contains": "Log", "notes_contains": "X"}),
        ("--empty-description --spec s-", {"empty_description": True, "spec": "s-"}),
        ("--label-pattern tech-*", {"label_pattern": "tech-*"}),
        ("--label-regex ^a|b$", {"label_regex": "^a|b$"}),
        ("--external-ref gh-9 --external-contains gh", {"external": "gh-9", "external_contains": "gh"}),
        ("--mol-type swarm --wisp-type ping", {"metadata": {"mol_type": "swarm", "wisp_type": "ping"}}),
        ("--defer-before 2026-01-31", {"defer_before": NOW_MS - 12 * 3600 * 1000}),
        ("--created-after 2026-01-31", {"created_after": NOW_MS - 12 * 3_600_000}),
        ("--updated-before now", {"updated_before": NOW_MS}),
        ("--closed-after -1d", {"closed_after": NOW_MS - 86_400_000}),
        ("--due-before +6h --due-after today", {"due_before": NOW_MS + 21_600_000, "due_after": NOW_MS - 43_200_000}),
        ("--overdue", {"overdue": True}),
        ("--deferred", {"deferred": True}),
        ("--pinned", {"pinned": True}),
        ("--no-pinned", {"pinned": False}),
        ("--metadata-field a=b=c --metadata-field d=", {"metadata": {"a": "b=c", "d": ""}}),
        ("--has-metadata-key k", {"has_metadata": ("k",)}),
    ],
)
@pytest.mark.parametrize("command", ["list", "search x", "count"])
def test_every_filter_reaches_the_daemon(command: str, flags: str, parts: dict[str, Any]) -> None:
    wanted = {"projects": ("bd",)} | ({"title_or_id": "x"} if command == "search x" else {}) | parts
    assert asked(f"{command} {flags}").filter == Filter(**wanted)


def test_called_as_bd_gates_and_what_coordinates_programs_are_listed_only_where_asked_for() -> None:
    infra = ("agent", "role", "rig", "message")
    for argv, hidden in (
        ("list", ("gate", *infra)), ("list --all --exclude-type epic", ("epic", "gate", *infra)),
        ("list --include-gates", infra), ("list --include-infra", ("gate",)), ("list -t gate", ()),
        ("list --label gt:agent", ()), ("list --id bd-1", ()),
    ):  # fmt: skip
        api = CannedApi(list=PAGE, count=0, settings=[])
        run(COMMANDS, argv, api, FACTS._replace(program="bd"))
        assert api.asked[-1].filter.exclude_types == hidden, argv
    assert asked("list").filter.exclude_types == ()


def test_the_other_lists_take_a_plane_too() -> None:
    for command in ("ready", "blocked"):
        assert asked(f"{command} --plane team").filter == Filter(plane="team")


def test_list_ready_means_of_status_open() -> None:
    for argv in ("list --ready", "list --ready --status open,closed", "list --ready --status all"):
        assert asked(argv).filter.statuses == ("open",)
    for argv in ("list --ready --status closed", "list --ready -s blocked -s closed"):
        with pytest.raises(RefusedError, match="--ready means --status open") as refused:
            asked(argv)
        assert refused.value.code is Code.USAGE


@pytest.mark.parametrize("argv", ["list --long", "list --tree", "list --format dot", "search x --long"])
def test_fields_are_not_chosen_of_what_has_fields_of_its_own(argv: str) -> None:
    with pytest.raises(RefusedError, match="has fields of its own") as refused:
        asked(f"{argv} --fields id")
    assert refused.value.code is Code.USAGE
    assert isinstance(asked(f"{argv} --fields id --json"), ListIssues)


def test_order_and_number_reach_the_daemon() -> None:
    request = asked("list --all --sort updated -r -n 7")
    assert (request.all, request.sort, request.reverse, request.limit) == (True, "updated", True, 7)


def test_status_all_asks_for_closed_issues_too() -> None:
    request = asked("search x --status all")
    assert (request.all, request.filter.statuses) == (True, ())


@pytest.mark.parametrize("command", ["list", "ready", "blocked", "children a1b2"])
@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        ("", False),
        ("--json", True),
        ("--json --fields id,title", False),
        ("--fields id,notes", True),
        ("--json --fields dependencies", True),  # without texts nobody tells who made them
    ],
)
def test_texts_are_asked_for_where_they_are_shown(command: str, flags: str, texts: bool) -> None:
    assert asked(f"{command} {flags}").texts is texts


def test_ready_asks_in_its_own_orders() -> None:
    assert asked("ready -s hybrid -u --parent e1 -n 3 --include-deferred --include-ephemeral") == Ready(
        filter=Filter(projects=("bd",), unassigned=True, parent="e1"),
        sort="hybrid",
        limit=3,
        include_deferred=True,
        include_ephemeral=True,
    )
    assert asked("ready").limit == 100


def test_blocked_and_children_ask_for_what_is_named() -> None:
    assert asked("blocked --parent e1") == Blocked(filter=Filter(projects=("bd",), parent="e1"), limit=0)
    assert asked("children a1b2") == Children(id="a1b2")


@pytest.mark.parametrize(
    "argv",
    [
        "search",
        "list -p 5",
        "list -p high",
        "list --priority-min 3 --priority-max 1",
        "list --limit=-1",
        "list --due-after soon",
        "list --metadata-field novalue",
        "list --metadata-field =v",
        "list --sort colour",
        "list --tree --long",
        "list --watch --json",
        "count --by-status --by-type",
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(argv: str) -> None:
    api = CannedApi()
    with pytest.raises(RefusedError) as refused:
        run(COMMANDS, argv, api)
    assert refused.value.code is Code.USAGE
    assert api.asked == []


# -- ready --claim -----------------------------------------------------------------------------------------------
def claim(taken: Any, flags: str = "") -> Ran:
    return run(COMMANDS, f"ready --claim --json {flags}", CannedApi(claim_ready=taken), actor="bob")


def test_claiming_takes_the_first_ready_issue_in_one_step() -> None:
    ran = claim(SEARCH | {"assignee": "bob"})
    assert ran.asked == [ClaimReady(actor="bob", filter=Filter(projects=("bd",)))]
    assert [issue["assignee"] for issue in json.loads(ran.out)] == ["bob"]


def test_outside_of_a_workspace_no_other_projects_issue_is_claimed_unless_it_is_named() -> None:
    outside = FACTS._replace(workspace="")
    ran = run_console("ready --claim", {"claim_ready": SEARCH}, facts=outside, project="")
    assert (ran.code, ran.asked, "no project here" in ran.err) == (3, [], True)
    assert "--project or --plane" in ran.err
    for flags in ("--project gt", "--project all", "--plane team"):
        ran = run_console(
            f"ready --claim --json {flags}", {"claim_ready": SEARCH, "list": PAGE}, facts=outside, project=""
        )
        assert ran.document[0]["id"] == SEARCH["id"], flags
    ran = run_console("ready --claim", facts=outside._replace(program="bd"), project="")
    assert (ran.code, "no beads database found" in ran.err, "--plane" in ran.err) == (1, True, False)


def test_what_is_asked_of_ready_is_asked_of_the_claim_too() -> None:
    ran = claim(SEARCH, "-u -s oldest --include-deferred --include-ephemeral --ttl 30m")
    wanted = Filter(projects=("bd",), unassigned=True)
    assert ran.asked == [
        ClaimReady(
            actor="bob", filter=wanted, sort="oldest", include_deferred=True, include_ephemeral=True, ttl_ms=1_800_000
        )
    ]


def test_when_others_took_everything_there_is_nothing() -> None:
    ran = claim(None)
    assert (ran.code, ran.out) == (0, "[]\n")


def test_any_other_failure_to_claim_is_reported() -> None:
    with pytest.raises(RefusedError) as refused:
        claim(RefusedError("no", code=Code.DENIED))
    assert refused.value.code is Code.DENIED


def test_a_duration_needs_a_claim() -> None:
    with pytest.raises(RefusedError, match="--claim"):
        run(COMMANDS, "ready --ttl 30m", CannedApi())


# -- Molecules, and flags of bd ------------------------------------------------------------------------------------
def test_the_steps_of_a_molecule_that_are_ready_are_told_in_bds_shape() -> None:
    step = issue(2, dependencies=[{"depends_on_id": issue(1)["id"], "type": "parent-child"}])
    page = Page(issues=[step], total=1, truncated=False)
    answers = {"show": [issue(1, issue_type="epic")], "list": page, "ready": page}
    document = run_console("ready --mol x --json", answers).document
    assert (document["molecule_id"], document["steps"][0]["issue"]["id"]) == (issue(1)["id"], step["id"])
    assert step["id"] in run_console("ready --mol x", answers).out
    none = {"list": Page(issues=[], total=0, truncated=False)}
    assert run_console("ready --gated --json", none).document == {"molecules": [], "count": 0}


@pytest.mark.parametrize("argv", ["--mol x --gated", "--mol x --claim", "--gated --explain"])
def test_molecules_stand_alone(argv: str) -> None:
    assert run_console(f"ready {argv}").code == 2


@pytest.mark.parametrize(
    "argv",
    [f"{which} {flag}" for which in ("--mol x", "--gated") for flag in ("-l web", "-a bob", "--include-deferred")]
    + ["--gated --include-ephemeral"],
)
def test_a_filter_that_a_molecule_does_not_take_is_refused_and_not_dropped(argv: str) -> None:
    ran = run_console(f"ready {argv}")
    assert (ran.code, ran.asked, "take no filters" in ran.err) == (2, [], True)


def test_as_many_steps_of_a_molecule_are_told_as_were_asked_for() -> None:
    steps = [issue(n, dependencies=[{"depends_on_id": issue(1)["id"], "type": "parent-child"}]) for n in (2, 3)]
    page = Page(issues=steps, total=2, truncated=False)
    answers = {"show": [issue(1, issue_type="epic")], "list": page, "ready": page}
    ran = run_console("ready --mol x -n 1", answers)
    assert (len(ran.out.splitlines()), "1 of 2" in ran.err) == (1, True)
    for argv in ("ready --mol x", "ready --mol x -n 0", "ready --mol x -n 2"):
        ran = run_console(argv, answers)
        assert (len(ran.out.splitlines()), ran.err) == (2, "")
    assert run_console("ready --mol x -n -1", answers).code == 2
    assert run_console("ready --mol x --include-ephemeral", answers).code == 0  # as they are anyway


def test_explanations_have_fields_of_their_own() -> None:
    assert run_console("ready --explain --fields id").code == 2


def test_a_status_that_is_named_holds_beside_all() -> None:
    page = {"list": Page(issues=[], total=0, truncated=False)}
    ran = run_console("list --all --status deferred --json", page)
    assert (ran.request.filter.statuses, ran.request.all) == (("deferred",), False)
    everything = run_console("list --all --json", page).request
    assert (everything.filter.statuses, everything.all) == ((), True)
