"""sync and outbox: repeated with the cursor, progress, remotes that can't be reached, what is nearly full."""

from typing import Any

import pytest

from moot.console.commands.exchange.sync import STRETCH_MS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import OutboxInfo, Sync
from moot_testkit.clients.console import Outcome, in_turn, run_console, ticking
from moot_testkit.clients.terminal import FACTS, at_terminal

FOUL = "\x1b[2J\u202e"


def remote(name: str = "origin", **fields: Any) -> dict[str, Any]:
    return {
        "remote": name, "state": "idle", "sent": 1200, "received": 3, "queued": 0, "error": "", "rounds": 1,
    } | fields  # fmt: skip


def answered(*remotes: dict[str, Any], cursor: str = "", done: bool = False) -> dict[str, Any]:
    return {"done": done, "cursor": cursor, "remotes": list(remotes)}


def sync(argv: str, *answers: Any, facts: Any = FACTS, step: float = 0.0) -> Outcome:
    return run_console(f"sync {argv}", {"sync": in_turn(*answers)}, facts=facts, seconds=ticking(step))


# -- sync --------------------------------------------------------------------------------------------------------
def test_without_waiting_the_first_answer_is_told() -> None:
    ran = sync("--plane side", answered(remote(state="syncing"), cursor="c"))
    assert ran.asked == [Sync(plane="side")]
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "origin syncing 1,200 sent 3 received 0 queued",
        "The exchange goes on; `moot sync --wait` waits for its end",
    ]


def test_waiting_asks_again_with_the_cursor_until_it_is_done() -> None:
    ran = sync(
        "--wait",
        answered(remote(), cursor="c1"),
        answered(remote(), cursor="c2"),
        answered(remote(), remote("hub"), done=True),
    )
    assert ran.asked == [Sync(cursor=cursor, wait_ms=STRETCH_MS) for cursor in ("", "c1", "c2")]
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "✓ In step with 2 remotes"


def test_planes_on_which_nothing_counts_that_is_written_here_are_told() -> None:
    ran = sync("--wait", answered(remote(), done=True) | {"excluded": [f"far{FOUL}"]})
    assert ran.out.splitlines()[-1] == "✓ In step with 1 remote"
    assert ran.err == (
        "Warning: on plane far^[[2J<U+202E> nothing counts that this machine writes: `moot status` says what it lacks\n"
    )


def test_at_a_terminal_waiting_shows_what_each_remote_has_come_to() -> None:
    begun = answered(remote(FOUL, queued=7), remote("hub"), cursor="c")
    facts = at_terminal(NO_COLOR="1")._replace(width=140)
    ran = sync("--wait", begun, begun, begun, answered(remote(), done=True), facts=facts, step=0.6)
    foul = "^[[2J<U+202E>"
    assert f"exchanging: {foul} 1,200 sent, 3 received, 7 queued; hub 1,200 sent, 3 received, 0 queued" in ran.err
    assert ran.err.endswith("\r\x1b[K")
    assert sync("--wait", begun, begun, answered(done=True), step=9.0).err.startswith("no remotes")


def test_progress_stays_on_one_line_of_the_terminal() -> None:
    begun = answered(*[remote(f"remote-{n}") for n in range(9)], cursor="c")
    ran = sync("--wait", begun, begun, begun, answered(remote(), done=True), facts=at_terminal(60), step=9.0)
    assert max(len(line.removeprefix("\x1b[K")) for line in ran.err.split("\r")) == 59


UNREACHED = answered(remote(), remote("hub", state="waiting", error=f"no route {FOUL}", queued=4), done=True)


def test_a_remote_that_cannot_be_reached_exits_69_and_says_which_why_and_what_to_do() -> None:
    ran = sync("--wait", UNREACHED)
    assert ran.code == 69
    assert ran.out.splitlines() == [
        "origin idle 1,200 sent 3 received 0 queued",
        "hub waiting 1,200 sent 3 received 4 queued",
    ]
    assert ran.err.splitlines() == [
        "Error: hub can't be reached: no route ^[[2J<U+202E>",
        "Hint: what waits for it is kept and goes later; `moot remote test hub` tells more",
    ]


def test_as_json_there_is_one_document_however_it_ends() -> None:
    done = answered(remote(), done=True)
    ran = sync("--wait --json", answered(remote(), cursor="c1"), done)
    assert (ran.code, ran.document) == (0, done)
    ran = sync("--wait --json", UNREACHED)
    assert (ran.code, ran.err) == (69, "")
    assert ran.document == UNREACHED | {
        "error": {
            "code": "unreachable",
            "message": f"hub can't be reached: no route {FOUL}",
            "hint": "what waits for it is kept and goes later; `moot remote test hub` tells more",
            "retryable": True,
        }
    }


