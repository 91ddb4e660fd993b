"""What people and agents do, through the real client and the real daemon."""

import json
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moot_testkit.machines.machine import BIN, Machine, machine

EXCERPT = Path(__file__).parents[1] / "data" / "beads-excerpt.jsonl"


def create(town: Machine, title: str, *flags: str) -> str:
    return town.ok("q", title, *flags).strip()


def test_the_first_command_starts_the_daemon_and_lays_the_recovery_words_where_only_the_user_reads_them() -> None:
    with machine() as fresh:
        said = fresh.run("init", "--prefix", "demo")
        (laid,) = fresh.home.glob("**/recovery-words-*.txt")
        words = laid.read_text().splitlines()[2].strip()
        assert stat.S_IMODE(laid.stat().st_mode) == 0o600
        assert str(laid) in said.stderr
        assert words not in said.stdout + said.stderr
        laid.unlink()
        assert fresh.ok("init")
        assert not laid.exists()
        assert not any(words in line for line in fresh.log())


def test_a_real_file_comes_out_of_export_as_it_went_in_and_a_second_import_adds_nothing(town: Machine) -> None:
    town.ok("import", str(EXCERPT))
    town.ok("export", "-o", "out.jsonl")
    wanted = issues_of(EXCERPT)
    exported = issues_of(town.folder / "out.jsonl")
    assert {name: exported[name] for name in wanted} == wanted
    again = town.json("import", str(EXCERPT))
    assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, len(wanted))


def issues_of(path: Path) -> dict[str, Any]:
    """Issues by id, what are sets as sets."""
    issues = {}
    for line in path.read_text().splitlines():
        issue = json.loads(line)
        for name in ("labels", "dependencies", "comments"):
            if name in issue:
                issue[name] = sorted(json.dumps(each, sort_keys=True) for each in issue[name])
        issues[issue["id"]] = issue
    return issues


def test_a_command_called_again_under_its_request_id_is_done_once_and_another_is_refused(town: Machine) -> None:
    first, again = (town.ok("q", "Nightly build is red", "--request-id", "build-7") for _ in range(2))
    assert first == again
    other = town.run("q", "Something else", "--request-id", "build-7", "--json")
    assert json.loads(other.stdout)["error"]["code"] == "key_reused"


def test_of_eight_processes_that_claim_at_once_exactly_one_wins(town: Machine) -> None:
    issue = create(town, "Contended")

    def claim(number: int) -> int:
        return town.run("update", issue, "--claim", "--actor", f"agent-{number}").returncode

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(claim, range(8)))
    assert sorted(codes) == [0] + [5] * 7
    (shown,) = town.json("show", issue)
    assert shown["assignee"] == f"agent-{codes.index(0)}"
    assert shown["status"] == "in_progress"


def test_an_issue_that_is_blocked_is_not_ready_until_its_blocker_is_closed(town: Machine) -> None:
    roof, walls = create(town, "Roof"), create(town, "Walls")
    town.ok("dep", "add", roof, walls)
    assert roof not in ready(town)
    assert roof in {issue["id"] for issue in town.json("blocked")}
    refused = town.run("close", roof)
    assert refused.returncode == 5
    assert walls in refused.stderr
    assert roof in town.ok("close", walls)
    assert roof in ready(town)


def ready(town: Machine) -> set[str]:
    return {issue["id"] for issue in town.json("ready", "--limit", "0")}


def test_a_cycle_of_blockers_is_refused_in_words(town: Machine) -> None:
    one, two, three = (create(town, title) for title in ("One", "Two", "Three"))
    town.ok("dep", "add", one, two)
    town.ok("dep", "add", two, three)
    refused = town.run("dep", "add", three, one)
    assert refused.returncode == 5
    assert "→" in refused.stderr


def test_with_json_a_failure_is_one_document_and_nothing_else(town: Machine) -> None:
    failed = town.run("show", "demo-nosuchissue", "--json")
    assert failed.returncode == 3
    assert json.loads(failed.stdout)["error"]["code"] == "not_found"


def test_what_is_wrong_with_a_file_is_told_by_the_code_that_scripts_know_for_it(town: Machine) -> None:
    for code, name, *command in (
        (3, "not_found", "create", "A text from nowhere", "--body-file", "nowhere.md"),
        (1, "invalid", "create", "A text from a folder", "--body-file", "."),
        (3, "not_found", "export", "-o", "mistyped/out.jsonl"),
        (4, "denied", "doc", "new", "formula", "ship"),
    ):
        assert refusal(town, *command) == (code, name), command


