"""doctor, repair-deps, migrate, compact, ping: what they find and what they change when told to."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from moot.console.arguments.several_issues import STEPS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Delete, RemoveEdge, Script
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Doctor, Protect
from moot_protocol.requests.transfer import Export
from moot_testkit.clients.console import Outcome, in_turn, issue, run_console

CHECKS = [
    {"check": "clock", "ok": True, "detail": "agrees", "hint": ""},
    {"check": "keys", "ok": False, "detail": "readable by others", "hint": "chmod 600 the key"},
]
NOWHERE = RefusedError("no issue bd-gone", code=Code.NOT_FOUND)
PONG = {"pid": 1, "uptime_ms": 1, "version": "0.1.0", "protocol": 1, "data": "/d"}


def made(number: int, **fields: Any) -> dict[str, Any]:
    return issue(number, created_at="2026-01-01T00:00:00Z", **fields)


EDGE = {"issue_id": made(1)["id"], "depends_on_id": "bd-gone", "type": "blocks"}
CUT = made(1, title="Real work", dependencies=[EDGE])
TEST = made(2, title="Test issue 7")
MAYBE = made(3, title="Benchmark of sorting", description="how fast")


def look(argv: str, *issues: dict[str, Any], **answers: Any) -> Outcome:
    page = Page(issues=list(issues), total=len(issues), truncated=False)
    exported = {"lines": list(map(json.dumps, issues)), "next": ""}
    return run_console(argv, {"list": page, "export": exported, "resolve_ids": NOWHERE, **answers})


# -- The machine -------------------------------------------------------------------------------------------------
def test_doctor_lists_checks_with_hints_and_fails_if_one_does() -> None:
    ran = run_console("doctor", {"doctor": CHECKS})
    assert ran.code == 1
    assert ran.out.splitlines() == [
        "✓ clock: agrees",
        "✗ keys: readable by others",
        "  chmod 600 the key",
        "1 of 2 checks failed",
    ]
    ran = run_console("doctor", {"doctor": CHECKS[:1]})
    assert (ran.code, ran.out) == (0, "✓ clock: agrees\nEvery check passed\n")


@pytest.mark.parametrize("check", ["machine", "validate", "pollution"])
def test_a_report_goes_to_a_file_too_where_one_is_named(check: str) -> None:
    ran = look(f"doctor --check {check} -o report.json", doctor=CHECKS)
    told = look(f"doctor --check {check} --json", doctor=CHECKS)
    assert json.loads(ran.terminal.files["report.json"]) == told.document
    assert ran.terminal.modes == {"report.json": 0o600}
    assert (ran.code, ran.out) == (told.code, look(f"doctor --check {check}", doctor=CHECKS).out)


def test_a_check_without_detail_is_its_name() -> None:
    ran = run_console("doctor", {"doctor": [{"check": "town key is here", "ok": True, "detail": "", "hint": ""}]})
    assert ran.out.splitlines()[0] == "✓ town key is here"


def test_doctor_as_json_has_bds_shape_and_fails_alike() -> None:
    ran = run_console("doctor --json", {"doctor": CHECKS})
    assert ran.code == 1
    assert ran.document == {
        "path": "/home/alice/work",
        "checks": [
            {"name": "clock", "status": "ok", "message": "agrees"},
            {"name": "keys", "status": "error", "message": "readable by others", "fix": "chmod 600 the key"},
        ],
        "overall_ok": False,
        "cli_version": "1.0.5",
    }


def test_doctor_fix_closes_what_is_open_first_and_says_so() -> None:
    answers = {"doctor": CHECKS[:1], "protect": {"closed": ["/d/keys/town\x1b.key"]}}
    ran = run_console("doctor --fix", answers)
    assert [type(request) for request in ran.asked] == [Protect, Doctor]
    assert ran.asked[0] == Protect()
    assert ran.out.splitlines() == [
        "✓ Closed to others: /d/keys/town^[.key",
        "✓ clock: agrees",
        "Every check passed",
    ]
    assert run_console("doctor --fix --json", answers).document["fixed"] == ["/d/keys/town\x1b.key"]
    assert run_console("doctor --fix --dry-run", answers).asked[0] == Protect(dry_run=True)


# -- The issues --------------------------------------------------------------------------------------------------
def test_validate_names_what_it_found_and_that_is_no_failure() -> None:
    ran = look("doctor --check=validate --json", CUT, TEST, made(4), made(5, title="Issue 4"))
    assert (ran.code, ran.document["overall_ok"]) == (0, False)
    assert {check["name"]: check.get("detail", "") for check in ran.document["checks"]} == {
        "Duplicate Issues": f"{made(4)['id']}, {made(5)['id']}",
        "Orphaned Dependencies": f"{CUT['id']} → bd-gone",
        "Child-Parent Dependencies": "",
        "Test Pollution": TEST["id"],
    }
    assert look("doctor --check validate --json", made(1)).document["overall_ok"] is True
    assert "1 dependency on issues that aren't here" in look("doctor --check validate", CUT).out


def test_an_edge_to_an_issue_of_another_project_leads_somewhere() -> None:
    ran = look("repair-deps --json", CUT, resolve_ids=["bd-gone"])
    assert ran.document == {"orphans_found": 0, "orphans": []}
    assert look("repair-deps --json", CUT, resolve_ids=["bd-gone-astray"]).document["orphans_found"] == 1


@pytest.mark.parametrize("argv", ["doctor --check=validate --fix --yes", "repair-deps --fix"])
def test_edges_that_lead_nowhere_are_removed_when_told_to(argv: str) -> None:
    ran = look(argv, CUT, remove_edge={"removed": 1})
    assert ran.asked[-1] == RemoveEdge(actor="unknown", id=CUT["id"], to="bd-gone", type="blocks")
    assert ran.code == 0


def test_a_child_that_waits_for_its_parent_is_found_and_helped_when_told_to() -> None:
    edges = [{"depends_on_id": made(1)["id"], "type": edge_type} for edge_type in ("parent-child", "blocks")]
    stuck = made(2, dependencies=edges)
    ran = look("doctor --check validate --json", made(1), stuck)
    found = {check["name"]: check.get("detail", "") for check in ran.document["checks"]}
    assert found["Child-Parent Dependencies"] == f"{stuck['id']} → {made(1)['id']}"
    ran = look("doctor --fix-child-parent --yes", made(1), stuck, remove_edge={"removed": 1})
    assert ran.asked[-1] == RemoveEdge(actor="unknown", id=stuck["id"], to=made(1)["id"], type="blocks")
    assert ran.code == 0
    assert look("doctor --fix-child-parent", made(1), stuck).code == 2, "nobody said yes"


def test_a_check_that_is_asked_for_by_name_is_the_one_that_is_made_whatever_else_could_be_mended() -> None:
    edges = [{"depends_on_id": made(1)["id"], "type": edge_type} for edge_type in ("parent-child", "blocks")]
    ran = look("doctor --check pollution --fix-child-parent --yes --json", made(1), made(2, dependencies=edges), TEST)
    assert ran.document["polluted_count"] == 1
    assert not [request for request in ran.asked if isinstance(request, RemoveEdge)]


def test_repair_deps_tells_of_each_in_bds_shape() -> None:
    told = {"issue_id": CUT["id"], "depends_on_id": "bd-gone", "dependency_type": "blocks"}
    assert look("repair-deps --json", CUT).document == {"orphans_found": 1, "orphans": [told]}
    assert look("repair-deps --fix --json", CUT, remove_edge={"removed": 1}).document["fixed"] == 1
    assert look("repair-deps", made(1)).out == "✓ Every dependency leads to an issue\n"


def test_repair_deps_goes_through_the_issues_by_pages_and_knows_those_of_every_page() -> None:
    to_later = {"issue_id": made(2)["id"], "depends_on_id": made(9)["id"], "type": "blocks"}
    pages = [
        {"lines": [json.dumps(CUT), json.dumps(made(2, dependencies=[to_later]))], "next": made(2)["id"]},
        {"lines": [json.dumps(made(9))], "next": ""},
    ]
    ran = run_console("repair-deps --json", {"export": in_turn(*pages), "resolve_ids": NOWHERE})
    assert ran.document["orphans_found"] == 1
    assert [request.after for request in ran.asked if isinstance(request, Export)] == ["", made(2)["id"]]


def test_more_edges_and_issues_than_one_script_takes_go_in_several() -> None:
    edges = [{"depends_on_id": f"bd-{number}", "type": "blocks"} for number in range(STEPS + 1)]
    ran = look("repair-deps --fix --json", made(1, dependencies=edges), remove_edge={}, script=[{}])
    assert [len(request.steps) for request in ran.asked if isinstance(request, Script)] == [STEPS]
    assert isinstance(ran.asked[-1], RemoveEdge)
    assert ran.document["fixed"] == STEPS + 1
    tests = [made(number, title=f"Test issue {number}") for number in range(STEPS + 2)]
    ran = look("doctor --check pollution --clean --yes --json", *tests, script=[{}])
    assert [len(request.steps) for request in ran.asked if isinstance(request, Script)] == [STEPS, 2]
    assert ran.document["deleted_count"] == STEPS + 2


def test_pollution_is_told_with_reasons_and_only_the_surest_is_deleted() -> None:
    document = look("doctor --check=pollution --json", TEST, MAYBE).document
    assert (document["polluted_count"], document["high_confidence"], document["medium_confidence"]) == (2, 1, 1)
    assert [(each["id"], each["cleanable"]) for each in document["issues"]] == [
        (TEST["id"], True),
        (MAYBE["id"], False),
    ]
    ran = look("doctor --check=pollution --clean --yes --json", TEST, MAYBE, delete={})
    assert ran.asked[-1] == Delete(actor="unknown", id=TEST["id"], reason="left over by a test")
    assert ran.document["deleted_count"] == 1
    assert look("doctor --check=pollution --json", made(1)).document == {"polluted_count": 0, "issues": []}
    assert "title ends in a number" in look("doctor --check pollution", TEST).out


@pytest.mark.parametrize("argv", ["doctor --check validate --fix", "doctor --check pollution --clean"])
def test_nothing_is_changed_without_a_yes(argv: str) -> None:
    ran = look(argv, CUT, TEST)
    assert (ran.code, "--yes" in ran.err) == (2, True)


# -- What bd does to its database --------------------------------------------------------------------------------
def test_there_is_never_anything_to_migrate() -> None:
    document = look("migrate --inspect --json", ping=PONG, stats={"total": 7}).document
    assert (document["registered_migrations"], document["warnings"]) == ([], [])
    assert document["current_state"]["issue_count"] == 7
    assert look("migrate --json", ping=PONG, stats={"total": 7}).document["status"] == "current"


def test_ping_tells_how_long_the_daemon_took() -> None:
    def clock(*times: float) -> Callable[[], float]:
        left: Iterator[float] = iter(times)
        return lambda: next(left)

    page = Page(issues=[], total=0, truncated=False)
    ran = run_console("ping --json", {"ping": PONG, "list": page}, seconds=clock(1.0, 1.004, 1.01))
    assert ran.document == {"status": "ok", "resolve_ms": 0, "store_ms": 4, "query_ms": 6, "total_ms": 10}


def test_what_bd_migrates_beside_the_schema_is_told_apart() -> None:
    assert run_console("migrate schema", {"ping": PONG, "stats": {"total": 0}}).code == 0
    assert "is not here: a project stays on its plane" in run_console("migrate issues").err
    assert "nothing is called birds" in run_console("migrate birds").err
