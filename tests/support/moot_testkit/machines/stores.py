"""Stores on a disk, for tests that treat them badly."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table

EVENTS: Final = Table.EVENTS
MAP_BYTES: Final = 1 << 30


def opened(folder: Path, *, map_bytes: int = MAP_BYTES, read_only: bool = False) -> LmdbStore:
    return LmdbStore.open(folder, map_bytes=map_bytes, read_only=read_only)


def fill(store: LmdbStore, first: int, count: int, size: int = 1000) -> None:
    with store.write() as writer:
        writer.put_many(
            EVENTS, [(number.to_bytes(8), bytes([number % 256]) * size) for number in range(first, first + count)]
        )


def held(store: LmdbStore) -> int:
    """How many events there are, after reading them all."""
    with store.read() as reader:
        return sum(1 for key, value in reader.scan(EVENTS, b"") if value[0] == int.from_bytes(key) % 256)


def python(code: str, *arguments: object) -> str:
    """What a Python process of its own prints; it must end well."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


TRY_TO_OPEN: Final = """
import sys
from pathlib import Path
from moot_protocol.errors import MootError
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table
try:
    store = LmdbStore.open(Path(sys.argv[1]))
    with store.read() as reader:
        for table in Table:
            for _ in reader.scan(table, b""):
                pass
except MootError as error:
    print(error.code)
else:
    print("opened")
"""
