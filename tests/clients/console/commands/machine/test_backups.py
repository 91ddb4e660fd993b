"""backup: what is asked, what is said, and how it ends."""

from typing import Any

import pytest

from moot_protocol.requests.machine import Backup, CheckBackup
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, in_turn, run_console
from moot_testkit.clients.terminal import FACTS

FOLDER = f"{FACTS.folder}/copy"
PLANES = [{"name": "ledger", "plane": "aa", "events": 7, "digest": "ab" * 32}]
FILES = ["log/data.mdb", "keys/replica.key", "backup.json"]
MADE = {"folder": FOLDER, "bytes": 4096, "batches": 2, "events": 1000, "files": FILES, "planes": PLANES}
GOING = {"done": False, "cursor": "1", "stage": "copying", "progress": [1, 2]}
ENDED = {"done": True, "cursor": "1", "stage": "verifying", "progress": [2, 2]}
DAMAGE = {"where": "log/data.mdb", "problem": "it is missing", "hint": "use another backup"}


def backup(flags: str = "") -> Outcome:
    return run_console(f"backup copy {flags}", {"backup": in_turn(GOING, GOING | {"stage": "verifying"}, ENDED | MADE)})


def check(*problems: dict[str, Any], flags: str = "") -> Outcome:
    found = MADE | {"made": NOW_MS - 7_200_000, "problems": list(problems)}
    return run_console(f"backup --check copy {flags}", {"check_backup": in_turn(GOING, ENDED | found)})


def test_it_is_asked_for_until_it_is_done_and_says_what_was_copied() -> None:
    ran = backup()
    assert ran.asked == [Backup(folder=FOLDER), *[Backup(folder=FOLDER, cursor="1")] * 2]
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"✓ Copied to {FOLDER} and verified: 2 batches, 1,000 events, 4 KiB",
        "  ledger: 7 events, digest abababababababab",
    ]
    assert "private keys" in ran.err


def test_its_document_holds_all_and_no_places_in_between() -> None:
    assert backup("--json").document == MADE


def test_a_trial_lists_what_would_be_copied() -> None:
    planned = {"done": True, "cursor": "", "stage": "copying", "progress": [0, 0]}
    planned |= {"folder": FOLDER, "bytes": 4096, "files": FILES}
    ran = run_console("backup copy --dry-run", {"backup": planned})
    assert ran.asked == [Backup(folder=FOLDER, dry_run=True)]
    assert ran.out.splitlines() == [
        f"Dry run: nothing is written. It would copy at most 4 KiB and 2 small files to {FOLDER}:",
        *(f"  {name}" for name in FILES),
    ]
    document = run_console("backup copy --dry-run --json", {"backup": planned}).document
    assert document == {"dry_run": True, "folder": FOLDER, "bytes": 4096, "files": FILES}


def test_a_sound_one_is_called_whole() -> None:
    ran = check()
    assert ran.asked == [CheckBackup(folder=FOLDER), CheckBackup(folder=FOLDER, cursor="1")]
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"✓ {FOLDER} is whole: 2 batches, 1,000 events, made 2h ago")
    assert check(flags="--json").document["ok"] is True


def test_a_damaged_one_is_told_and_ends_with_1() -> None:
    ran = check(DAMAGE)
    assert (ran.code, ran.out.splitlines()) == (
        1,
        ["✗ log/data.mdb: it is missing (use another backup)", f"{FOLDER} is damaged: 1 problem"],
    )
    as_json = check(DAMAGE, flags="--json")
    assert (as_json.code, as_json.document["ok"], as_json.document["problems"]) == (1, False, [DAMAGE])


def test_one_whose_list_is_damaged_is_told_by_that_alone() -> None:
    ran = run_console("backup --check copy", {"check_backup": ENDED | {"folder": FOLDER, "problems": [DAMAGE]}})
    assert (ran.code, ran.out.splitlines()[-1]) == (1, f"{FOLDER} is damaged: 1 problem")


@pytest.mark.parametrize("words", ["init /srv/copy", "sync", "restore", "status", "remove"])
def test_no_folder_is_made_for_a_word_of_beads(words: str) -> None:
    ran = run_console(f"backup {words}")
    assert (ran.code, ran.asked) == (2, [])
    assert ran.err.startswith(f"Error: `backup {words.split(maxsplit=1)[0]}` is not here: ")


@pytest.mark.parametrize("arguments", ["", "one two", "copy --check --dry-run"])
def test_wrong_arguments_ask_nothing(arguments: str) -> None:
    ran = run_console(f"backup {arguments}")
    assert (ran.code, ran.asked) == (2, [])