def test_a_token_is_not_written_over_what_is_there() -> None:
    with machine() as town:
        rules = town.home / ".config" / "moot" / "access.toml"
        rules.parent.mkdir(parents=True, mode=0o700)
        rules.write_text('[users.alice]\nrole = "reader"\n')
        rules.chmod(0o600)
        town.ok("init", "--prefix", "demo")
        there = town.folder / "there.token"
        there.write_text("precious")
        assert refusal(town, "access", "token", "create", "alice", "--out", "there.token") == (5, "exists")
        assert there.read_text() == "precious"


def refusal(town: Machine, *command: str) -> tuple[int, str]:
    """The exit code and the error's code of a command that is refused."""
    ran = town.run(*command, "--json")
    return ran.returncode, json.loads(ran.stdout)["error"]["code"]


def test_a_file_that_would_be_new_can_be_tried_where_it_is_not_there(town: Machine) -> None:
    tried = town.run("setup", "claude", "--dry-run")
    assert (tried.returncode, "Would write CLAUDE.md" in tried.stderr) == (0, True)
    assert not (town.folder / "CLAUDE.md").exists()


def test_called_as_bd_every_failure_exits_1_and_the_envelope_is_there_when_asked_for(town: Machine) -> None:
    assert town.run("show", "demo-nosuchissue", program="bd").returncode == 1
    issue = create(town, "Shown")
    town.environment["BD_JSON_ENVELOPE"] = "1"
    try:
        shown = json.loads(town.run("show", issue, "--json", program="bd").stdout)
    finally:
        del town.environment["BD_JSON_ENVELOPE"]
    assert shown["schema_version"] == 1
    assert shown["data"][0]["id"] == issue


def test_a_short_id_stands_for_the_whole_one(town: Machine) -> None:
    issue = create(town, "Short")
    _, _, random_part = issue.partition("-")
    assert town.json("show", random_part[:8])[0]["id"] == issue


def test_a_batch_is_all_or_nothing(town: Machine) -> None:
    before = len(ready(town))
    failed = town.run("batch", stdin='create "Kept?"\nclose demo-nosuchissue\n')
    assert failed.returncode != 0
    assert len(ready(town)) == before
    town.ok("batch", stdin='create "First"\ncreate "Second"\ndep add $2 $1\n')
    assert len(ready(town)) == before + 1


def test_hostile_text_is_shown_without_its_controls(town: Machine) -> None:
    issue = create(town, "calm \x1b[31m\u202e storm\u200b")
    for shown in (town.ok("show", issue), town.ok("list", "--limit", "0")):
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\u200b" not in shown


def test_a_deleted_issue_comes_back_whole(town: Machine) -> None:
    issue = town.ok("create", "Gone", "-d", "for a while", "-l", "keep", "--silent").strip()
    town.ok("delete", issue)
    assert issue not in ready(town)
    town.ok("undelete", issue)
    (shown,) = town.json("show", issue)
    assert (shown["description"], shown["labels"]) == ("for a while", ["keep"])


def test_a_proof_is_verified_without_any_daemon(town: Machine) -> None:
    issue = create(town, "Proven")
    town.ok("prove", issue, "-o", "proof")
    with machine() as stranger:
        proof = stranger.folder / "proof"
        proof.write_bytes((town.folder / "proof").read_bytes())
        assert issue in stranger.ok("verify-proof", str(proof))
        changed = bytearray(proof.read_bytes())
        changed[len(changed) // 2] ^= 1
        proof.write_bytes(changed)
        assert stranger.run("verify-proof", str(proof)).returncode != 0


def test_a_second_daemon_on_the_same_data_is_refused_in_words(town: Machine) -> None:
    town.ok("daemon", "start")
    environment = {**town.environment, "XDG_RUNTIME_DIR": str(town.home / "elsewhere")}
    (town.home / "elsewhere").mkdir(mode=0o700)
    second = subprocess.run(
        [BIN / "mootd", "run"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert second.returncode != 0
    assert str(town.data) in second.stderr


def test_events_can_be_resumed_by_arrival_number(town: Machine) -> None:
    position = json.loads(town.ok("events", "--since", "0", "--json").splitlines()[-1])["arrival"]
    issue = create(town, "News")
    news = [json.loads(line) for line in town.ok("events", "--since", str(position), "--json").splitlines()]
    assert [event["entity"] for event in news] == [issue]


def test_a_read_of_the_past_shows_the_issue_as_it_was(town: Machine) -> None:
    issue = create(town, "Before")
    created = town.json("show", issue)[0]["created_at"]
    town.ok("update", issue, "--title", "After")
    assert town.json("show", issue, "--as-of", created)[0]["title"] == "Before"


def test_outside_a_workspace_a_write_says_what_to_do(town: Machine) -> None:
    refused = town.run("create", "Nowhere", folder=town.home)
    assert refused.returncode == 3
    assert "moot init" in refused.stderr
