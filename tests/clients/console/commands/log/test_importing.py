"""import: pieces of a stream, counts and problems, files."""

import json

import pytest

from moot.console import exits
from moot.console.commands.log import importing
from moot.console.text.json_lines import split_lines
from moot_protocol.beads.line_problem import CONFLICT_MARKER
from moot_protocol.beads.pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.memories import Remember
from moot_protocol.requests.transfer import Import, ImportEdits
from moot_testkit.clients.console import in_turn, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

DONE = {"created": 2, "updated": 1, "unchanged": 3, "skipped": 0, "problems": [], "session": "s1"}


# -- import ------------------------------------------------------------------------------------------------------
def test_a_small_file_goes_as_one_request() -> None:
    ran = run_console("import issues.jsonl", {"import": DONE}, files={"issues.jsonl": b'{"id":1}\n{"id":2}\n'})
    assert ran.request == Import(actor="unknown", project="bd", lines=(b'{"id":1}', b'{"id":2}'), last=True)
    assert ran.err == "Imported from issues.jsonl: 2 created, 1 updated, 3 unchanged, 0 skipped of 2 lines\n"
    assert (ran.code, ran.out) == (0, "")


@pytest.mark.parametrize("argv", ["import -", "import -i -"])
def test_standard_input_is_a_hyphen(argv: str) -> None:
    assert run_console(argv, {"import": DONE}, stdin=[b"{}"]).request.lines == (b"{}",)


def test_a_large_file_goes_in_pieces_of_one_session_numbered_throughout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 2)
    ran = run_console("import - --json", {"import": DONE}, stdin=[b"a\nb\n", b"c\n\ne\n"])
    assert [(r.first_line, r.lines, r.session, r.last) for r in ran.asked] == [
        (1, (b"a", b"b"), "", False),
        (3, (b"c", b""), "s1", False),
        (5, (b"e",), "s1", True),
    ]
    assert ran.document == {
        "source": "stdin", "created": 6, "updated": 3, "unchanged": 9, "skipped": 0, "problems": []
    }  # fmt: skip


def test_pieces_are_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BYTES_AT_ONCE", 10)
    ran = run_console("import -", {"import": DONE}, stdin=[b"12345678\n12345678\n12\n"])
    assert [request.lines for request in ran.asked] == [(b"12345678",), (b"12345678", b"12")]


def test_a_single_line_is_told_as_one() -> None:
    assert run_console("import -", {"import": DONE}, stdin=[b"{}\n"]).err.endswith(" of 1 line\n")


def test_problems_are_reported_by_line_and_the_rest_goes_in() -> None:
    problems = [{"line": 7, "id": "bd-\x1b[2J", "problem": "a label of 200 characters"}]
    ran = run_console("import -", {"import": DONE | {"problems": problems}}, stdin=[b"{}\n"])
    assert ran.code == 0
    told, line = ran.err.splitlines()
    assert told.endswith("3 unchanged, 0 skipped, 1 problem of 1 line")
    assert line == "  line 7 bd-^[[2J: a label of 200 characters"


def test_a_line_that_is_too_long_is_reported_and_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "split_lines", lambda chunks: split_lines(chunks, most=5))
    ran = run_console("import - --json", {"import": DONE}, stdin=[b"a\n", b"longer than", b" five\nc\n"])
    assert ran.request.lines == (b"a", b"", b"c")
    assert [(each["line"], each["problem"][:11]) for each in ran.document["problems"]] == [(2, "longer than")]


def test_of_many_problems_a_person_sees_the_first_and_how_many_more() -> None:
    problems = [{"line": number, "id": "bd-1", "problem": "cut"} for number in range(60)]
    lines = run_console("import -", {"import": DONE | {"problems": problems}}, stdin=[b"{}\n"]).err.splitlines()
    assert len(lines) == 1 + 50 + 1
    assert lines[-1] == "  and 10 more; --json lists all"


def test_where_a_line_could_not_be_read_it_fails_and_says_so_last_though_the_rest_went_in() -> None:
    bad = {"problems": [{"line": each, "id": "", "problem": "no JSON"} for each in (1, 2)]}
    ran = run_console("import -", {"import": DONE | bad}, stdin=[b"x\n"])
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "  2 lines could not be read: see above")
    ran = run_console("import - --json", {"import": DONE | bad}, stdin=[b"x\n"])
    assert (ran.code, ran.document["unreadable"]) == (1, 2)


