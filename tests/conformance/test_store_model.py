"""Any sequence of actions on a store has the outcome it has on dictionaries."""

import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mootd.store.lmdb_store import LmdbStore
from mootd.store.memory_store import MemoryStore
from mootd.store.port import Reader, ReadTransaction, Store, Table, WriteTransaction

META, IDS = Table.META, Table.IDS_0
MAP_BYTES = 1 << 28
TABLES = st.sampled_from([META, IDS])
SOME_KEYS = st.lists(st.sampled_from([b"\x00", b"a", b"\xff"]), min_size=1, max_size=3).map(b"".join)
SOME_BOUNDS = st.just(b"") | SOME_KEYS
VALUES = st.sampled_from([b"", b"short", b"x" * 3_000])
Model = dict[Table, dict[bytes, bytes]]


def copied(model: Model) -> Model:
    return {table: dict(held) for table, held in model.items()}


class StoreMachine(RuleBasedStateMachine):
    """Any sequence of actions; a stack of dictionaries (committed, transaction, nested…) says what must be there."""

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make()
        self.models: list[Model] = [{META: {}, IDS: {}}]
        self.blocks: list[contextlib.AbstractContextManager[object]] = []
        self.writer: WriteTransaction | None = None
        self.readers: list[tuple[ReadTransaction, Model]] = []

    def make(self) -> Store:
        return MemoryStore()

    def restart(self) -> Store:
        assert isinstance(self.store, MemoryStore)
        return self.store.reopen()

    def teardown(self) -> None:
        while self.blocks:
            self.end(commit=False)
        for reader, _ in self.readers:
            reader.__exit__(None, None, None)
        self.store.close()

    def end(self, *, commit: bool) -> None:
        block = self.blocks.pop()
        model = self.models.pop()
        if commit:
            block.__exit__(None, None, None)
            self.models[-1] = model
        else:
            error = KeyError("given up")
            block.__exit__(KeyError, error, None)
        if not self.blocks:
            self.writer = None

    @precondition(lambda self: self.writer is None)
    @rule()
    def begin_writing(self) -> None:
        self.writer = self.store.write()
        self.writer.__enter__()
        self.blocks.append(self.writer)
        self.models.append(copied(self.models[-1]))

    @precondition(lambda self: self.writer is not None and len(self.blocks) < 4)
    @rule()
    def begin_nested(self) -> None:
        assert self.writer is not None
        block = self.writer.nested()
        block.__enter__()
        self.blocks.append(block)
        self.models.append(copied(self.models[-1]))

    @precondition(lambda self: self.blocks)
    @rule(commit=st.booleans())
    def end_innermost(self, commit: bool) -> None:
        self.end(commit=commit)

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, key=SOME_KEYS, value=VALUES)
    def put(self, table: Table, key: bytes, value: bytes) -> None:
        assert self.writer is not None
        self.writer.put(table, key, value)
        self.models[-1][table][key] = value

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, items=st.lists(st.tuples(SOME_KEYS, VALUES), max_size=40), ordered=st.booleans())
    def put_many(self, table: Table, items: list[tuple[bytes, bytes]], ordered: bool) -> None:
        assert self.writer is not None
        items = sorted(items) if ordered else items
        self.writer.put_many(table, items)
        self.models[-1][table].update(items)

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, key=SOME_KEYS)
    def delete(self, table: Table, key: bytes) -> None:
        assert self.writer is not None
        assert self.writer.delete(table, key) == (self.models[-1][table].pop(key, None) is not None)

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES, keys=st.lists(SOME_KEYS, max_size=10), ordered=st.booleans())
    def delete_many(self, table: Table, keys: list[bytes], ordered: bool) -> None:
        assert self.writer is not None
        self.writer.delete_many(table, sorted(keys) if ordered else keys)
        for key in keys:
            self.models[-1][table].pop(key, None)

    @precondition(lambda self: self.writer is not None)
    @rule(table=TABLES)
    def clear(self, table: Table) -> None:
        assert self.writer is not None
        self.store.clear(self.writer, table)
        self.models[-1][table].clear()

    @precondition(lambda self: len(self.readers) < 3)
    @rule()
    def begin_reading(self) -> None:
        reader = self.store.read()
        reader.__enter__()
        self.readers.append((reader, copied(self.models[0])))

    @precondition(lambda self: self.readers)
    @rule()
    def end_reading(self) -> None:
        self.readers.pop(0)[0].__exit__(None, None, None)

    @precondition(lambda self: self.writer is None and not self.readers)
    @rule()
    def reopen(self) -> None:
        self.store = self.restart()

    @rule(table=TABLES, start=SOME_BOUNDS, stop=st.none() | SOME_BOUNDS, reverse=st.booleans())
    def scan(self, table: Table, start: bytes, stop: bytes | None, reverse: bool) -> None:
        for reader, model in self.seen():
            expected = sorted(
                (row for row in model[table].items() if row[0] >= start and (stop is None or row[0] < stop)),
                reverse=reverse,
            )
            assert list(reader.scan(table, start, stop, reverse=reverse)) == expected

    @rule(table=TABLES, key=SOME_KEYS)
    def get(self, table: Table, key: bytes) -> None:
        for reader, model in self.seen():
            assert reader.get(table, key) == model[table].get(key)

    @invariant()
    def counts_are_right(self) -> None:
        for reader, model in self.seen():
            for table, held in model.items():
                assert reader.count(table) == len(held)

    def seen(self) -> list[tuple[Reader, Model]]:
        writing: list[tuple[Reader, Model]] = [(self.writer, self.models[-1])] if self.writer is not None else []
        return [*self.readers, *writing]


class LmdbMachine(StoreMachine):
    def make(self) -> Store:
        self.folder = TemporaryDirectory()
        return LmdbStore.open(Path(self.folder.name), map_bytes=MAP_BYTES)

    def restart(self) -> Store:
        self.store.close()
        return LmdbStore.open(Path(self.folder.name), map_bytes=MAP_BYTES)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


# Many examples on a busy machine take longer than a single test should.
TestMemoryAgainstADictionary = pytest.mark.timeout(600)(StoreMachine.TestCase)
TestLmdbAgainstADictionary = pytest.mark.timeout(600)(LmdbMachine.TestCase)
