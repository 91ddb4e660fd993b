"""plane list|create|show|set: what is asked of the daemon and what is printed."""

from typing import Any

import pytest

from moot_protocol.requests.exchange import CreatePlane, Planes, SetMode, ShowPlane
from moot_protocol.requests.federation import IsolatePlane
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

FOUL = "\x1b[2J\u202e"


def plane(**fields: Any) -> dict[str, Any]:
    return {
        "name": "ledger", "plane": "1a2b3c4d" * 8, "kind": "ledger", "town": "T" * 43, "is_own": True, "role": "admin",
        "state": "ready", "events": 4211, "replicas": 2, "projects": ["bd", "tools"],
        "remotes": [{"remote": "origin", "mode": "auto"}, {"remote": "hub", "mode": "off"}], "epoch": "",
    } | fields  # fmt: skip


# -- plane list --------------------------------------------------------------------------------------------------
def test_planes_are_listed_with_projects_and_how_they_are_exchanged() -> None:
    planes = [plane(), plane(name="theirs", role="reader", state="waiting", projects=[], remotes=[])]
    ran = run_console("plane list", {"planes": planes})
    assert ran.request == Planes()
    assert ran.out.splitlines() == [
        "ledger 1a2b3c4d ledger admin 4,211 events bd,tools; origin auto, hub off",
        "theirs 1a2b3c4d ledger reader waiting",
    ]
    assert run_console("plane list --json", {"planes": planes}).document == planes


def test_the_list_is_aligned_at_a_terminal_and_fits_it() -> None:
    planes = [plane(), plane(name="theirs", projects=["long-prefix"] * 9)]
    lines = run_console("plane list", {"planes": planes}, facts=at_terminal(NO_COLOR="1")).out.splitlines()
    assert {line.index("4,211") for line in lines} == {33}
    assert max(map(len, lines)) <= 80


def test_without_planes_it_says_where_they_come_from() -> None:
    ran = run_console("plane list", {"planes": []})
    assert (ran.code, ran.out) == (0, "")
    assert "moot join" in ran.err


# -- plane create, plane set -------------------------------------------------------------------------------------
def test_a_plane_is_founded_as_a_ledger_unless_said_otherwise() -> None:
    ran = run_console("plane create side", {"create_plane": plane(name="side")})
    assert ran.request == CreatePlane(actor="unknown", name="side", kind="ledger")
    assert ran.out == "✓ Founded ledger plane side 1a2b3c4d\n"
    ran = run_console("plane create side --kind operational --json", {"create_plane": plane()})
    assert ran.request.kind == "operational"
    assert ran.document == plane()


def test_a_machine_s_first_own_plane_comes_with_recovery_words_which_no_program_reads() -> None:
    made = plane(name="side") | {"town": "T" * 43, "recovery_words": "one two three"}
    ran = run_console("plane create side --json", {"create_plane": made})
    assert "recovery_words" not in ran.document
    assert "one two three" not in ran.out


def test_a_plane_is_set_to_a_mode_with_a_remote() -> None:
    answered = {"plane": "ledger", "remote": "origin", "mode": "manual"}
    ran = run_console("plane set ledger --remote origin --mode manual", {"set_mode": answered})
    assert ran.request == SetMode(actor="unknown", plane="ledger", remote="origin", mode="manual")
    assert ran.out == "✓ Plane ledger with remote origin: manual\n"
    ran = run_console("plane set ledger --remote origin --mode manual --json", {"set_mode": answered})
    assert ran.document == answered


@pytest.mark.parametrize(
    "argv",
    [
        "set ledger --remote r",
        "set ledger --mode auto",
        "set ledger --remote r --mode always",
        "create x --kind secret",
        "create",
    ],
)
def test_what_is_missing_or_unknown_is_refused_before_anything_is_asked(argv: str) -> None:
    ran = run_console(f"plane {argv}")
    assert (ran.code, ran.asked) == (2, [])


# -- plane show --------------------------------------------------------------------------------------------------
MEMBERS = [
    {"replica": "A" * 43, "role": "admin", "state": "active", "events": 4000, "is_here": True, "last_seen_ms": 0,
     "invite": ""},
    {"replica": "B" * 43, "role": "writer", "state": "active", "events": 1, "is_here": False, "is_live": False,
     "last_seen_ms": NOW_MS - 7_200_000, "invite": "I" * 43},
    {"replica": "C" * 43, "role": "writer", "state": "removed", "events": 0, "is_here": False, "last_seen_ms": 0,
     "invite": ""},
]  # fmt: skip
INVITE = {
    "invite": "I" * 43, "plane": "ledger", "role": "writer", "expires_ms": 0, "state": "closed", "users": ["B" * 43],
}  # fmt: skip


