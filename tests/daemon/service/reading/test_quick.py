"""Reads that show few issues: which they are, and that they say what the service says."""

from typing import Any

import pytest

from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import (
    Blocked,
    Create,
    InitProject,
    IssueFields,
    ListIssues,
    Ready,
    ResolveIds,
    Show,
    WorkspaceInfo,
)
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.machine import Events, Rebuild
from moot_testkit.towns.town import PROJECT, make_api
from mootd.service.reading.quick import QUICK_READS, QUICK_ROWS, QuickReads


def create(title: str) -> Create:
    return Create(actor="ada", project=PROJECT, fields=IssueFields(title=title))


@pytest.mark.parametrize(
    ("request_", "quick"),
    [
        (Show(ids=("demo-a",)), True),
        (ResolveIds(ids=("a",)), True),
        (WorkspaceInfo(workspace="work"), True),
        (Ready(limit=QUICK_ROWS), True),
        (Ready(limit=QUICK_ROWS, filter=Filter(projects=(PROJECT,))), True),
        (Ready(limit=QUICK_ROWS, filter=Filter(projects=(PROJECT,), plane="ledger")), True),
        (Ready(limit=QUICK_ROWS + 1), False),
        (Ready(limit=0), False),
        (Ready(sort="oldest"), False),
        (ListIssues(), True),
        (ListIssues(texts=True), False),
        (ListIssues(filter=Filter(labels=("a",))), False),
        (Blocked(), False),
        (Events(), False),
        (create("One"), False),
        (Rebuild(), False),
    ],
)
def test_only_what_reads_little_is_answered_on_the_loop(request_: Request[Any], quick: bool) -> None:
    assert QuickReads.take(request_) is quick


def test_each_of_them_is_answered_as_by_the_service() -> None:
    api = make_api()
    api.call(InitProject(actor="founder", prefix=PROJECT, workspace="work"))
    issue = api.call(create("One"))["id"]
    asked: tuple[Request[Any], ...] = (
        Show(ids=(issue,)), ResolveIds(ids=(issue,)), WorkspaceInfo(workspace="work"), Ready(), ListIssues(),
    )  # fmt: skip
    assert {type(request) for request in asked} == set(QUICK_READS)
    quick = QuickReads(api.member.replica)
    answers = [quick.answer(request) for request in asked]
    assert answers == [api.call(request) for request in asked]
    assert all(answers)
