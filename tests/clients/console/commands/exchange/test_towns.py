"""town show|list|create|rotate-key: what is asked of the daemon and what is printed."""

from typing import Any

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.membership import CreateTown, OwnTown, RotateTownKey, Towns
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

OUTSIDE = FACTS._replace(workspace="")
WORDS = " ".join(f"word{n}" for n in range(24))
OWN: dict[str, Any] = {
    "name": "hill", "town": "T" * 43, "is_here": True, "replica": "R" * 43,
    "planes": [{"plane": "ledger", "id": "1a", "kind": "ledger", "town": "T" * 43, "town_name": "hill",
                "is_here": True, "role": "admin", "state": "ok", "replicas": 2}],
}  # fmt: skip
TOWN = {
    "plane": "shared", "town": "T" * 43, "name": "hill", "role": "admin", "depth": 1, "admitted_by": "",
    "state": "ok", "is_own": True, "replicas": 2,
}  # fmt: skip


def test_a_town_is_shown_with_its_key_and_its_planes() -> None:
    ran = run_console("town show", {"own_town": OWN})
    assert ran.request == OwnTown()
    assert ran.out.splitlines() == [
        "town: hill",
        f"key: {'T' * 43} (it is here)",
        f"replica: {'R' * 43}",
        "planes:",
        "  ledger ledger admin 2 replicas",
    ]
    elsewhere = run_console("town show", {"own_town": OWN | {"is_here": False, "name": "", "planes": []}})
    assert elsewhere.out.splitlines()[:2] == [
        "town: (no name)",
        f"key: {'T' * 43} (not it, but a machine of the town is here)",
    ]
    assert run_console("town show --json", {"own_town": OWN}).document == OWN


def test_a_plane_on_which_this_machine_is_of_another_town_says_of_which_as_lists_of_members_call_it() -> None:
    (ledger,) = OWN["planes"]
    dale = {"plane": "common", "town": "D" * 43, "town_name": "dale", "is_here": False}
    nameless = {"plane": "old", "town": "E" * 43, "town_name": "", "state": "waiting", "role": "", "replicas": 0}
    ran = run_console("town show", {"own_town": OWN | {"planes": [ledger, ledger | dale, ledger | nameless]}})
    assert ran.out.splitlines()[-3:] == [
        "  ledger ledger admin 2 replicas",
        "  common ledger admin 2 replicas of town dale, whose key is elsewhere",
        f"  old ledger - 0 replicas waiting, of town {'E' * 12}",
    ]


def test_the_members_of_planes_are_towns() -> None:
    assert run_console("member list --plane shared", {"towns": [TOWN]}).request == Towns(plane="shared")


def test_towns_are_listed_of_all_planes_or_of_one() -> None:
    ran = run_console("town list --plane shared", {"towns": [TOWN]})
    assert ran.request == Towns(plane="shared")
    assert ran.out == f"shared hill {'T' * 43} admin depth 1 founder 2 replicas this one\n"
    assert run_console("town list --json", {"towns": [TOWN]}).document == [TOWN]
    none = run_console("town list", {"towns": []})
    assert (none.out, "moot town create" in none.err) == ("", True)


def test_a_town_is_made_with_a_name_and_its_recovery_words_are_shown_first() -> None:
    made = {"created": True, "name": "hill", "town": "T" * 43, "replica": "R" * 43, "recovery_words": WORDS}
    ran = run_console("town create hill", {"create_town": made}, facts=at_terminal())
    assert ran.request == CreateTown(actor="unknown", name="hill")
    assert "word23" in ran.out
    assert ran.out.index("word23") < ran.out.index("Made town hill")


def test_a_town_that_a_program_makes_has_its_recovery_words_in_a_file() -> None:
    made = {"created": True, "name": "hill", "town": "T" * 43, "replica": "R" * 43, "recovery_words": WORDS}
    at_home = OUTSIDE._replace(environment={"HOME": "/home/alice"})
    for argv in ("town create hill -q", "town create hill --json"):
        ran = run_console(argv, {"create_town": made}, facts=at_home)
        (file,) = ran.terminal.files
        assert ("word23" in ran.out, file in ran.err) == (False, True)
    assert ran.document["recovery_words_file"] == file


def test_a_town_without_a_name_is_named() -> None:
    made = {"created": False, "name": "hill", "town": "T" * 43, "planes": [{}, {}], "recovery_words": ""}
    ran = run_console("town create hill", {"create_town": made}, facts=OUTSIDE)
    assert ran.out == f"✓ This is now town hill {'T' * 43}, on 2 planes that it founded\n"
    assert not ran.terminal.files


def test_a_second_town_is_refused_in_words() -> None:
    refused = RefusedError("there is a town on this machine already", code=Code.EXISTS)
    ran = run_console("town create hill", {"create_town": refused}, facts=OUTSIDE)
    assert ran.code != 0
    assert "already" in ran.err


def rotated(*states: str) -> dict[str, Any]:
    planes = [{"plane": f"plane{at}", "state": state, "detail": ""} for at, state in enumerate(states)]
    return {"before": "B" * 43, "town": "T" * 43, "replica": "R" * 43, "planes": planes}


def test_a_new_key_is_told_and_what_couldn_t_be_done_for_each_plane() -> None:
    ran = run_console("town rotate-key", {"rotate_town_key": rotated("rotated", "invite", "kept")})
    assert ran.request == RotateTownKey(actor="unknown")
    assert ran.out.splitlines() == [
        f"✓ This town's key is {'T' * 43}, was {'B' * 43}",
        f"  This machine is replica {'R' * 43}",
        "  plane0 has the new key",
        "  plane1 needs an invite",
        "  plane2 keeps its key",
    ]
    assert "Ask an admin" in ran.err
    assert "moot recover" in ran.err
    assert "Ask an admin" not in run_console("town rotate-key", {"rotate_town_key": rotated("rotated")}).err


def test_a_dry_run_says_so() -> None:
    ran = run_console("town rotate-key --dry-run", {"rotate_town_key": rotated("rotated")})
    assert ran.request.dry_run
    assert ran.out.splitlines()[0] == "Would give this town a new key:"
