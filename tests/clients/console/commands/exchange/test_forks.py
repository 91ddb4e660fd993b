"""fork list|settle: what is asked of the daemon and what is printed."""

from typing import Any

import pytest

from moot_protocol.requests.membership import Forks, SettleFork
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

FOUL = "\x1b[2J\u202e"


def does(n: int, kind: str, says: dict[str, Any], about: str = "K" * 43, actor: str = "ada") -> dict[str, Any]:
    return {"n": n, "at_ms": NOW_MS - 300_000, "actor": actor, "kind": kind, "about": about, "says": says}


def branch(name: str, *events: dict[str, Any], counts: bool = False, more: int = 0) -> dict[str, Any]:
    return {"branch": name, "events": len(events) + more, "counts": counts, "more": more, "does": list(events)}


def fork(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "plane": "shared", "author": "A" * 43, "kind": "charter", "town": "A" * 43, "town_name": "hill", "first": 3,
        "is_settled": False, "settled_by": "admin", "branches": list(branches),
    } | fields  # fmt: skip


CHARTERS = fork(
    branch(
        "ab12cd34" * 8,
        does(3, "admission", {"name": "mill", "role": "writer"}),
        does(4, "invite", {"role": "writer", "town": "A" * 43}),
        does(5, "invite", {"role": "reader", "town": "T" * 43}),
        does(6, "invite", {"counting": ["R" * 43]}),
        counts=True,
    ),
    branch(
        "ef56" * 16,
        does(3, "end", {"n": 0, "town": "T" * 43}),
        does(4, "end", {"n": 12, "town": "T" * 43}),
        does(5, "epoch", {}, "00ff00ff00ff"),
        does(6, "charter", {}),
        does(7, "admission", {}),
        more=90,
    ),
)


def test_both_histories_are_shown_with_who_did_what_and_when() -> None:
    ran = run_console("fork list --plane shared", {"forks": [CHARTERS]})
    assert ran.request == Forks(plane="shared")
    assert ran.out.splitlines() == [
        f"shared: the charter {'A' * 43} of hill has two histories from event 3 on, not settled",
        "  ab12cd34: 4 events, counts",
        "    3. admits town mill KKKKKKKKKKKK as writer (ada, 5min ago)",
        "    4. makes invite KKKKKKKKKKKK for any town, as writer (ada, 5min ago)",
        "    5. makes invite KKKKKKKKKKKK for those of TTTTTTTTTTTT, as reader (ada, 5min ago)",
        "    6. closes invite KKKKKKKKKKKK: 1 user of it count (ada, 5min ago)",
        "  ef56ef56: 95 events",
        "    3. ends KKKKKKKKKKKK at nothing (ada, 5min ago)",
        "    4. ends KKKKKKKKKKKK at its event 12 (ada, 5min ago)",
        "    5. changes the plane's key: epoch 00ff00ff00ff (ada, 5min ago)",
        "    6. opens the charter (ada, 5min ago)",
        "    7. says something of no effect (admission KKKKKKKKKKKK) (ada, 5min ago)",
        "    and 90 events more",
    ]
    assert ran.err == (
        "AAAAAAAAAAAA on plane shared: an admin's town above it decides with "
        "`moot fork settle --branch NAME AAAAAAAAAAAA`; until then neither counts\n"
    )
    assert run_console("fork list --json", {"forks": [CHARTERS]}).document == [CHARTERS]


@pytest.mark.parametrize(
    ("settled_by", "told"),
    [
        ("town", "the machine that has its town's key decides with `moot fork settle --branch NAME AAAAAAAAAAAA`"),
        ("recovery", "only the recovery words settle a founder's charter: `moot recover --plane shared`, on a machine"),
        ("nobody", "nothing settles it; found a new plane"),
    ],
)
def test_whoever_reads_of_a_fork_is_told_who_settles_it_and_what_to_type(settled_by: str, told: str) -> None:
    assert told in run_console("fork list", {"forks": [fork(settled_by=settled_by)]}).err


def test_a_key_that_begins_with_a_dash_stands_last_behind_two_in_what_is_to_be_typed() -> None:
    ran = run_console("fork list", {"forks": [fork(author=f"-{'C' * 42}")]})
    typed = ran.err.split("`")[1]
    assert typed == "moot fork settle --branch NAME -- -CCCCCCCCCCC"
    asked = run_console(typed.removeprefix("moot "), {"settle_fork": SETTLED}).request
    assert (asked.author, asked.branch) == ("-CCCCCCCCCCC", "NAME")


def test_a_machine_s_fork_that_comes_with_its_founder_s_charter_is_settled_by_naming_a_history() -> None:
    ran = run_console("fork list", {"forks": [fork(settled_by="recovery", kind="replica")]})
    assert "`moot recover --plane shared --branch NAME`" in ran.err


