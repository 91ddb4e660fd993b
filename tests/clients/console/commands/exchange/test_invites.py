"""invite, invite list|close, join: tickets alone on their line, warnings beside them, what is given once."""

from collections.abc import Iterable
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import CloseInvite, Invite, Invites, Join
from moot_protocol.requests.membership import InviteTown
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS

HOUR = 3_600_000
DAY = 24 * HOUR
FOUL = "\x1b[2J\u202e"
WORDS = " ".join(f"word{n}" for n in range(24))
OUTSIDE = FACTS._replace(workspace="", environment={"HOME": "/home/alice"})


# -- invite ------------------------------------------------------------------------------------------------------
MADE = {
    "ticket": "moot-ticket-1abc", "invite": "k" * 43, "plane": "ledger", "role": "writer", "expires_ms": NOW_MS + DAY,
    "remotes": [{"kind": "git", "url": "ssh://host/repo"}],
}  # fmt: skip


def invite(argv: str = "", **fields: Any) -> Outcome:
    return run_console(f"invite {argv}", {"invite": MADE | fields}, facts=OUTSIDE)


def test_the_ticket_stands_alone_on_standard_output() -> None:
    ran = invite()
    assert ran.request == Invite(actor="unknown", plane="ledger", role="writer", expires_ms=0)
    assert (ran.code, ran.out) == (0, "moot-ticket-1abc\n")


def test_what_it_is_for_where_it_leads_and_that_it_is_a_password_is_said_beside_it() -> None:
    assert invite().err.splitlines() == [
        "Invites a writer to plane ledger; expires 2026-02-01 12:00 UTC (in 1d)",
        "Expiry only reminds: the ticket lets in who has it until `moot invite close`, of which `moot status` tells",
        "It leads to git ssh://host/repo",
        "On the other machine: `moot join -` reads it from stdin, so that the shell's history doesn't keep it",
        "A ticket is a password: whoever has it can join. It is kept nowhere.",
    ]


def test_a_ticket_for_another_town_is_asked_for_and_said_to_be_one() -> None:
    ran = run_console("invite --town --role admin --plane shared", {"invite_town": MADE}, facts=OUTSIDE)
    assert ran.request == InviteTown(actor="unknown", plane="shared", role="admin", expires_ms=0)
    assert ran.out == "moot-ticket-1abc\n"
    assert "Invites another town, as writer, to plane ledger" in ran.err
    assert "where the other town was founded" in ran.err
    assert "closes the invite" in ran.err


def test_the_ticket_is_printed_however_quiet_it_is_to_be() -> None:
    ran = invite("-q")
    assert (ran.out, ran.err) == ("moot-ticket-1abc\n", "")


@pytest.mark.parametrize(
    ("remotes", "warned"),
    [
        ([], "the ticket names no remote; whoever joins has to add one (`moot remote add`)"),
        (
            [{"name": "towns"}, {"name": "backup"}],
            (
                "plane ledger goes to no remote yet, so that whoever joins would wait for it: `moot plane set ledger "
                "--remote towns --mode auto` here first"
            ),
        ),
    ],
)
def test_a_ticket_that_names_no_remote_is_warned_of(remotes: list[dict[str, Any]], warned: str) -> None:
    ran = run_console("invite", {"invite": MADE | {"remotes": []}, "remotes": remotes}, facts=OUTSIDE)
    assert f"Warning: {warned}" in ran.err
    assert "Warning" not in invite().err


@pytest.mark.parametrize(
    ("expires", "ms"), [("24h", NOW_MS + DAY), ("7d", NOW_MS + 7 * DAY), ("2026-02-02", NOW_MS + 36 * HOUR)]
)
def test_an_invite_expires_when_one_says(expires: str, ms: int) -> None:
    assert invite(f"--expires {expires} --plane side --role reader").request == Invite(
        actor="unknown", plane="side", role="reader", expires_ms=ms
    )


@pytest.mark.parametrize("argv", ["--expires 2020-01-01", "--expires soon", "--role admin", "moot-ticket"])
def test_what_makes_no_sense_is_refused_before_a_ticket_is_made(argv: str) -> None:
    ran = invite(argv)
    assert (ran.code, ran.asked, ran.out) == (2, [], "")


