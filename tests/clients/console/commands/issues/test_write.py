"""create, q, update, assign, priority: what is asked of the daemon, what is printed."""

from typing import Any

import pytest
from msgspec import UNSET

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.gates import SetAwaited
from moot_protocol.requests.issues import Create, Edge, IssueFields, Show, Update
from moot_testkit.clients.console import Outcome, in_turn, issue, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal


def create(*argv: str, **more: Any) -> Outcome:
    return run_console(["create", *argv], {"create": issue(), "script": [issue(), {}]}, **more)


def update(*argv: str, **more: Any) -> Outcome:
    return run_console(["update", *argv], {"update": issue()}, **more)


def fields_of(ran: Outcome) -> dict[str, Any]:
    given = {name: getattr(ran.request.fields, name) for name in IssueFields.__struct_fields__}
    return {name: value for name, value in given.items() if value is not UNSET}


# -- create ------------------------------------------------------------------------------------------------------
def test_create_alone_makes_a_task_of_priority_2_in_the_workspaces_project() -> None:
    assert create("Fix it", "--actor", "eve").request == Create(
        actor="eve", project="bd", fields=IssueFields(title="Fix it", priority=2, issue_type="task")
    )


def test_create_confirms_with_id_title_priority_and_status() -> None:
    ran = create("Issue 1")
    assert ran.out == "✓ Created issue: bd-000000000001 — Issue 1\n  Priority: P2\n  Status: open\n"
    assert "\x1b[32m✓" in create("Issue 1", facts=at_terminal()).out


def test_create_prints_the_issue_as_json_and_its_id_alone_when_silent() -> None:
    assert create("x", "--json").document == issue()
    assert create("x", "--silent").out == "bd-000000000001\n"


def test_a_title_from_elsewhere_cannot_act_on_the_terminal() -> None:
    ran = run_console(["create", "x"], {"create": issue(title="\x1b]0;owned\x07")}, facts=at_terminal(NO_COLOR="1"))
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("-t bug", {"issue_type": "bug"}),
        ("-t enhancement", {"issue_type": "feature"}),
        ("-t convoy", {"issue_type": "convoy"}),
        ("-p 0", {"priority": 0}),
        ("-p P4", {"priority": 4}),
        ("-p p1", {"priority": 1}),
        ("-s blocked", {"status": "blocked"}),
        ("-a bob", {"assignee": "bob"}),
        ("-d text", {"description": "text"}),
        ("--body text", {"description": "text"}),
        ("-m text", {"description": "text"}),
        ("--design how", {"design": "how"}),
        ("--acceptance when", {"acceptance_criteria": "when"}),
        ("--notes n", {"notes": "n"}),
        ("-e 90", {"estimated_minutes": 90}),
        ("--external-ref gh-9", {"external_ref": "gh-9"}),
        ("--spec-id s1", {"spec_id": "s1"}),
        ("--ephemeral", {"ephemeral": True}),
        ("--due 2026-03-01", {"due_at": "2026-03-01T00:00:00Z"}),
        ("--due +6h", {"due_at": "2026-01-31T18:00:00Z"}),
        ("--due 6h", {"due_at": "2026-01-31T18:00:00Z"}),
        ("--defer +1d", {"defer_until": "2026-02-01T12:00:00Z", "status": "deferred"}),
        ("--defer +1d -s open", {"defer_until": "2026-02-01T12:00:00Z", "status": "open"}),
    ],
)
def test_each_flag_sets_its_field(flags: str, expected: dict[str, Any]) -> None:
    assert fields_of(create("T", *flags.split())) == {"title": "T", "priority": 2, "issue_type": "task"} | expected


def test_labels_may_be_repeated_or_separated_by_commas() -> None:
    assert create("T", "-l", "a,b", "--label", "c").request.labels == ("a", "b", "c")


def test_a_child_names_its_parent_and_takes_over_labels_unless_told_not_to() -> None:
    request = create("T", "--parent", "a1b2").request
    assert (request.parent, request.inherit_labels) == ("a1b2", True)
    assert not create("T", "--parent", "a1b2", "--no-inherit-labels").request.inherit_labels


def test_dependencies_are_types_and_ids_and_an_id_alone_blocks() -> None:
    deps = "a1b2,discovered-from:c3d4,blocked-by:e5f6,depends-on:g7h8,external:beads:ship"
    assert create("T", "--deps", deps).request.edges == (
        Edge(to="a1b2"),
        Edge(to="c3d4", type="discovered-from"),
        Edge(to="e5f6"),
        Edge(to="g7h8"),
        Edge(to="external:beads:ship"),
    )


