"""What only the store in memory does: it plays full disks and crashes, and catches careless scans."""

from collections.abc import Callable

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.store.memory_store import CrashError, Faults, MemoryStore
from mootd.store.port import Table

META, IDS = Table.META, Table.IDS_0


def put(store: MemoryStore, key: bytes, value: bytes = b"") -> None:
    with store.write() as writer:
        writer.put(META, key, value)


def keys(store: MemoryStore) -> list[bytes]:
    with store.read() as reader:
        return [key for key, _ in reader.scan(META, b"")]


# -- Crashes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_a_crash_before_a_commit_loses_it_and_nothing_earlier(fatal: int) -> None:
    store = MemoryStore(Faults(crash_before_commit=fatal))
    for number in range(1, fatal):
        put(store, b"%d" % number)
    with pytest.raises(CrashError):
        put(store, b"%d" % fatal)
    assert keys(store.reopen()) == [b"%d" % number for number in range(1, fatal)]


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_a_crash_after_a_commit_keeps_it_though_nobody_was_told(fatal: int) -> None:
    store = MemoryStore(Faults(crash_after_commit=fatal))
    for number in range(1, fatal):
        put(store, b"%d" % number)
    with pytest.raises(CrashError):
        put(store, b"%d" % fatal)
    assert keys(store.reopen()) == [b"%d" % number for number in range(1, fatal + 1)]


def test_no_handler_of_the_code_under_test_survives_a_crash() -> None:
    assert not issubclass(CrashError, Exception)


def test_a_crashed_store_does_nothing_more() -> None:
    store = MemoryStore(Faults(crash_before_commit=1))
    with pytest.raises(CrashError):
        put(store, b"a")
    for act in (lambda: put(store, b"b"), lambda: keys(store)):
        with pytest.raises(CrashError):
            act()


def test_reopening_amid_a_transaction_is_a_crash_that_it_does_not_survive() -> None:
    store = MemoryStore()
    put(store, b"kept")
    restarted = None

    def be_interrupted() -> None:
        nonlocal restarted
        with store.write() as writer:
            writer.put(META, b"lost", b"")
            restarted = store.reopen()
            writer.put(META, b"never", b"")

    with pytest.raises(CrashError):
        be_interrupted()
    assert restarted is not None
    put(restarted, b"later")
    assert keys(restarted) == [b"kept", b"later"]


def test_a_commit_interrupted_by_reopening_is_not_kept() -> None:
    store = MemoryStore()

    def be_interrupted() -> None:
        with store.write() as writer:
            writer.put(META, b"lost", b"")
            restarted.append(store.reopen())

    restarted: list[MemoryStore] = []
    with pytest.raises(CrashError):
        be_interrupted()
    assert keys(restarted[0]) == []


def test_a_reader_of_the_crashed_store_is_not_disturbed_by_its_successor() -> None:
    store = MemoryStore()
    put(store, b"a")
    with store.read() as reader:
        put(store.reopen(), b"b")
        assert [key for key, _ in reader.scan(META, b"")] == [b"a"]


def test_a_restarted_store_has_no_faults_unless_given_some() -> None:
    store = MemoryStore(Faults(crash_before_commit=1)).reopen()
    put(store, b"a")
    store = store.reopen(Faults(crash_before_commit=2))
    put(store, b"b")
    with pytest.raises(CrashError):
        put(store, b"c")


def test_transactions_that_change_nothing_count_as_no_commits() -> None:
    store = MemoryStore()
    with store.write() as writer:
        writer.delete(META, b"never")
    put(store, b"a")
    with store.write() as writer:
        store.clear(writer, META)
    assert store.faults.commits == 2


# -- Full disks --------------------------------------------------------------------------------------------------


def check_full(act: Callable[[], object]) -> None:
    with pytest.raises(RefusedError) as raised:
        act()
    assert raised.value.code == Code.STORE_FULL
    assert raised.value.retryable


def test_the_nth_write_finds_the_disk_full_and_the_next_finds_room() -> None:
    store = MemoryStore(Faults(full_at_write=3))
    put(store, b"1")
    put(store, b"2")
    check_full(lambda: put(store, b"3"))
    put(store, b"4")
    assert keys(store) == [b"1", b"2", b"4"]


