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


class Library:
    """A C library that keeps what its `malloc_trim` is asked to leave at the top of the heap."""

    class Trim:
        argtypes: object = None
        restype: object = None

        def __init__(self) -> None:
            self.pads: list[int] = []

        def __call__(self, pad: int) -> int:
            self.pads.append(pad)
            return 1

    def __init__(self) -> None:
        self.malloc_trim = Library.Trim()


def test_the_c_library_that_is_loaded_already_is_asked_to_keep_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {None: Library()}
    monkeypatch.setattr(ctypes, "CDLL", libraries.__getitem__)
    trim = libraries[None].malloc_trim
    give_back = trimming()
    assert (trim.pads, trim.argtypes, trim.restype) == ([], [ctypes.c_size_t], ctypes.c_int)
    give_back()
    assert trim.pads == [0]


def test_the_systems_own_library_takes_the_call() -> None:
    assert trimming()() in {None, 0, 1}


def test_a_c_library_without_such_a_function_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert trimming()() is None
