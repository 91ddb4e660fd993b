"""Whoever looks through much asks again and again whether anybody still waits, and not at every row."""

from collections.abc import Iterator

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.engine.patience import BETWEEN, CheckedReader, Waiting, often, patient
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Table


def test_rows_are_the_same_each_fetched_only_when_it_is_asked_for() -> None:
    fetched: list[int] = []

    def rows() -> Iterator[int]:
        for number in range(2 * BETWEEN + 1):
            fetched.append(number)
            yield number

    looked_at = often(rows(), patient)
    assert [next(looked_at) for _ in range(3)] == fetched == [0, 1, 2]
    assert list(looked_at) == list(range(3, 2 * BETWEEN + 1))
    assert list(often([], patient)) == []


def test_it_is_asked_once_for_so_many_rows() -> None:
    asked: list[None] = []
    list(often(range(2 * BETWEEN + 1), lambda: asked.append(None)))
    assert len(asked) == 3


def test_nothing_is_fetched_any_more_once_nobody_waits() -> None:
    waiting = Waiting()
    seen: list[int] = []

    def look() -> None:
        for number in often(range(10 * BETWEEN), waiting.check):
            seen.append(number)
            waiting.leave()

    with pytest.raises(RefusedError) as refused:
        look()
    assert refused.value.code is Code.CANCELLED
    assert len(seen) == BETWEEN


def test_a_scan_of_a_transaction_ends_so_too_and_a_look_does_not() -> None:
    store, waiting = MemoryStore(), Waiting()
    with store.write() as txn:
        txn.put_many(Table.META, [(b"%04d" % number, b"") for number in range(2 * BETWEEN)])
    with store.read() as reader:
        checked = CheckedReader(reader, waiting.check)
        assert list(checked.scan(Table.META, b"0001", b"0003", reverse=True)) == [(b"0002", b""), (b"0001", b"")]
        assert checked.count(Table.META) == 2 * BETWEEN
        waiting.leave()
        assert checked.get(Table.META, b"0001") == b""
        with pytest.raises(RefusedError):
            next(checked.scan(Table.META, b"\0"))