def test_the_invite_as_json_is_one_document_with_the_ticket() -> None:
    assert invite("--json").document == MADE


def test_a_machine_without_the_towns_key_is_denied() -> None:
    denied = RefusedError("the town's key isn't on this machine", code=Code.DENIED)
    assert run_console("invite", {"invite": denied}).code == 4


# -- invite list, invite close -----------------------------------------------------------------------------------
LISTED = {
    "invite": "k" * 43, "plane": "ledger", "role": "writer", "expires_ms": NOW_MS + DAY, "state": "open", "users": [],
}  # fmt: skip


def test_invites_are_listed() -> None:
    ran = run_console("invite list", {"invites": [LISTED]})
    assert ran.request == Invites()
    assert ran.out == "kkkkkkkkkkkk ledger writer open expires in 1d unused\n"
    assert run_console("invite list --json", {"invites": [LISTED]}).document == [LISTED]


def test_that_there_are_no_invites_is_said_beside_the_output() -> None:
    ran = run_console("invite list", {"invites": []})
    assert (ran.code, ran.out, ran.err) == (0, "", "no invites\n")


@pytest.mark.parametrize(
    ("argv", "keep"),
    [
        (["kk"], None),
        (["kk", "--keep", "A,B", "--keep", "C"], ("A", "B", "C")),
        (["kk", "--keep", "-A"], ("-A",)),
        (["kk", "--keep", ""], ()),
    ],
)
def test_who_counts_of_a_closed_invite_can_be_said(argv: list[str], keep: tuple[str, ...] | None) -> None:
    ran = run_console(["invite", "close", *argv], {"close_invite": LISTED | {"state": "closed"}})
    assert ran.request == CloseInvite(actor="unknown", invite="kk", keep=keep)


def test_closing_an_invite_tells_who_counts() -> None:
    closed = LISTED | {"state": "closed", "users": ["A" * 43]}
    ran = run_console("invite close kk", {"close_invite": closed})
    assert ran.out.splitlines() == [
        "✓ Closed invite kkkkkkkkkkkk to plane ledger: 1 replica counts, nobody else ever will",
        "  " + "A" * 43,
    ]
    assert run_console("invite close kk --json", {"close_invite": closed}).document == closed


# -- join --------------------------------------------------------------------------------------------------------
JOINED = {
    "plane": "aa" * 32, "name": "ledger", "town": "TTT", "role": "writer", "state": "waiting", "created": True,
    "replica": "RRR", "remotes": ["origin"], "clashes": [], "recovery_words": "",
}  # fmt: skip


OPENING = "`moot init --prefix NAME` in the project's folder, NAME as the project's ids begin"


def join(argv: str = "t1", stdin: Iterable[bytes] = (), **fields: Any) -> Outcome:
    return run_console(f"join {argv}", {"join": JOINED | fields}, facts=OUTSIDE, project="", stdin=stdin)


def test_joining_says_what_was_joined_what_it_waits_for_and_what_comes_next() -> None:
    ran = join()
    assert ran.asked == [Join(actor="unknown", ticket="t1")]
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "✓ Joined plane ledger of town TTT as writer, with this machine as RRR",
        "  Waits for its charter from origin; nothing can be written on it before",
        f"  Next: `moot sync --wait`, then {OPENING}",
    ]


def test_what_it_may_do_is_left_out_while_only_the_charter_that_is_to_come_tells() -> None:
    assert join(role="").out.startswith("✓ Joined plane ledger of town TTT, with this machine as RRR\n")


def test_a_town_that_is_founded_by_joining_is_told_apart_from_the_inviting_one() -> None:
    ran = join("t1", is_for_town=True, own_town="OOO", recovery_words=WORDS)
    told, nameless, *_ = ran.out.splitlines()
    assert told == "✓ Joined plane ledger of town TTT as town OOO as writer, with this machine as RRR"
    assert "`moot town create NAME`" in nameless
    assert set(ran.terminal.files) == {"/home/alice/.config/moot/recovery-words-OOO.txt"}
    assert "town create" not in join("t1", is_for_town=True, own_town="OOO").out


