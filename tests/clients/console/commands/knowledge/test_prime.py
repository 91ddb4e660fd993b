"""prime: text, document, hook, and the folder that belongs to no project."""

import msgspec
import pytest

from moot.console.lines.prime_text import MOST_BYTES
from moot_protocol.requests.memories import Prime, Settings
from moot_testkit.clients.console import Outcome, run_console

FOUND = {
    "memories": [{"key": f"key{number}", "text": f"text {number}"} for number in range(3)],
    "claimed": [{"id": "bd-mine-1a2b", "title": "Mine", "priority": 1, "status": "in_progress", "_short": 7}],
    "ready": [{"id": "bd-next", "title": "Next", "priority": 2, "status": "open"}],
    "ready_total": 1,
    "foreign": {"memories": 0, "issues": 2},
}


def prime(argv: str = "", found: object = FOUND, settings: tuple[tuple[str, str], ...] = ()) -> Outcome:
    kept = [{"key": key, "value": value, "of": "project", "conflict": False} for key, value in settings]
    return run_console(f"prime {argv}", {"prime": found, "settings": kept})


def test_memories_work_and_how_to_go_on_are_told() -> None:
    ran = prime()
    assert ran.asked == [Settings(project="bd", prefix="prime."), Prime(project="bd", actor="unknown")]
    places = [ran.out.index(text) for text in ("key0", "bd-mine", "bd-next", "`moot ready", "2 issues")]
    assert places == sorted(places)


def test_the_document_holds_the_same_and_counts_what_it_leaves_out() -> None:
    document = prime("--json").document
    assert document["memories"] == FOUND["memories"]
    assert [issue["id"] for issue in (*document["claimed"], *document["ready"])] == ["bd-mine-1a2b", "bd-next"]
    assert "_short" not in document["claimed"][0]
    assert document["left_out"] == {
        "memories": 0, "claimed": 0, "ready": 0, "more_ready": False, "of_other_towns": {"memories": 0, "issues": 2},
    }  # fmt: skip


def test_the_document_is_no_longer_than_the_text_may_be() -> None:
    found = FOUND | {"memories": [{"key": f"k{number}", "text": "é" * 5_000} for number in range(9)]}
    document = prime("--json", found).document
    assert len(msgspec.json.encode(document)) <= MOST_BYTES
    assert document["left_out"]["memories"] == 9
    assert document["ready"] == []


def test_a_hook_gets_the_text_in_its_wrapping() -> None:
    wrapped = prime("--hook-json").document["hookSpecificOutput"]
    assert wrapped == {"hookEventName": "SessionStart", "additionalContext": prime().out}


def test_parts_can_be_left_out() -> None:
    assert "bd-next" not in prime("--memories-only").out
    assert "key0" not in prime("--no-memories").out
    assert "key0" in prime("--memories-only --no-memories").out
    assert prime("--after-compact").out.splitlines()[2] == "- bd-mine P1 Mine"
    assert prime("--full --mcp --stealth --export").out == prime().out


def test_limits_come_from_flags_and_else_from_settings() -> None:
    assert "key1" not in prime("--max-memories 1").out
    settings = (("prime.max-memories", "1"), ("prime.unknown", "x"))
    assert "key1" not in prime(settings=settings).out
    assert "key2" in prime("--max-memories 0", settings=settings).out
    assert "key2" not in prime(settings=(("prime.max-memory-chars", "50"),)).out


def test_a_setting_that_somebody_elsewhere_made_nonsense_of_counts_for_nothing() -> None:
    assert prime(settings=(("prime.max-memories", "many"), ("prime.max-memory-chars", "-1"))).out == prime().out


@pytest.mark.parametrize("flag", ["--max-memories", "--max-memory-chars"])
def test_a_limit_is_not_negative(flag: str) -> None:
    assert prime(f"{flag} -1").code == 2


def test_in_a_folder_without_a_project_it_says_nothing_and_succeeds() -> None:
    ran = run_console("prime", project="")
    assert (ran.code, ran.out, ran.err, ran.asked) == (0, "", "", [])
