"""A durable list for the writer thread to write to, whose commits a test can hold, fail and look at."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

from moot_protocol.errors import Code, RefusedError
from mootd.writer import Writer

PATIENCE_S = 120
"""How long a test waits for another thread before it fails; nothing is measured by it."""


class Unit:
    """A transaction over a list: what was committed and what it adds."""

    def __init__(self, rows: list[Any], savepoint_error: Exception | None = None) -> None:
        self.rows = rows
        self.savepoint_error = savepoint_error

    def write(self, row: Any) -> Any:
        self.rows.append(row)
        return row

    def mark(self) -> int:
        return len(self.rows)

    @contextlib.contextmanager
    def savepoint(self) -> Iterator[None]:
        before = len(self.rows)
        if self.savepoint_error:
            raise self.savepoint_error
        try:
            yield
        except BaseException:
            del self.rows[before:]
            raise


class Ledger:
    """A durable list. A test can hold commits, fail them, and see which transactions there were."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.committed: list[list[Any]] = []
        self.begun = 0
        self.committing = threading.Event()
        self.may_commit = threading.Event()
        self.may_commit.set()
        self.begin_error: Exception | None = None
        self.commit_error: Exception | None = None
        self.savepoint_error: Exception | None = None

    @contextlib.contextmanager
    def begin(self) -> Iterator[Unit]:
        self.begun += 1
        if self.begin_error:
            raise self.begin_error
        unit = Unit(list(self.rows), self.savepoint_error)
        yield unit
        self.committing.set()
        assert self.may_commit.wait(PATIENCE_S)
        if self.commit_error:
            raise self.commit_error
        self.committed.append(unit.rows[len(self.rows) :])
        self.rows = unit.rows

    @contextlib.contextmanager
    def holding_the_next_commit(self, writer: Writer[Unit]) -> Iterator["Future[Any]"]:
        """Commit one row, and let nothing more happen on the writer's thread while the block runs."""
        self.may_commit.clear()
        self.committing.clear()
        first = writer.submit(lambda unit: unit.write("first"))
        assert self.committing.wait(PATIENCE_S)
        try:
            yield first
        finally:
            self.may_commit.set()


def writes(row: Any) -> Callable[[Unit], Any]:
    return lambda unit: unit.write(row)


def refuses(unit: Unit) -> None:
    raise RefusedError("no such issue", code=Code.NOT_FOUND)


def writes_then_raises(error: BaseException, row: Any = "half") -> Callable[[Unit], None]:
    def job(unit: Unit) -> None:
        unit.write(row)
        raise error

    return job
