"""What may be wrong with issues as they stand: dangling edges, copies, left-overs of tests."""

from typing import Any

import pytest

from moot.console.integrity import SURE, BadEdge, copies, dangling, leftovers, waiting_for_parents
from moot_protocol.requests.listing import IssueDoc
from moot_testkit.clients.console import issue


def edges(source: int, *targets: str) -> dict[str, Any]:
    one = issue(source)
    return one | {"dependencies": [{"issue_id": one["id"], "depends_on_id": to, "type": "blocks"} for to in targets]}


def test_an_edge_to_an_issue_that_is_nowhere_dangles() -> None:
    issues = [edges(1, issue(2)["id"], "bd-gone", "external:x:y", "bd-elsewhere"), issue(2)]
    assert dangling(issues, lambda name: name == "bd-elsewhere") == [BadEdge(issues[0]["id"], "bd-gone", "blocks")]


def test_open_issues_of_the_same_content_are_copies() -> None:
    same = [issue(number, title="Twice", description="d") for number in (2, 1)]
    others = [issue(3, title="Twice"), *(issue(n, title="Twice", description="d", status="closed") for n in (4, 5))]
    assert copies([*same, *others]) == [[same[1]["id"], same[0]["id"]]]


@pytest.mark.parametrize(
    ("title", "description", "score"),
    [
        ("Test issue 12", "", 1.0),
        ("test 3", "about something", 0.9),
        ("tmp", "", 0.8),
        ("Benchmark: sort", "how fast is it", 0.7),
        ("Testing is slow", "", 0.8),
        ("Tests fail on 3.12", "they do", 0.7),
        ("Temperature is wrong", "", None),
        ("Fix the test", "", None),
        ("Attest the build", "", None),
    ],
)
def test_an_issue_is_judged_by_its_title_number_and_description(
    title: str, description: str, score: float | None
) -> None:
    found = leftovers([issue(1, title=title, description=description)])
    assert [each.score for each in found] == ([] if score is None else [score])
    assert all(each.reasons for each in found)


@pytest.mark.parametrize(
    "sign", [{"assignee": "bob"}, {"comments": [{"text": "seen"}]}, {"dependencies": [{"depends_on_id": "bd-x"}]}]
)
def test_what_somebody_has_to_do_with_is_spared(sign: dict[str, Any]) -> None:
    assert leftovers([issue(1, title="Test issue 1", **sign)]) == []


def test_what_others_wait_for_is_spared() -> None:
    test = issue(1, title="Test issue 1")
    assert leftovers([test, edges(2, test["id"])]) == []


def test_the_surest_come_first() -> None:
    titles = ("Benchmark of sorting", "Test issue 1", "Sample 2")
    found = leftovers([issue(number, title=title, description="d") for number, title in enumerate(titles)])
    assert [each.issue["title"] for each in found] == ["Test issue 1", "Sample 2", "Benchmark of sorting"]
    assert [each.score >= SURE for each in found] == [True, True, False]


def test_what_waits_for_what_it_is_part_of_at_any_distance_is_found_and_circles_of_parents_end() -> None:
    def part(name: str, *edges: tuple[str, str]) -> IssueDoc:
        return {"id": name, "dependencies": [{"depends_on_id": to, "type": edge_type} for to, edge_type in edges]}

    issues = [
        part("a"),
        part("b", ("a", "parent-child"), ("c", "blocks")),
        part("c", ("b", "parent-child"), ("a", "conditional-blocks"), ("a", "related"), ("x", "blocks")),
        part("d", ("e", "parent-child"), ("a", "blocks")),
        part("e", ("d", "parent-child")),
    ]
    assert waiting_for_parents(issues) == [BadEdge("c", "a", "conditional-blocks")]
