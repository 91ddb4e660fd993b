"""Mirrors' bookkeeping: rows, versions that are kept whole and once, and what is due."""

import msgspec
import pytest
from msgspec.structs import replace

from moot_protocol.errors import Code, MootError
from moot_protocol.mirrors.lines import content_hash, joined, line_key
from moot_testkit.towns.engine import Desk
from mootd.engine.machine import mirror_keys, mirrors
from mootd.engine.machine.mirrors import (
    MirrorRow,
    add_version,
    change_mirror,
    count_versions,
    drop_mirror,
    due_since,
    lines_of,
    move_mirror,
    nearest,
    put_mirror,
    read_mirror,
    seen_keys,
    version_of,
)
from mootd.store.port import Table

ROW = MirrorRow(folder="/w", file="f", workspace="w1", project="mt", plane=b"p" * 16)
SCOPE = ROW.scope


def add(desk: Desk, *lines: bytes) -> int:
    with desk.replica.transaction() as unit:
        return add_version(unit, SCOPE, lines)


def keep(desk: Desk, row: MirrorRow) -> None:
    with desk.replica.transaction() as unit:
        put_mirror(unit, row)


def keys_of_mirrors(desk: Desk) -> list[bytes]:
    return [key for key in desk.rows(Table.META) if key.startswith(b"mirror")]


def test_a_mirror_that_is_moved_keeps_all_that_is_known_of_it(desk: Desk) -> None:
    number = add(desk, b"1")
    keep(desk, replace(ROW, current=number, missing=("mt-1",), problem="the file is gone"))
    with desk.replica.transaction() as unit:
        moved = move_mirror(unit, mirrors.mirrors(unit.transaction)[0], "/w2", polls=True)
    assert moved == replace(ROW, folder="/w2", current=number, missing=("mt-1",), polls=True)
    with desk.replica.read() as reader:
        assert mirrors.mirrors(reader) == [moved]
        assert lines_of(reader, moved.scope, number) == [b"1"]


def test_rows_are_kept_by_folder_and_file_and_read_in_order(desk: Desk) -> None:
    other = MirrorRow(folder="/a", file="f", workspace="w2", project="x", plane=b"p" * 16)
    keep(desk, ROW)
    keep(desk, other)
    with desk.replica.transaction() as unit:
        changed = change_mirror(unit, ROW, problem="odd")
    with desk.replica.read() as reader:
        assert mirrors.mirrors(reader) == [other, changed]
        assert read_mirror(reader, "/w", "f") == changed
        assert read_mirror(reader, "/w", "g") is None


def test_a_row_of_a_release_that_knew_fewer_fields_is_read(desk: Desk) -> None:
    fields = msgspec.to_builtins(replace(ROW, problem="odd"), builtin_types=(bytes,))
    older = MirrorRow.__struct_fields__.index("writing_behind")
    with desk.replica.transaction() as unit:
        unit.transaction.put(Table.META, ROW.key, msgspec.msgpack.encode(fields[:older]))
    with desk.replica.read() as reader:
        assert read_mirror(reader, "/w", "f") == replace(ROW, problem="odd")


