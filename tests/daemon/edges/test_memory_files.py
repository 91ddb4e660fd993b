"""The twins in memory: what they tell, and what a test can make happen to them."""

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.edges.memory_files import MemoryFile, MemoryWatcher


def test_who_watches_is_told_until_it_stops() -> None:
    watcher, calls = MemoryWatcher(), list[str]()
    watch = watcher.watch("/w", "f", lambda: calls.append("f"), poll=True)
    watcher.happened("/w", "f")
    watcher.happened("/w", "other")
    watch.refresh()
    assert (calls, watch.polls) == (["f"], True)
    watch.close()
    watch.close()
    watcher.happened("/w", "f")
    assert calls == ["f"]


def test_a_read_only_file_is_not_replaced() -> None:
    file = MemoryFile(b"old")
    file.is_read_only = True
    with pytest.raises(RefusedError) as refused:
        file.replace(b"old", b"new")
    assert (refused.value.code, file.content) == (Code.STORE_READ_ONLY, b"old")


def test_something_can_happen_just_before_it_is_replaced() -> None:
    file = MemoryFile(b"old")
    file.before_replace = lambda: file.write(b"theirs")
    assert not file.replace(b"old", b"new")
    assert file.content == b"theirs"