def test_as_json_one_failure_tells_of_all_remotes_that_cannot_be_reached() -> None:
    ran = sync("--wait --json", answered(remote("hub", error="no route"), remote("mill", error="gone"), done=True))
    error = ran.document["error"]
    assert error["message"] == "hub can't be reached: no route; mill can't be reached: gone"
    assert error["hint"] == "what waits for them is kept and goes later; `moot remote test hub` tells more"


def test_as_bd_the_failure_is_words_in_the_document_and_on_standard_error() -> None:
    ran = sync("--wait --json", UNREACHED, facts=FACTS._replace(program="bd"))
    assert ran.document == UNREACHED | {
        "error": f"hub can't be reached: no route {FOUL}",
        "hint": "what waits for it is kept and goes later; `bd remote test hub` tells more",
        "code": "unreachable",
        "retryable": True,
    }
    assert ran.err.startswith("Error: hub can't be reached: no route ^[[2J<U+202E>\nHint: what waits")


def test_an_error_while_the_exchange_goes_on_is_told_and_no_failure() -> None:
    ran = sync("", answered(remote(state="waiting", error="no route"), cursor="c"))
    assert ran.code == 0
    assert ran.out.splitlines()[0].endswith("0 queued no route")


def test_a_joined_plane_that_still_waits_is_told_and_who_has_to_do_something() -> None:
    ran = sync("--wait", answered(remote(), done=True) | {"waiting": [FOUL + "ledger"]})
    assert ran.code == 0
    assert "still waits for its charter: whoever invited this machine has to sync too" in ran.err
    assert FOUL not in ran.err


UNOPENED = answered(remote(), done=True) | {
    "unopened": [
        {"remote": "origin", "plane": f"ledger{FOUL}", "frames": 1200, "code": "unknown_epoch"},
        {"remote": "origin", "plane": "side", "frames": 1, "code": "unknown_epoch"},
    ]
}
NO_KEY = (
    "1,200 frames of plane ledger{} on origin, 1 frame of plane side on origin can't be opened: the key isn't here yet"
)
GET_KEY = (
    "they are opened once this machine has the plane's newest key: `{} sync --wait` again in a minute; "
    "else ask an admin of the plane to sync too, or for a new invite"
)


def test_frames_whose_key_is_missing_exit_75_and_nobody_is_said_to_be_in_step() -> None:
    ran = sync("--wait", UNOPENED)
    assert ran.code == 75
    assert ran.out.splitlines() == ["origin idle 1,200 sent 3 received 0 queued"]
    assert ran.err.splitlines() == [f"Error: {NO_KEY.format('^[[2J<U+202E>')}", f"Hint: {GET_KEY.format('moot')}"]


def test_frames_whose_key_is_missing_are_told_beside_a_remote_that_cannot_be_reached() -> None:
    both = UNREACHED | {"unopened": UNOPENED["unopened"]}
    ran = sync("--wait", both)
    assert (ran.code, ran.err.count("Error: ")) == (69, 2)
    assert sync("--wait --json", both).document["error"]["code"] == "unreachable"


def test_frames_whose_key_is_missing_are_no_failure_while_the_exchange_goes_on() -> None:
    ran = sync("", UNOPENED | {"done": False})
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("The exchange goes on")


def test_as_json_frames_whose_key_is_missing_are_a_failure_that_may_pass() -> None:
    ran = sync("--wait --json", UNOPENED)
    assert (ran.code, ran.err) == (75, "")
    told = {"code": "unknown_epoch", "message": NO_KEY.format(FOUL), "hint": GET_KEY.format("moot"), "retryable": True}
    assert ran.document == UNOPENED | {"error": told}
    as_bd = sync("--wait --json", UNOPENED, facts=FACTS._replace(program="bd"))
    assert as_bd.document == UNOPENED | {
        "error": NO_KEY.format(FOUL), "hint": GET_KEY.format("bd"), "code": "unknown_epoch", "retryable": True,
    }  # fmt: skip
    assert as_bd.err.startswith("Error: 1,200 frames of plane ledger^[[2J")


