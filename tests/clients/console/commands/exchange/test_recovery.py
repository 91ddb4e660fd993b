"""recover, salvage: words are read and never given as arguments; what becomes of each plane is told."""

from typing import Any

import pytest

from moot_protocol.requests.membership import Recover, Salvage
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS

DONE = {
    "plane": "ledger", "planes": ["ledger"], "town": "T" * 43, "removed": ["B" * 43], "recovery": "P" * 43,
    "epoch": "ab", "dropped": [], "lost_memories": 0, "lost_documents": 0,
}  # fmt: skip


def test_the_words_are_read_from_standard_input() -> None:
    ran = run_console("recover --plane shared", {"recover": DONE}, stdin=[b"abandon ability\n", b"able\n"])
    assert ran.request == Recover(actor="unknown", plane="shared", words="abandon ability\nable")
    assert ran.out.splitlines() == [
        f"✓ Plane ledger belongs to town {'T' * 43} now",
        f"  Removed {'B' * 43}",
        "  New epoch ab",
    ]
    assert "abandon" not in ran.out + ran.err


def test_every_plane_that_has_the_same_words_is_named_since_all_were_recovered() -> None:
    answered = {"recover": DONE | {"planes": ["ledger", "operational", "side"]}}
    assert run_console("recover", answered, stdin=[b"words"]).out.splitlines() == [
        f"✓ Planes ledger, operational and side belong to town {'T' * 43} now",
        f"  Removed {'B' * 43}",
        "  New epoch ab of ledger",
    ]


@pytest.mark.parametrize("argv", ["recover abandon ability able", "recover"])
def test_words_as_arguments_and_no_words_are_refused_unasked(argv: str) -> None:
    ran = run_console(argv, {"recover": DONE}, stdin=[b" \n"])
    assert (ran.code, ran.asked) == (2, [])


def test_forked_machines_of_the_removed_keep_the_histories_that_are_named_or_nothing() -> None:
    ran = run_console("recover --branch ab12 --branch cd34", {"recover": DONE}, stdin=[b"abandon\n"])
    assert (ran.request.branches, ran.request.drop) == (("ab12", "cd34"), False)
    assert run_console("recover --drop", {"recover": DONE}, stdin=[b"abandon\n"]).request.drop


def test_the_words_are_asked_for_where_somebody_types_them_and_not_where_they_come_from_a_file() -> None:
    asked = "Type the 24 recovery words"
    assert asked not in run_console("recover", {"recover": DONE}, stdin=[b"abandon\n"]).err
    typed = run_console("recover", {"recover": DONE}, stdin=[b"abandon\n"], facts=FACTS._replace(in_is_terminal=True))
    assert asked in typed.err


def test_what_was_dropped_is_told_of_each_machine() -> None:
    dropped = [
        {"plane": "ledger", "replica": "R" * 43, "branches": [{"branch": "ab" * 32, "events": 1},
         {"branch": "cd" * 32, "events": 3}], "waiting": 2},
        {"plane": "side", "replica": "S" * 43, "branches": [], "waiting": 0},
    ]  # fmt: skip
    ran = run_console("recover --drop", {"recover": DONE | {"dropped": dropped}}, stdin=[b"abandon\n"])
    histories = "1 event of history abababab and 3 events of history cdcdcdcd"
    assert ran.out.splitlines()[3:] == [
        f"  Dropped of RRRRRRRRRRRR on plane ledger: {histories} and 2 batches that waited for the clock",
        "  Dropped of SSSSSSSSSSSS on plane side: a history that never came here",
    ]


@pytest.mark.parametrize(
    ("memories", "documents", "told"),
    [
        (1, 0, ["1 memory counts as another town's now"]),
        (2, 1, ["2 memories count as another town's now", "1 document is no longer in force"]),
        (0, 3, ["3 documents are no longer in force"]),
    ],
)
def test_what_has_to_be_adopted_anew_is_counted(memories: int, documents: int, told: list[str]) -> None:
    answered = {"recover": DONE | {"lost_memories": memories, "lost_documents": documents}}
    ran = run_console("recover", answered, stdin=[b"abandon\n"])
    assert [each in ran.err for each in told] == [True] * len(told)
    assert ("moot remember" in ran.err, "moot doc adopt" in ran.err) == (bool(memories), bool(documents))


def salvaged(**fields: Any) -> dict[str, Any]:
    planes = [{"plane": "ledger", "state": "salvaged", "salvaged": 2, "skipped": 1}]
    return {"before": "B" * 43, "replica": "R" * 43, "forked": True, "copied": False, "planes": planes} | fields


