"""Erasing what people wrote in an issue: it is gone from everything that is stored, and the rest stands as before."""

from typing import Any

import pytest

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.erasure import TITLE_ERASED, WORDS
from moot_protocol.limits import OVER_PER_KEY
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.deletion import DELETED, deletion
from moot_protocol.merge.kinds import ISSUE, Role
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.actions import Diff, Erase, Undo
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.issues import (
    AddComment,
    Conflicts,
    Count,
    Create,
    Delete,
    Edge,
    History,
    IssueFields,
    ListIssues,
    Show,
    Undelete,
    Update,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.times import format_ms
from moot_protocol.trust.proof import verify_proof
from moot_testkit.laws import replica as laws
from moot_testkit.towns.engine import START_MS, Desk, counts, exchange, imported, town_of
from moot_testkit.towns.federating import federation, meet
from moot_testkit.towns.town import PROJECT
from mootd.engine.issues.copies import MARK
from mootd.engine.issues.editor import append
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.proving import Prover
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.service.writing.writes import carry_out
from mootd.store.port import Table

HEARD = "kumquat"


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


def tick(desk: Desk) -> None:
    desk.clock.advance(1000)


def erase(desk: Desk, *fields: str, issue: str = "mt-1", **parts: Any) -> dict[str, Any]:
    tick(desk)
    answer = desk.do(Erase(actor="eve", id=issue, fields=fields, **parts))
    tick(desk)
    return answer


def is_heard(desk: Desk) -> bool:
    """Whether what was erased stands anywhere in the store."""
    return any(HEARD.encode() in value for rows in desk.tables().values() for value in rows.values())


def changes(desk: Desk, field: str, issue: str = "mt-1") -> list[dict[str, Any]]:
    """What history tells of a field, newest first, but for who erased it."""
    told = desk.ask(History(id=issue, limit=0))
    shown = [change for event in told for change in event["changes"] if change["field"] == field]
    return [{name: value for name, value in change.items() if name != "erased_by"} for change in shown]


def without(document: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"updated_at", *fields}}


# -- What goes, and what stays -----------------------------------------------------------------------------------
def test_every_version_of_a_field_is_gone_and_all_else_stays(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=f"{HEARD} one", notes="kept", priority=1, labels=("ui",))
    desk.update("mt-1", description=f"{HEARD} two")
    before = desk.show("mt-1")
    answer = erase(desk, "description")
    assert answer == {
        "id": "mt-1", "fields": ["description"], "events": 2, "rewritten": [], "written_over": 0,
        "not_mine": 0,
    }  # fmt: skip
    assert not is_heard(desk)
    assert without(desk.show("mt-1")) == without(before, "description")
    assert changes(desk, "description") == [
        {"field": "description", "value": ""},
        {"field": "description", "missing": True, "erased": True},
        {"field": "description", "missing": True, "erased": True},
    ]


def test_without_fields_all_that_people_wrote_goes(desk: Desk) -> None:
    desk.create(
        "mt-1", HEARD, description=HEARD, design=HEARD, acceptance_criteria=HEARD, notes=HEARD, labels=(HEARD,),
        external_ref=HEARD, spec_id=HEARD, metadata={HEARD: HEARD}, owner="carol",
    )  # fmt: skip
    desk.do(AddComment(actor="bob", id="mt-1", text=HEARD))
    answer = erase(desk)
    assert set(answer["fields"]) == WORDS - {"close_reason", "extra", "delete_reason"}
    assert not is_heard(desk)
    shown = desk.show("mt-1")
    assert (shown["title"], shown["owner"], shown["created_by"]) == (TITLE_ERASED, "carol", "alice")


def test_what_else_an_event_said_is_written_again(desk: Desk) -> None:
    desk.create("mt-1", HEARD, priority=0, labels=("ui",), issue_type="bug", assignee="bob")
    before = desk.show("mt-1")
    assert erase(desk, "title")["rewritten"] == [
        "assignee", "created_by", "issue_type", "labels", "priority", "project", "status",
    ]  # fmt: skip
    assert without(desk.show("mt-1")) == without(before | {"title": TITLE_ERASED})
    assert not is_heard(desk)


def test_values_beside_it_that_were_written_over_go_with_it_and_are_counted(desk: Desk) -> None:
    desk.create("mt-1", HEARD, priority=0)
    desk.update("mt-1", priority=3)
    answer = erase(desk, "title")
    assert (answer["written_over"], "priority" in answer["rewritten"]) == (1, False)
    assert desk.show("mt-1")["priority"] == 3
    assert changes(desk, "priority")[-1] == {"field": "priority", "missing": True, "erased": True}