def test_another_problem_or_none_is_not_one_of_writing_unless_that_is_said(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        unwritten = change_mirror(unit, ROW, problem="read-only", is_unwritten=True)
        assert unwritten.is_unwritten
        assert change_mirror(unit, unwritten, left_out=1).is_unwritten
        assert not change_mirror(unit, unwritten, problem="").is_unwritten
        assert not change_mirror(unit, unwritten, problem="a conflict marker").is_unwritten


def test_a_version_comes_back_line_by_line(desk: Desk) -> None:
    lines = [b"a", b"", b"a", b"b", b""]
    number = add(desk, *lines)
    with desk.replica.read() as reader:
        assert lines_of(reader, SCOPE, number) == lines
        assert version_of(reader, SCOPE, content_hash(joined(lines))) == number
        assert version_of(reader, SCOPE, content_hash(b"other")) == 0


def test_a_known_state_keeps_its_number_and_lines_are_kept_once(desk: Desk) -> None:
    first, second = add(desk, b"a", b"b"), add(desk, b"a", b"c")
    assert add(desk, b"a", b"b") == first != second
    kept = [key for key in keys_of_mirrors(desk) if key.startswith(mirror_keys.mirror_line_key(SCOPE, b""))]
    assert len(kept) == 3


def test_a_version_that_was_damaged_is_refused(desk: Desk) -> None:
    number = add(desk, b"a")
    with desk.replica.transaction() as unit:
        unit.transaction.delete(Table.META, mirror_keys.mirror_line_key(SCOPE, line_key(b"a")))
    for wanted in (number, number + 1):
        with desk.replica.read() as reader, pytest.raises(MootError) as raised:
            lines_of(reader, SCOPE, wanted)
        assert raised.value.code is Code.STORE_DAMAGED


def test_the_nearest_version_differs_by_the_fewest_lines(desk: Desk) -> None:
    first, second = add(desk, b"a", b"b", b"c"), add(desk, b"a", b"x", b"y")

    def near(*lines: bytes, current: int = second) -> int:
        with desk.replica.read() as reader:
            return nearest(reader, SCOPE, {line_key(line) for line in lines}, current)

    assert near(b"a", b"b", b"d") == first
    assert near(b"a", b"x", b"d") == second
    assert near(b"a", b"q") == second
    assert near(b"a", b"q", current=first) == first
    with desk.replica.read() as reader:
        assert nearest(reader, b"another!", set(), 0) == 0


def test_lines_of_any_version_are_seen(desk: Desk) -> None:
    add(desk, b"a")
    with desk.replica.read() as reader:
        assert seen_keys(reader, SCOPE, [line_key(b"a"), line_key(b"b")]) == {line_key(b"a")}


def test_old_versions_are_forgotten_but_for_those_that_a_mirror_stands_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "MIRROR_VERSIONS", 3)
    monkeypatch.setattr(mirrors, "MIRROR_VERSIONS_SLACK", 2)
    first = add(desk, b"first", b"common")
    keep(desk, MirrorRow(folder="/w", file="f", workspace="", project="mt", plane=b"p" * 16, newest=first))
    numbers = [add(desk, b"%d" % count, b"common") for count in range(5)]
    with desk.replica.read() as reader:
        assert count_versions(reader, SCOPE) == 4
        assert lines_of(reader, SCOPE, first) == [b"first", b"common"]
        assert lines_of(reader, SCOPE, numbers[-1]) == [b"4", b"common"]
        assert seen_keys(reader, SCOPE, [line_key(b"0")]) == set()
        assert version_of(reader, SCOPE, content_hash(b"0\ncommon")) == 0


def test_with_the_last_mirror_of_a_project_its_versions_go(desk: Desk) -> None:
    other = MirrorRow(folder="/v", file="f", workspace="", project="mt", plane=b"p" * 16)
    add(desk, b"a")
    for row in (ROW, other):
        keep(desk, row)
    for row, count in ((ROW, 1), (other, 0)):
        with desk.replica.transaction() as unit:
            drop_mirror(unit, row)
        with desk.replica.read() as reader:
            assert count_versions(reader, SCOPE) == count
    assert keys_of_mirrors(desk) == []


def test_what_is_due_are_the_issues_of_later_events(desk: Desk) -> None:
    plane = desk.replica.ledger.number
    desk.create("mt-one")
    until = desk.replica.arrival
    desk.create("mt-two")
    desk.update("mt-two", title="More")
    with desk.replica.read() as reader:
        assert due_since(reader, 0, plane).issues == {"mt-one", "mt-two"}
        assert due_since(reader, until, plane) == ({"mt-two"}, desk.replica.arrival)
        assert due_since(reader, desk.replica.arrival, plane) == (set(), desk.replica.arrival)


def test_events_of_another_plane_make_nothing_due(desk: Desk) -> None:
    desk.create("mt-one")
    with desk.replica.read() as reader:
        assert due_since(reader, 0, desk.replica.ledger.number + 1) == (set(), desk.replica.arrival)


def test_rows_survive_a_restart_and_a_mirror_off_the_newest_version_is_behind(desk: Desk) -> None:
    keep(desk, MirrorRow(folder="/w", file="f", workspace="", project="mt", plane=b"", current=1, newest=2))
    desk.reopen()
    with desk.replica.read() as reader:
        row = read_mirror(reader, "/w", "f")
    assert row is not None
    assert row.is_behind
