"""What every store guarantees, whether it stands on a disk or in memory."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import TypeVar

import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from mootd.store.lmdb_store import LmdbStore
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Reader, ReadTransaction, Store, Table

EVENTS, META, IDS = Table.EVENTS, Table.META, Table.IDS_0
MAP_BYTES = 1 << 28
Opened = TypeVar("Opened")


class GiveUpError(Exception):
    """What a test raises to abort."""


@pytest.fixture(params=["lmdb", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = LmdbStore.open(tmp_path / "store", map_bytes=MAP_BYTES) if request.param == "lmdb" else MemoryStore()
    yield made
    made.close()


def give_up() -> None:
    raise GiveUpError


@contextlib.contextmanager
def aborting(block: contextlib.AbstractContextManager[Opened]) -> Iterator[Opened]:
    """A block that ends by raising, which must come through."""
    try:
        with block as opened:
            yield opened
            give_up()
    except GiveUpError:
        return
    pytest.fail("the exception was swallowed")


def rows(reader: Reader, table: Table) -> list[tuple[bytes, bytes]]:
    return list(reader.scan(table, b""))


def committed(store: Store, table: Table) -> dict[bytes, bytes]:
    with store.read() as reader:
        return dict(reader.scan(table, b""))


def fill(store: Store, table: Table, keys: list[bytes]) -> None:
    with store.write() as writer:
        for key in keys:
            writer.put(table, key, b"of " + key)


# -- One transaction ---------------------------------------------------------------------------------------------


def test_a_transaction_counts_what_it_is_asked_to_change_and_nothing_else(store: Store) -> None:
    fill(store, EVENTS, [b"a", b"b"])
    with store.write() as writer:

        def grows(work: Callable[[], object]) -> bool:
            before = writer.writes
            work()
            return writer.writes > before

        assert grows(lambda: writer.put(EVENTS, b"c", b"1"))
        assert grows(lambda: writer.put_many(EVENTS, [(b"d", b"1"), (b"e", b"2")]))
        assert grows(lambda: writer.delete(EVENTS, b"a"))
        assert grows(lambda: writer.delete_many(EVENTS, [b"b", b"c"]))
        assert grows(lambda: store.clear(writer, EVENTS))
        assert not grows(lambda: writer.put_many(EVENTS, []))
        assert not grows(lambda: (writer.get(META, b"a"), rows(writer, META), writer.count(META)))
        before = writer.writes
        with aborting(writer.nested()):
            writer.put(META, b"a", b"1")
        assert writer.writes > before, "what was taken back stays counted"


def test_a_new_store_has_every_table_and_all_are_empty(store: Store) -> None:
    with store.read() as reader:
        for table in Table:
            assert reader.count(table) == 0
            assert reader.get(table, b"k") is None
            assert list(reader.scan(table, b"")) == []
            assert list(reader.scan(table, b"", b"z", reverse=True)) == []


def test_a_write_transaction_sees_its_own_writes(store: Store) -> None:
    fill(store, META, [b"a", b"c"])
    with store.write() as writer:
        writer.put(META, b"b", b"2")
        writer.put(META, b"c", b"")
        assert writer.delete(META, b"a")
        assert not writer.delete(META, b"a")
        assert not writer.delete(META, b"never")
        assert [writer.get(META, key) for key in (b"a", b"b", b"c")] == [None, b"2", b""]
        assert rows(writer, META) == [(b"b", b"2"), (b"c", b"")]
        assert list(writer.scan(META, b"", b"c", reverse=True)) == [(b"b", b"2")]
        assert writer.count(META) == 2
    assert committed(store, META) == {b"b": b"2", b"c": b""}


def test_many_keys_are_removed_at_once_whether_they_are_there_or_not(store: Store) -> None:
    fill(store, META, [b"a", b"b", b"c"])
    with store.write() as writer:
        writer.delete_many(META, iter([b"c", b"a", b"a", b"never"]))
        writer.delete_many(META, [])
        writer.delete_many(EVENTS, [b"b"])
        assert rows(writer, META) == [(b"b", b"of b")]
    assert committed(store, META) == {b"b": b"of b"}


def test_the_same_key_in_another_table_is_another_key(store: Store) -> None:
    with store.write() as writer:
        for table in Table:
            writer.put(table, b"k", table.name.encode())
    with store.read() as reader:
        assert [reader.get(table, b"k") for table in Table] == [table.name.encode() for table in Table]


def test_an_exception_takes_every_write_back(store: Store) -> None:
    fill(store, META, [b"a"])
    with aborting(store.write()) as writer:
        writer.put(META, b"a", b"other")
        writer.put_many(EVENTS, [(b"1", b""), (b"2", b"")])
        store.clear(writer, META)
    assert committed(store, META) == {b"a": b"of a"}
    assert committed(store, EVENTS) == {}


def test_writing_goes_on_after_an_abort(store: Store) -> None:
    with aborting(store.write()) as writer:
        writer.put(META, b"a", b"1")
    fill(store, META, [b"b"])
    assert committed(store, META) == {b"b": b"of b"}


def test_a_write_transaction_without_writes_changes_nothing(store: Store) -> None:
    fill(store, META, [b"a"])
    with store.write() as writer:
        assert writer.get(META, b"a") == b"of a"
    assert committed(store, META) == {b"a": b"of a"}


@pytest.mark.parametrize("keys", [[b"a", b"b", b"c"], [b"c", b"a", b"b"], [b"b", b"c", b"d"], [b"a", b"a", b"a"]])
@pytest.mark.parametrize("before", [[], [b"b"], [b"zz"], [b"A"]])
def test_many_keys_at_once_are_as_if_put_one_by_one(store: Store, before: list[bytes], keys: list[bytes]) -> None:
    fill(store, META, before)
    items = [(key, b"%d" % place) for place, key in enumerate(keys)]
    with store.write() as writer:
        writer.put_many(META, iter(items))
        writer.put_many(META, [])
    assert committed(store, META) == {key: b"of " + key for key in before} | dict(items)


def test_a_generator_given_to_put_many_may_read_the_same_transaction(store: Store) -> None:
    fill(store, META, [b"a", b"b"])
    with store.write() as writer:
        writer.put_many(META, ((key + b"'", value) for key, value in writer.scan(META, b"")))
    assert sorted(committed(store, META)) == [b"a", b"a'", b"b", b"b'"]


def test_clear_empties_one_table_and_writing_into_it_goes_on(store: Store) -> None:
    fill(store, META, [b"a", b"b"])
    fill(store, IDS, [b"a"])
    with store.write() as writer:
        writer.put(META, b"c", b"")
        store.clear(writer, META)
        assert writer.count(META) == 0
        assert writer.get(META, b"a") is None
        assert rows(writer, META) == []
        writer.put(META, b"b", b"new")
        assert rows(writer, META) == [(b"b", b"new")]
    assert committed(store, META) == {b"b": b"new"}
    assert committed(store, IDS) == {b"a": b"of a"}


def test_a_transaction_of_another_kind_of_store_clears_nothing(store: Store) -> None:
    fill(store, META, [b"a"])
    for other in SCANNED:
        if type(other) is not type(store):
            with other.write() as writer, pytest.raises(TypeError):
                store.clear(writer, META)
    assert committed(store, META) == {b"a": b"of a"}


# -- Keys, values and order --------------------------------------------------------------------------------------


def test_keys_are_ordered_as_bytes_and_not_by_length_or_number(store: Store) -> None:
    keys = [
        b"\x00",
        b"\x00\x00",
        b"\x01",
        b"A",
        b"Z",
        b"a",
        b"a\x00",
        b"a\xff",
        b"aa",
        b"b",
        b"\x80",
        b"\xff",
        b"\xff\x00",
    ]
    fill(store, META, list(reversed(keys)))
    with store.read() as reader:
        assert [key for key, _ in reader.scan(META, b"")] == sorted(keys)
        assert [key for key, _ in reader.scan(META, b"", reverse=True)] == sorted(keys, reverse=True)


@pytest.mark.parametrize("size", [0, 1, 100, 2_000, 5_000, 300_000])
def test_values_of_any_size_come_back_as_bytes(store: Store, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    with store.write() as writer:
        writer.put(META, b"k", value)
        assert writer.get(META, b"k") == value
    with store.read() as reader:
        found = reader.get(META, b"k")
        assert found == value
        assert type(found) is bytes


def test_a_key_may_have_511_bytes(store: Store) -> None:
    keys = [b"\xff" * 511, b"\xff" * 510 + b"\x00", b"\x00"]
    fill(store, META, keys)
    with store.read() as reader:
        assert [key for key, _ in reader.scan(META, b"")] == sorted(keys)
        assert reader.get(META, keys[0]) == b"of " + keys[0]
        assert [key for key, _ in reader.scan(META, keys[0])] == [keys[0]]


@pytest.mark.parametrize("key", [b"", b"k" * 512], ids=["empty", "512 bytes"])
def test_a_key_of_impossible_length_is_refused_and_the_transaction_goes_on(store: Store, key: bytes) -> None:
    with store.write() as writer:
        writer.put(META, b"before", b"")
        with pytest.raises(RefusedError) as refusal:
            writer.put(META, key, b"")
        assert refusal.value.code == Code.LIMIT
        with pytest.raises(RefusedError):
            writer.put_many(META, [(b"a", b""), (key, b""), (b"c", b"")])
        writer.put(META, b"b", b"")
    assert set(committed(store, META)) == {b"a", b"b", b"before"}


def test_reading_a_key_of_impossible_length_finds_nothing_or_is_refused(store: Store) -> None:
    fill(store, META, [b"k"])
    with store.write() as transaction:
        assert transaction.get(META, b"k" * 512) is None
        assert not transaction.delete(META, b"k" * 512)
        assert list(transaction.scan(META, b"l" * 512)) == []
        transaction.delete_many(META, [b"k" * 512])
        for act in (transaction.get, transaction.delete, lambda table, key: transaction.delete_many(table, [key])):
            with pytest.raises(RefusedError) as refusal:
                act(META, b"")
            assert refusal.value.code == Code.LIMIT
    with store.read() as reader, pytest.raises(RefusedError):
        reader.get(META, b"")


KEYS = [b"b", b"ba", b"bb", b"d"]
BOUNDS = [b"", b"a", b"b", b"b\x00", b"ba", b"bb", b"c", b"d", b"d\x00", b"e", b"\xff" * 600]


@pytest.mark.parametrize("reverse", [False, True], ids=["ascending", "descending"])
def test_a_scan_gives_what_is_at_or_after_start_and_before_stop(reverse: bool) -> None:
    assert len(SCANNED) == 2
    for store, start, stop in product(SCANNED, BOUNDS, [None, *BOUNDS]):
        expected = [key for key in KEYS if start <= key and (stop is None or key < stop)]
        with store.read() as reader, store.write() as writer:
            for transaction in (reader, writer):
                found = [key for key, _ in transaction.scan(META, start, stop, reverse=reverse)]
                assert found == (expected[::-1] if reverse else expected), (store, start, stop)


SCANNED: list[Store] = []


@pytest.fixture(autouse=True, scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two stores with the same keys, for the many cases that only read."""
    SCANNED.extend([LmdbStore.open(tmp_path_factory.mktemp("scanned"), map_bytes=MAP_BYTES), MemoryStore()])
    for store in SCANNED:
        fill(store, META, KEYS)
    yield
    while SCANNED:
        SCANNED.pop().close()