def test_a_claim_that_stood_beside_it_stays_with_its_lease(desk: Desk) -> None:
    desk.create("mt-1", "Title")
    desk.do(ClaimReady(actor="bob", filter=Filter(projects=("mt",)), ttl_ms=3_600_000))
    desk.update("mt-1", title=HEARD, actor="bob")
    before = desk.show("mt-1")
    assert before["_claim"]
    erase(desk, "title")
    after = desk.show("mt-1")
    assert [after[name] for name in ("status", "assignee", "_claim")] == [
        before[name] for name in ("status", "assignee", "_claim")
    ]


def test_a_claim_in_the_same_event_stays_with_its_lease(desk: Desk) -> None:
    desk.create("mt-1", "Title")
    desk.update("mt-1", title=HEARD, claim=True, ttl_ms=3_600_000, actor="bob")
    before = desk.show("mt-1")
    newest = desk.ask(History(id="mt-1", limit=1))[0]
    assert {"title", "leases", "assignee"} <= {change["field"] for change in newest["changes"]}
    erase(desk, "title")
    after = desk.show("mt-1")
    assert (after["status"], after["assignee"], after["_claim"]) == ("in_progress", "bob", before["_claim"])


def test_edges_keep_their_time_and_author(desk: Desk) -> None:
    desk.create("mt-2")
    desk.create("mt-1", HEARD, edges=(Edge("mt-2", "related", ""),), actor="bob")
    before = desk.show("mt-1")["dependencies"]
    assert "edges" in erase(desk, "title")["rewritten"]
    assert desk.show("mt-1")["dependencies"] == before


def test_entries_of_metadata_go_and_one_by_one_they_stay_where_only_others_are_named(desk: Desk) -> None:
    desk.create("mt-1", "Title", metadata={"a": HEARD, "b": 1}, labels=("ui",))
    desk.update("mt-1", set_metadata={"b": 2})
    erase(desk, "metadata")
    assert "metadata" not in desk.show("mt-1")
    assert desk.show("mt-1")["labels"] == ["ui"]
    assert not is_heard(desk)


def test_disagreeing_values_go_together_and_leave_no_conflict() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", "Title")
    exchange(one, two)
    one.update("mt-1", title=f"{HEARD} one", priority=1)
    two.update("mt-1", title=f"{HEARD} two", priority=4)
    exchange(one, two)
    assert {row["field"] for row in one.ask(Conflicts(id="mt-1"))} == {"priority", "title"}
    erase(one, "title")
    exchange(one, two)
    assert [row["field"] for row in two.ask(Conflicts(id="mt-1"))] == ["priority"], "what disagrees beside it does"
    assert not is_heard(one)
    assert not is_heard(two)
    assert one.show("mt-1") == two.show("mt-1")
    assert one.digest() == two.digest()


def test_a_deleted_issue_stays_deleted_without_dispute_and_can_be_undeleted(desk: Desk) -> None:
    desk.create("mt-1", HEARD, description=HEARD)
    tick(desk)
    desk.do(Delete(actor="bob", id="mt-1", reason="old"))
    erase(desk, *WORDS - {"delete_reason"})
    shown = desk.show("mt-1")
    assert (shown["status"], shown["delete_reason"], "_conflicts" in shown) == ("tombstone", "old", False)
    desk.do(Undelete(actor="bob", id="mt-1"))
    assert (desk.show("mt-1")["status"], desk.show("mt-1")["title"]) == ("open", TITLE_ERASED)
    assert not is_heard(desk)


@pytest.mark.parametrize("fields", [(), ("delete_reason",), ("title", "delete_reason")])
def test_of_a_deletion_only_the_reason_goes(desk: Desk, fields: tuple[str, ...]) -> None:
    desk.create("mt-1", "Title")
    tick(desk)
    desk.do(Delete(actor="bob", id="mt-1", reason=HEARD))
    before = desk.show("mt-1")
    answer = erase(desk, *fields)
    assert "delete_reason" in answer["fields"]
    assert not is_heard(desk)
    shown = desk.show("mt-1")
    assert (shown["status"], shown["deleted_by"], shown["deleted_at"]) == ("tombstone", "bob", before["deleted_at"])
    assert ("delete_reason" in shown, "_conflicts" in shown) == (False, False)
    assert erase(desk, *fields)["_unchanged"], "there is nothing left of it"
    desk.do(Undelete(actor="bob", id="mt-1"))
    assert desk.show("mt-1")["status"] == "open"


