"""access show|check|import|validate: what is asked of the daemon and what is printed."""

from typing import Any

from moot.console import exits
from moot_protocol.requests.access import CheckAccess, ImportAccess, ShowAccess, ValidateAccess
from moot_testkit.clients.console import run_console

USER = {"name": "alice", "role": "user", "permissions": ["issue:*"], "restrictions": ["no:*polecat*"], "uids": [1000]}
SHOWN: dict[str, Any] = {
    "path": "/c/access.toml", "present": True, "audit": "writes", "problem": "", "idle": [], "users": [USER],
}  # fmt: skip


def test_rules_are_shown_with_what_they_are_good_for() -> None:
    bob: dict[str, Any] = {"name": "bob\x1b[31m", "role": "reader", "permissions": None, "restrictions": [], "uids": []}
    ran = run_console("access show", {"show_access": SHOWN | {"users": [USER, bob]}})
    assert ran.request == ShowAccess()
    first, alice, shown_bob, last = ran.out.splitlines()
    assert first == "/c/access.toml: 2 users, audit writes"
    assert alice == "alice user uid 1000 issue:*; no:*polecat*"
    assert "\x1b" not in shown_bob
    assert shown_bob.endswith("reader - (all of the role)")
    assert "agents of one user are asked, not held" in last


def test_no_rules_and_rules_that_cannot_be_read_are_told_apart() -> None:
    none = run_console("access show", {"show_access": SHOWN | {"present": False, "users": []}})
    assert (none.code, none.out) == (exits.OK, "No rules: there is no /c/access.toml\n")
    broken = run_console("access show", {"show_access": SHOWN | {"problem": "line 3: no", "users": []}})
    assert broken.code == exits.FAILED
    assert "nobody but the daemon's own user gets in" in broken.out


def test_a_decision_is_told_with_its_rule_and_its_exit_code() -> None:
    yes = run_console(
        "access check alice issue:write demo-1",
        {"check_access": {"allowed": True, "rule": "alice: issue:*", "bound": True}},
    )
    assert yes.request == CheckAccess(subject="alice", permission="issue:write", resource="demo-1")
    assert (yes.code, yes.out) == (exits.OK, "allowed: alice: issue:*\n")
    no = run_console("access check bob issue:write", {"check_access": {"allowed": False, "rule": "x", "bound": True}})
    assert (no.code, no.out) == (exits.DENIED, "denied: x\n")


def test_a_file_is_taken_by_its_form() -> None:
    done = {"path": "/c/access.toml", "users": 2, "replaced": False, "text": "audit = 1\n", "idle": []}
    files = {"access.yaml": b"users: []", "rules.toml": b"# none"}
    ran = run_console("access import access.yaml --replace", {"import_access": done}, files=files)
    assert ran.request == ImportAccess(actor="unknown", text="users: []", form="yaml", replace=True)
    assert ran.out == "✓ Wrote rules for 2 users to /c/access.toml\n"
    tried = run_console("access import rules.toml --dry-run", {"import_access": done}, files=files)
    assert (tried.request.form, tried.request.dry_run, tried.out) == ("toml", True, "audit = 1\n")


def test_rules_that_fit_nothing_are_told_beside_the_answer() -> None:
    found = {"valid": True, "problem": "", "users": 1, "idle": [{"user": "alice", "rule": "isue:read"}]}
    ran = run_console("access validate a.toml", {"validate_access": found}, files={"a.toml": b"x"})
    assert ran.request == ValidateAccess(text="x", form="toml")
    assert ran.out == "valid: 1 user\n"
    assert ran.err == "alice: isue:read fits no permission there is\n"


def test_without_a_file_the_rules_of_the_machine_are_checked() -> None:
    ran = run_console("access validate --json", {"show_access": SHOWN | {"problem": "line 1: no"}})
    assert ran.code == exits.FAILED
    assert ran.document == {"valid": False, "problem": "line 1: no", "users": 1, "idle": []}
