"""What was odd about lines of a file: told by number, and what was kept anyway only once."""

from typing import Any

from moot.console.lines.problems import PROBLEMS_SHOWN, problem_lines


def problem(line: int, text: str, **more: Any) -> dict[str, Any]:
    return {"line": line, "id": f"bd-{line}", "problem": text, **more}


def test_every_line_that_was_left_out_is_named() -> None:
    assert list(problem_lines([problem(1, "cut off"), problem(2, "cut off")])) == [
        "  line 1 bd-1: cut off",
        "  line 2 bd-2: cut off",
    ]


def test_what_was_kept_is_told_once_with_how_many_lines_are_like_it() -> None:
    odd = [problem(line, "type odd: kept", kept=True) for line in range(2, 2003)]
    assert list(problem_lines([problem(1, "cut off"), *odd, problem(3000, "other: kept", kept=True)])) == [
        "  line 1 bd-1: cut off",
        "  line 2 bd-2: type odd: kept (and 2,000 other lines)",
        "  line 3000 bd-3000: other: kept",
    ]


def test_lines_of_the_file_before_are_told_apart() -> None:
    both = [problem(1, "odd: kept", kept=True, base=True), problem(1, "odd: kept", kept=True)]
    assert list(problem_lines(both)) == ["  base line 1 bd-1: odd: kept", "  line 1 bd-1: odd: kept"]


def test_no_more_are_shown_than_anybody_reads() -> None:
    shown = list(problem_lines([problem(line, f"cut off at {line}") for line in range(PROBLEMS_SHOWN + 7)]))
    assert len(shown) == PROBLEMS_SHOWN + 1
    assert shown[-1] == "  and 7 more; --json lists all"


def test_what_lines_say_is_neutralised() -> None:
    assert next(problem_lines([{"line": 1, "id": "\x1b[31m", "problem": "\x07 bell"}])).isprintable()
