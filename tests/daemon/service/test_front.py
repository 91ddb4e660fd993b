"""The front: pings and quick reads are answered from the first moment on, all else by the service, once it is there."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, cast

import pytest

from moot_protocol.errors import MootError, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Ready, Show
from moot_protocol.requests.machine import Ping, Status
from mootd.engine.patience import patient
from mootd.service.front import Front
from mootd.service.reading.quick import QuickReads
from mootd.service.service import Service

PONG = {"pid": 7}
SHOW = Show(ids=("mt-1",))


class Echo:
    """A service that answers with what it was asked, and how."""

    def begin(self, request: Request[Any], key: str, deadline: float, answered: Any) -> Any:
        return "begun", request, key, deadline, answered

    async def handle_async(self, request: Request[Any], key: str, deadline: float) -> Any:
        return "awaited", request, key, deadline

    def call(self, request: Request[Any], key: str = "", *, wait: Any, check: Any) -> Any:
        return "called", request, key, wait, check


ECHO = cast("Service", Echo())


class Quick:
    """Quick reads: those that show issues."""

    def take(self, request: Request[Any]) -> bool:
        return isinstance(request, Show)

    def answer(self, request: Request[Any]) -> Any:
        return "read", request


def begun(asked: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
    return asyncio.get_running_loop().create_task(asked)


@pytest.fixture
def front() -> Front:
    return Front(lambda: PONG, cast("QuickReads", Quick()))


async def test_a_ping_is_answered_at_once_however_it_is_asked(front: Front) -> None:
    assert front.is_quick(Ping())
    assert front.handle(Ping(), "") == PONG
    assert await front.handle_async(Ping(), "", 0.0) == PONG


async def test_so_is_a_quick_read(front: Front) -> None:
    assert front.is_quick(SHOW)
    read: list[Any] = [front.handle(SHOW, ""), front.call(SHOW)]
    front.loaded(ECHO)
    assert front.is_quick(SHOW)
    read += [front.handle(SHOW, "key"), front.call(SHOW, "key")]
    assert read == [("read", SHOW)] * 4


async def test_everything_else_waits_for_the_service_and_is_then_the_service_s_to_answer(front: Front) -> None:
    assert not front.is_quick(Ready())
    assert front.begin(SHOW, "", 0.0, lambda *_: None) is None
    asked = begun(front.handle_async(Ready(), "key", 5.0))
    await asyncio.sleep(0)
    assert not asked.done()
    front.loaded(ECHO)
    assert await asked == ("awaited", Ready(), "key", 5.0)
    assert not front.is_quick(Ready())
    stop: Any = front.begin(SHOW, "key", 5.0, print)
    assert stop == ("begun", SHOW, "key", 5.0, print)
    assert await front.handle_async(SHOW, "", 5.0) == ("awaited", SHOW, "", 5.0)


async def test_who_gives_up_waiting_takes_nothing_from_the_others(front: Front) -> None:
    impatient = begun(front.handle_async(Ready(), "", 5.0))
    patient = begun(front.handle_async(Status(), "", 5.0))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    front.loaded(ECHO)
    assert await patient == ("awaited", Status(), "", 5.0)


def test_a_thread_waits_as_its_caller_says(front: Front) -> None:
    def wait(future: "Future[Service]") -> Service:
        assert not future.done()
        front.loaded(ECHO)
        return future.result()

    answers: list[Any] = [front.call(Ready(), "key", wait), front.call(Status(), "", print, list)]
    assert answers == [("called", Ready(), "key", wait, patient), ("called", Status(), "", print, list)]


async def test_where_the_service_can_t_be_loaded_all_that_needs_it_fails_with_that(front: Front) -> None:
    asked = begun(front.handle_async(Ready(), "", 5.0))
    await asyncio.sleep(0)
    front.failed(RefusedError("no"))
    with pytest.raises(MootError, match="no"):
        await asked
    with pytest.raises(MootError, match="no"):
        front.call(Ready())
    answers: list[Any] = [front.handle(Ping(), ""), front.handle(SHOW, "")]
    assert answers == [PONG, ("read", SHOW)]


async def test_what_ends_after_it_was_loaded_has_not_failed(front: Front) -> None:
    front.loaded(ECHO)
    front.failed(RefusedError("the daemon is stopping"))
    assert await front.handle_async(SHOW, "", 5.0) == ("awaited", SHOW, "", 5.0)


async def test_who_asks_whether_it_comes_waits_until_it_has_come_or_failed(front: Front) -> None:
    asked = begun(asyncio.to_thread(front.is_coming))
    await asyncio.sleep(0)
    assert not asked.done()
    front.loaded(ECHO)
    assert await asked is True


def test_what_failed_to_load_is_not_coming(front: Front) -> None:
    front.failed(RefusedError("no"))
    assert front.is_coming() is False


async def test_whoever_has_to_wait_for_it_hears_what_it_failed_with(front: Front) -> None:
    patient = begun(front.until_loaded())
    await asyncio.sleep(0)
    assert not patient.done()
    front.failed(RefusedError("no"))
    with pytest.raises(MootError, match="no"):
        await patient


async def test_whoever_waited_for_it_goes_on_when_it_is_there(front: Front) -> None:
    impatient, patient = begun(front.until_loaded()), begun(front.until_loaded())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.sleep(0)
    front.loaded(ECHO)
    await patient
    await front.until_loaded()