def test_any_number_of_elements_is_cleared_in_as_many_events_as_it_takes(desk: Desk) -> None:
    count = OVER_PER_KEY + 2
    comments = [{"id": number, "author": "ann", "text": f"{HEARD} {number}"} for number in range(count)]
    imported(desk, {"id": "mt-1", "title": "Title", "status": "open", "comments": comments})
    assert len(desk.show("mt-1")["comments"]) == count
    assert erase(desk, "comments")["fields"] == ["comments"]
    assert "comments" not in desk.show("mt-1")
    assert not is_heard(desk)


def test_what_makes_an_issue_a_copy_is_no_word_of_anybody(desk: Desk) -> None:
    desk.create("mt-1", "Title", metadata={MARK: "s-1", "note": HEARD})
    erase(desk)
    assert not is_heard(desk)
    assert desk.show("mt-1")["metadata"] == {MARK: "s-1"}


def test_a_deletion_in_the_same_event_as_a_text_stays_without_dispute(desk: Desk) -> None:
    desk.create("mt-1", "Title", labels=("ui",))
    writes = [Write("title", HEARD), Write(DELETED, deletion("bob", "old", desk.clock.now_ms()))]
    with desk.replica.transaction() as unit:
        append(unit, desk.replica.ledger.number, Draft(ISSUE, "mt-1", "bob", writes))
    before = desk.show("mt-1")
    erase(desk, "title", "labels")
    shown = desk.show("mt-1")
    assert [shown.get(name) for name in ("status", "delete_reason", "_conflicts")] == ["tombstone", "old", None]
    assert before["status"] == "tombstone"
    assert not is_heard(desk)


def test_imported_comments_and_odd_values_go(desk: Desk) -> None:
    line = {
        "id": "mt-1", "title": "T", "status": "open", "priority": 1, "issue_type": "task", "labels": ["x"],
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "unknown": HEARD,
        "comments": [{"id": 7, "author": "ada", "text": HEARD, "created_at": "2026-01-01T00:00:00Z"}],
    }  # fmt: skip
    imported(desk, line)
    assert {"comments", "extra"} <= set(erase(desk, "comments", "extra")["fields"])
    shown = desk.show("mt-1")
    assert (shown["title"], shown["labels"], "comments" in shown, "unknown" in shown) == ("T", ["x"], False, False)
    assert not is_heard(desk)


def test_a_second_time_there_is_nothing_to_do(desk: Desk) -> None:
    desk.create("mt-1", "Title", notes=HEARD)
    erase(desk, "notes")
    length = desk.log_length()
    answer = erase(desk, "notes")
    assert (answer["_unchanged"], answer["events"], desk.log_length()) == (True, 0, length)


def test_what_is_written_afterwards_is_erased_by_another_erasure(desk: Desk) -> None:
    desk.create("mt-1", "Title", notes=HEARD)
    erase(desk, "notes")
    desk.update("mt-1", notes=f"{HEARD} again")
    assert erase(desk, "notes")["events"] == 1
    assert not is_heard(desk)


def test_what_was_cleared_before_stands_though_its_event_goes_for_another_field(desk: Desk) -> None:
    desk.create("mt-1", HEARD, labels=("ui",), external_ref=HEARD)
    erase(desk, "title", "external_ref")
    assert {"title", "labels"} <= {change["field"] for change in desk.ask(History(id="mt-1", limit=1))[0]["changes"]}
    erase(desk)
    shown = desk.show("mt-1")
    assert (shown["title"], "_missing" in shown, "external_ref" in shown) == (TITLE_ERASED, False, False)


def test_a_dry_run_tells_the_same_and_writes_nothing(desk: Desk) -> None:
    desk.create("mt-1", HEARD, description=HEARD)
    before, length = desk.show("mt-1"), desk.log_length()
    told = desk.do(Erase(actor="eve", id="mt-1", dry_run=True))
    assert (desk.show("mt-1"), desk.log_length()) == (before, length)
    assert desk.do(Erase(actor="eve", id="mt-1")) == told


@pytest.mark.parametrize("field", ["status", "priority", "assignee", "edges", "nonsense"])
def test_fields_that_say_how_an_issue_stands_are_refused(desk: Desk, field: str) -> None:
    desk.create("mt-1")
    assert desk.refusal(Erase(actor="eve", id="mt-1", fields=("title", field))) is Code.INVALID


def test_an_issue_that_is_not_there_is_not_found(desk: Desk) -> None:
    assert desk.refusal(Erase(actor="eve", id="mt-9")) is Code.NOT_FOUND


