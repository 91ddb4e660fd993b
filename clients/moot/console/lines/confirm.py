"""How commands that write say what they did: one line a thing, in the words that readers of `bd`'s output look for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console.command import Context
from moot.console.text.safe_text import neutralise
from moot.console.text.style import GREEN, style_of
from moot_protocol.requests.listing import IssueDoc

UNCHANGED: Final = "_unchanged"
"""What marks an answer, and the document that tells of it: there was nothing to do."""

FINISHED: Final = "_finished"
"""What tells in the answer to a close of molecules whose last open step that was: they were closed with it."""


def confirmed(context: Context, text: str) -> str:
    """A line that says that something was done. The text is safe to print."""
    return f"{style_of(context.terminal.facts).paint('✓', GREEN)} {text}"


def nothing_to_do(text: str) -> str:
    """A line that says why there was nothing to do. The text is safe to print."""
    return f"Nothing to do: {text}"


def is_unchanged(answered: Mapping[str, Any]) -> bool:
    """Whether an answer says that there was nothing to do."""
    return UNCHANGED in answered


def unchanged_among(issues: Sequence[IssueDoc]) -> dict[str, Any]:
    """The mark of one document about several issues: true for the only one, else the ids of those unchanged."""
    ids = [str(issue["id"]) for issue in issues if is_unchanged(issue)]
    if not ids:
        return {}
    return {UNCHANGED: True if len(issues) == 1 else ids}


def naming(issue: IssueDoc) -> str:
    """An issue by its alias, or its whole id, and its title, safe to print."""
    name = neutralise(str(issue.get("_alias") or issue["id"]))
    title = neutralise(str(issue.get("title", "")))
    return f"{name} — {title}" if title else name


def finished_among(answers: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The mark of one document about several issues: the ids of the molecules that were closed with them."""
    ids = list(_finished(answers))
    return {FINISHED: ids} if ids else {}


def finished_lines(context: Context, answers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each molecule that was closed because the last of its steps was."""
    done = "Would auto-close" if getattr(context.arguments, "dry_run", False) else "Auto-closed"
    for name in _finished(answers):
        yield confirmed(context, f"{done} completed molecule {neutralise(name)}")


def _finished(answers: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    return (name for answered in answers for name in answered.get(FINISHED, ()))


def by_project(counts: Mapping[str, int]) -> list[str]:
    """The line that tells how many issues of each project are meant; none where nothing is told of projects."""
    whose = ", ".join(f"{neutralise(name)} {count:,}" for name, count in counts.items())
    return [f"  By project: {whose}"] if whose else []
