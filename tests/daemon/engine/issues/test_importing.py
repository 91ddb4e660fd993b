"""What lines of a Beads file become: new issues whole, known ones by what differs, everything odd told by its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.errors import STORE_CODES, Code, MootError, RefusedError
from moot_protocol.issues.erasure import TITLE_ERASED
from moot_protocol.log.event import NewEntity
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.issues import Delete
from moot_protocol.requests.memories import SetSetting
from moot_protocol.requests.transfer import Export
from moot_protocol.time_units import DAY_MS
from moot_protocol.times import format_ms
from moot_testkit.towns.engine import PROJECT, START_MS, Desk, counts, exchange
from mootd.engine.checking.row_check import RowCheck
from mootd.engine.issues import importing
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.unit import Unit
from mootd.engine.views.cycles import WAITING

EXCERPT = Path(__file__).parents[3] / "data" / "beads-excerpt.jsonl"
AFTER_THE_FILE_MS = 4 * 365 * DAY_MS
"""So much later nothing that it says is still to come."""
OLD, NEW = "2023-01-01T00:00:00Z", "2023-02-01T00:00:00Z"


def line(name: str, **fields: Any) -> bytes:
    """A line of a file."""
    return json.dumps({"id": name, "title": f"Title of {name}"} | fields).encode()


def take(desk: Desk, *lines: bytes, first_line: int = 1, seen: FirstLines | None = None) -> dict[str, Any]:
    """Import lines in one transaction; what the request would answer."""
    parsed = parse(lines, first_line, FirstLines() if seen is None else seen)
    with desk.replica.transaction() as unit:
        return Importer(unit, desk.replica.ledger.number, PROJECT, "carol").take(parsed)


def problems(answer: dict[str, Any]) -> list[tuple[int, str]]:
    """Line and id of each problem, in the order told."""
    return [(problem["line"], problem["id"]) for problem in answer["problems"]]


def exported(desk: Desk) -> dict[str, dict[str, Any]]:
    """All lines of the export by id."""
    documents: list[dict[str, Any]] = []
    after = ""
    while True:
        page = desk.ask(Export(after=after))
        documents += map(json.loads, page["lines"])
        after = page["next"]
        if not after:
            return {document["id"]: document for document in documents}


# -- New lines ---------------------------------------------------------------------------------------------------
def test_a_real_file_comes_back_out_of_the_export_as_it_went_in(desk: Desk) -> None:
    desk.clock.advance(AFTER_THE_FILE_MS)
    given = EXCERPT.read_bytes().splitlines()
    answer = take(desk, *given)
    assert counts(answer) == {"created": len(given)}
    assert answer["problems"] == []
    wanted = {document["id"]: document for document in map(json.loads, given)}
    found = exported(desk)
    assert found.keys() == wanted.keys()
    for name, document in wanted.items():
        assert _unordered(found[name]) == _unordered(document)


def _unordered(document: dict[str, Any]) -> dict[str, Any]:
    """A document whose sets compare without regard to order."""
    sets = {name: sorted(map(repr, map(_sorted, document[name]))) for name in _SETS if name in document}
    return document | sets


def _sorted(element: Any) -> Any:
    return sorted(element.items()) if isinstance(element, dict) else element


_SETS = ("labels", "dependencies", "comments")


def test_a_line_that_leaves_the_priority_out_means_the_most_urgent_as_bd_reads_it(desk: Desk) -> None:
    take(desk, line("mt-left"), line("mt-told", priority=2))
    assert {name: each["priority"] for name, each in exported(desk).items()} == {"mt-left": 0, "mt-told": 2}
    assert desk.ready() == ["mt-left", "mt-told"]


def test_a_file_imported_twice_is_imported_once(desk: Desk) -> None:
    desk.clock.advance(AFTER_THE_FILE_MS)
    given = EXCERPT.read_bytes().splitlines()
    take(desk, *given)
    before, length = exported(desk), desk.log_length()
    answer = take(desk, *given)
    assert counts(answer) == {"unchanged": len(given)}
    assert answer["problems"] == []
    assert desk.log_length() == length
    assert exported(desk) == before


def test_how_often_what_is_derived_is_written_out_shows_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    given = EXCERPT.read_bytes().splitlines()[:40]
    at_once, often = Desk().found(), Desk().found()
    take(at_once, *given)
    monkeypatch.setattr(importing, "FLUSH_AFTER", 3)
    assert counts(take(often, *given)) == {"created": len(given)}
    assert often.batches() == at_once.batches()
    assert exported(often) == exported(at_once)
    assert (often.ready(), often.blocked()) == (at_once.ready(), at_once.blocked())


def test_an_import_of_the_own_export_changes_nothing(desk: Desk) -> None:
    desk.create("mt-1", description="Two\nlines", labels=("red",), metadata={"a": [1]})
    desk.create("mt-2", parent="mt-1")
    desk.do(Delete(actor="alice", id="mt-2", reason="Done elsewhere"))
    assert counts(take(desk, *map(str.encode, desk.ask(Export())["lines"]))) == {"unchanged": 2}


def test_lines_of_issues_that_other_projects_have_are_counted_beside_what_becomes_of_them(desk: Desk) -> None:
    here, other = desk.replica.ledger.number, "other"
    with desk.replica.transaction() as unit:
        Importer(unit, here, other, "carol").take(parse([line("ot-1"), line("ot-2")], 1, FirstLines()))
    desk.create("mt-1")
    answer = take(desk, line("mt-new"), line("mt-1", title="Changed"), line("ot-1"), line("ot-2", title="Changed"))
    assert counts(answer) == {"created": 1, "updated": 2, "unchanged": 1, "elsewhere": 2}
    assert answer["problems"] == []


# -- Odd lines ---------------------------------------------------------------------------------------------------
def test_of_an_id_that_stands_twice_the_first_line_counts_across_requests_too(desk: Desk) -> None:
    seen = FirstLines()
    first = take(desk, line("mt-1", title="First"), line("mt-1", title="Second"), seen=seen)
    assert (counts(first), problems(first)) == ({"created": 1}, [(2, "mt-1")])
    later = take(desk, line("mt-1", title="Third"), line("mt-2"), first_line=3, seen=seen)
    assert (counts(later), problems(later)) == ({"created": 1}, [(3, "mt-1")])
    assert desk.show("mt-1")["title"] == "First"


def test_lines_that_come_again_in_a_repeated_request_are_no_duplicates() -> None:
    seen = FirstLines()
    lines = [line("mt-1"), line("mt-2")]
    assert parse(lines, 5, seen) == parse(lines, 5, seen)
    assert parse(lines, 5, seen).problems == []


def test_what_is_no_issue_is_told_by_its_line_and_the_rest_goes_in(desk: Desk) -> None:
    answer = take(
        desk,
        b"<<<<<<< HEAD",
        line("mt-1"),
        b"",
        b"=======",
        line("mt-2")[:-5],
        b"[1, 2]",
        b'{"title": "no id"}',
        b"\xff\xfe",
        line("mt-3"),
        first_line=11,
    )
    assert counts(answer) == {"created": 2}
    assert problems(answer) == [(11, ""), (14, ""), (15, ""), (16, ""), (17, ""), (18, "")]
    told = {problem["line"]: problem["problem"] for problem in answer["problems"]}
    assert "conflict marker" in told[11]
    assert "conflict marker" in told[14]
    assert "cut short" in told[15]
    assert list(exported(desk)) == ["mt-1", "mt-3"]


def test_what_cannot_be_stored_of_a_line_is_told_in_order_of_line_and_the_rest_of_it_goes_in(desk: Desk) -> None:
    answer = take(desk, line("mt-1", title="x" * 501, priority=1), b"no JSON", line("mt-2", labels=["", "red"]))
    assert counts(answer) == {"created": 2}
    assert problems(answer) == [(1, "mt-1"), (2, ""), (3, "mt-2")]
    assert desk.show("mt-1")["priority"] == 1
    assert desk.show("mt-2")["labels"] == ["red"]


def test_a_priority_that_is_none_comes_last_in_ready_work_and_out_of_the_export_as_it_went_in(desk: Desk) -> None:
    given = {"mt-1": 9, "mt-2": "high", "mt-3": 1, "mt-4": -1}
    answer = take(desk, *[line(name, priority=value) for name, value in given.items()])
    assert problems(answer) == [(1, "mt-1"), (2, "mt-2"), (4, "mt-4")]
    assert [desk.show(name)["priority"] for name in given] == [4, 2, 1, 0]
    assert desk.ready() == ["mt-4", "mt-3", "mt-2", "mt-1"]
    assert {name: document["priority"] for name, document in exported(desk).items()} == given
    lines = map(str.encode, desk.ask(Export())["lines"])
    assert counts(take(desk, *lines)) == {"unchanged": 4}
    with desk.replica.read() as reader:
        check, found = RowCheck(desk.entities(reader)), desk.issues(reader)
        assert [check.problem(*found.find(name)[1:3]) for name in given] == [""] * 4


def test_a_line_without_a_title_is_told_where_it_makes_an_issue_and_only_there(desk: Desk) -> None:
    bare = [
        b'{"id": "mt-1", "priority": 1}',
        b'{"id": "mt-2", "labels": ["red"]}',
        b'{"id":"mt-3","status":"tombstone"}',
    ]
    assert problems(take(desk, *bare)) == [(1, "mt-1"), (2, "mt-2")]
    assert problems(take(desk, *bare)) == []


def test_a_status_and_a_type_are_told_unless_the_project_has_them(desk: Desk) -> None:
    given = [
        line("mt-1", status="waiting", issue_type="wisp"),
        line("mt-2", status="hooked", issue_type="epic"),
        line("mt-3", status="tombstone", issue_type="wisp"),
        line("mt-4", status="waiting", labels=["red"]),
    ]
    for _ in range(2):
        answer = take(desk, *given)
        assert problems(answer) == [(1, "mt-1"), (1, "mt-1"), (4, "mt-4")]
        assert all(problem["kept"] for problem in answer["problems"])
    desk.do(SetSetting(actor="alice", project=PROJECT, key="status.custom", value="waiting:wip"))
    answer = take(desk, *given)
    assert [problem["problem"].split(":")[0] for problem in answer["problems"]] == [
        'issue_type "wisp" is none of the project\'s'
    ]
    desk.do(SetSetting(actor="alice", project=PROJECT, key="types.custom", value="wisp"))
    assert take(desk, *given)["problems"] == []
    assert {name: document["status"] for name, document in exported(desk).items()} == {
        "mt-1": "waiting", "mt-2": "hooked", "mt-3": "tombstone", "mt-4": "waiting"
    }  # fmt: skip


def test_of_an_issue_that_another_project_has_its_own_statuses_count(desk: Desk) -> None:
    desk.do(SetSetting(actor="alice", project="other", key="status.custom", value="waiting"))
    with desk.replica.transaction() as unit:
        importer = Importer(unit, desk.replica.ledger.number, "other", "carol")
        assert importer.take(parse([line("ot-1", status="waiting")], 1, FirstLines()))["problems"] == []
    answer = take(desk, line("ot-1", status="waiting"), line("mt-1", status="waiting"))
    assert problems(answer) == [(2, "mt-1")]


def test_labels_with_white_space_at_their_ends_and_what_is_named_empty_are_told(desk: Desk) -> None:
    given = line("mt-1", status="", issue_type="", labels=[" red", "blue\u3000", "green"])
    for answer in (take(desk, given), take(desk, given)):
        assert all(problem["kept"] for problem in answer["problems"])
        assert [problem["problem"] for problem in answer["problems"]] == [
            'status "" is empty: kept, shown as open',
            'issue_type "" is empty: kept, shown as task',
            'label 1 " red" has white space at its ends, which no command gives: kept',
            'label 2 "blue\u3000" has white space at its ends, which no command gives: kept',
        ]
    assert exported(desk)["mt-1"]["labels"] == [" red", "blue\u3000", "green"]
    assert exported(desk)["mt-1"]["status"] == ""


# -- Times to come -----------------------------------------------------------------------------------------------
TOMORROW, LATER = format_ms(START_MS + DAY_MS), format_ms(START_MS + DAY_MS + 1)


def test_times_more_than_a_day_to_come_are_kept_and_told(desk: Desk) -> None:
    given = [
        line("mt-1", created_at=TOMORROW, updated_at=TOMORROW),
        line("mt-2", created_at=OLD, updated_at=LATER),
        line("mt-3", created_at=LATER, updated_at=LATER, status="closed", closed_at=LATER, labels=["no plain line"]),
        line("mt-4", due_at=LATER, defer_until=LATER),
        line("mt-5", status="tombstone", updated_at=LATER),
    ]
    for outcome in ("created", "unchanged"):
        answer = take(desk, *given)
        assert counts(answer) == {outcome: 5}
        assert [(problem["line"], problem["problem"], problem["kept"]) for problem in answer["problems"]] == [
            (2, "updated_at more than a day ahead of this machine's clock: kept", True),
            (3, "created_at, updated_at, closed_at more than a day ahead of this machine's clock: kept", True),
            (5, "updated_at more than a day ahead of this machine's clock: kept", True),
        ]
    assert exported(desk)["mt-2"]["updated_at"] == LATER
    desk.clock.advance(1)
    assert take(desk, *given)["problems"] == []


def test_of_a_line_that_is_left_out_no_time_is_told_as_kept(desk: Desk) -> None:
    take(desk, line("mt-1", updated_at=LATER))
    [problem] = take(desk, line("mt-1", updated_at=OLD, created_at=LATER))["problems"]
    assert problem["problem"].startswith("older than what is here")


def test_a_tombstone_may_name_no_status(desk: Desk) -> None:
    assert take(desk, line("mt-1", status="tombstone", issue_type="", deleted_at=OLD))["problems"] == []


def test_what_no_command_gives_comes_out_as_it_went_in(desk: Desk) -> None:
    given = {
        "id": "mt-1", "title": " ", "status": "waiting", "priority": 2, "issue_type": "wisp", "assignee": "a\nb",
        "estimated_minutes": -5, "created_at": OLD, "updated_at": OLD, "labels": ["a\x01", "b"],
        "dependencies": [{"issue_id": "mt-1", "depends_on_id": "mt-1", "type": "blocks", "created_at": OLD}],
        "comments": [{"id": 1, "issue_id": "mt-1", "author": "bob", "text": "", "created_at": OLD}],
    }  # fmt: skip
    answer = take(desk, json.dumps(given).encode())
    assert len(answer["problems"]) == 8
    assert exported(desk) == {"mt-1": given}
    assert counts(take(desk, json.dumps(given).encode())) == {"unchanged": 1}


@pytest.mark.parametrize("kind", sorted({*WAITING, "related"}))
def test_a_dependency_of_an_issue_on_itself_blocks_nothing_as_is_told(desk: Desk, kind: str) -> None:
    answer = take(desk, line("mt-1", dependencies=[{"depends_on_id": "mt-1", "type": kind}]))
    assert answer["problems"][0]["problem"].endswith("kept, blocks nothing")
    assert (desk.ready(), desk.blocked()) == (["mt-1"], [])


# -- Where nothing can be written --------------------------------------------------------------------------------
def refusal_of(desk: Desk, *lines: bytes) -> MootError:
    """The one error of an import that writes nothing."""
    before = desk.tables()
    with pytest.raises(MootError) as raised:
        take(desk, *lines)
    assert desk.tables() == before
    return raised.value


def test_a_replica_that_may_only_read_refuses_an_import_as_a_whole(desk: Desk) -> None:
    take(desk, line("mt-1"))
    reader = Desk("reader").join(desk, Role.READER)
    assert counts(take(reader, line("mt-1"))) == {"unchanged": 1}
    for lines in ([line("mt-2"), line("mt-3")], [line("mt-1"), line("mt-1", title="New"), line("mt-2")]):
        error = refusal_of(reader, *lines)
        assert isinstance(error, RefusedError)
        assert error.code is Code.DENIED
        assert "may only read" in error.message
    assert refusal_of(reader, line("mt-1", title="New")).code is Code.DENIED


@pytest.mark.parametrize("code", [Code.DENIED, Code.NOT_READY, Code.CLOCK_AHEAD, Code.NOT_FOUND, Code.STORE_FULL])
def test_what_is_no_lines_fault_is_one_error_and_takes_back_what_was_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    fail_at(monkeypatch, "mt-2", RefusedError("no key", code=code, hint="restore it"))
    # A refusal says that nothing was written before it, but for one of the store's: so this is none.
    kind = RefusedError if code in STORE_CODES else MootError
    error = refusal_of(desk, line("mt-1"), line("mt-2"), line("mt-3"))
    assert (type(error), error.code, error.message, error.hint) == (kind, code, "no key", "restore it")
    assert type(refusal_of(desk, line("mt-2"), line("mt-3"))) is RefusedError


@pytest.mark.parametrize("code", [Code.INVALID, Code.LIMIT])
def test_what_a_line_alone_is_refused_for_is_told_by_it_and_the_rest_goes_in(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, code: Code
) -> None:
    fail_at(monkeypatch, "mt-2", RefusedError("too much", code=code))
    answer = take(desk, line("mt-1"), line("mt-2"), line("mt-3"))
    assert counts(answer) == {"created": 2, "skipped": 1}
    assert answer["problems"] == [{"line": 2, "id": "mt-2", "problem": "too much", "refused": True}]


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, error: RefusedError) -> None:
    """Let whoever writes a new issue fail."""
    append_new = Unit.append_new

    def failing(unit: Unit, feed: int, entity: NewEntity) -> None:
        if entity.entity == name:
            raise error
        append_new(unit, feed, entity)

    monkeypatch.setattr(Unit, "append_new", failing)


# -- Lines of known issues ---------------------------------------------------------------------------------------
def test_a_line_older_than_what_is_here_is_skipped_and_told(desk: Desk) -> None:
    take(desk, line("mt-1", title="New", updated_at=NEW))
    length = desk.log_length()
    answer = take(desk, line("mt-1", title="Old", updated_at=OLD))
    assert (counts(answer), problems(answer)) == ({"skipped": 1}, [(1, "mt-1")])
    assert NEW in answer["problems"][0]["problem"]
    assert desk.log_length() == length


def test_a_newer_line_writes_what_differs_and_leaves_what_it_does_not_name(desk: Desk) -> None:
    first = {"priority": 1, "assignee": "bob", "description": "Long", "labels": ["red"], "updated_at": OLD}
    take(desk, line("mt-1", **first))
    length = desk.log_length()
    answer = take(desk, line("mt-1", priority=3, description="Long", labels=["blue"], updated_at=NEW))
    assert counts(answer) == {"updated": 1}
    shown = exported(desk)["mt-1"]
    assert (shown["priority"], shown["updated_at"]) == (3, NEW)
    assert (shown["assignee"], shown["description"], shown["labels"]) == ("bob", "Long", ["blue", "red"])
    with desk.replica.read() as reader:
        issues = desk.issues(reader)
        own = desk.replica.own_feed(desk.replica.ledger.number)
        written = [
            change.key
            for stored in issues.entities.log.history(issues.find("mt-1")[2].head)
            if stored.feed == own and stored.event.n > length
            for change in stored.event.skeleton.changes
        ]
    assert sorted(written) == ["labels", "priority", "updated_at"]


def test_what_was_deleted_here_stays_deleted_and_a_tombstone_deletes_what_is_here(desk: Desk) -> None:
    take(desk, line("mt-1", updated_at=OLD), line("mt-2", updated_at=OLD))
    desk.do(Delete(actor="alice", id="mt-1"))
    answer = take(desk, line("mt-1", updated_at=NEW), line("mt-2", status="tombstone", deleted_at=NEW, updated_at=NEW))
    assert (counts(answer), problems(answer)) == ({"skipped": 1, "updated": 1}, [(1, "mt-1")])
    assert "moot undelete" in answer["problems"][0]["problem"]
    assert {document["status"] for document in exported(desk).values()} == {"tombstone"}


def test_an_id_that_others_only_point_to_is_created(desk: Desk) -> None:
    take(desk, line("mt-1", dependencies=[{"depends_on_id": "mt-later", "type": "blocks"}]))
    assert counts(take(desk, line("mt-later"))) == {"created": 1}
    assert desk.blocked() == ["mt-1"]


# -- Lines of issues of which something was erased ---------------------------------------------------------------
@pytest.mark.parametrize("changed_at", ["", format_ms(START_MS + 60_000)])
def test_of_an_issue_with_erasures_a_line_of_no_time_or_one_to_come_is_left_out_and_told(
    desk: Desk, changed_at: str
) -> None:
    times = {"updated_at": changed_at} if changed_at else {}
    given, other = line("mt-1", description="kumquat", **times), line("mt-2", **times)
    take(desk, given, other)
    desk.do(Erase(actor="eve", id="mt-1"))
    length = desk.log_length()
    answer = take(desk, given, other)
    assert (counts(answer), problems(answer)) == ({"skipped": 1, "unchanged": 1}, [(1, "mt-1")])
    assert "erased here" in answer["problems"][0]["problem"]
    assert (desk.log_length(), exported(desk)["mt-1"]["title"]) == (length, TITLE_ERASED)


def test_a_time_to_come_is_taken_at_its_word_once_it_has_come(desk: Desk) -> None:
    take(desk, line("mt-1"))
    desk.do(Erase(actor="eve", id="mt-1"))
    later = START_MS + 60_000
    given = line("mt-1", title="Again", updated_at=format_ms(later))
    desk.clock.advance(59_999)
    assert counts(take(desk, given)) == {"skipped": 1}
    desk.clock.advance(1)
    assert counts(take(desk, given)) == {"updated": 1}


def test_a_time_that_the_log_has_come_to_is_none_to_come() -> None:
    one = Desk("one").found()
    two = Desk("two").join(one)  # with a clock of its own
    take(one, line("mt-1"))
    one.do(Erase(actor="eve", id="mt-1"))
    one.clock.advance(60_000)
    one.update("mt-1", priority=1)
    exchange(one, two)
    given = line("mt-1", title="Again", updated_at=format_ms(START_MS + 60_001))
    assert counts(take(two, given)) == {"skipped": 1}
    given = line("mt-1", title="Again", updated_at=format_ms(START_MS + 60_000))
    assert counts(take(two, given)) == {"updated": 1}