def test_log_and_views_are_right_afterwards_and_after_a_rebuild(desk: Desk) -> None:
    desk.create("mt-1", HEARD, description=HEARD, labels=("ui",))
    desk.update("mt-1", title=f"{HEARD} again", priority=0)
    erase(desk)
    member: Any = _Member(desk)
    laws.check_fsck(member)
    laws.check_rebuild(member)
    laws.check_fsck(member)
    assert not is_heard(desk)


class _Member:
    """A desk as laws look at it."""

    name = "desk"

    def __init__(self, desk: Desk) -> None:
        self.replica = desk.replica

    def commit(self, work: Any) -> Any:
        with self.replica.transaction() as unit:
            return work(unit)


# -- Who may -----------------------------------------------------------------------------------------------------
def test_what_another_machine_of_the_town_wrote_can_be_erased() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", "Title", notes=HEARD)
    exchange(one, two)
    erase(two, "notes")
    exchange(one, two)
    assert not is_heard(one)
    assert one.show("mt-1") == two.show("mt-1")


def test_what_another_town_wrote_is_refused_and_counted_and_an_admin_may_erase_it() -> None:
    plane, (founder, guest) = federation(Role.WRITER)
    name = make_issue(founder, plane)
    meet(plane, founder, guest)
    request = Erase(actor="eve", id=name)
    with pytest.raises(RefusedError, match=r"\d of these events were written in another town") as refused:
        guest.commit(lambda unit: carry_out(unit, request))
    assert (refused.value.code, "history" in refused.value.hint) == (Code.DENIED, True)
    name = make_issue(guest, plane)
    meet(plane, founder, guest)
    founder.commit(lambda unit: carry_out(unit, Erase(actor="eve", id=name)))
    meet(plane, founder, guest)
    for member in (founder, guest):
        assert heard_of(member) == 1, "what the founder wrote, which nobody has erased"


def test_of_what_two_towns_wrote_side_by_side_one_s_own_goes_and_the_rest_is_counted() -> None:
    plane, (founder, guest) = federation(Role.WRITER)
    name = make_issue(guest, plane)
    guest.commit(lambda unit: carry_out(unit, AddComment(actor="bob", id=name, text=HEARD)))
    meet(plane, founder, guest)
    founder.commit(lambda unit: carry_out(unit, AddComment(actor="ada", id=name, text="stays")))
    founder.commit(lambda unit: carry_out(unit, Update(actor="ada", id=name, fields=IssueFields(notes="stays too"))))
    meet(plane, founder, guest)
    answer = guest.commit(lambda unit: carry_out(unit, Erase(actor="eve", id=name)))
    assert (answer["not_mine"], answer["fields"]) == (2, ["comments", "notes", "title"])
    meet(plane, founder, guest)
    for member in (founder, guest):
        assert heard_of(member) == 0
        with member.replica.read() as reader:
            shown = READS[Show](Snapshot(member.replica, reader, member.clock.now_ms()), Show(ids=(name,)))[0]
        assert ([comment["text"] for comment in shown["comments"]], shown["notes"]) == (["stays"], "stays too")
        assert "_missing" not in shown


def make_issue(member: Any, plane: bytes) -> str:
    """Create an issue on a plane with what will be looked for; its id."""
    request = Create(actor="ada", project=PROJECT, plane=plane.hex(), fields=IssueFields(title="T", notes=HEARD))
    made: str = member.commit(lambda unit: carry_out(unit, request))["id"]
    return made


def heard_of(member: Any) -> int:
    """How many of a machine's events say what is looked for."""
    with member.replica.read() as reader:
        return sum(HEARD.encode() in value for _, value in reader.scan(Table.EVENTS, b"\0"))


# -- What is told of it afterwards -------------------------------------------------------------------------------
def test_lists_searches_and_counts_show_nothing_of_it(desk: Desk) -> None:
    desk.create("mt-1", HEARD, description=HEARD, labels=(HEARD,))
    erase(desk)
    listed = desk.ask(ListIssues(limit=0, texts=True)).issues
    assert [(issue["id"], issue["title"]) for issue in listed] == [("mt-1", TITLE_ERASED)]
    for sought in (Filter(title_or_id=HEARD), Filter(text_contains=HEARD)):
        assert not desk.ask(ListIssues(filter=sought, limit=0)).issues
    assert desk.ask(Count(by="label"))["groups"] == [{"group": "", "count": 1}]