def show(argv: str = "", facts: Any = FACTS, **fields: Any) -> Outcome:
    shown = plane(**{"members": MEMBERS, "invites": [INVITE], **fields})
    return run_console(f"plane show ledger {argv}", {"show_plane": shown}, facts=facts)


def test_a_plane_is_shown_with_its_members_and_invites() -> None:
    ran = show()
    assert ran.request == ShowPlane(plane="ledger")
    assert ran.out.splitlines() == [
        "plane: ledger",
        "id: " + "1a2b3c4d" * 8,
        "kind: ledger",
        "town: " + "T" * 43 + " (its key is here)",
        "role here: admin",
        "state: ready",
        "holds: 4,211 events of 2 replicas",
        "projects: bd,tools",
        "remotes: origin auto, hub off",
        "members:",
        "  " + "A" * 43 + " admin active 4,000 events here",
        "  " + "B" * 43 + " writer active 1 event seen 2h ago by invite IIIIIIIIIIII",
        "  " + "C" * 43 + " writer removed 0 events never seen",
        "invites:",
        "  IIIIIIIIIIII ledger writer closed used by 1 replica",
        "    " + "B" * 43,
    ]


def test_a_member_that_listens_now_is_shown_as_live() -> None:
    listening = [MEMBERS[0], MEMBERS[1] | {"is_live": True}, MEMBERS[2]]
    assert "  " + "B" * 43 + " writer active 1 event live now by invite IIIIIIIIIIII" in show(members=listening).out


def test_the_whole_id_and_aligned_members_fit_a_terminal() -> None:
    lines = show(facts=at_terminal(NO_COLOR="1")).out.splitlines()
    assert "1a2b3c4d" * 8 in lines[1]
    assert max(map(len, lines)) <= 80
    assert "  AAAAAAAAAAAA  admin   active   4,000 events  here" in lines


def test_a_plane_that_waits_says_what_for_and_one_that_was_sealed_tells_its_epoch() -> None:
    out = show(state="waiting", is_own=False, epoch="e1", remotes=[], projects=[], members=[], invites=[]).out
    assert "state: waiting for its charter from a remote" in out
    assert "town: " + "T" * 43 + "\n" in out
    assert "remotes: none" in out
    assert "epoch: e1" in out
    assert "members" not in out


def test_the_plane_as_json_is_the_daemons_answer() -> None:
    assert show("--json").document == plane(members=MEMBERS, invites=[INVITE])


def test_nothing_that_a_plane_or_member_is_called_can_act_on_the_terminal() -> None:
    foul = plane(
        name=FOUL, plane=FOUL, kind=FOUL, town=FOUL, role=FOUL, state=FOUL, projects=[FOUL], epoch=FOUL,
        remotes=[{"remote": FOUL, "mode": FOUL}], invites=[],
        members=[MEMBERS[0] | {"replica": FOUL, "role": FOUL, "state": FOUL, "invite": FOUL}],
    )  # fmt: skip
    said = {"plane": FOUL, "remote": FOUL, "mode": FOUL}
    answers = {"show_plane": foul, "planes": [foul], "create_plane": foul, "set_mode": said}
    for argv in ("show x", "list", "create x", "set x --remote y --mode off"):
        ran = run_console(f"plane {argv}", answers)
        assert ran.out
        assert "\x1b" not in ran.out
        assert "\u202e" not in ran.out


def test_isolating_names_the_only_remotes_and_says_what_it_doesn_t_undo() -> None:
    made = {"plane": "partner", "is_isolated": True, "remotes": ["one", "two"], "withdrawn": 3}
    ran = run_console("plane isolate partner --to one --to two --actor ann", {"isolate_plane": made})
    assert ran.request == IsolatePlane(actor="ann", plane="partner", to=("one", "two"))
    assert "exchanges plane partner with one,two only" in ran.out
    assert "3 frames that waited for other remotes won't go there" in ran.err
    assert "stays there" in ran.err
    ended = made | {"is_isolated": False, "remotes": []}
    ran = run_console("plane isolate partner --off", {"isolate_plane": ended})
    assert (ran.request.off, "isolated no more" in ran.out) == (True, True)
    for argv in ("plane isolate partner", "plane isolate partner --off --to one"):
        assert run_console(argv).code == 2