def test_scans_of_one_transaction_don_t_disturb_one_another(store: Store) -> None:
    fill(store, META, KEYS)
    with store.read() as reader:
        pairs = [(one, other) for one, _ in reader.scan(META, b"") for other, _ in reader.scan(META, b"", reverse=True)]
    assert pairs == [(one, other) for one in KEYS for other in reversed(KEYS)]


def test_another_table_may_be_written_during_a_scan(store: Store) -> None:
    fill(store, META, KEYS)
    with store.write() as writer:
        for key, value in writer.scan(META, b""):
            writer.put(IDS, value, key)
    assert committed(store, IDS) == {b"of " + key: key for key in KEYS}


# -- Snapshots ---------------------------------------------------------------------------------------------------


def test_a_reader_sees_one_state_whatever_is_committed_meanwhile(store: Store) -> None:
    fill(store, META, [b"a", b"b"])
    before = {b"a": b"of a", b"b": b"of b"}
    with store.read() as reader:
        scan = reader.scan(META, b"")
        assert next(scan) == (b"a", b"of a")
        with store.write() as writer:
            writer.put(META, b"a", b"changed")
            writer.delete(META, b"b")
            writer.put(META, b"c", b"new")
        fill(store, IDS, [b"x"])
        with store.write() as writer:
            store.clear(writer, META)
        assert list(scan) == [(b"b", b"of b")]
        assert dict(reader.scan(META, b"")) == before
        assert reader.count(META) == 2
        assert reader.get(META, b"c") is None
        assert reader.get(IDS, b"x") is None
    assert committed(store, META) == {}
    assert committed(store, IDS) == {b"x": b"of x"}


