"""prove and verify-proof: a text file of proofs, which needs nothing but itself to be verified."""

from collections.abc import Mapping
from typing import Any

import pytest

from moot.console import main
from moot_protocol.ids import key_text
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.machine import Prove, ProveEvent
from moot_protocol.trust.proof import build_proof
from moot_testkit.bytes.feeds import Town, note
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS, RecordingTerminal


def told(n: int) -> dict[str, Any]:
    """What the daemon says an event is about."""
    changes = [{"field": "title", "value": "Again"}, {"field": "closed_at", "value": NOW_MS}]
    return {"kind": "issue", "entity": "rt-1", "n": n, "actor": "ada\x1b[2J", "at": NOW_MS, "changes": changes}


TOWN = Town("rivertown")
FEED = TOWN.replica("laptop")
OPENING = FEED.batches[0].events[0].values()
assert OPENING is not None
CERTIFICATE = OPENING[0]
BATCH = FEED.write(note("Fix \x1b[31mit", entity="rt-1"), note("again", entity="rt-1"))
PROOFS: list[dict[str, Any]] = [
    {"proof": build_proof(BATCH, BATCH.header.first + place, OPENING[0], TOWN.genesis), "what": told(place)}
    for place in range(2)
]
INVITE = TOWN.invite()
GUEST = TOWN.replica("guest", by=INVITE)
INVITED = {
    "proof": build_proof(
        GUEST.write(note("Paint it", entity="rt-1")),
        2,
        TOWN.certificate(GUEST.author, by=INVITE),
        TOWN.genesis,
        ((TOWN.charter.batches[-1], TOWN.charter.n),),
    ),
    "what": told(2),
}

OTHER = TOWN.guest("other")
ADMITTED = (TOWN.admit(OTHER), TOWN.charter.n)
THEIRS = OTHER.replica("desktop", Role.WRITER, note("From afar", entity="rt-1"))
FOREIGN = {
    "proof": build_proof(THEIRS.batches[0], 2, OTHER.certificate(THEIRS.author), TOWN.genesis, (ADMITTED,)),
    "what": told(3),
}


def proof_file(*more: Mapping[str, object]) -> str:
    return run_console("prove rt-1", {"prove": [*PROOFS, *more]}).out


def verify(text: str, flags: str = "") -> Outcome:
    return run_console(f"verify-proof p.txt {flags}", files={"p.txt": text.encode()})


def test_prove_asks_for_every_event_or_for_one() -> None:
    assert run_console("prove rt-1", {"prove": PROOFS}).request == Prove(id="rt-1")
    assert run_console("prove rt-1 -n 17", {"prove": PROOFS}).request == Prove(id="rt-1", n=17)
    assert run_console("prove rt-1 -n n=17", {"prove": PROOFS}).request == Prove(id="rt-1", n=17)


def test_prove_asks_for_the_event_of_the_machine_that_is_named() -> None:
    asked = run_console("prove rt-1 -n n=17@VMqzmfZvhP4A", {"prove": PROOFS}).request
    assert asked == Prove(id="rt-1", n=17, author="VMqzmfZvhP4A")


def test_without_an_issue_any_event_can_be_named() -> None:
    assert run_console("prove -n 4@VMqzmfZv", {"prove_event": PROOFS}).request == ProveEvent(n=4, author="VMqzmfZv")
    assert run_console("prove -n 4", {"prove_event": PROOFS}).request == ProveEvent(n=4, author="")
    assert run_console("prove -n 4", {"prove_event": PROOFS}).out == proof_file()


def test_neither_an_issue_nor_an_event_is_too_little() -> None:
    ran = run_console("prove", {})
    assert (ran.code, "`moot prove -n N@KEY`" in ran.err) == (2, True)


def test_an_event_that_the_rules_hide_is_none() -> None:
    ran = run_console("prove -n 4", {"prove_event": []})
    assert (ran.code, ran.out) == (3, "")
    assert "no event 4 that you may see" in ran.err


@pytest.mark.parametrize("typed", ["x", "n=", "17@", str(2**63)])
def test_what_is_no_event_s_number_is_refused_before_anything_is_asked(typed: str) -> None:
    ran = run_console(["prove", "rt-1", "-n", typed], {"prove": PROOFS})
    assert (ran.code, "no event's number" in ran.err) == (2, True)


def test_a_proof_file_says_in_words_what_each_line_is_about() -> None:
    lines = proof_file().splitlines()
    about = "# issue rt-1, event 0, by ada^[[2J at 2026-01-31T12:00:00Z"
    assert lines[0] == f"{about}: title: Again; closed_at: 2026-01-31T12:00:00.000Z"
    assert lines[1].startswith("moot-proof-1 ")
    assert len(lines) == 4


def test_a_proof_file_names_nobody_where_the_event_has_no_actor() -> None:
    nameless = {**PROOFS[0], "what": told(0) | {"actor": ""}}
    about = run_console("prove rt-1", {"prove": [nameless]}).out.splitlines()[0]
    assert about.startswith("# issue rt-1, event 0, at 2026-01-31T12:00:00Z: title")


def test_prove_writes_a_file_where_one_is_named() -> None:
    ran = run_console("prove rt-1 -o p.txt", {"prove": PROOFS})
    assert ran.terminal.files["p.txt"].decode() == proof_file()
    assert ran.out == "✓ Wrote 2 proofs to p.txt\n"
    assert run_console("prove rt-1 -o p.txt", {"prove": PROOFS[:1]}).out == "✓ Wrote 1 proof to p.txt\n"
    assert ran.terminal.in_folders_that_are_there == {"p.txt"}
    assert ran.terminal.modes == {"p.txt": 0o600}