def test_an_issue_as_it_was_says_what_of_it_was_erased(desk: Desk) -> None:
    desk.create("mt-1", "Title", priority=1)
    tick(desk)
    desk.update("mt-1", notes=HEARD)
    desk.do(AddComment(actor="bob", id="mt-1", text=HEARD))
    past = desk.clock.now_ms()
    erase(desk, "notes", "comments")
    shown = desk.show("mt-1", as_of=past)
    assert (shown["title"], "notes" in shown, shown["_erased"]) == ("Title", False, ["comments", "notes"])
    assert "_erased" not in desk.show("mt-1")


def test_a_difference_says_on_which_side_a_value_was_erased(desk: Desk) -> None:
    desk.create("mt-1", HEARD, priority=1)
    past = desk.clock.now_ms()
    erase(desk, "title")
    (found,) = desk.ask(Diff(before=past, after=desk.clock.now_ms()))
    told = {change["field"]: change for change in found["changes"]}
    assert told["title"] == {"field": "title", "from": None, "to": TITLE_ERASED, "erased": ["from"]}
    assert told["priority"] == {"field": "priority", "from": None, "to": 1, "erased": ["from"]}


def test_an_erasure_cannot_be_undone_and_the_refusal_says_why(desk: Desk) -> None:
    desk.create("mt-1", "Title", notes=HEARD)
    tick(desk)
    desk.do(Erase(actor="alice", id="mt-1", fields=("notes",)))
    before = desk.tables()
    with pytest.raises(RefusedError, match="an erasure can't be undone: what it took is gone for good"):
        desk.do(Undo(actor="alice", id="mt-1"))
    assert desk.tables() == before


def test_a_write_after_an_erasure_is_undone_as_any(desk: Desk) -> None:
    desk.create("mt-1", "Title", notes=HEARD)
    erase(desk, "notes")
    desk.update("mt-1", notes="later")
    tick(desk)
    desk.do(Undo(actor="alice", id="mt-1"))
    assert "notes" not in desk.show("mt-1")


def test_an_erased_event_is_proven_as_before_but_for_its_values(desk: Desk) -> None:
    desk.create("mt-1", "Title", notes=HEARD)
    erase(desk, "notes")
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        prover = Prover(desk.replica, entities)
        events = entities.log.history(desk.records()["mt-1"].head)
        proven = [verify_proof(prover.proof_of(stored)) for stored in events]
    (erased,) = [event for event in proven if any(change.value is MISSING for change in event.changes)]
    assert ([change.key for change in erased.changes], erased.actor) == (["notes"], "alice")
    assert erased.time_ms == to_ms(events[-2].event.skeleton.hlc)


# -- What comes from files afterwards ----------------------------------------------------------------------------
def line(**fields: Any) -> dict[str, Any]:
    return {"id": "mt-1", "title": "Title", "status": "open", "priority": 2, "issue_type": "task", **fields}


def test_yesterday_s_export_does_not_bring_it_back(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    yesterday = desk.show("mt-1")
    erase(desk, "description")
    imported(desk, {name: value for name, value in yesterday.items() if name[0] != "_"})
    assert "description" not in desk.show("mt-1")
    assert not is_heard(desk)


def test_a_line_without_a_time_does_not_bring_it_back_either(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    imported(desk, line(notes="taken in"))
    erase(desk, "description")
    imported(desk, line(description=HEARD, notes="left out"))
    shown = desk.show("mt-1")
    assert ("description" in shown, shown["notes"]) == (False, "taken in")
    assert not is_heard(desk)


def test_a_line_that_is_newer_may(desk: Desk) -> None:
    desk.create("mt-1", "Title", description=HEARD)
    erase(desk, "description")
    tick(desk)
    imported(desk, line(description="written since", updated_at=format_ms(desk.clock.now_ms())))
    assert desk.show("mt-1")["description"] == "written since"


def test_a_line_of_a_file_from_before_does_not_bring_it_back_though_its_time_stood_in_the_same_event() -> None:
    desk = Desk().found()
    given = b'{"id":"mt-1","title":"kumquat","updated_at":"2023-01-01T00:00:00Z"}'

    def take() -> dict[str, Any]:
        with desk.replica.transaction() as unit:
            return Importer(unit, desk.replica.ledger.number, PROJECT, "carol").take(parse([given], 1, FirstLines()))

    take()
    assert desk.do(Erase(actor="eve", id="mt-1"))["rewritten"] == ["project"]
    assert counts(take()) == {"skipped": 1}
    shown = desk.show("mt-1")
    assert (shown["title"], shown["updated_at"]) == (TITLE_ERASED, format_ms(START_MS))
    assert "_missing" not in shown