def test_what_the_new_issue_blocks_is_made_to_wait_for_it_in_the_same_commit() -> None:
    ran = create("T", "--deps", "blocks:a1b2")
    create_step, edge_step = ran.request.steps
    assert create_step["method"] == "create"
    assert edge_step == {
        "method": "add_edge", "params": {"id": "a1b2", "edge": {"to": "$1"}}, "label": "blocks:a1b2"
    }  # fmt: skip
    assert "Created issue: bd-000000000001" in ran.out


def test_waiting_for_the_children_of_an_issue_says_for_how_many() -> None:
    request = create("T", "--waits-for", "a1b2", "--waits-for-gate", "any-children").request
    assert request.edges == (Edge(to="a1b2", type="waits-for", metadata='{"gate":"any-children"}'),)


def test_metadata_is_a_json_object_or_a_file_that_holds_one() -> None:
    assert create("T", "--metadata", '{"a": [1, null]}').request.metadata == {"a": [1, None]}
    assert create("T", "--metadata", "@m.json", files={"m.json": b'{"b": 2}'}).request.metadata == {"b": 2}


def test_a_dry_run_is_checked_by_the_daemon_and_says_that_nothing_was_written() -> None:
    ran = create("Issue 1", "--dry-run")
    assert ran.request.dry_run
    assert "nothing was written" in ran.out
    assert "Title: Issue 1" in ran.out
    assert "bd-000000000001" not in ran.out


def test_a_dry_run_shows_labels_and_what_an_issue_is_part_of_and_waits_for() -> None:
    edges = [{"depends_on_id": "bd-7", "type": "parent-child"}, {"depends_on_id": "bd-8\x1b", "type": "blocks"}]
    made = issue(labels=["red", "urgent"], dependencies=edges)
    assert run_console("create X --dry-run", {"create": made}).out.splitlines()[-3:] == [
        "  Labels: red, urgent",
        "  Child of: bd-7",
        "  Depends on: bd-8^[ (blocks)",
    ]


def test_an_id_of_ones_own_is_passed_on() -> None:
    assert create("T", "--id", "bd-42").request.id == "bd-42"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        [""],
        ["  "],
        ["Fix", "it"],
        ["A", "--title", "B"],
        ["T", "-p", "5"],
        ["T", "-p", "high"],
        ["T", "-e", "-3"],
        ["T", "--due", "whenever"],
        ["T", "--deps", "blocks:"],
        ["T", "--metadata", "{"],
        ["T", "--metadata", "[1]"],
        ["T", "-d", "x", "--stdin"],
        ["T", "--body-file", "f", "--stdin"],
        ["T", "--design", "x", "--design-file", "f"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(argv: list[str]) -> None:
    ran = create(*argv)
    assert ran.code == 2
    assert ran.asked == []


def test_a_deferral_into_the_past_is_pointed_out_and_hides_nothing() -> None:
    ran = create("T", "--defer", "2020-01-01")
    assert "past" in ran.err
    assert "status" not in fields_of(ran)


# -- q -----------------------------------------------------------------------------------------------------------
def test_q_puts_its_words_together_and_prints_the_id_only() -> None:
    ran = run_console("q Fix the link -p 1 -t bug -l web", {"create": issue()})
    assert ran.out == "bd-000000000001\n"
    fields = IssueFields(title="Fix the link", priority=1, issue_type="bug")
    assert ran.request == Create(actor="unknown", project="bd", fields=fields, labels=("web",))
    assert run_console("q x --parent a1b2", {"create": issue()}).request.parent == "a1b2"


# -- update ------------------------------------------------------------------------------------------------------
def test_update_changes_what_is_named_and_nothing_else() -> None:
    assert update("a1b2", "-s", "in_progress").request == Update(
        actor="unknown", id="a1b2", fields=IssueFields(status="in_progress")
    )


def test_update_answers_with_an_array_of_issues_or_a_line_each() -> None:
    assert update("a1b2", "-p", "0", "--json").document == [issue()]
    assert update("a1b2", "-p", "0").out == "✓ Updated issue: bd-000000000001 — Issue 1\n"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("--claim", {"claim": True}),
        ("--append-notes more", {"append_notes": "more"}),
        ("--add-label a,b --remove-label c", {"add_labels": ("a", "b"), "remove_labels": ("c",)}),
        ("--set-labels a", {"set_labels": ("a",)}),
        ("--set-labels=", {"set_labels": ()}),
        ("--set-metadata k=v --set-metadata n=2", {"set_metadata": {"k": "v", "n": 2}}),
        ("--unset-metadata k", {"unset_metadata": ("k",)}),
        ('--metadata {"k":true}', {"set_metadata": {"k": True}}),
        ("--parent b2c3", {"parent": "b2c3"}),
        ("--parent=", {"parent": ""}),
        ("--persistent", {"fields": IssueFields(ephemeral=False)}),
        ("--assignee=", {"fields": IssueFields(assignee="")}),
        ("--due=", {"fields": IssueFields(due_at="")}),
    ],
)
def test_each_flag_of_update_asks_for_its_change(flags: str, expected: dict[str, Any]) -> None:
    assert update("a1b2", *flags.split()).request == Update(actor="unknown", id="a1b2", **expected)


