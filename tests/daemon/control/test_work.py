"""One request under way: whether a stop waits for it, what is told of one that took too long, and its answer."""

from types import SimpleNamespace
from typing import cast

import pytest

from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, ListIssues, Show
from moot_protocol.requests.listing import Page
from mootd.control.hosting import ConsoleChannel
from mootd.control.work import Work, answer_frame, took_too_long


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


def test_what_took_too_long_is_told_to_take_a_limit_where_it_has_one() -> None:
    assert "with a limit" in took_too_long(ListIssues(limit=0), "").hint
    assert "limit" not in took_too_long(Show(ids=("a",)), "").hint


def page_of(count: int) -> Page:
    issues = [{"id": f"mt-{number}", "title": "x" * 50 * 1024 * (1 + number % 2)} for number in range(count)]
    return Page(issues=issues, total=count, truncated=False, short=[4] * count)


def test_an_answer_is_the_result_in_a_frame() -> None:
    assert answer_frame(7, page_of(3)) == rpc.result_frame(7, page_of(3))


def test_of_a_list_that_is_too_long_it_is_told_how_many_issues_fit() -> None:
    with pytest.raises(RefusedError, match=r"^500 issues don't fit one answer: about \d+ such") as refused:
        answer_frame(7, page_of(500))
    assert refused.value.code is Code.LIMIT
    fit = int(refused.value.message.split("about ")[1].split()[0])
    assert 60 < fit < 109
    answer_frame(7, page_of(fit))


def test_of_anything_else_that_is_too_long_it_is_told_that_it_is() -> None:
    with pytest.raises(RefusedError, match="do not fit a frame"):
        answer_frame(7, ["x" * 1024 * 1024] * 9)
