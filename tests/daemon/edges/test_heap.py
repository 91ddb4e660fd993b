"""Freed memory goes back to the system once bulk writes pause."""

import ctypes
import threading

import pytest

from mootd.edges.heap import HeapTrimmer, trimming

PATIENCE_S = 30


def test_it_trims_a_while_after_each_wake_and_not_when_nothing_woke_it() -> None:
    trimmed = threading.Semaphore(0)
    trimmer = HeapTrimmer(trimmed.release, pause_seconds=0)
    trimmer.start()
    trimmer.happened()
    assert trimmed.acquire(timeout=PATIENCE_S)
    trimmer.happened()
    assert trimmed.acquire(timeout=PATIENCE_S)
    trimmer.stop()
    assert not trimmed.acquire(blocking=False)


def test_stopping_waits_for_no_pause() -> None:
    trimmed = threading.Semaphore(0)
    trimmer = HeapTrimmer(trimmed.release, pause_seconds=3600)
    trimmer.start()
    trimmer.happened()
    trimmer.stop()
    assert not trimmed.acquire(blocking=False)


def test_the_systems_c_library_is_asked() -> None:
    trimming()()


def test_a_c_library_without_such_a_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    trimming()()
