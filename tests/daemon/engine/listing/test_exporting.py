"""The export: every issue as one line, in order of id, in pages that miss and repeat nothing."""

import json
from typing import Any

import pytest

from moot_protocol.requests.issues import Delete
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.engine import Desk, imported
from moot_testkit.towns.planes import create_on, make_twins, two_planes
from mootd.engine.listing import exporting


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    for name in ("mt-b", "zz-1", "mt-a.2", "mt-a", "mt-B"):
        made.create(name)
    return made


TYPES: dict[str, Any] = {"title": str, "notes": str, "dependencies": list}


def ids(answer: dict[str, Any]) -> list[str]:
    return [json.loads(line)["id"] for line in answer["lines"]]


def test_lines_come_in_order_of_the_bytes_of_their_ids(desk: Desk) -> None:
    assert ids(desk.ask(Export())) == ["mt-B", "mt-a", "mt-a.2", "mt-b", "zz-1"]
    assert desk.ask(Export())["next"] == ""


def test_equal_contents_give_equal_lines_without_fields_of_our_own(desk: Desk) -> None:
    again = Desk().found()
    for name in ("mt-a", "mt-B", "zz-1", "mt-b", "mt-a.2"):
        again.create(name)
    lines = desk.ask(Export())["lines"]
    assert lines == again.ask(Export())["lines"]
    assert not any(name.startswith("_") for line in lines for name in json.loads(line))
    assert all("\n" not in line for line in lines)


def test_pages_go_on_after_an_id_whatever_ends_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, value in (("LINES", 2), ("PAGE_BYTES", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(exporting, limit, value)
            found: list[str] = []
            page = desk.ask(Export())
            while True:
                found += ids(page)
                if not page["next"]:
                    break
                assert len(page["lines"]) <= 2
                page = desk.ask(Export(after=page["next"]))
            assert found == ["mt-B", "mt-a", "mt-a.2", "mt-b", "zz-1"]


def test_going_on_after_an_id_that_is_gone_misses_nothing(desk: Desk) -> None:
    assert ids(desk.ask(Export(after="mt-aa"))) == ["mt-b", "zz-1"]


def test_deleted_issues_are_lines_unless_they_are_left_out(desk: Desk) -> None:
    desk.do(Delete(actor="a", id="mt-a"))
    lines = {json.loads(line)["id"]: json.loads(line)["status"] for line in desk.ask(Export())["lines"]}
    assert lines["mt-a"] == "tombstone"
    assert "mt-a" not in ids(desk.ask(Export(tombstones=False)))


def test_a_field_that_is_none_of_its_type_is_a_line_s_as_it_came_and_else_as_shown(desk: Desk) -> None:
    times = {"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z"}
    imported(desk, {"id": "mt-odd", "title": 7, "notes": 5, "dependencies": "no", "priority": 1, **times})
    lines: list[dict[str, Any]] = []
    for exact in (True, False):
        found = map(json.loads, desk.ask(Export(exact=exact))["lines"])
        lines += [line for line in found if line["id"] == "mt-odd"]
    assert (lines[0]["title"], lines[0]["notes"], lines[0]["dependencies"]) == (7, 5, "no")
    assert [type(lines[1].get(field, kind())) for field, kind in TYPES.items()] == [*TYPES.values()]


def test_what_is_only_referred_to_is_no_line(desk: Desk) -> None:
    desk.link("mt-a", "mt-b")
    desk.link("mt-a", "external:x")
    assert len(ids(desk.ask(Export()))) == 5


def test_a_filter_chooses_and_closed_issues_are_among_the_rest(desk: Desk) -> None:
    desk.update("mt-a", status="closed", add_labels=("x",))
    assert "mt-a" in ids(desk.ask(Export()))
    assert ids(desk.ask(Export(filter=Filter(labels=("x",))))) == ["mt-a"]


def test_pages_go_through_the_ids_of_all_planes_in_order_and_tear_no_equal_ones_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = two_planes()
    make_twins(desk)
    for name, project in (("mt-a", "mt"), ("tm-b", "tm"), ("mt-z", "mt"), ("aa-1", "tm")):
        create_on(desk, "ledger" if project == "mt" else "", name, project)
    monkeypatch.setattr(exporting, "LINES", 1)
    pages, after = [], ""
    while True:
        page = desk.ask(Export(after=after))
        pages.append(ids(page))
        after = page["next"]
        if not after:
            break
    assert pages == [["aa-1"], ["mt-a"], ["mt-same22", "mt-same22"], ["mt-z"], ["tm-b"]]
