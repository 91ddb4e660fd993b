"""share, unshare, share list and follow: what they ask for and what they say."""

from typing import Any

from moot_protocol.requests.shares import FollowShare, Share, Shares, Unshare
from moot_testkit.clients.console import run_console

COPY = {"source": "bd-1", "copy": "shared-2", "state": "in_step", "suggestions": []}
MADE: dict[str, Any] = {
    "share": "abc", "what": "issue", "value": "bd-1", "project": "", "from": "ledger", "to": "common",
    "prefix": "shared", "fields": ["title", "status"], "rule": "title,status", "follower": "k" * 43, "is_here": True,
    "ended": False, "copies": [COPY], "uncopied": [],
}  # fmt: skip


def test_share_names_what_goes_and_what_stays() -> None:
    ran = run_console("share bd-1 --to common --fields title --redact -word:x --actor ann", {"share": MADE})
    assert ran.request == Share(actor="ann", id="bd-1", to="common", fields=("title",), redact="-word:x")
    assert "Shared bd-1 on plane common: 1 copy, as abc" in ran.out
    assert "What goes: title, status; everything else stays here" in ran.out
    assert "The copy is shared-2" in ran.out


def test_a_label_or_a_project_is_shared_as_a_whole() -> None:
    many = MADE | {"what": "label", "value": "api", "project": "bd", "copies": [COPY, COPY]}
    ran = run_console("share --label api --project bd --to common --dry-run", {"share": many})
    assert (ran.request.label, ran.request.project, ran.request.dry_run) == ("api", "bd", True)
    assert "Would share label api of project bd on plane common: 2 copies" in ran.out


def test_unshare_says_what_others_keep() -> None:
    ran = run_console("unshare bd-1 --actor ann", {"unshare": MADE | {"withdrawn": 1}})
    assert ran.request == Unshare(actor="ann", id="bd-1")
    assert "No longer shares bd-1 on plane common: 1 copy deleted there" in ran.out
    assert "keeps what they were until now" in ran.err
    assert ran.out.endswith("\n  The issue itself stays here; `moot share` makes copies anew\n")
    several = run_console("unshare --label api", {"unshare": MADE | {"what": "label", "value": "api", "withdrawn": 2}})
    assert "The issues themselves stay here" in several.out


def test_the_list_tells_where_copies_differ_and_who_made_them_so() -> None:
    origin = {"town": "abcd", "town_name": "river\x07town"}
    suggestions = [
        {"field": "title", "here": "A", "there": "B", "actor": "bob", "_origin": origin},
        {"field": "labels", "here": "x", "there": None, "actor": ""},
        {"field": "labels", "here": None, "there": "y", "actor": "bob", "_origin": origin},
        {"field": "deleted", "here": None, "there": True, "actor": ""},
    ]
    shares = [MADE | {"is_here": False, "copies": [COPY | {"state": "differs", "suggestions": suggestions}]}]
    ran = run_console("share list bd-1", {"shares": shares})
    assert ran.request == Shares(id="bd-1")
    assert ran.out.splitlines() == [
        "abc bd-1 on common 1 copy followed by kkkkkkkkkkkk title,status",
        "  bd-1 -> shared-2 differs",
        "    title: A here, B there, by bob from river^Gtown",
        "    labels: x was taken out there",
        "    labels: bob from river^Gtown added y",
        "    deleted there by another town",
    ]
    assert run_console("share list --json", {"shares": shares}).document == shares
    assert run_console("share list", {"shares": []}).err == "nothing is shared\n"


def test_another_machine_takes_over() -> None:
    ran = run_console("share follow abc --actor ann", {"follow_share": MADE | {"what": "project", "value": "bd"}})
    assert ran.request == FollowShare(actor="ann", share="abc")
    assert "This machine follows project bd from now on" in ran.out


def test_what_can_t_be_copied_is_counted_and_named_with_why() -> None:
    kept = [{"source": "bd-\x07long", "why": "its id has 185 bytes"}, {"source": "bd-2", "why": "too much"}]
    made = MADE | {"what": "label", "value": "api", "uncopied": kept}
    named = ["  bd-^Glong can't be copied: its id has 185 bytes", "  bd-2 can't be copied: too much"]
    listed = run_console("share list", {"shares": [made]}).out.splitlines()
    assert listed[0].startswith("abc label api on common 1 copy, 2 can't be copied followed here")
    assert listed[1:] == named
    for command, method in (("share --label api --to common", "share"), ("share follow abc", "follow_share")):
        assert run_console(command, {method: made}).out.splitlines()[-2:] == named