def test_nobody_sees_what_is_not_committed(store: Store) -> None:
    fill(store, META, [b"a"])
    with store.write() as writer:
        writer.put(META, b"b", b"")
        store.clear(writer, META)
        writer.put(META, b"c", b"")
        assert committed(store, META) == {b"a": b"of a"}
    assert committed(store, META) == {b"c": b""}


def test_readers_of_different_ages_see_different_states(store: Store) -> None:
    with contextlib.ExitStack() as stack:
        readers: list[ReadTransaction] = []
        for number in range(5):
            fill(store, META, [b"%d" % number])
            readers.append(stack.enter_context(store.read()))
        assert [reader.count(META) for reader in readers] == [1, 2, 3, 4, 5]
        assert [len(rows(reader, META)) for reader in readers] == [1, 2, 3, 4, 5]


def test_a_reader_begins_where_its_block_begins(store: Store) -> None:
    transaction = store.read()
    fill(store, META, [b"a"])
    with transaction as reader:
        assert reader.count(META) == 1


@pytest.mark.parametrize("use", ["get", "scan", "scan under way", "count"])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_transaction_that_is_over_answers_with_an_error(store: Store, kind: str, use: str) -> None:
    fill(store, META, [b"a", b"b"])
    with store.read() if kind == "read" else store.write() as transaction:
        scan = transaction.scan(META, b"")
        next(scan)
    uses: dict[str, Callable[[], object]] = {
        "get": lambda: transaction.get(META, b"a"),
        "scan": lambda: list(transaction.scan(META, b"")),
        "scan under way": lambda: next(scan),
        "count": lambda: transaction.count(META),
    }
    with pytest.raises(MootError):
        uses[use]()