@pytest.mark.parametrize(("is_refused", "is_all", "code"), [(False, True, 0), (True, False, 0), (True, True, 1)])
def test_a_line_that_was_read_fails_nothing_unless_all_there_was_to_write_was_refused(
    is_refused: bool, is_all: bool, code: int
) -> None:
    problem = {"line": 1, "id": "bd-1", "problem": "older, or no right"} | ({"refused": True} if is_refused else {})
    nothing = dict.fromkeys(("created", "updated", "unchanged"), 0) if is_all else {}
    assert run_console("import -", {"import": DONE | nothing | {"problems": [problem]}}, stdin=[b"x\n"]).code == code


def test_of_conflict_markers_it_is_told_which_side_was_taken() -> None:
    marker = {"problems": [{"line": 1, "id": "", "problem": CONFLICT_MARKER}]}
    ran = run_console("import -", {"import": DONE | marker}, stdin=[b"<<<<<<<\n"])
    assert ran.err.splitlines()[-2] == (
        "  both sides of the merge were offered; of an issue that stands in both, the upper line was taken"
    )


@pytest.mark.parametrize("hint", ["", "make space"])
def test_what_fails_on_the_way_says_how_much_is_in(hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 2)

    def full() -> RefusedError:
        return RefusedError("the disk is full", code=Code.LIMIT, hint=hint)

    ran = run_console("import -", {"import": in_turn(DONE, full())}, stdin=[b"{}\n" * 7])
    assert ran.code
    assert f"{hint}; 2 of 7 lines are in; run it again".lstrip("; ") in ran.err
    assert "lines are in" not in run_console("import -", {"import": full()}, stdin=[b"{}\n" * 7]).err
    dry = {"import": in_turn(DONE, full())}
    assert "lines are in" not in run_console("import - --dry-run", dry, stdin=[b"{}\n" * 7]).err


def test_where_nothing_can_be_written_the_import_is_one_refusal() -> None:
    denied = RefusedError("this replica may only read here", code=Code.DENIED)
    ran = run_console("import -", {"import": denied}, stdin=[b"{}\n" * 7])
    assert (ran.code, ran.out, ran.err) == (exits.DENIED, "", "Error: this replica may only read here\n")


@pytest.mark.parametrize("argv", ["import f", "import --since b f"])
def test_a_file_that_is_one_document_is_refused_with_what_to_do(argv: str) -> None:
    ran = run_console(argv, files={"f": b'[\n  {\n    "id": "bd-1"', "b": b""})
    assert (ran.code, ran.asked) == (1, [])
    assert "f is one JSON document; import needs one object a line (JSONL)" in ran.err
    assert "jq -c '.[]' FILE" in ran.err


@pytest.mark.parametrize("argv", ["import -", "import - --dry-run"])
def test_what_other_projects_have_is_counted_over_all_pieces_and_told(
    argv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 1)
    answers = {"import": DONE | {"elsewhere": 2}}
    ran = run_console(argv, answers, stdin=[b"{}\n{}\n"])
    assert "  4 issues of the file already in other projects of this town, and left there; see" in ran.err
    assert len(ran.asked) == 2
    assert run_console(f"{argv} --json", answers, stdin=[b"{}\n{}\n"]).document["elsewhere"] == 4


def test_where_other_projects_have_none_or_the_daemon_does_not_say_nothing_is_told_of_them() -> None:
    for answered in (DONE, DONE | {"elsewhere": 0}):
        assert run_console("import -", {"import": answered}, stdin=[b"{}\n"]).err.endswith(" of 1 line\n")
        assert "elsewhere" not in run_console("import - --json", {"import": answered}, stdin=[b"{}\n"]).document


def test_what_two_states_of_a_file_share_says_nothing_of_projects() -> None:
    answers = {"import_edits": EDITED}
    ran = run_console("import --since b f", answers, files={"b": b'{"id":"bd-1"}\n', "f": b'{"id":"bd-1"}\n'})
    assert ran.err.endswith(" of 1 line\n")


def test_an_empty_file_is_nothing_to_do() -> None:
    ran = run_console("import - --json", stdin=[])
    assert (ran.code, ran.asked) == (0, [])
    assert ran.document["created"] == 0


def test_a_dry_run_is_passed_on_and_told() -> None:
    ran = run_console("import - --dry-run", {"import": DONE}, stdin=[b"{}\n"])
    assert ran.request.dry_run
    assert ran.err.startswith("Would import")


@pytest.mark.parametrize("argv", ["import", "import a -i b"])
def test_import_needs_one_file(argv: str) -> None:
    assert run_console(argv).code == 2


