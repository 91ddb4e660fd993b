"""Checks as lines: what was looked at, whether it is right, and what to do where it isn't."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console.command import Context
from moot.console.lines.confirm import confirmed
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of

_INDENT: Final = "  "
"""Below the mark of a check."""


def check_lines(context: Context, checks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each check, its hint below it where it failed, and how many did.

    Args:
        context: the command's.
        checks: each `{"check", "ok", "detail", "hint"}`.
    """
    style = style_of(context.terminal.facts)
    for check in checks:
        told = ": ".join(neutralise(str(part)) for part in (check["check"], check["detail"]) if part)
        told = _folded(style, told)
        yield confirmed(context, told) if check["ok"] else f"{style.alarm('✗')} {told}"
        if not check["ok"] and check.get("hint"):
            yield f"{_INDENT}{_folded(style, neutralise(str(check['hint'])))}"
    failed = sum(not check["ok"] for check in checks)
    yield f"{failed} of {several(len(checks), 'check')} failed" if failed else "Every check passed"


def _folded(style: Style, text: str) -> str:
    """A text that stands behind two columns, at a terminal in lines that fit, but for paths that are longer."""
    if not style.terminal:
        return text
    width = style.width - len(_INDENT)
    lines = textwrap.wrap(text, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
    return f"\n{_INDENT}".join(lines)
