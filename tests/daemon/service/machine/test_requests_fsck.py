"""Fsck through the service: the log of a machine, stretch by stretch, and what is advised for what it finds."""

from pathlib import Path
from typing import Any

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.requests.issues import Script
from moot_protocol.requests.machine import Fsck
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine.checking import fsck
from mootd.engine.stored import layout
from mootd.store.port import Table


@pytest.fixture
def api(tmp_path: Path) -> Api:
    tmp_path.chmod(0o700)
    return make_api(folder=tmp_path)


def create(api: Api, count: int) -> None:
    steps = [{"method": "create", "params": {"project": PROJECT, "fields": {"title": str(n)}}} for n in range(count)]
    api.call(Script(actor="ada", steps=tuple(steps)))


def check_all(api: Api) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Fsck to its end: (problems, last answer)."""
    problems: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = api.call(Fsck(cursor=cursor))
        problems += answer["problems"]
        if answer["done"]:
            return problems, answer
        assert answer["cursor"] != cursor
        cursor = answer["cursor"]


def flip(api: Api, table: Table, bit: int) -> None:
    """Flip a bit of the last value of a table, behind the engine's back."""
    with api.member.store.write() as writer:
        key, value = next(writer.scan(table, b"\0", reverse=True))
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        writer.put(table, key, bytes(changed))


def test_a_sound_log_has_no_problems_and_every_batch_and_event_is_counted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(7):
        create(api, 2)
    whole = check_all(api)
    monkeypatch.setattr(fsck, "STRETCH", 3)
    stretches = check_all(api)
    for problems, answer in (whole, stretches):
        assert problems == []
        with api.member.store.read() as reader:
            assert answer["batches"] == reader.count(Table.BATCHES)
            assert answer["events"] == reader.count(Table.EVENTS)
        assert answer["progress"][0] == answer["progress"][1]
    assert whole[1]["progress"] == stretches[1]["progress"]


@pytest.mark.parametrize("table", [Table.EVENTS, Table.BATCHES])
def test_a_flipped_bit_of_the_log_is_found_and_a_backup_advised(api: Api, table: Table) -> None:
    create(api, 3)
    flip(api, table, 8 * 40)
    problems, _ = check_all(api)
    assert problems
    assert any("backup" in problem["hint"] for problem in problems)


def test_a_record_that_is_not_what_its_events_make_is_found_and_a_rebuild_advised(api: Api) -> None:
    create(api, 2)
    views = layout.Views(api.member.replica.generation)
    with api.member.store.write() as writer:
        (one, first), (_two, second) = list(writer.scan(views.records, b"\0", reverse=True))[:2]
        assert first != second
        writer.put(views.records, one, second)
    problems, _ = check_all(api)
    assert {problem["hint"] for problem in problems} == {"run `moot rebuild`"}


@pytest.mark.parametrize(
    "cursor",
    ["x", "0 0", "x 0 log: 0 0 ", "0 0 x", "0 0 log: 0 0", "0 0 log: 0 0 nohex", "0 0 log: x 0 ", "0 0 views: 0 0 0"],
)
def test_what_is_no_cursor_of_fsck_is_refused(api: Api, cursor: str) -> None:
    with pytest.raises(MootError) as caught:
        api.call(Fsck(cursor=cursor))
    assert caught.value.code is Code.INVALID
