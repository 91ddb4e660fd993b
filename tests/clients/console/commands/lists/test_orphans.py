"""orphans: which words of commits are ids of issues, and what is printed and closed."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.orphans import COMMANDS, MESSAGE_CHARS, spoken_of
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.issues import Close, ListIssues, Script
from moot_protocol.requests.listing import Page
from moot_protocol.requests.queries import Begun
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

IDS = ["bd-a1b2c3d4e5f6", "bd-a1b9xxxxxxxx", "bd-zzzz", "bd-zzzz.1", "gt-9"]
ISSUES = [issue(title=f"About {name}\x1b") | {"id": name} for name in IDS]
ISSUES[-1]["_alias"] = "app-login"


def tried(argv: str, log: str | None, close: dict[str, Any] | None = None) -> Ran:
    api = CannedApi(begun=Page(issues=ISSUES, total=5, truncated=False), close=close or {}, script=[])
    return run(COMMANDS, argv, api, terminal=RecordingTerminal(FACTS, commits=log))


def found(log: str) -> dict[str, tuple[str, str]]:
    return {each["id"]: commit for each, commit in spoken_of(ISSUES, log)}


@pytest.mark.parametrize(
    ("message", "ids"),
    [
        ("Fix (bd-a1b2c3d4e5f6)", ["bd-a1b2c3d4e5f6"]),
        ("bd-a1b2: fix", ["bd-a1b2c3d4e5f6"]),
        ("bd-a1b is short for two", []),
        ("Close bd-zzzz.", ["bd-zzzz"]),
        ("Close bd-zzzz.1 and gt-9\n\nbd-zzzz too", ["bd-zzzz", "bd-zzzz.1", "gt-9"]),
        ("pre-commit and well-known words, abd-a1b2c3d4e5f6", []),
        ("bd-a1b2c3d4e5f6x", []),
        ("Fix app-login", ["gt-9"]),
    ],
)
def test_a_message_speaks_of_ids_that_stand_as_words(message: str, ids: list[str]) -> None:
    assert list(found(f"c0ffee\t{message}\n")) == ids


def test_of_several_commits_the_latest_is_told() -> None:
    assert found("new\tSecond gt-9\nmore\0old\tFirst gt-9\n") == {"gt-9": ("new", "Second gt-9")}


def test_a_log_without_commits_speaks_of_nothing() -> None:
    assert found("") == {}


def test_orphans_are_listed_with_their_commits_when_asked() -> None:
    ran = tried("orphans --details --label ui", "c0ffee\tFix gt-9 \x1b[2J\n")
    assert ran.out == "app-login P2 task open About gt-9^[\n  c0ffee Fix gt-9 ^[[2J\n"
    (asked,) = ran.asked
    assert isinstance(asked, Begun)
    assert asked.starts == ("gt-9",)
    assert asked.filter.statuses == ("open", "in_progress")
    assert asked.filter.labels == ("ui",)
    assert "c0ffee" not in tried("orphans", "c0ffee\tFix gt-9\n").out


def test_only_what_commits_speak_of_is_looked_up_each_word_once_and_some_at_a_time() -> None:
    assert tried("orphans", "c0ffee\tNo id at all\n").asked == []
    words = [f"gt-{number}" for number in range(2001)]
    ran = tried("orphans", "\0".join(f"{number}\tFix {word}. Really {word}" for number, word in enumerate(words)))
    assert [len(asked.starts) for asked in ran.asked] == [1000, 1000, 1]
    assert [word for asked in ran.asked for word in asked.starts] == words
    assert len(ran.out.splitlines()) == 1


def test_in_a_sandbox_they_are_looked_for_among_all_that_is_there() -> None:
    page = Page(issues=ISSUES, total=5, truncated=False)
    api = CannedApi(begun=RefusedError("the snapshot can't", code=Code.UNREACHABLE), list=page)
    ran = run(COMMANDS, "orphans", api, terminal=RecordingTerminal(FACTS, commits="c0ffee\tFix gt-9\n"))
    assert ran.out.startswith("app-login")
    assert isinstance(ran.asked[-1], ListIssues)
    denied = CannedApi(begun=RefusedError("no", code=Code.DENIED))
    with pytest.raises(RefusedError):
        run(COMMANDS, "orphans", denied, terminal=RecordingTerminal(FACTS, commits="c0ffee\tFix gt-9\n"))


def test_orphans_as_json() -> None:
    (document,) = json.loads(tried("orphans --json", "c0ffee\tFix gt-9\n").out)
    assert document == {
        "issue_id": "gt-9", "title": "About gt-9\x1b", "status": "open", "latest_commit": "c0ffee",
        "latest_commit_message": "Fix gt-9",
    }  # fmt: skip


def test_where_there_are_none_it_is_said() -> None:
    assert tried("orphans", "c0ffee\tNothing\n").out == "✓ No orphaned issues found\n"
    assert tried("orphans --json --fix", "").out == "[]\n"


@pytest.mark.parametrize("flag", ["", " --dry-run"])
def test_orphans_can_be_closed(flag: str) -> None:
    one = tried(f"orphans --fix{flag}", "c0ffee\tFix gt-9\n")
    close: Any = one.asked[-1]
    assert close == Close(actor="alice", id="gt-9", reason="Implemented", force=True, dry_run=bool(flag))
    assert one.out.endswith(f"✓ {'Would close' if flag else 'Closed'} app-login — About gt-9^[\n")
    several = tried(f"orphans --fix{flag}", "c0ffee\tFix gt-9 bd-zzzz\n")
    assert isinstance(several.asked[-1], Script)


def test_without_a_repository_the_reason_is_told() -> None:
    with pytest.raises(MootError) as caught:
        tried("orphans", None)
    assert isinstance(caught.value, RefusedError)
    assert "git" in caught.value.message


@pytest.mark.timeout(60)
@pytest.mark.parametrize("word", ["a" * 60_000, "a." * 30_000, "a--" * 20_000, "a-" * 30_000 + "-"])
def test_a_message_of_one_long_word_hides_no_other_commit(word: str) -> None:
    assert list(found(f"1\t{word}\0" + "2\tgt-9")) == ["gt-9"]


def test_a_list_s_hyphen_before_an_id_is_none_of_it() -> None:
    assert list(found("1\tDone:\n-gt-9")) == ["gt-9"]


def test_what_stands_far_into_a_message_is_not_looked_at() -> None:
    assert found("1\t" + "x " * MESSAGE_CHARS + "gt-9") == {}


def test_one_that_completes_a_molecule_tells_so() -> None:
    ran = tried("orphans --fix", "c0ffee\tFix gt-9\n", close={"_finished": ["bd-mol"]})
    assert ran.out.splitlines()[-1] == "✓ Auto-closed completed molecule bd-mol"
