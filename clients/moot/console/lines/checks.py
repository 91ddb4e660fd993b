"""Checks as lines: what was looked at, whether it is right, and what to do where it isn't."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from moot.console.command import Context
from moot.console.lines.confirm import confirmed
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of


def check_lines(context: Context, checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each check, its hint below it where it failed, and how many did.

    Args:
        context: the command's.
        checks: each `{"check", "ok", "detail", "hint"}`.
    """
    style = style_of(context.terminal.facts)
    for check in checks:
        told = ": ".join(neutralise(str(part)) for part in (check["check"], check["detail"]) if part)
        yield confirmed(context, told) if check["ok"] else f"{style.alarm('✗')} {told}"
        if not check["ok"] and check.get("hint"):
            yield f"  {neutralise(str(check['hint']))}"
    failed = sum(not check["ok"] for check in checks)
    yield f"{failed} of {several(len(checks), 'check')} failed" if failed else "Every check passed"
