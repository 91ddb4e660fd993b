"""Issues as documents: what show, lists and answers to mutations give."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKING, PARENT
from moot_protocol.requests.issues import AddEdge, Close, Delete, Edge, Show
from moot_testkit.bytes.feeds import Town, note, stripped
from moot_testkit.towns.engine import Desk, exchange, town_of


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    for name in ("mt-aaaa", "mt-bbbb", "mt-cccc"):
        made.create(name)
    return made


def blockers(desk: Desk, name: str, types: frozenset[str] | None = None) -> list[str]:
    with desk.replica.read() as reader:
        issues = desk.issues(reader)
        eid = issues.find(name)[1]
        return issues.open_blockers(eid) if types is None else issues.open_blockers(eid, types)


# -- One issue -----------------------------------------------------------------------------------------------------
def test_an_issue_is_found_by_its_id_or_a_unique_beginning_and_else_not(desk: Desk) -> None:
    with desk.replica.read() as reader:
        issues = desk.issues(reader)
        assert issues.find("mt-aaaa")[::2] == ("mt-aaaa", issues.find("aaaa")[2])
        for typed, code in (("mt-none", Code.NOT_FOUND), ("aaa", Code.NOT_FOUND)):
            with pytest.raises(RefusedError) as raised:
                issues.find(typed)
            assert raised.value.code is code


def test_what_is_only_referred_to_is_not_found(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        unit.append(1, note(["mt-later", "blocks", "", "", {}], entity="mt-aaaa", key="edges"))
    with desk.replica.read() as reader, pytest.raises(RefusedError):
        desk.issues(reader).find("mt-later")


def test_a_document_without_texts_leaves_them_out_and_shows_all_else(desk: Desk) -> None:
    desk.update("mt-aaaa", description="d", notes="n", add_labels=("x",), set_metadata={"k": 1})
    with desk.replica.read() as reader:
        issues = desk.issues(reader)
        record = issues.find("mt-aaaa")[2]
        short, full = issues.document(record, texts=False), issues.document(record)
    assert set(full) - set(short) == {"description", "notes"}
    assert {name: full[name] for name in short} == short


def test_show_adds_dependents_blockedness_and_how_short_the_id_may_be(desk: Desk) -> None:
    desk.link("mt-bbbb", "mt-aaaa")
    desk.link("mt-cccc", "mt-aaaa", "related")
    shown = desk.show("mt-aaaa")
    assert [(each["id"], each["dependency_type"]) for each in shown["dependents"]] == [
        ("mt-bbbb", "blocks"),
        ("mt-cccc", "related"),
    ]
    assert not shown["_blocked"]
    assert shown["_short"] == len("mt-aaaa")
    blocked = desk.show("mt-bbbb")
    assert blocked["_blocked"]
    assert not {"dependents", "_conflicts", "_missing"} & blocked.keys()


def test_several_issues_are_shown_in_the_order_asked_for_and_one_that_is_missing_refuses_all(desk: Desk) -> None:
    shown = desk.ask(Show(ids=("mt-cccc", "aaaa", "mt-cccc")))
    assert [each["id"] for each in shown] == ["mt-cccc", "mt-aaaa", "mt-cccc"]
    assert desk.refusal(Show(ids=("mt-aaaa", "mt-none"))) is Code.NOT_FOUND


def test_fields_whose_text_is_withheld_are_named() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("T"), note("Long", key="description"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, one.batches[0], stripped(batch, [batch.header.last])])
    shown = desk.show("mt-1")
    assert (shown["title"], shown["_missing"]) == ("T", ["description"])
    assert "description" not in shown


def test_two_texts_are_shown_merged_where_that_is_clean() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", description="a\nb\nc\n")
    exchange(one, two)
    one.update("mt-1", description="A\nb\nc\n")
    two.update("mt-1", description="a\nb\nC\n")
    exchange(one, two)
    for desk in (one, two):
        assert desk.show("mt-1")["description"] == "A\nb\nC\n"
        assert "_conflicts" not in desk.show("mt-1")


# -- Neighbours ----------------------------------------------------------------------------------------------------
def test_deleted_issues_are_nobodys_dependents(desk: Desk) -> None:
    desk.link("mt-bbbb", "mt-aaaa")
    desk.do(Delete(actor="a", id="mt-bbbb"))
    assert "dependents" not in desk.show("mt-aaaa")


def test_what_holds_an_issue_up_is_told_by_name_once(desk: Desk) -> None:
    desk.link("mt-bbbb", "mt-aaaa")
    desk.link("mt-bbbb", "mt-aaaa", "conditional-blocks")
    desk.link("mt-bbbb", "mt-cccc", "related")
    assert blockers(desk, "mt-bbbb") == ["mt-aaaa"]
    desk.do(Close(actor="a", id="mt-aaaa"))
    assert blockers(desk, "mt-bbbb") == []


def test_a_blocked_parent_and_an_unfinished_spawner_hold_up_too(desk: Desk) -> None:
    desk.create("mt-dddd", parent="mt-bbbb", edges=(Edge("mt-cccc", "waits-for"),))
    assert blockers(desk, "mt-dddd") == []
    desk.link("mt-bbbb", "mt-aaaa")
    desk.create("mt-child", parent="mt-cccc")
    assert blockers(desk, "mt-dddd") == ["mt-bbbb", "mt-cccc"]
    assert blockers(desk, "mt-dddd", frozenset({PARENT})) == ["mt-bbbb"]
    assert blockers(desk, "mt-dddd", BLOCKING) == []


def test_an_edge_left_out_for_a_cycle_holds_nothing_up(desk: Desk) -> None:
    desk.link("mt-aaaa", "mt-bbbb")
    desk.do(AddEdge(actor="a", id="mt-bbbb", edge=Edge("mt-aaaa"), check_cycles=False))
    desk.link("mt-bbbb", "mt-cccc")
    assert blockers(desk, "mt-bbbb") == ["mt-cccc"]
    assert desk.do(Close(actor="a", id="mt-cccc"))["_unblocked"] == ["mt-bbbb"]