# -- Nested transactions -----------------------------------------------------------------------------------------


def test_what_a_nested_transaction_wrote_becomes_its_parent_s(store: Store) -> None:
    fill(store, META, [b"a", b"b"])
    with store.write() as writer:
        writer.put(META, b"a", b"outer")
        with writer.nested():
            assert writer.get(META, b"a") == b"outer"
            writer.put(META, b"a", b"inner")
            writer.delete(META, b"b")
            writer.put_many(META, [(b"c", b"")])
        assert rows(writer, META) == [(b"a", b"inner"), (b"c", b"")]
    assert committed(store, META) == {b"a": b"inner", b"c": b""}


def test_what_a_nested_transaction_wrote_vanishes_when_it_raises(store: Store) -> None:
    fill(store, META, [b"a", b"b"])
    with store.write() as writer:
        writer.put(META, b"b", b"outer")
        writer.put(META, b"n", b"outer")
        with aborting(writer.nested()):
            writer.put(META, b"a", b"inner")
            writer.delete(META, b"b")
            writer.put(META, b"n", b"inner")
            writer.put(META, b"c", b"inner")
            store.clear(writer, META)
            writer.put(META, b"d", b"inner")
            writer.put(IDS, b"x", b"inner")
        assert rows(writer, META) == [(b"a", b"of a"), (b"b", b"outer"), (b"n", b"outer")]
        assert writer.count(META) == 3
        assert writer.count(IDS) == 0
        writer.put(META, b"e", b"after")
    assert committed(store, META) == {b"a": b"of a", b"b": b"outer", b"n": b"outer", b"e": b"after"}


def test_nested_transactions_nest(store: Store) -> None:
    with store.write() as writer:
        with writer.nested():
            writer.put(META, b"1", b"")
            with aborting(writer.nested()):
                writer.put(META, b"2", b"")
                with writer.nested():
                    writer.put(META, b"3", b"")
            with writer.nested():
                writer.put(META, b"4", b"")
        assert [key for key, _ in rows(writer, META)] == [b"1", b"4"]
        with aborting(writer.nested()), writer.nested():
            writer.delete(META, b"1")
    assert set(committed(store, META)) == {b"1", b"4"}


def test_an_abort_takes_back_what_nested_transactions_kept(store: Store) -> None:
    with aborting(store.write()) as writer, writer.nested():
        writer.put(META, b"a", b"")
    assert committed(store, META) == {}


# -- Threads and the end -----------------------------------------------------------------------------------------


def test_a_second_writer_waits_for_the_first_and_sees_what_it_wrote(store: Store) -> None:
    seen: list[bytes | None] = []

    def second() -> None:
        with store.write() as writer:
            seen.append(writer.get(META, b"a"))

    thread = threading.Thread(target=second)
    with store.write() as writer:
        thread.start()
        writer.put(META, b"a", b"first")
        assert seen == []
    thread.join()
    assert seen == [b"first"]


def test_a_second_writer_in_the_same_thread_is_an_error_and_not_a_deadlock(store: Store) -> None:
    with store.write() as writer:
        with pytest.raises(MootError), store.write():
            pass
        writer.put(META, b"a", b"")
    assert committed(store, META) == {b"a": b""}


def test_readers_in_many_threads_see_whole_commits_only(store: Store) -> None:
    rounds = 200
    torn: list[tuple[bytes | None, ...]] = []
    finished = threading.Event()

    def watch() -> None:
        while not finished.is_set():
            with store.read() as reader:
                seen = (reader.get(META, b"a"), reader.get(IDS, b"b"), dict(reader.scan(META, b"")).get(b"a"))
            if len(set(seen)) > 1:
                torn.append(seen)

    threads = [threading.Thread(target=watch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        with store.write() as writer:
            writer.put(META, b"a", b"%d" % number)
            writer.put(IDS, b"b", b"%d" % number)
    finished.set()
    for thread in threads:
        thread.join()
    assert torn == []


def test_a_closed_store_begins_nothing(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(MootError), store.read():
        pass
    with pytest.raises(MootError), store.write():
        pass