def test_an_update_that_closes_the_last_step_of_a_molecule_tells_that_it_is_closed() -> None:
    ran = run_console("update a1b2 -s closed", {"update": issue(_finished=["bd-mol"])})
    assert ran.out.splitlines()[1:] == ["✓ Auto-closed completed molecule bd-mol"]


def test_losing_the_race_for_a_claim_exits_5() -> None:
    lost = RefusedError("bob holds it", code=Code.LOST_RACE)
    assert run_console("update a1b2 --claim", {"update": lost}).code == 5


def test_clearing_the_deferral_opens_what_was_deferred_and_nothing_else() -> None:
    shown = [issue(1, status="deferred"), issue(2, status="in_progress")]
    ran = run_console("update a1b2 c3d4 --defer=", {"show": shown, "script": shown})
    assert ran.asked[0] == Show(ids=("a1b2", "c3d4"))
    first, second = ran.asked[1].steps
    assert first["params"]["fields"] == {"defer_until": "", "status": "open"}
    assert second["params"]["fields"] == {"defer_until": ""}


def test_a_claim_that_clears_the_deferral_says_no_other_status_than_its_own() -> None:
    ran = update("a1b2", "--claim", "--defer=")
    assert ran.request == Update(actor="unknown", id="a1b2", claim=True, fields=IssueFields(defer_until=""))


def test_fields_beside_a_claim_are_asked_for_in_one_request() -> None:
    ran = update("a1b2", "--claim", "-s", "closed", "-a", "bob", "-p", "0")
    fields = IssueFields(status="closed", assignee="bob", priority=0)
    assert ran.request == Update(actor="unknown", id="a1b2", claim=True, fields=fields)


def test_clearing_the_deferral_with_a_status_asks_nothing_first() -> None:
    assert update("a1b2", "--defer=", "-s", "open").request.fields == IssueFields(defer_until="", status="open")


@pytest.mark.parametrize(
    "flags",
    [
        "",
        "--title=",
        "--notes a --append-notes b",
        '--metadata {"a":1} --set-metadata b=2',
        "--set-metadata novalue",
        "--set-metadata =v",
    ],
)
def test_an_update_that_makes_no_sense_is_refused(flags: str) -> None:
    ran = update("a1b2", *flags.split())
    assert (ran.code, ran.asked) == (2, [])


# -- assign, priority --------------------------------------------------------------------------------------------
def test_assign_names_who_works_on_an_issue_and_nobody() -> None:
    ran = run_console("assign a1b2 bob", {"update": issue()})
    assert ran.request.fields == IssueFields(assignee="bob")
    assert ran.out == "✓ Assigned bd-000000000001 — Issue 1 to bob\n"
    ran = run_console(["assign", "a1b2", ""], {"update": issue()})
    assert ran.request.fields == IssueFields(assignee="")
    assert ran.out.startswith("✓ Unassigned")


def test_priority_sets_it() -> None:
    ran = run_console("priority a1b2 P0", {"update": issue(priority=0)})
    assert ran.request.fields == IssueFields(priority=0)
    assert ran.out.endswith("to P0\n")