def test_what_prove_writes_verifies_and_shows_who_signed_what() -> None:
    ran = verify(proof_file())
    assert ran.code == 0
    assert ran.out.count("✓") == 2
    assert f"signed by replica {key_text(FEED.author)} (" in ran.out
    assert f"of town {key_text(TOWN.key.public)}" in ran.out
    assert "title = Fix ^[[31mit" in ran.out
    assert "that the time is true" in ran.err


def test_of_an_event_without_an_actor_only_the_time_is_shown() -> None:
    nameless = FEED.fork("nameless").write(Draft("issue", "rt-1", "", (Write("title", "x"),)))
    proof = {"proof": build_proof(nameless, nameless.header.first, CERTIFICATE, TOWN.genesis), "what": told(3)}
    shown = verify(proof_file(proof)).out.splitlines()
    assert [line for line in shown if line.startswith("  as alice at ")]
    assert [line for line in shown if line.startswith("  at 20")]
    assert not [line for line in shown if line.startswith("  as  at")]


def test_values_that_hold_bytes_are_shown_as_digits() -> None:
    certificate = {"proof": build_proof(FEED.batches[0], 1, CERTIFICATE, TOWN.genesis), "what": told(1)}
    shown = verify(proof_file(certificate))
    assert (shown.code, CERTIFICATE[2].hex() in shown.out) == (0, True)
    document = verify(proof_file(certificate), "--json").document["proofs"][2]
    assert document["changes"] == [{"field": "certificate", "value": [part.hex() for part in CERTIFICATE]}]


def test_an_event_of_a_time_beyond_all_calendars_is_shown() -> None:
    late = FEED.fork("late").write(note("late", entity="rt-1"), hlc=2**64 - 1)
    proof = {"proof": build_proof(late, late.header.first, CERTIFICATE, TOWN.genesis), "what": told(3)}
    assert verify(proof_file(proof)).code == 0
    assert verify(proof_file(proof), "--json").document["proofs"][2]["at"] == "9999-12-31T23:59:59.999Z"


def test_a_verified_proof_as_json_says_what_it_does_not_show() -> None:
    document = verify(proof_file(), "--json").document
    assert document["ok"] is True
    first = document["proofs"][0]
    assert (first["entity"], first["changes"]) == ("rt-1", [{"field": "title", "value": "Fix \x1b[31mit"}])
    assert len(first["not_shown"]) >= 3


def test_who_joined_with_an_invite_is_shown_with_it() -> None:
    ran = verify(proof_file(INVITED))
    assert ran.out.count("joined with invite") == 1
    assert f"  which joined with invite {key_text(INVITE.public)}\n" in ran.out
    documents = verify(proof_file(INVITED), "--json").document["proofs"]
    assert [each["invite"] for each in documents] == [None, None, key_text(INVITE.public)]


def test_of_another_town_it_is_shown_who_let_it_in() -> None:
    ran = verify(proof_file(FOREIGN))
    assert ran.out.count("let in by") == 1
    assert f"  of town {key_text(OTHER.key.public)}\n  let in by town {key_text(TOWN.key.public)}\n" in ran.out
    assert "shows no removals" in ran.err
    documents = verify(proof_file(FOREIGN), "--json").document["proofs"]
    assert [each["let_in_by"] for each in documents] == [[], [], [key_text(TOWN.key.public)]]


def test_what_any_of_the_proofs_does_not_show_is_said_once() -> None:
    assert "shows no closes" not in verify(proof_file()).err
    told = verify(proof_file(INVITED)).err
    assert told.count("shows no closes") == told.count("that the time is true") == 1


def test_proofs_as_json_are_text() -> None:
    document = run_console("prove rt-1 --json", {"prove": PROOFS}).document
    assert verify(f"moot-proof-1 {document[0]['proof']}\n").code == 0


def test_verifying_asks_the_daemon_nothing() -> None:
    terminal = RecordingTerminal(FACTS._replace(argv=("verify-proof", "-")), stdin=[proof_file().encode()])
    api = CannedApi()
    assert main.run(api, terminal, NOW_MS, str) == 0
    assert api.asked == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("moot-proof-1 ", "moot-proof-9 ", 1), "line 2: no proof: it begins with"),
        (lambda text: text[:-10] + "\n", "line 4: no proof"),
        (lambda text: "hello\n" + text, "line 1: no proof"),
        (lambda text: "# nothing\n\n", "there is no proof"),
        (lambda text: text.replace("moot-proof-1 ", "moot-proof-1 ß", 1), "line 2: no proof"),
    ],
    ids=["version", "cut", "text", "empty", "letters"],
)
def test_what_is_no_proof_is_told_by_its_line(change: object, told: str) -> None:
    assert callable(change)
    ran = verify(change(proof_file()))
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err


def test_a_proof_with_a_broken_link_says_which() -> None:
    data = bytearray(PROOFS[0]["proof"])
    place = bytes(data).index(b"it")
    data[place] ^= 1
    text = run_console("prove rt-1", {"prove": [{"proof": bytes(data), "what": told(1)}]}).out
    assert "line 2: the path doesn't hold" in verify(text).err
