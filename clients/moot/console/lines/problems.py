"""What was odd about lines of a file, for a terminal: each with its number, what was kept and said before counted once.

Invariant: a line that went in not at all, or not whole, is always named by its number, as long as so many are shown.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise

PROBLEMS_SHOWN: Final = 50
"""Problems printed one by one at most; `--json` holds all."""


def problem_lines(
    problems: Iterable[Mapping[str, Any]], shown: int = PROBLEMS_SHOWN, rest: str = "--json lists all"
) -> Iterator[str]:
    """Lines that tell of problems.

    Args:
        problems: as an answer to `import` lists them, in the order in which they are to be told. Nothing is lost by
            those that are `kept`: of several that say the same the first is told, with how many lines are like it.
        shown: how many are told at most.
        rest: where the others are told.
    """
    told: list[Mapping[str, Any]] = []
    alike: dict[tuple[bool, str], int] = {}
    for problem in problems:
        name = bool(problem.get("base")), str(problem["problem"])
        if name in alike:
            alike[name] += 1
            continue
        if problem.get("kept"):
            alike[name] = 0
        told.append(problem)
    for problem in told[:shown]:
        name = bool(problem.get("base")), str(problem["problem"])
        where = "base line" if name[0] else "line"
        about = f" {neutralise(str(problem['id']))}" if problem.get("id") else ""
        others = alike.get(name, 0)
        also = f" (and {several(others, 'other line')})" if others else ""
        yield f"  {where} {problem['line']}{about}: {neutralise(name[1])}{also}"
    if len(told) > shown:
        yield f"  and {len(told) - shown:,} more; {rest}"