def test_an_unwritable_daemon_says_so_once() -> None:
    full = RefusedError("the disk is full", code=Code.STORE_FULL, hint="make room")
    ran = run_console("q x", {"create": in_turn(full)}, facts=FACTS)
    assert (ran.code, ran.out, ran.err) == (1, "", "Error: the disk is full\nHint: make room\n")


# -- Flags of bd ---------------------------------------------------------------------------------------------------
def test_texts_without_a_field_of_their_own_go_into_description_and_notes() -> None:
    fields = create(
        "T", "-d", "What", "--skills", "Go", "--context", "Old", "--notes", "n", "--append-notes", "m"
    ).request
    assert fields.fields.description == "What\n\n## Required Skills\nGo\n\n## Context\nOld"
    assert fields.fields.notes == "n\nm"
    assert create("T", "--append-notes", "m", "--force", "--no-history").request.fields.notes == "m"


def test_a_folder_that_is_another_ones_is_refused_and_the_hint_goes_there() -> None:
    assert create("T", "--repo", ".").code == 0
    assert create("T", "--repo", "/home/alice/work/").code == 0
    ran = create("T", "--repo", "../other")
    assert (ran.code, ran.asked, "-C ../other create" in ran.err) == (2, [], True)


def test_what_a_gate_waits_for_is_set_alone_or_with_fields() -> None:
    gate = issue(issue_type="gate")
    alone = run_console("update a1b2 --await-id 42 --json", {"set_awaited": gate})
    assert alone.request == SetAwaited(actor="unknown", id="a1b2", await_id="42")
    both = run_console("update a1b2 --await-id 42 -p 1 --json", {"script": [gate, gate | {"priority": 1}]})
    assert (len(both.request.steps), both.document) == (2, [gate | {"priority": 1}])
    assert run_console("update a1 b2 --await-id 42").code == 2


@pytest.mark.parametrize(
    ("awaited", "fields", "said"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_an_update_has_nothing_to_do_only_where_what_the_gate_waits_for_and_the_fields_are_so_already(
    *, awaited: bool, fields: bool, said: bool
) -> None:
    answers = [issue() | ({"_unchanged": True} if unchanged else {}) for unchanged in (awaited, fields)]
    ran = run_console("update a1b2 --await-id 42 -p 1", {"script": answers})
    assert ran.out.startswith("Nothing to do: " if said else "✓ Updated issue: ")
    (document,) = run_console("update a1b2 --await-id 42 -p 1 --json", {"script": answers}).document
    assert ("_unchanged" in document) == said


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ("update a1b2 -p 1", "is as it should be"),
        ("update a1b2 -p 1 --dry-run", "is as it should be"),
        ("assign a1b2 bob\x1b", "is assigned to bob^[ already"),
        ("assign a1b2 ", "isn't assigned to anybody"),
        ("priority a1b2 P1", "has priority P1 already"),
    ],
)
def test_what_is_so_already_is_told_as_such_and_succeeds(command: str, state: str) -> None:
    unchanged = issue() | {"_unchanged": True}
    ran = run_console(command.split(" "), {"update": unchanged})
    assert (ran.code, ran.out) == (0, f"Nothing to do: bd-000000000001 — Issue 1 {state}\n")
    (document,) = run_console([*command.split(" "), "--json"], {"update": unchanged}).document
    assert document.items() >= unchanged.items()


def test_of_several_each_that_is_so_already_is_told_apart() -> None:
    ran = run_console("update a1 b2 -p 1", {"script": [issue(1), issue(2) | {"_unchanged": True}]})
    assert ran.out.splitlines() == [
        "✓ Updated issue: bd-000000000001 — Issue 1",
        "Nothing to do: bd-000000000002 — Issue 2 is as it should be",
    ]


def test_flags_of_update_that_mean_nothing_here_are_taken() -> None:
    assert update("a1b2", "-d", "", "--allow-empty-description", "--history", "--session", "s").code == 0


def test_what_beads_keeps_in_fields_for_programs_stands_in_the_metadata() -> None:
    request = run_console("create x --mol-type swarm --event-actor bob", {"create": issue()}).request
    assert request.metadata == {"mol_type": "swarm", "event_actor": "bob"}


def test_a_description_without_its_sections_is_refused_if_that_is_asked_for() -> None:
    refused = run_console("create x -t bug --validate --acceptance y")
    assert (refused.asked, "## Steps to Reproduce" in refused.err) == ([], True)
    assert run_console("create x --validate --acceptance y", {"create": issue()}).code == 0