def test_nothing_of_a_transaction_that_met_a_full_disk_is_kept_even_if_it_goes_on() -> None:
    store = MemoryStore(Faults(full_at_write=3))
    put(store, b"before")

    def go_on_regardless() -> None:
        with store.write() as writer:
            writer.put(META, b"1", b"")
            acts: tuple[Callable[[], object], ...] = (
                lambda: writer.put(META, b"2", b""),
                lambda: writer.put(META, b"3", b""),
                lambda: writer.get(META, b"1"),
                lambda: list(writer.scan(META, b"")),
                lambda: writer.count(META),
                lambda: writer.delete(META, b"before"),
                lambda: store.clear(writer, META),
                lambda: writer.nested().__enter__(),
            )
            for act in acts:
                check_full(act)

    check_full(go_on_regardless)
    assert keys(store) == [b"before"]


def test_a_full_disk_inside_a_nested_transaction_ends_the_outer_one_too() -> None:
    store = MemoryStore(Faults(full_at_write=2))

    def nest() -> None:
        with store.write() as writer:
            writer.put(META, b"outer", b"")

            def fill_it() -> None:
                with writer.nested():
                    writer.put(META, b"inner", b"")

            check_full(fill_it)
            check_full(lambda: writer.put(META, b"after", b""))

    check_full(nest)
    assert keys(store) == []


def test_the_disk_is_full_once_so_many_bytes_are_committed_until_there_are_more() -> None:
    store = MemoryStore(Faults(free_bytes=10))
    put(store, b"a", b"1234")
    check_full(lambda: put(store, b"b", b"12345"))
    put(store, b"b", b"1234")
    check_full(lambda: put(store, b"c"))
    store.faults.free_bytes = 100
    put(store, b"c")
    assert keys(store) == [b"a", b"b", b"c"]


def test_an_aborted_transaction_takes_no_space() -> None:
    store = MemoryStore(Faults(free_bytes=10))
    with store.write() as writer:
        for _ in range(3):
            with pytest.raises(KeyError), writer.nested():
                store_and_fail(lambda: writer.put(META, b"a", b"123456789"))
    put(store, b"a", b"123456789")


def store_and_fail(act: Callable[[], None]) -> None:
    act()
    raise KeyError


# -- Scans -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["put", "delete", "clear", "first write", "nested abort"])
def test_a_scan_notices_that_its_table_was_written(act: str) -> None:
    store = MemoryStore()
    for number in range(4):
        put(store, b"%d" % number)
    with store.write() as writer:
        if act != "first write":
            writer.put(META, b"other", b"")
        scan = writer.scan(META, b"")
        next(scan)
        if act == "delete":
            writer.delete(META, b"3")
        elif act == "clear":
            store.clear(writer, META)
        elif act == "nested abort":
            with pytest.raises(KeyError), writer.nested():
                store_and_fail(lambda: writer.put(META, b"x", b""))
        else:
            writer.put(META, b"x", b"")
        with pytest.raises(RuntimeError):
            next(scan)


# -- Sharing of tables between states ----------------------------------------------------------------------------


def test_a_reader_s_tables_stay_as_they_are_through_several_commits_to_each() -> None:
    store = MemoryStore()
    put(store, b"a")
    with store.read() as first:
        put(store, b"b")
        with store.read() as second:
            with store.write() as writer:
                writer.put(IDS, b"x", b"")
            put(store, b"c")
            with store.write() as writer:
                writer.put(IDS, b"y", b"")
            assert (first.count(META), first.count(IDS)) == (1, 0)
            assert (second.count(META), second.count(IDS)) == (2, 0)
    with store.read() as reader:
        assert (reader.count(META), reader.count(IDS)) == (3, 2)


def test_large_commits_keep_keys_in_order() -> None:
    store = MemoryStore()
    everything = [b"%d" % number for number in range(1000)]
    with store.write() as writer:
        writer.put_many(META, [(key, b"") for key in everything])
    with store.write() as writer:
        for key in everything[::3]:
            writer.delete(META, key)
    put(store, b"0")
    assert keys(store) == sorted([*set(everything) - set(everything[::3]), b"0"])
    assert store.size() == 0
