"""Towns and replicas as lines: keys beside names, what others say made safe, states in words."""

from typing import Any

from moot.console.lines.membership import named, no_epoch_told, replica_rows, state_words, town_rows
from moot.console.text.style import style_of
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.terminal import FACTS, at_terminal

FOUL = "\x1b[2J\u202e"


def town(**fields: Any) -> dict[str, Any]:
    return {
        "plane": "shared", "town": "T" * 43, "name": "hill", "role": "admin", "depth": 1, "admitted_by": "",
        "state": "ok", "is_own": True, "replicas": 2,
    } | fields  # fmt: skip


def replica(**fields: Any) -> dict[str, Any]:
    return {
        "plane": "shared", "replica": "R" * 43, "town": "T" * 43, "town_name": "hill", "role": "writer",
        "state": "ok", "n": 4211, "last_seen_ms": NOW_MS - 300_000, "version": "", "is_here": False,
        "in_step_ms": 0, "frontier": "",
    } | fields  # fmt: skip


def test_a_town_is_told_with_its_whole_key_where_nothing_cuts_lines() -> None:
    assert town_rows(style_of(FACTS), [town()]) == [f"shared hill {'T' * 43} admin depth 1 founder 2 replicas this one"]
    deeper = town(name="", depth=2, admitted_by="A" * 43, is_own=False, state="removed", replicas=1, role="")
    assert town_rows(style_of(FACTS), [deeper], with_plane=False) == [
        f"- {'T' * 43} - depth 2 by {'A' * 12} 1 replica removed"
    ]


def test_at_a_terminal_keys_are_shortened() -> None:
    (row,) = town_rows(style_of(at_terminal(NO_COLOR="1")), [town()])
    assert "T" * 13 not in row


def test_a_replica_is_told_with_how_far_it_counts_and_when_it_was_heard_of() -> None:
    style = style_of(FACTS)
    assert replica_rows(style, [replica()], NOW_MS) == [f"shared {'R' * 43} hill writer n 4,211 seen 5min ago"]
    here = replica(is_here=True, version="1.2", town_name="")
    assert replica_rows(style, [here], NOW_MS, with_plane=False) == [
        f"{'R' * 43} {'T' * 12} writer n 4,211 this one moot 1.2"
    ]
    beside = replica(in_step_ms=NOW_MS - 7_200_000)
    assert replica_rows(style, [beside], NOW_MS)[0].endswith("seen 5min ago in step 2h ago")
    lost = replica(last_seen_ms=0, state="forked")
    assert replica_rows(style, [lost], NOW_MS)[0].endswith("never seen forked: signed two histories")


def test_what_others_say_of_themselves_is_made_safe() -> None:
    style = style_of(FACTS)
    assert "\x1b" not in town_rows(style, [town(name=FOUL, state=FOUL)])[0]
    assert "\x1b" not in replica_rows(style, [replica(town_name=FOUL, state=FOUL, version=FOUL)], NOW_MS)[0]
    assert "\x1b" not in named(town(name=FOUL))


def test_a_name_never_stands_without_its_key() -> None:
    assert named(town()) == f"hill {'T' * 12}"
    assert named(town(name="")) == "T" * 12


def test_states_are_words() -> None:
    assert (state_words("ok"), state_words("ended"), state_words("no_charter")) == ("", "removed", "no charter")


def test_what_is_said_where_no_new_key_followed_depends_on_who_makes_it() -> None:
    assert list(no_epoch_told([{"epoch": "ab", "no_epoch": ""}, {"epoch": "cd"}])) == []
    (told,) = no_epoch_told([{"epoch": "", "no_epoch": ""}, {"epoch": ""}])
    assert told.startswith("An admin of the plane has to change its key")
    crowded = {"epoch": "", "no_epoch": f"too many{FOUL}"}
    told, *rest = no_epoch_told([crowded, crowded, {"epoch": "ab", "no_epoch": ""}])
    assert told.startswith("No new key yet: too many")
    assert "\x1b" not in told
    assert rest == ["Until there is one, nothing new is sent"]
