"""Remotes, modes and invites as lines: what is said of each, nothing that acts, no password."""

from typing import Any

import pytest

from moot.console.lines import exchange as exchange_lines
from moot.console.text.style import style_of
from moot.console.text.table import width_of
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.terminal import FACTS, at_terminal

PLAIN = style_of(FACTS)
TABLE = style_of(at_terminal(NO_COLOR="1"))
HOUR = 3_600_000


def remote(name: str = "origin", **fields: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": "git", "url": "ssh://host/repo", "state": "idle", "error": "",
        "last_ok_ms": NOW_MS - 3 * HOUR, "next_try_ms": 0, "queued": 0, "queued_bytes": 0, "planes": [], "alarms": [],
    } | fields  # fmt: skip


def words(**fields: Any) -> str:
    return exchange_lines.remote_words(remote(**fields), NOW_MS)


def test_a_remote_says_its_state_when_it_was_reached_and_what_waits() -> None:
    assert words() == "git, idle, reached 3h ago"
    assert words(last_ok_ms=0) == "git, idle, never reached"
    assert words(queued=1200, queued_bytes=5000) == "git, idle, reached 3h ago, 1,200 queued (5 KiB)"


@pytest.mark.parametrize(
    ("ahead_ms", "told"), [(2 * HOUR, " (next try in 2h)"), (30_000, " (next try within a minute)"), (-NOW_MS, "")]
)
def test_an_error_says_when_the_next_try_is(ahead_ms: int, told: str) -> None:
    assert words(state="waiting", error="no route", next_try_ms=NOW_MS + ahead_ms).endswith(f"; no route{told}")


def test_planes_errors_and_alarms_stand_below_their_remote() -> None:
    alarm = {"name": "refs/moot/a", "kind": "went_back", "detail": "was 12, is 7"}
    one = remote(
        planes=[{"plane": "ledger", "mode": "auto"}, {"plane": "x", "mode": "off"}], error="no", alarms=[alarm]
    )
    assert exchange_lines.remote_rows(PLAIN, [one, remote("hub")], NOW_MS) == [
        "origin git idle reached 3h ago ssh://host/repo",
        "  planes: ledger auto, x off",
        "  error: no",
        "  alarm: remote origin: refs/moot/a: went back (was 12, is 7)",
        "    somebody moved it there; its machine, or else another, brings back what it held; all is here still",
        "hub git idle reached 3h ago ssh://host/repo",
    ]


def test_what_to_do_about_a_secret_in_an_address_stands_below_it() -> None:
    alarm = {"name": "", "kind": "secret_in_address", "detail": "a password"}
    told, meaning = exchange_lines.alarm_lines(PLAIN, [remote(alarms=[alarm])])
    assert told == "alarm: remote origin: secret in address (a password)"
    assert "have its host give out another" in meaning


def test_nothing_that_a_remote_says_can_act_on_the_terminal() -> None:
    foul = "\x1b[2J\u202e"
    one = remote(
        foul, url=f"ssh://{foul}", kind=foul, state=foul, error=foul, planes=[{"plane": foul, "mode": foul}],
        alarms=[{"name": foul, "kind": foul, "detail": foul}],
    )  # fmt: skip
    invite = {"invite": foul, "plane": foul, "role": foul, "state": foul, "expires_ms": 1, "users": [foul]}
    told = [
        *exchange_lines.remote_rows(PLAIN, [one], NOW_MS),
        exchange_lines.remote_words(one, NOW_MS),
        exchange_lines.mode_words([{"remote": foul, "mode": foul}]),
        *exchange_lines.invite_rows(PLAIN, [invite], NOW_MS),
    ]
    assert not [line for line in told if "\x1b" in line or "\u202e" in line]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:s3cr@t@host/r", "https://me:…@host/r"),
        ("mqtts://:s3cret@host", "mqtts://:…@host"),
        ("https://me@host/r", "https://me@host/r"),
        ("ssh://host:22/a:b@c", "ssh://host:22/a:b@c"),
        ("git@host:me/r", "git@host:me/r"),
    ],
)
def test_a_password_in_an_address_is_not_shown(url: str, shown: str) -> None:
    assert exchange_lines.safe_url(url) == shown


def test_a_table_is_aligned_at_a_terminal_fits_it_and_is_plain_elsewhere() -> None:
    rows = [["a", "", "long " * 30], ["bbb", "c"]]
    assert exchange_lines.table(PLAIN, rows)[1] == "bbb c"
    told = exchange_lines.table(TABLE, rows)
    assert told[1] == "bbb  c"
    assert told[0].startswith("a       long")
    assert max(map(width_of, told)) <= 80
    assert exchange_lines.table(TABLE, []) == []


def test_a_line_that_breaks_off_again_and_again_is_told_with_what_may_be_behind_it() -> None:
    alarm = {"name": "ledger", "kind": "breaks_off", "detail": "5 times in a row"}
    told, meaning = exchange_lines.alarm_lines(PLAIN, [remote("hub", alarms=[alarm])])
    assert told == "alarm: remote hub: ledger: breaks off (5 times in a row)"
    assert "another machine may use a copy of this one's key" in meaning
    assert "`moot salvage --copied`" in meaning


def test_a_planes_modes_are_found_by_its_name_and_by_its_id() -> None:
    remotes = [
        remote("origin", planes=[{"plane": "ledger", "mode": "auto"}]),
        remote("hub", planes=[{"plane": "aa11", "mode": "manual"}, {"plane": "other", "mode": "auto"}]),
        remote("third"),
    ]
    modes = exchange_lines.modes_of({"name": "ledger", "plane": "aa11"}, remotes)
    assert exchange_lines.mode_words(modes) == "origin auto, hub manual"


def invite(**fields: Any) -> dict[str, Any]:
    return {
        "invite": "k" * 43, "plane": "ledger", "role": "writer", "expires_ms": NOW_MS + 2 * HOUR, "state": "open",
        "users": [],
    } | fields  # fmt: skip


def test_an_invite_says_its_state_and_who_used_it_by_whole_keys() -> None:
    told = exchange_lines.invite_rows(
        PLAIN, [invite(), invite(state="closed", users=["u" * 43]), invite(expires_ms=0)], NOW_MS
    )
    assert told == [
        "kkkkkkkkkkkk ledger writer open expires in 2h unused",
        "kkkkkkkkkkkk ledger writer closed used by 1 replica",
        "  " + "u" * 43,
        "kkkkkkkkkkkk ledger writer open unused",
    ]


def test_what_has_expired_is_to_be_closed() -> None:
    told = exchange_lines.invite_rows(PLAIN, [invite(state="expired", expires_ms=NOW_MS - HOUR)], NOW_MS)
    assert told[0] == "kkkkkkkkkkkk ledger writer expired 1h ago unused"
    assert told[1].startswith("1 invite expired and still open; `moot invite close")


def test_clashing_prefixes_are_named_and_made_harmless() -> None:
    told = exchange_lines.clash_words(["bd", "x\x1b[31m"])
    assert "bd, x" in told
    assert "PLANE:ID" in told
    assert "\x1b" not in told
