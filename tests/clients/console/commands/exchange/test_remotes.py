"""remote add|list|remove|test: what is asked of the daemon, what is printed, how they end."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import AddRemote, CheckRemote, RemoteOptions, Remotes, RemoveRemote
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

REMOTE = {
    "name": "origin", "kind": "git", "url": "ssh://host/repo", "state": "idle", "error": "", "last_ok_ms": 0,
    "next_try_ms": 0, "queued": 0, "queued_bytes": 0, "planes": [], "alarms": [],
}  # fmt: skip


# -- remote add --------------------------------------------------------------------------------------------------
def add(argv: str, facts: Any = FACTS, **answer: Any) -> Outcome:
    return run_console(f"remote add {argv}", {"add_remote": REMOTE | answer}, facts=facts)


def test_a_git_remote_is_added_and_can_be_tried_out_next() -> None:
    ran = add("git ssh://host/repo")
    assert ran.request == AddRemote(actor="unknown", kind="git", url="ssh://host/repo")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "✓ Added git remote origin: ssh://host/repo",
        "  Next: `moot remote test origin` tries it out",
    ]


def test_added_as_manual_it_is_exchanged_with_when_asked_only() -> None:
    ran = add("git ssh://host/repo --name hub --manual")
    assert (ran.request.name, ran.request.mode) == ("hub", "manual")
    assert "`moot sync`" in ran.out


def test_what_a_broker_needs_is_named_by_absolute_paths() -> None:
    ran = add(
        "mqtt mqtts://host --user me --password-file pw --ca ../ca.pem --cert /etc/c.pem --key k.pem --protocol 3.1.1"
    )
    assert ran.request.options == RemoteOptions(
        user="me",
        password_file="/home/alice/work/pw",  # noqa: S106 - a file's name
        ca_file="/home/alice/ca.pem",
        certificate_file="/etc/c.pem",
        key_file="/home/alice/work/k.pem",
        protocol="3.1.1",
    )
    assert ran.request.url == "mqtts://host"


@pytest.mark.parametrize(
    "argv",
    [
        "git /r --user me",
        "git /r --protocol 5",
        "mqtt mqtt://h --protocol 4",
        "git /r --password-file f --ca c",
        "mqtt mqtt://h --key k",
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_asked(argv: str) -> None:
    ran = add(argv)
    assert (ran.code, ran.asked) == (2, [])


@pytest.mark.parametrize("argv", ["ftp ftp://h", "git", ""])
def test_a_kind_and_an_address_are_needed(argv: str) -> None:
    assert add(argv).code == 2


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("../repo.git", "/home/alice/repo.git"),
        ("repo.git", "/home/alice/work/repo.git"),
        ("/srv/repo.git", "/srv/repo.git"),
        ("./a:b", "/home/alice/work/a:b"),
        ("file:///srv/repo.git", "file:///srv/repo.git"),
        ("git@host:me/repo", "git@host:me/repo"),
        ("gh:me/repo", "gh:me/repo"),
    ],
)
def test_a_path_is_made_absolute_and_everything_else_left_to_git(url: str, sent: str) -> None:
    assert add(f"git {url}").request.url == sent


def test_an_address_is_printed_without_a_password() -> None:
    ran = add("git https://me:s3cret@host/r", url="https://me:s3cret@host/r")
    assert "s3cret" not in ran.out + ran.err


def test_the_remote_as_json_is_the_daemons_answer() -> None:
    assert add("git ssh://host/repo --json").document == REMOTE


def test_a_name_that_is_taken_is_a_conflict() -> None:
    taken = RefusedError("there is a remote origin", code=Code.EXISTS)
    assert run_console("remote add git /r", {"add_remote": taken}).code == 5


# -- remote list -------------------------------------------------------------------------------------------------
def test_remotes_are_listed_and_aligned_at_a_terminal() -> None:
    remotes = [REMOTE, REMOTE | {"name": "hub", "kind": "mqtt", "state": "connected", "last_ok_ms": NOW_MS}]
    ran = run_console("remote list", {"remotes": remotes}, facts=at_terminal(NO_COLOR="1"))
    assert ran.request == Remotes()
    assert ran.out.splitlines() == [
        "origin  git   idle       never reached     ssh://host/repo",
        "hub     mqtt  connected  reached just now  ssh://host/repo",
    ]
    assert run_console("remote list --json", {"remotes": remotes}).document == remotes


def test_without_remotes_it_says_how_to_add_one() -> None:
    ran = run_console("remote list", {"remotes": []})
    assert (ran.code, ran.out) == (0, "")
    assert "moot remote add" in ran.err
    assert run_console("remote list --json", {"remotes": []}).document == []


# -- remote remove -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", ["remove", "rm"])
def test_removing_a_remote_tells_how_many_frames_were_never_sent(command: str) -> None:
    ran = run_console(f"remote {command} hub", {"remove_remote": {"name": "hub", "queued": 3}})
    assert ran.request == RemoveRemote(actor="unknown", name="hub")
    assert ran.out.splitlines()[0] == "✓ Removed remote hub; 3 frames for it never sent"
    ran = run_console("remote remove hub", {"remove_remote": {"name": "hub", "queued": 0}})
    assert "nothing was waiting" in ran.out


def test_removing_as_json_is_the_daemons_answer() -> None:
    answered = {"name": "hub", "queued": 3}
    assert run_console("remote remove hub --json", {"remove_remote": answered}).document == answered


# -- remote test -------------------------------------------------------------------------------------------------
def tried(argv: str, *, ok: bool) -> Outcome:
    checks = [{"check": "reach", "ok": ok, "detail": "12 ms", "hint": "look at the address"}]
    return run_console(f"remote test hub {argv}", {"check_remote": {"name": "hub", "ok": ok, "checks": checks}})


def test_a_remote_that_passes_every_check_exits_0() -> None:
    ran = tried("", ok=True)
    assert ran.request == CheckRemote(name="hub")
    assert (ran.code, ran.out) == (0, "✓ reach: 12 ms\nEvery check passed\n")


def test_a_remote_that_fails_a_check_exits_1_with_json_too() -> None:
    assert tried("", ok=False).code == 1
    ran = tried("--json", ok=False)
    assert (ran.code, ran.document["checks"][0]["ok"]) == (1, False)
