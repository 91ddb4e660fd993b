"""The snapshot: as much of a project as there is room for, from whoever holds the token and nobody else."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, MalformedError
from moot_protocol.limits import KIB, SNAPSHOT_BYTES, SNAPSHOT_ISSUES, SNAPSHOT_LOST
from moot_protocol.spool.snapshot_file import (
    Kept,
    Place,
    Snapshot,
    Totals,
    build_snapshot,
    read_snapshot,
    seal_snapshot,
)

SECRET = bytes(range(32))
PLACE = Place("w0", "demo", "ab" * 16, 1_700_000_000_000, False)
NOTHING = Kept((), ())


def issue(number: int, text: str = "") -> dict[str, Any]:
    return {"title": f"T{number}", "id": f"demo-{number}", "description": text, "estimate": 0.5}


def read(issues: list[dict[str, Any]], **more: Any) -> Snapshot:
    parts: dict[str, Any] = {"ready": (), "blocked": {}, "kept": NOTHING, **more}
    total = parts.pop("total", len(issues))
    parts["totals"] = Totals(total, parts.pop("not_closed", total))
    return read_snapshot(SECRET, seal_snapshot(SECRET, build_snapshot(PLACE, issues, **parts)))


def test_a_snapshot_comes_back_as_it_was_with_its_fields_in_order() -> None:
    memories, settings = [{"key": "k", "text": "t"}], [{"key": "prime.bytes", "value": "9"}]
    found = read(
        [issue(1), issue(2)], ready=("demo-2",), blocked={"demo-1": ("demo-2",)}, kept=Kept(memories, settings), total=5
    )
    assert found[:5] == PLACE
    assert list(found.issues.values()) == [issue(1), issue(2)]
    assert list(found.issues["demo-1"]) == list(issue(1))
    assert (found.ready, found.blocked, found.left_out) == (("demo-2",), {"demo-1": ("demo-2",)}, 3)
    assert (list(found.memories), list(found.settings)) == (memories, settings)


def test_an_integer_beyond_64_bits_keeps_no_issue_out() -> None:
    found = read([issue(1) | {"metadata": {"n": 10**29}}])
    assert found.issues["demo-1"]["metadata"] == {"n": 1e29}


def test_what_there_is_no_room_for_is_left_out_and_counted() -> None:
    large = [issue(number, "x" * 60 * KIB) for number in range(200)]
    body = build_snapshot(PLACE, large, [each["id"] for each in large], {}, NOTHING, Totals(200, 200))
    data = seal_snapshot(SECRET, body)
    found = read_snapshot(SECRET, data)
    assert len(data) <= SNAPSHOT_BYTES
    assert 100 < len(found.issues) < 200
    assert found.left_out == 200 - len(found.issues)
    assert set(found.ready) == set(found.issues)


def test_of_what_is_left_out_those_are_counted_that_are_not_closed() -> None:
    issues = [issue(1) | {"status": "open"}, issue(2) | {"status": "closed"}]
    assert read(issues, total=9, not_closed=4).open_left_out == 3
    assert read(issues, total=9, not_closed=1).open_left_out == 0


@pytest.mark.parametrize(("not_closed", "parts"), [(1, 12), (2, 13), (257, 13)])
def test_clients_of_an_earlier_release_read_it_unless_open_issues_are_left_out(not_closed: int, parts: int) -> None:
    made = build_snapshot(PLACE, [issue(1) | {"status": "open"}], (), {}, NOTHING, Totals(300, not_closed))
    assert len(msgspec.msgpack.decode(made)) == parts
    assert read_snapshot(SECRET, seal_snapshot(SECRET, made)).open_left_out == not_closed - 1


def test_a_snapshot_that_an_earlier_release_wrote_is_read() -> None:
    body = ["w0", "demo", "ab" * 16, 1_700_000_000_000, False, 3, [], [], b"\x90", b"\x90", [], []]
    found = read_snapshot(SECRET, seal_snapshot(SECRET, msgspec.msgpack.encode(body)))
    assert (found.left_out, found.open_left_out, found.issues) == (3, 0, {})


def test_a_body_that_is_none_is_refused() -> None:
    for body in (b"", b"\x90", b"\xc1", msgspec.msgpack.encode(["w0"])):
        with pytest.raises(MalformedError):
            read_snapshot(SECRET, seal_snapshot(SECRET, body))


def test_lost_claims_come_back_and_leave_room_for_issues() -> None:
    many = [(f"actor {number}", "demo-1", "bob") for number in range(SNAPSHOT_LOST + 1)]
    found = read([issue(1)], kept=Kept((), (), many))
    assert (found.lost, list(found.issues)) == (tuple(many[:-1]), ["demo-1"])


def test_there_are_never_more_issues_than_may_be() -> None:
    many = [{"id": f"demo-{number}"} for number in range(SNAPSHOT_ISSUES + 3)]
    found = read(many)
    assert (len(found.issues), found.left_out) == (SNAPSHOT_ISSUES, 3)


def test_memories_leave_room_for_issues() -> None:
    memories = [{"key": str(number), "text": "x" * 60 * KIB} for number in range(200)]
    found = read([issue(1)], kept=Kept(memories, ()))
    assert 0 < len(found.memories) < 60
    assert list(found.issues) == ["demo-1"]


def test_a_snapshot_of_another_token_is_none() -> None:
    data = seal_snapshot(bytes(32), build_snapshot(PLACE, (), (), {}, NOTHING, Totals(0, 0)))
    with pytest.raises(MalformedError) as caught:
        read_snapshot(SECRET, data)
    assert caught.value.code is Code.BAD_SIGNATURE


@given(st.data())
def test_a_changed_or_truncated_snapshot_is_none(data: st.DataObject) -> None:
    good = seal_snapshot(SECRET, build_snapshot(PLACE, [issue(1)], (), {}, NOTHING, Totals(1, 1)))
    place = data.draw(st.integers(0, len(good) - 1))
    bad = bytearray(good)
    bad[place] ^= data.draw(st.integers(1, 255))
    for each in (bytes(bad), good[:place]):
        with pytest.raises(MalformedError):
            read_snapshot(SECRET, each)


def test_a_file_beyond_the_limit_is_not_looked_at() -> None:
    with pytest.raises(MalformedError) as caught:
        read_snapshot(SECRET, bytes(SNAPSHOT_BYTES + 1))
    assert caught.value.code is Code.TOO_LARGE
