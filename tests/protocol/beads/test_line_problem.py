"""What is told of a line that could not be taken in: its document, and what its marks add to it."""

import pytest

from moot_protocol.beads.line_problem import LineProblem

TOLD = {"line": 7, "id": "bd-1", "problem": "odd"}


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (LineProblem(7, "bd-1", "odd"), TOLD),
        (LineProblem(7, "bd-1", "odd", is_kept=True), TOLD | {"kept": True}),
        (LineProblem(7, "bd-1", "odd", is_refused=True), TOLD | {"refused": True}),
    ],
)
def test_an_answer_says_whether_an_export_gives_it_back_and_whether_writing_was_refused(
    problem: LineProblem, told: dict[str, object]
) -> None:
    assert problem.document() == told


def test_that_a_line_is_a_memory_is_for_this_side_alone_and_stands_in_no_answer() -> None:
    assert LineProblem(7, "bd-1", "odd", is_memory=True).document() == TOLD