def test_prefixes_that_clash_since_a_plane_has_come_are_warned_of() -> None:
    ran = sync("--wait", answered(remote(), done=True) | {"clashes": ["bd", FOUL]})
    assert ran.code == 0
    assert "Warning: planes here have issue prefixes in common: bd, " in ran.err
    assert FOUL not in ran.err


def test_without_remotes_it_says_how_to_add_one() -> None:
    ran = sync("--wait", answered(done=True))
    assert (ran.code, ran.out) == (0, "")
    assert "moot remote add" in ran.err


def test_a_plane_that_is_not_here_exits_3() -> None:
    assert sync("--plane nowhere", RefusedError("no such plane", code=Code.NOT_FOUND)).code == 3


# -- outbox ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("program", ["moot", "bd"])
def test_without_remotes_the_program_is_named_as_it_was_called(program: str) -> None:
    ran = run_console("outbox", {"outbox": []}, facts=FACTS._replace(program=program))
    assert ran.err == f"no remotes; `{program} remote add git URL` adds one\n"


def box(name: str = "origin", **fields: Any) -> dict[str, Any]:
    return {
        "remote": name, "frames": 0, "bytes": 0, "most_frames": 1000, "most_bytes": 64 << 20, "oldest_ms": 0,
        "dropped": 0, "is_nearly_full": False,
    } | fields  # fmt: skip


def test_the_outbox_tells_for_each_remote_how_full_it_is_and_since_when() -> None:
    full = box("hub", frames=900, bytes=3 << 20, oldest_ms=2 * 3_600_000, dropped=1500, is_nearly_full=True)
    ran = run_console("outbox", {"outbox": [box(), full]})
    assert (ran.request, ran.code) == (OutboxInfo(), 0)
    assert ran.out.splitlines() == [
        "origin 0 of 1,000 frames 0 B of 64 MiB",
        "hub 900 of 1,000 frames 3 MiB of 64 MiB oldest 2h 1,500 dropped",
        "nearly full: hub; then the oldest frames make room, and are made again later",
    ]
    assert run_console("outbox --json", {"outbox": [box(), full]}).document == [box(), full]


def test_what_waits_can_be_asked_for_by_plane() -> None:
    assert run_console("sync --status --plane side", {"outbox": [box()]}).request == OutboxInfo(plane="side")


def test_the_outbox_is_aligned_at_a_terminal() -> None:
    out = run_console("outbox", {"outbox": [box(), box("x")]}, facts=at_terminal(NO_COLOR="1")).out
    assert len({line.index("0 of 1,000") for line in out.splitlines()}) == 1


@pytest.mark.parametrize("flags", ["--flush-only", "--import-only", "--full --no-pull", "--no-push -m message"])
def test_flags_of_bds_sync_are_taken(flags: str) -> None:
    done = {"remotes": [], "done": True, "cursor": ""}
    assert run_console(f"sync {flags}", {"sync": done}).asked == run_console("sync", {"sync": done}).asked


def test_without_remotes_there_is_no_outbox() -> None:
    ran = run_console("outbox", {"outbox": []})
    assert (ran.code, ran.out) == (0, "")
    assert "moot remote add" in ran.err
    assert run_console("outbox --json", {"outbox": []}).document == []


def test_a_remotes_name_cannot_act_on_the_terminal() -> None:
    ran = run_console("outbox", {"outbox": [box(FOUL, is_nearly_full=True)]})
    assert "\x1b" not in ran.out
    assert "\u202e" not in ran.out


def test_as_bd_a_program_is_told_on_standard_output_that_nothing_was_to_be_done() -> None:
    as_bd = FACTS._replace(program="bd")
    for argv in ("sync", "dolt push", "dolt pull --remote origin"):
        ran = run_console(argv, {"sync": answered(done=True)}, facts=as_bd)
        assert (ran.code, ran.out.startswith("✓ Nothing to sync"), ran.err) == (0, True, "")


def test_nothing_is_left_to_be_committed() -> None:
    for argv in ("dolt commit -m x --json", "vc commit --json"):
        ran = run_console(argv)
        assert (ran.asked, ran.document) == ([], {"committed": False})


def test_status_exchanges_nothing() -> None:
    box = {"remote": "origin", "frames": 0, "most_frames": 9, "bytes": 0, "most_bytes": 9, "oldest_ms": 0, "dropped": 0}
    ran = run_console("sync --status --json", {"outbox": [box | {"is_nearly_full": False}]})
    assert (ran.request, ran.document[0]["remote"]) == (OutboxInfo(), "origin")