def test_called_as_bd_without_a_file_the_projects_own_is_taken_in() -> None:
    path = f"{FACTS.folder}/.beads/issues.jsonl"
    ran = run_console("import --json", {"import": DONE}, files={path: b"{}"}, facts=FACTS._replace(program="bd"))
    assert ran.document["source"] == path


def test_import_needs_a_project() -> None:
    assert run_console("import -", project="", stdin=[b"{}"]).code == 3


def test_import_shows_progress_when_it_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LINES_AT_ONCE", 1)
    seconds = iter(range(100))
    ran = run_console(
        "import -", {"import": DONE}, stdin=[b"a\nb\n"], facts=at_terminal(), seconds=lambda: float(next(seconds))
    )
    assert "importing: 1 lines" in ran.err


# -- import --since ----------------------------------------------------------------------------------------------
EDITED = {"created": 1, "updated": 1, "deleted": 0, "missing": 1, "unchanged": 0, "skipped": 0, "problems": []}
BEFORE = b'{"id": "a"}\n{"id": "b"}\n{"id": "c"}\n'
AFTER = b'{"id": "a"}\n{"id": "c", "size": 1}\n{"id": "d"}\n'
CHANGES = (
    LinePair(3, b'{"id": "c"}', 2, b'{"id": "c", "size": 1}'),
    LinePair(0, b"", 3, b'{"id": "d"}'),
    LinePair(2, b'{"id": "b"}', 0, b""),
)


def test_only_lines_that_differ_between_two_states_of_a_file_are_sent() -> None:
    ran = run_console(
        "import --since old.jsonl new.jsonl", {"import_edits": EDITED}, files={"old.jsonl": BEFORE, "new.jsonl": AFTER}
    )
    assert ran.request == ImportEdits(actor="unknown", project="bd", pairs=CHANGES)
    counts = "1 created, 1 updated, 0 deleted, 1 missing, 1 unchanged, 0 skipped of 3 lines"
    assert ran.err == f"Imported what changed since old.jsonl from new.jsonl: {counts}\n"
    assert (ran.code, ran.out) == (0, "")


def test_equal_files_ask_for_nothing() -> None:
    ran = run_console("import --since old.jsonl - --json", stdin=[BEFORE], files={"old.jsonl": BEFORE})
    assert (ran.code, ran.asked) == (0, [])
    assert ran.document == {
        "source": "stdin", "since": "old.jsonl", "created": 0, "updated": 0, "deleted": 0, "missing": 0,
        "unchanged": 3, "skipped": 0, "problems": [],
    }  # fmt: skip


def test_differences_go_in_pieces_bounded_in_lines_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"old.jsonl": BEFORE, "new.jsonl": AFTER}
    monkeypatch.setattr(importing, "PAIRS_AT_ONCE", 2)
    ran = run_console("import --since old.jsonl new.jsonl", {"import_edits": EDITED}, files=files)
    assert [request.pairs for request in ran.asked] == [CHANGES[:2], CHANGES[2:]]
    monkeypatch.setattr(importing, "BYTES_AT_ONCE", 40)
    ran = run_console("import --since old.jsonl new.jsonl --dry-run", {"import_edits": EDITED}, files=files)
    assert [request.pairs for request in ran.asked] == [CHANGES[:1], CHANGES[1:]]
    assert all(request.dry_run for request in ran.asked)


def test_odd_lines_are_told_by_file_and_number_with_what_the_daemon_reports() -> None:
    missing = {"line": 2, "id": "b", "problem": "not in the file", "base": True}
    left_out = {"line": 1, "id": "c", "problem": "title left out"}
    ran = run_console(
        "import --since old.jsonl -",
        {"import_edits": EDITED | {"problems": [left_out, missing]}},
        stdin=[b'{"id": "c"}\n{"id": "a"\n<<<<<<< HEAD\n'],
        files={"old.jsonl": b'{"id": "c", "size": 1}\n{"id": "b"}\n{"id": "b"}\n'},
    )
    assert [told.split(":")[0] for told in ran.err.splitlines()[1:]] == [
        "  base line 2 b", "  base line 3 b", "  line 1 c", "  line 2", "  line 3",
        "  both sides of the merge were offered; of an issue that stands in both, the upper line was taken",
        "  2 lines could not be read",
    ]  # fmt: skip
    assert ran.code == 1


def test_lines_of_the_earlier_state_that_could_not_be_read_fail_nothing() -> None:
    files = {"old.jsonl": b'cut\n{"id":"a"}\n', "new.jsonl": b'{"id":"a"}\n'}
    ran = run_console("import --since old.jsonl new.jsonl --json", {"import_edits": EDITED}, files=files)
    assert (ran.code, [each["base"] for each in ran.document["problems"]]) == (0, [True])
    assert "unreadable" not in ran.document