def test_a_plane_that_no_project_goes_to_by_itself_is_named_and_where_its_projects_are_shown() -> None:
    for state in ("waiting", "ready"):
        out = join(state=state, init_plane="common").out
        assert "`moot init --plane common --prefix NAME` in the project's folder" in out
        assert "`moot plane list` shows the projects" in out
        assert "`moot init --prefix" not in out


def test_a_plane_that_is_ready_waits_for_nothing() -> None:
    out = join(state="ready").out
    assert "Waits" not in out
    assert f"Next: {OPENING}" in out


def test_joining_again_changes_nothing() -> None:
    told = join(created=False, state="ready", remotes=[]).out
    assert told == "Nothing to do: plane ledger of town TTT was joined already\n"


def test_a_remote_that_a_newer_ticket_brings_is_told() -> None:
    told = join(created=False, state="ready", remotes=["hub2"]).out
    assert told == "✓ Plane ledger of town TTT was joined already; it is exchanged with hub2 too now\n"


def test_a_new_key_is_said_and_where_else_it_has_to_be_invited() -> None:
    ran = join(created=False, is_again=True, is_new_key=True, left=["works", "shop"])
    told, waits, *_ = ran.out.splitlines()
    assert told == "✓ Joined anew under a new key: plane ledger of town TTT as writer, with this machine as RRR"
    assert waits.startswith("  Waits for its charter from origin")
    assert ran.err == "Warning: this machine's new key has to be invited again to: works, shop\n"


@pytest.mark.parametrize("stdin", [[b"t1"], [b"t", b"1\n"], [b"Warning: x\n\nt1\r\n\n"]])
def test_a_hyphen_takes_the_ticket_from_the_last_line_of_standard_input(stdin: list[bytes]) -> None:
    assert join("-", stdin).request.ticket == "t1"


@pytest.mark.parametrize("stdin", [[], [b"\n \n"]])
def test_without_a_ticket_nothing_is_asked(stdin: list[bytes]) -> None:
    ran = join("-", stdin)
    assert (ran.code, ran.asked) == (2, [])
    assert join("").code == 2


def test_clashing_prefixes_and_a_missing_remote_are_warned_of() -> None:
    ran = join(clashes=["bd", "x"], remotes=[])
    other_ways = (
        "add one with `moot remote add`, or use one that is here: `moot plane set ledger --remote NAME --mode auto`"
    )
    assert ran.err.splitlines() == [
        f"Warning: the ticket names no remote; {other_ways}",
        "Warning: planes here have issue prefixes in common: bd, x; where an id isn't clear, write PLANE:ID",
    ]
    assert "Waits for its charter from a remote;" in ran.out


@pytest.mark.parametrize("argv", ["t1", "t1 -q", "t1 --json"])
def test_the_recovery_words_lie_in_a_file_as_those_of_init_where_no_terminal_is(argv: str) -> None:
    ran = join(argv, recovery_words=WORDS)
    (file,) = ran.terminal.files
    assert b"word23" in ran.terminal.files[file]
    assert file in ran.err
    assert "word0" not in ran.out + ran.err


def test_the_join_as_json_is_the_daemons_answer_but_for_the_words() -> None:
    without = {name: value for name, value in JOINED.items() if name != "recovery_words"}
    assert join("t1 --json").document == without
    document = join("t1 --json", recovery_words=WORDS).document
    assert document == without | {"recovery_words_file": document["recovery_words_file"]}


def test_nothing_that_comes_with_a_ticket_can_act_on_the_terminal() -> None:
    ran = join(name=FOUL, town=FOUL, role=FOUL, replica=FOUL, remotes=[FOUL], clashes=[FOUL])
    made = invite(plane=FOUL, role=FOUL, ticket=FOUL, remotes=[{"kind": FOUL, "url": FOUL}])
    closed = LISTED | {"invite": FOUL, "plane": FOUL, "users": [FOUL]}
    written = ran.out + ran.err + made.out + made.err + run_console("invite close x", {"close_invite": closed}).out
    assert "\x1b" not in written
    assert "\u202e" not in written
