"""lease list|acquire|release, town promote, town rebalance: what is asked of the daemon and what is printed."""

from typing import Any

import pytest

from moot.console import exits
from moot_protocol.requests.leases import AcquireLease, Leases, PromoteTown, Rebalance, ReleaseLease
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

LEASE: dict[str, Any] = {
    "name": "scrub", "epoch": 3, "holder": "R" * 43, "is_here": False, "actor": "moot/scrub", "since_ms": NOW_MS,
    "until_ms": NOW_MS, "state": "held", "fenced": 0,
}  # fmt: skip


def test_leases_are_listed_with_holder_and_end() -> None:
    mine = LEASE | {"name": "nightly", "is_here": True, "state": "released", "until_ms": 0}
    ran = run_console("lease list", {"leases": [mine, LEASE]})
    assert ran.request == Leases()
    assert ran.out.splitlines() == [
        "nightly released epoch 3 this machine moot/scrub",
        "scrub held epoch 3 RRRRRRRRRRRR moot/scrub until 2026-01-31 12:00",
    ]
    assert run_console("lease list --json", {"leases": [LEASE]}).document == [LEASE]


def test_who_lost_a_lease_is_told() -> None:
    ran = run_console("lease list", {"leases": [LEASE | {"fenced": 2}]})
    assert ran.err == "This machine held scrub under epoch 2 and has lost it: stop what it did\n"


def test_a_lease_is_taken_and_given_back() -> None:
    taken = run_console("lease acquire nightly --minutes 60", {"acquire_lease": LEASE | {"is_here": True}})
    assert taken.request == AcquireLease(actor="unknown", name="nightly", ttl_ms=3_600_000)
    assert taken.out == "✓ This machine holds scrub under epoch 3 until 2026-01-31 12:00 UTC\n"
    given = run_console("lease release scrub 3", {"release_lease": LEASE})
    assert given.request == ReleaseLease(actor="unknown", name="scrub", epoch=3)
    assert run_console("lease acquire nightly --minutes soon").code == exits.USAGE


@pytest.mark.parametrize("state", ["released", "free"])
def test_what_this_machine_held_is_held_no_longer(state: str) -> None:
    given = run_console("lease release scrub 3", {"release_lease": LEASE | {"is_here": True, "state": state}})
    assert (given.code, given.out) == (exits.OK, "✓ This machine no longer holds scrub\n")


@pytest.mark.parametrize(
    ("lease", "told"),
    [
        ({}, "doesn't hold scrub"),
        ({"is_here": True, "epoch": 4}, "holds scrub under epoch 4, not 3"),
        ({"is_here": True, "epoch": 4, "state": "ending"}, "holds scrub under epoch 4, not 3"),
        ({"is_here": True, "epoch": 4, "state": "released"}, "doesn't hold scrub"),
        ({"holder": "", "epoch": 0, "state": "free"}, "doesn't hold scrub"),
    ],
)
def test_a_lease_that_this_machine_does_not_hold_so_is_told_as_such(lease: dict[str, Any], told: str) -> None:
    answered = LEASE | lease
    ran = run_console("lease release scrub 3", {"release_lease": answered})
    assert (ran.code, ran.out) == (exits.OK, f"Nothing to do: this machine {told}\n")
    document = run_console("lease release scrub 3 --json", {"release_lease": answered}).document
    assert document == answered | {"_unchanged": True}


@pytest.mark.parametrize("force", [False, True])
def test_taking_over_says_what_was_taken_and_what_was_left(force: bool) -> None:
    done = {"moved": [LEASE], "kept": [], "held": [] if force else [LEASE | {"name": "weekly"}]}
    ran = run_console(f"town promote{' --force' * force}", {"promote_town": done})
    assert ran.request == PromoteTown(actor="unknown", force=force)
    assert ran.out.startswith(f"✓ Took 1 lease, kept 0, left {0 if force else 1} to others\n  scrub held")
    assert ran.code == (exits.OK if force else exits.CONFLICT)
    assert ("--force takes" in ran.err) is not force


def test_claims_that_are_taken_are_told_one_by_one() -> None:
    issue = {"id": "bd-1", "title": "T\x1b", "status": "open", "was": "bob", "now": ""}
    done = {"replicas": ["R"], "issues": [issue, issue | {"id": "bd-2", "now": "ada"}]}
    ran = run_console("town rebalance --from RRRR", {"rebalance": done})
    assert ran.request == Rebalance(actor="unknown", source="RRRR")
    first, second, third = ran.out.splitlines()
    assert first == "✓ Took 2 issues from whoever claimed them on 1 machine"
    assert second.startswith("  bd-1 bob → nobody: T")
    assert "\x1b" not in second
    assert third.startswith("  bd-2 bob → ada")
    tried = run_console("town rebalance --from RRRR --to ada --dry-run", {"rebalance": done})
    assert (tried.request.to, tried.request.dry_run) == ("ada", True)
    assert tried.out.startswith("Would take 2 issues")