@pytest.mark.parametrize(("torn", "deletes"), [(b"", True), (b'{"id": "b"\n', False)])
def test_missing_lines_delete_only_if_asked_for_and_every_line_could_be_read(torn: bytes, deletes: bool) -> None:
    files = {"old.jsonl": BEFORE, "new.jsonl": AFTER + torn}
    ran = run_console("import --since old.jsonl new.jsonl --delete-missing", {"import_edits": EDITED}, files=files)
    assert ran.request.delete_missing is deletes


@pytest.mark.parametrize("argv", ["import --since - -", "import --delete-missing a"])
def test_what_makes_no_sense_with_since_is_refused(argv: str) -> None:
    assert run_console(argv).code == 2


# -- Memories ----------------------------------------------------------------------------------------------------
MEMORIES = (
    b'{"_type":"memory","key":"auth","value":"JWT"}\n{"id":"a"}\n{"_type": "memory", "key": "b", "value": "\xc3\xa9"}\n'
)


def test_lines_of_memories_are_kept_as_memories_and_the_rest_keeps_its_numbers() -> None:
    ran = run_console("import f --json", {"import": DONE, "script": [{}, {}]}, files={"f": MEMORIES})
    script, lines = ran.asked
    assert [(step["params"]["key"], step["params"]["text"]) for step in script.steps] == [("auth", "JWT"), ("b", "é")]
    assert lines.lines == (b"", b'{"id":"a"}', b"")
    assert ran.document["memories"] == 2


def test_a_memory_of_which_something_was_erased_is_left_out_counted_and_told() -> None:
    answers = {"import": DONE, "script": [{"created": True}, {"_erased": True, "_unchanged": True}]}
    ran = run_console("import f --json", answers, files={"f": MEMORIES})
    assert all(step["params"]["unless_erased"] for step in ran.asked[0].steps)
    assert (ran.document["memories"], ran.document["skipped"]) == (1, 1)
    (problem,) = [each for each in ran.document["problems"] if each["id"] == "b"]
    assert (problem["line"], ran.code) == (3, 0)
    assert "was erased here" in problem["problem"]
    ran = run_console("import f", answers, files={"f": MEMORIES})
    assert "1 kept as memories" in ran.err
    assert "line 3 b: some of this memory was erased here" in ran.err


def test_memories_go_in_some_at_a_time_and_a_dry_run_writes_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MEMORIES_AT_ONCE", 1)
    ran = run_console("import f --dry-run", {"import": DONE, "remember": {}}, files={"f": MEMORIES})
    assert [request.dry_run for request in ran.asked if isinstance(request, Remember)] == [True, True]
    assert "2 kept as memories" in ran.err


@pytest.mark.parametrize(
    "line",
    [
        b'{"id":"a","title":"about \\"memory\\""}',
        b'{"_type":"memory","key":"","value":"x"}',
        b'{"_type":"memory"}',
        b'"memory"',
    ],
)
def test_what_is_no_memory_goes_on_as_it_stands(line: bytes) -> None:
    assert importing.memory_of(line) is None
    assert run_console("import f", {"import": DONE}, files={"f": line}).request.lines == (line,)


# -- What is left out --------------------------------------------------------------------------------------------
HERE = [{"id": "bd-1", "title": "Fix  the Login", "status": "open"}, {"id": "bd-2", "title": "Old", "status": "closed"}]


def test_new_lines_with_an_open_issues_title_are_left_out_if_that_is_asked_for() -> None:
    lines = [
        b'{"id":"bd-9","title":"fix the  login"}', b'{"id":"bd-1","title":"Fix  the Login"}',
        b'{"id":"bd-8","title":"old"}', b"{", b'{"id":"\xff"}', b'{"x":' + b"[" * 10_000,
    ]  # fmt: skip
    pages = [{"lines": [json.dumps(each)], "next": each["id"]} for each in HERE] + [{"lines": [], "next": ""}]
    answers = {"import": DONE, "export": in_turn(*pages, *pages)}
    ran = run_console("import - --dedup --json", answers, stdin=[b"\n".join(lines)])
    assert ran.asked[-1].lines == (b"", *lines[1:])
    assert ran.document["deduplicated"] == 1
    assert "1 left out as there already" in run_console("import - --dedup", answers, stdin=[lines[0]]).err
    assert run_console("import a --since b --dedup").code == 2
