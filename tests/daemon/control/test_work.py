"""One request under way: whether a stop waits for it, and what is told of one that took too long."""

from types import SimpleNamespace
from typing import cast

import pytest

from moot_protocol import rpc
from moot_protocol.errors import Code
from moot_protocol.requests import Close, Show
from mootd.control.hosting import ConsoleChannel
from mootd.control.work import Work, took_too_long


def work(*, is_for_news: bool = False, hosts_a_wait: bool | None = None) -> Work:
    made = Work(rpc.Call(1, "show"), 0.0)
    made.is_for_news = is_for_news
    if hosts_a_wait is not None:
        made.channel = cast("ConsoleChannel", SimpleNamespace(is_for_news=hosts_a_wait))
    return made


def test_a_stop_waits_for_all_but_those_who_wait_for_news() -> None:
    assert work().holds_up
    assert work(hosts_a_wait=False).holds_up
    assert not work(is_for_news=True).holds_up
    assert not work(hosts_a_wait=True).holds_up


def test_what_needs_no_stopping_can_be_stopped() -> None:
    assert work().stop() is None


@pytest.mark.parametrize(
    ("request_", "key", "is_safe"),
    [(Show(ids=("a",)), "", True), (Close(actor="ada", id="a"), "k", True), (Close(actor="ada", id="a"), "", False)],
)
def test_what_took_too_long_can_be_given_again_unless_it_might_be_done_twice(
    request_: Show | Close, key: str, is_safe: bool
) -> None:
    error = took_too_long(request_, key)
    assert (error.code, error.retryable) == (Code.TIMEOUT, is_safe)
    assert ("may be done or not" in error.hint) is not is_safe
