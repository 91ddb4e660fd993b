"""Issues by how their ids and aliases begin: which are found, and that nothing else is read."""

from pathlib import Path
from typing import Any

import pytest

from moot_protocol.requests.actions import Rename
from moot_protocol.requests.issues import Close, Delete
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Begun
from moot_testkit.machines.stores import opened
from moot_testkit.towns.engine import Desk, ids_of
from mootd.engine.listing import begun
from mootd.engine.views.record import decode_record


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    for name in ("mt-ab1", "mt-ab2", "mt-b", "ot-ab"):
        made.create(name, project=name[:2])
    made.create("mt-z")
    made.do(Rename(actor="ada", id="mt-z", alias="login-page"))
    return made


def found(desk: Desk, *starts: str, **parts: Any) -> list[str]:
    return ids_of(desk.ask(Begun(starts=starts, **parts)).issues)


def test_ids_and_aliases_that_begin_so_are_found_once_each_in_order_of_id(desk: Desk) -> None:
    assert found(desk, "mt-b", "mt-ab", "mt-ab1", "login") == ["mt-ab1", "mt-ab2", "mt-b", "mt-z"]
    assert found(desk, "MT-", "ab1", "mt-none") == []
    assert found(desk, "") == ["mt-ab1", "mt-ab2", "mt-b", "mt-z", "ot-ab"]


def test_closed_ones_are_among_them_deleted_ones_only_where_they_are_asked_for(desk: Desk) -> None:
    desk.do(Close(actor="ada", id="mt-ab1"))
    desk.do(Delete(actor="ada", id="mt-ab2"))
    assert found(desk, "mt-ab") == ["mt-ab1"]
    assert found(desk, "mt-ab", filter=Filter(deleted=True)) == ["mt-ab2"]
    assert found(desk, "mt-", filter=Filter(statuses=("open",))) == ["mt-b", "mt-z"]


def test_a_project_may_be_named(desk: Desk) -> None:
    assert found(desk, "mt-ab", "ot-", filter=Filter(projects=("ot",))) == ["ot-ab"]


def test_where_a_word_begins_more_than_are_looked_at_it_is_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    page = desk.ask(Begun(starts=("mt-ab", "mt-b"), most=1))
    assert (ids_of(page.issues), page.truncated, page.total) == (["mt-ab1", "mt-b"], True, None)
    page = desk.ask(Begun(starts=("mt-ab", "mt-b"), most=2))
    assert (len(page.issues), page.truncated, page.total) == (3, False, 3)
    monkeypatch.setattr(begun, "MOST_BEGUN", 1)
    assert desk.ask(Begun(starts=("mt-ab",))).truncated


@pytest.mark.parametrize("start", ["x" * 10_000, "\udcff", "mt-\0", "ü" * 200])
def test_what_can_be_no_id_begins_none(desk: Desk, tmp_path: Path, start: str) -> None:
    assert found(desk, start) == []
    assert found(Desk(store=opened(tmp_path)).found(), start) == []


def test_of_many_issues_only_those_that_begin_so_are_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        desk.create(f"mt-x{number:02}")
    read: list[bytes] = []

    def decoding(packed: bytes) -> Any:
        read.append(packed)
        return decode_record(packed)

    monkeypatch.setattr("mootd.engine.listing.lists.decode_record", decoding)
    assert found(desk, "mt-x3", most=5) == [f"mt-x3{number}" for number in range(5)]
    assert len(read) <= 5