def test_what_was_salvaged_is_told_for_each_plane() -> None:
    ran = run_console("salvage", {"salvage": salvaged()})
    assert ran.request == Salvage(actor="unknown")
    assert ran.out.splitlines() == [
        f"✓ This machine is replica {'R' * 43} now, was {'B' * 12}",
        "  ledger: 2 events written again, 1 event could not be",
    ]
    settling, retiring = f"`moot fork settle --branch NAME {'B' * 12}`", f"`moot replica retire {'B' * 12}`, once both"
    assert 0 < ran.err.index(settling) < ran.err.index(retiring)


def test_an_old_key_that_begins_with_a_dash_can_be_typed_as_it_is_told() -> None:
    before = f"-{'C' * 42}"
    told = run_console("salvage", {"salvage": salvaged(before=before)}).err
    assert "`moot fork settle --branch NAME -- -CCCCCCCCCCC`" in told
    assert "`moot replica retire -- -CCCCCCCCCCC`" in told
    told = run_console("salvage", {"salvage": salvaged(before=before, forked=False, copied=True)}).err
    assert "`moot replica retire -- -CCCCCCCCCCC`" in told


def test_how_an_old_key_is_ended_is_told_only_where_it_is_forked_or_copied() -> None:
    assert run_console("salvage", {"salvage": salvaged(forked=False)}).err == ""
    told = run_console("salvage", {"salvage": salvaged(forked=False, copied=True)}).err
    assert ("Only if it is gone for good" in told, "fork settle" in told) == (True, False)
    kept = salvaged(forked=False, copied=True, replica="B" * 43)
    assert run_console("salvage --moved", {"salvage": kept}).err == ""


def test_a_copy_that_gave_up_the_town_s_key_is_told_who_has_it_and_what_makes_a_new_one() -> None:
    for argv, fields in (
        ("salvage", {"copied": True}),
        ("salvage --copied", {}),
        ("salvage --dry-run", {"copied": True}),
    ):
        told = run_console(argv, {"salvage": salvaged(forked=False, disowned=True, **fields)}).err
        assert "The town's key stays with the original" in told
        assert told.index("Only if the original is gone for good") < told.index("`moot recover` makes a new town key")
        assert "replica retire" not in told  # nobody has the key that could, and a recovery removes it
    assert "town's key stays" not in run_console("salvage", {"salvage": salvaged(disowned=False)}).err


def test_a_clock_that_was_ahead_is_told_and_what_becomes_of_what_was_written() -> None:
    ran = run_console("salvage --clock", {"salvage": salvaged()})
    assert ran.request.clock
    assert "counts on other machines once their clocks are there" in ran.err
    assert "fork" not in ran.err


def test_the_other_history_of_an_old_key_is_salvaged_when_people_say_so() -> None:
    assert run_console("salvage --both", {"salvage": salvaged()}).request.both


def test_where_an_invite_is_needed_the_way_is_told() -> None:
    planes = [{"plane": "far", "state": "invite", "salvaged": 0, "skipped": 0}]
    ran = run_console("salvage", {"salvage": salvaged(planes=planes)})
    assert "waits for an invite" in ran.out
    assert "`moot invite`" in ran.err


def test_a_removed_town_is_told_to_take_a_new_key_first() -> None:
    planes = [{"plane": "far", "state": "rotate", "salvaged": 0, "skipped": 0}]
    ran = run_console("salvage", {"salvage": salvaged(planes=planes)})
    assert "  far: 0 events written again; this machine's town doesn't count there" in ran.out
    steps = ["`moot town rotate-key`", "`moot invite --town`", "`moot salvage`"]
    assert sorted(steps, key=ran.err.index) == steps
    assert "Some planes have to be joined again" not in ran.err


def test_a_machine_that_was_moved_keeps_its_key() -> None:
    ran = run_console("salvage --moved", {"salvage": salvaged(before="R" * 43, planes=[])})
    assert ran.request.moved
    assert ran.out == f"✓ This machine is replica {'R' * 43}, as before\n"


def test_a_copy_that_nobody_noticed_is_told_to_be_one_and_not_both() -> None:
    assert run_console("salvage --copied", {"salvage": salvaged()}).request.copied
    assert run_console("salvage --copied --moved", {"salvage": salvaged()}).asked == []


def test_a_recovery_after_which_no_new_key_could_be_made_says_why() -> None:
    done = DONE | {"epoch": "", "no_epoch": "too many count there"}
    told = run_console("recover", {"recover": done}, stdin=[b"some words"]).err
    assert "No new key yet: too many count there" in told