def test_the_history_that_counted_here_before_is_told_apart() -> None:
    histories = [branch(name * 16, does(2, "issue", {"keys": ["title"]}, "mt-1")) for name in ("ab12", "cd34")]
    ran = run_console("fork list", {"forks": [fork(*histories[:1], histories[1] | {"counted": True}, kind="replica")]})
    assert "  ab12ab12: 1 event" in ran.out.splitlines()
    assert "  cd34cd34: 1 event, counted here before" in ran.out.splitlines()


def test_a_machine_s_histories_are_told_by_what_they_write() -> None:
    wrote = does(2, "issue", {"keys": ["title", "status"]}, "mt-1", actor="")
    shown = fork(branch("ab12" * 16, wrote), kind="replica", is_settled=True, town_name="")
    ran = run_console("fork list", {"forks": [shown]})
    assert "    2. writes title,status of issue mt-1 (-, 5min ago)" in ran.out.splitlines()
    assert ran.out.splitlines()[0].endswith(f"the replica {'A' * 43} has two histories from event 3 on, settled")
    assert "moot sync" in ran.out
    assert "fork settle" not in ran.err


def test_what_others_wrote_is_made_safe() -> None:
    shown = fork(branch("ab12" * 16, does(3, "admission", {"name": FOUL, "role": FOUL}, FOUL, FOUL)), town_name=FOUL)
    assert "\x1b" not in run_console("fork list", {"forks": [shown]}).out


def test_where_nothing_is_forked_it_says_so() -> None:
    ran = run_console("fork list", {"forks": []})
    assert (ran.out, ran.err) == ("", "no feed is forked\n")


SETTLED = {
    "plane": "shared", "author": "A" * 43, "kind": "charter", "branch": "ab12" * 16, "n": 4, "replicas": ["R" * 43],
    "epoch": "00ff", "dropped": 0,
}  # fmt: skip


def test_a_settled_charter_is_told_with_who_counts_on_and_what_comes_next() -> None:
    ran = run_console("fork settle AAAA --branch ab12 --without RRRR --without SSSS", {"settle_fork": SETTLED})
    assert ran.request == SettleFork(actor="unknown", author="AAAA", branch="ab12", without=("RRRR", "SSSS"))
    assert ran.out.splitlines() == [
        "✓ On plane shared AAAAAAAAAAAA counts up to event 4 of history ab12ab12",
        "  with replica RRRRRRRRRRRR, as far as it had come",
        "  New epoch 00ff",
    ]
    assert "town rotate-key" in ran.err


def test_a_settled_machine_s_fork_removes_no_town_and_may_wait_for_a_new_key() -> None:
    done = SETTLED | {"kind": "replica", "replicas": [], "epoch": ""}
    ran = run_console("fork settle AAAA --branch ab12 --plane shared --dry-run", {"settle_fork": done})
    assert (ran.request.plane, ran.request.dry_run) == ("shared", True)
    assert ran.out == "Would settle it: AAAAAAAAAAAA counts up to event 4 of history ab12ab12\n"
    assert "rotate-key" not in ran.err
    assert "nothing new is sent" in ran.err
    assert "another history" not in ran.err


def test_what_waits_for_the_clock_goes_with_it_when_people_say_so() -> None:
    assert not run_console("fork settle AAAA --branch ab12", {"settle_fork": SETTLED}).request.drop
    assert run_console("fork settle AAAA --branch ab12 --drop", {"settle_fork": SETTLED}).request.drop


def test_what_goes_with_the_other_history_is_told_and_how_it_is_brought_back() -> None:
    ran = run_console("fork settle AAAA --branch ab12", {"settle_fork": SETTLED | {"kind": "replica", "dropped": 2}})
    assert "2 events of another history, written nowhere else, count no more; `moot salvage` on the machine" in ran.err
    assert "that wrote them, after that, writes them anew" in ran.err
    one = {"settle_fork": SETTLED | {"kind": "replica", "dropped": 1}}
    told = run_console("fork settle AAAA --branch ab12", one).err
    assert "1 event of another history, written nowhere else, counts no more; `moot salvage` on the machine" in told
    assert "that wrote it, after that, writes it anew" in told
    assert "would count no more" in run_console("fork settle AAAA --branch ab12 --dry-run", one).err


def test_where_the_other_history_is_not_here_it_is_not_said_that_nothing_goes_with_it() -> None:
    ran = run_console("fork settle AAAA --branch ab12", {"settle_fork": SETTLED | {"kind": "replica", "dropped": None}})
    assert "Of another history only a proof is here, so it isn't known what it holds" in ran.err
    assert "`moot salvage`" in ran.err
