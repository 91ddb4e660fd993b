"""Documents from the command line: what is asked of the daemon, what is shown before a decision, what is never lost."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from moot.console.command import Context
from moot.console.commands.issues.lifecycle import COMMANDS as LIFECYCLE
from moot.console.commands.knowledge.docs import COMMANDS
from moot.console.grammar import Grammar, Section
from moot.console.terminal import Facts
from moot_protocol.documents.document import starting_text
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.documents import (
    AdoptDocument,
    DocumentHistory,
    Documents,
    NewDocument,
    PublishDocument,
    ResolveDocument,
    ShowDocument,
)
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, InTurn, Ran
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal, without_colours

SEEN = "ab" * 32
DIFF = "--- nothing\n+++ reviewer of town T\n@@ -0,0 +1,1 @@\n+You review.\n"
DOCUMENT: dict[str, Any] = {
    "id": "role/reviewer", "kind": "role", "name": "reviewer", "plane": "shared", "in_conflict": False, "version": "",
    "title": "", "content": SEEN, "problem": "", "standing": "not_adopted", "town": "T" * 43, "town_name": "",
    "replica": "R" * 43, "actor": "ann", "at": NOW_MS, "n": 2, "is_own": False, "text": "You review.\n",
    "commands": {}, "hooks": {}, "runs": False, "adopted": None, "diff": DIFF, "writes": ["w1", "w2"], "changed": True,
}  # fmt: skip
OWN = DOCUMENT | {"standing": "own", "is_own": True, "diff": ""}
FORMULA = OWN | {"id": "formula/ship", "kind": "formula", "name": "ship", "version": "1.0.0"}
PERSON = without_colours(at_terminal(100))


class Editing(RecordingTerminal):
    """A terminal whose user leaves one text after the other; at the end, what they are given."""

    def __init__(self, facts: Facts, edits: Iterable[str], **parts: Any) -> None:
        super().__init__(facts, edited="", **parts)
        self._edits = list(edits)

    def edit(self, text: str) -> str:
        self.to_edit.append(text)
        return self._edits.pop(0) if self._edits else text


def run(
    argv: str, api: CannedApi, facts: Facts = FACTS, *, edits: Iterable[str] = (), plane: str = "p1", **parts: Any
) -> Ran:
    invocation = Grammar([Section("all", [*COMMANDS, *LIFECYCLE])]).read(argv.split())
    assert invocation.command is not None
    terminal = Editing(facts, edits, **parts)
    context = Context(
        api, terminal, invocation.arguments, "alice", "bd", json=invocation.arguments.json, now_ms=NOW_MS, plane=plane
    )
    return Ran(invocation.command.run(context), terminal, api)


def refusal(argv: str, api: CannedApi, *arguments: Any, **parts: Any) -> MootError:
    with pytest.raises(MootError) as caught:
        run(argv, api, *arguments, **parts)
    return caught.value


# -- Reading -----------------------------------------------------------------------------------------------------
def test_a_list_is_of_all_planes_unless_one_is_named() -> None:
    ran = run("doc list --kind role --plane shared", CannedApi(documents=[DOCUMENT]))
    assert ran.asked == [Documents(kind="role", plane="shared")]
    assert ran.out.startswith("role/reviewer not adopted")
    assert json.loads(run("doc list --json", CannedApi(documents=[DOCUMENT])).out) == [DOCUMENT]
    empty = run("doc list", CannedApi(documents=[]))
    assert (empty.out, empty.asked) == ("", [Documents()])
    assert "no documents" in empty.err


def test_show_tells_the_origin_first_and_that_it_is_not_this_town_s_word() -> None:
    ran = run("doc show reviewer", CannedApi(show_document=DOCUMENT))
    assert ran.asked == [ShowDocument(name="reviewer", home="p1")]
    head, _, text = ran.out.partition("\n\n")
    assert "standing: not adopted" in head
    assert text == "> You review.\n"
    assert "`moot doc adopt role/reviewer`" in ran.err
    assert run("doc show reviewer", CannedApi(show_document=OWN)).out.endswith("\n\nYou review.\n")


def test_show_as_json_is_the_document() -> None:
    ran = run("doc show role/reviewer --plane shared --json", CannedApi(show_document=DOCUMENT))
    assert (json.loads(ran.out), ran.err) == (DOCUMENT, "")


def test_history_tells_that_there_is_more() -> None:
    row = DOCUMENT | {"state": "shown"}
    ran = run("doc history reviewer -n 1", CannedApi(document_history=[row]))
    assert ran.asked == [DocumentHistory(name="reviewer", limit=1, home="p1")]
    assert ran.out.count("\n") == 1
    assert ran.err == "the newest version shown; --limit 0 shows all\n"
    assert json.loads(run("doc history reviewer --json", CannedApi(document_history=[row])).out) == [row]


# -- Beginning ---------------------------------------------------------------------------------------------------
def test_new_takes_its_text_from_a_file() -> None:
    ran = run("doc new role reviewer --from r.md --plane shared", CannedApi(new_document=OWN), files={"r.md": b"You."})
    assert ran.asked == [
        NewDocument(actor="alice", kind="role", name="reviewer", text="You.", plane="shared", home="p1")
    ]
    assert ran.out == "✓ Began role/reviewer on plane shared\n"


def test_new_opens_the_editor_after_asking_whether_it_may_be_written() -> None:
    ran = run("doc new role reviewer", CannedApi(new_document=OWN), PERSON, edits=["You."])
    start = starting_text("role", "reviewer")
    assert [(request.text, request.dry_run) for request in ran.asked] == [
        (start, True),
        ("You.", False),
    ]
    assert ran.terminal.to_edit == [start]


def test_a_text_that_is_left_as_it_began_is_not_written() -> None:
    api = CannedApi(new_document=OWN)
    assert "nothing was written" in refusal("doc new role reviewer", api, PERSON).message
    assert len(api.asked) == 1


def test_nothing_is_edited_where_it_may_not_be_written() -> None:
    denied = RefusedError("admins only", code=Code.DENIED)
    for argv, answers in (
        ("doc new role reviewer", {"new_document": denied}),
        ("doc edit reviewer", {"show_document": OWN, "publish_document": denied}),
    ):
        terminal_edits: list[str] = ["Never."]
        api = CannedApi(**answers)
        assert refusal(argv, api, PERSON, edits=terminal_edits) is denied
        assert all(request.dry_run for request in api.asked if isinstance(request, NewDocument | PublishDocument))


# -- Changing ----------------------------------------------------------------------------------------------------
def test_publish_takes_the_new_text_from_a_file_or_standard_input() -> None:
    ran = run(
        "doc publish ship --from - --bump minor",
        CannedApi(publish_document=FORMULA | {"version": "1.1.0"}),
        stdin=[b"for", b"mula"],
    )
    assert ran.asked == [PublishDocument(actor="alice", name="ship", text="formula", bump="minor", home="p1")]
    assert ran.out == "✓ Published formula/ship 1.1.0 on plane shared\n"


def test_publishing_what_is_there_says_so() -> None:
    unchanged = CannedApi(publish_document=OWN | {"changed": False})
    ran = run("doc publish reviewer --from r.md", unchanged, files={"r.md": b"x"})
    assert ran.out == "role/reviewer is as it was\n"


def test_a_conflict_that_a_write_made_is_told() -> None:
    ran = run(
        "doc publish reviewer --from r.md",
        CannedApi(publish_document=OWN | {"in_conflict": True}),
        files={"r.md": b"x"},
    )
    assert "in conflict now" in ran.err


def test_edit_writes_over_what_was_shown() -> None:
    api = CannedApi(show_document=OWN, publish_document=OWN)
    ran = run("doc edit reviewer", api, PERSON, edits=["You look.\n"])
    assert ran.terminal.to_edit == ["You review.\n"]
    assert ran.asked[1:] == [
        PublishDocument(actor="alice", name="role/reviewer", text=text, over=("w1", "w2"), dry_run=dry_run, home="p1")
        for text, dry_run in (("You review.\n", True), ("You look.\n", False))
    ]


def test_edit_counts_a_formula_s_version_up() -> None:
    api = CannedApi(show_document=FORMULA, publish_document=FORMULA)
    assert run("doc edit ship", api, PERSON, edits=["x"]).asked[-1].bump == "patch"
    api = CannedApi(show_document=FORMULA, publish_document=FORMULA)
    edited = run("doc edit ship --bump major", api, PERSON, edits=["x"])
    assert edited.asked[-1].bump == "major"


def test_a_text_that_is_left_as_it_was_is_not_published() -> None:
    ran = run("doc edit reviewer", CannedApi(show_document=OWN, publish_document=OWN), PERSON)
    assert ran.out == "role/reviewer is as it was\n"
    assert len(ran.asked) == 2


def test_a_text_that_is_refused_is_edited_again() -> None:
    problem = RefusedError("line 2: odd")
    api = CannedApi(show_document=OWN, publish_document=InTurn([OWN, problem, OWN]))
    ran = run("doc edit reviewer", api, PERSON, edits=["bad", "good"])
    assert ran.terminal.to_edit == ["You review.\n", "bad"]
    assert ran.asked[-1].text == "good"
    assert ran.err == "Not accepted: line 2: odd\n"


def test_a_refused_text_that_is_left_so_ends_with_the_refusal() -> None:
    problem = RefusedError("line 2: odd")
    api = CannedApi(show_document=OWN, publish_document=InTurn([OWN, problem]))
    assert refusal("doc edit reviewer", api, PERSON, edits=["bad"]) is problem


def test_what_no_other_text_helps_against_ends_the_edit() -> None:
    gone = RefusedError("gone", code=Code.CANCELLED)
    api = CannedApi(show_document=OWN, publish_document=InTurn([OWN, gone]))
    assert refusal("doc edit reviewer", api, PERSON, edits=["bad", "good"]) is gone


def test_a_document_that_can_t_be_used_can_be_edited_and_one_that_isn_t_here_can_t() -> None:
    api = CannedApi(show_document=OWN | {"problem": "odd"}, publish_document=OWN)
    assert len(run("doc edit reviewer", api, PERSON, edits=["x"]).asked) == 2
    missing = CannedApi(show_document=OWN | {"text": None})
    assert refusal("doc edit reviewer", missing, PERSON).code is Code.NOT_FOUND


# -- Adopting ----------------------------------------------------------------------------------------------------
def adopting(**parts: Any) -> CannedApi:
    return CannedApi(show_document=DOCUMENT | parts, adopt_document=DOCUMENT | parts | {"standing": "adopted"})


def test_a_person_reads_the_text_and_is_asked() -> None:
    ran = run("doc adopt reviewer", adopting(), PERSON, stdin=[b"Y\n"])
    shown, _, rest = ran.out.partition("Adopt role/reviewer as this town's word? [y/N] ")
    assert "> You review.\n" in shown
    assert rest == f"✓ Adopted role/reviewer of town TTTTTTTTTTTT, content {SEEN[:12]}\n"
    assert ran.asked[-1] == AdoptDocument(actor="alice", name="reviewer", content=SEEN, home="p1")


@pytest.mark.parametrize("typed", [[b"\n"], [b"no\n"], [], [b"\xff\n"]])
def test_anything_but_yes_adopts_nothing(typed: list[bytes]) -> None:
    ran = run("doc adopt reviewer", adopting(), PERSON, stdin=typed)
    assert (ran.code, ran.err) == (1, "not adopted\n")
    assert len(ran.asked) == 1


@pytest.mark.parametrize("argv", ["doc adopt reviewer", "doc adopt reviewer --json", "doc adopt reviewer --quiet"])
def test_where_nobody_can_be_asked_yes_has_to_be_said_before(argv: str) -> None:
    facts = FACTS if argv.endswith("reviewer") else PERSON
    assert refusal(argv, adopting(), facts, stdin=[b"y\n"]).code is Code.USAGE


def test_what_changed_since_the_text_in_force_is_shown_as_a_diff() -> None:
    diff = "--- reviewer\n+++ reviewer\n@@ -1,1 +1,1 @@\n-You look.\n+You review.\n"
    ran = run("doc adopt reviewer --yes", adopting(diff=diff))
    assert "-You look.\n+You review.\n" in ran.out


def test_a_role_that_runs_something_is_shown_as_a_diff_with_what_it_runs() -> None:
    ran = run("doc adopt reviewer --yes", adopting(runs=True, commands={"test": "make test"}))
    assert "  test: make test\n" in ran.out
    assert "@@ -0,0 +1,1 @@\n+You review.\n" in ran.out


def test_adopting_as_json_answers_with_the_diff_that_was_accepted() -> None:
    document = json.loads(run("doc adopt reviewer --yes --json", adopting()).out)
    assert (document["standing"], document["diff"]) == ("adopted", DIFF)


def test_one_s_own_word_needs_no_adoption() -> None:
    ran = run("doc adopt reviewer", CannedApi(show_document=OWN))
    assert "nothing to adopt" in ran.out
    assert not json.loads(run("doc adopt reviewer --json", CannedApi(show_document=OWN)).out)["changed"]


def test_what_can_t_be_used_is_not_adopted() -> None:
    assert "odd" in refusal("doc adopt reviewer --yes", CannedApi(show_document=DOCUMENT | {"problem": "odd"})).message


# -- Settling ----------------------------------------------------------------------------------------------------
def test_a_document_s_conflict_is_settled_like_an_issue_s() -> None:
    ran = run("resolve role/reviewer document --pick 2 --plane shared", CannedApi(resolve_document=OWN))
    assert ran.asked == [ResolveDocument(actor="alice", name="role/reviewer", pick=2, plane="shared", home="p1")]
    assert ran.out == "✓ Resolved role/reviewer on plane shared\n"
    ran = run("resolve reviewer document --value - --json", CannedApi(resolve_document=OWN), stdin=[b"You."])
    assert ran.asked == [ResolveDocument(actor="alice", name="reviewer", text="You.", home="p1")]
    assert json.loads(ran.out) == OWN


def test_where_there_is_no_terminal_a_text_comes_from_standard_input() -> None:
    ran = run_console("doc new formula ship", {"new_document": FORMULA}, stdin=[b"x"])
    assert (ran.code, "`moot doc new … --from -` reads it from standard input" in ran.err) == (4, True)
    ran = run_console("doc edit formula/ship", {"show_document": FORMULA, "publish_document": FORMULA})
    assert (ran.code, "`moot doc publish … --from -`" in ran.err) == (4, True)
