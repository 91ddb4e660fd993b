"""What waits for a human: issues that have the label `human`, answered or dismissed."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from moot.console import documents, exits
from moot.console.arguments.filters import projects_of
from moot.console.command import Command, Context, no_arguments
from moot.console.commands.machine.about import QUICKSTART, print_text
from moot.console.context import answer, carry_out, note, read_text
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, finished_lines, naming
from moot.console.text.style import style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddComment, Close, ListIssues, Show
from moot_protocol.requests.listing import Filter, IssueDoc, Page

LABEL: Final = "human"
RESPONDED: Final = "Responded"
DISMISSED: Final = "Dismissed"
_ALL: Final = "all"


def _issues(context: Context, status: str) -> Page:
    statuses = () if status == _ALL else comma_separated([status])
    wanted = Filter(projects=projects_of(context), labels=(LABEL,), statuses=statuses)
    return context.api.call(ListIssues(filter=wanted, all=status == _ALL, limit=0))


# -- list, stats -------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-s", "--status", default="", help="of this status; all: closed ones too")


def _list(context: Context) -> int:
    page = _issues(context, context.arguments.status)
    if context.json:
        documents.write_page(context, page)
    elif page.issues:
        lines.write_issues(context, page, lines.issue_rows(style_of(context.terminal.facts), page, lines.LIST))
    else:
        context.terminal.err("nothing waits for a human\n")
    return exits.OK


def _stats(context: Context) -> int:
    issues = _issues(context, _ALL).issues
    closed = [issue for issue in issues if issue["status"] == "closed"]
    dismissed = sum(str(issue.get("close_reason", "")).startswith(DISMISSED) for issue in closed)
    counts = {
        "total": len(issues),
        "pending": len(issues) - len(closed),
        "responded": len(closed) - dismissed,
        "dismissed": dismissed,
    }
    answer(context, counts, (f"  {f'{name.capitalize()}:':<11} {count}" for name, count in counts.items()))
    return exits.OK


# -- respond, dismiss --------------------------------------------------------------------------------------------
def _respond_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="the answer; several words are put together")
    parser.add_argument("-r", "--response", metavar="TEXT", help="the same")
    parser.add_argument("--file", metavar="FILE", help="read the answer from a file; - is stdin")
    parser.add_argument("--stdin", action="store_true", help="read the answer from stdin")


def _text(context: Context) -> str:
    given = context.arguments
    named = [bool(given.text), given.response is not None, given.file is not None, given.stdin]
    if sum(named) != 1:
        raise RefusedError("an answer needs one text", code=Code.USAGE, hint='`moot human respond ID "text"`')
    if given.file is not None or given.stdin:
        return read_text(context, given.file or "-").strip()
    return str(given.response if given.response is not None else " ".join(given.text)).strip()


def _respond(context: Context) -> int:
    text = _text(context)
    if not text:
        raise RefusedError("an answer can't be empty", code=Code.USAGE)
    issue = _open_issue(context)
    comment = AddComment(actor=context.actor, id=issue["id"], text=f"Response: {text}")
    close = Close(actor=context.actor, id=issue["id"], reason=RESPONDED, force=True)
    _, closed = carry_out(context, [("comment", comment), ("close", close)])
    return _told(context, [closed], "Closed with the answer")


def _dismiss_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("words", nargs="*", metavar="REASON", help="why; several words are put together")
    parser.add_argument("--reason", default="", metavar="TEXT", help="the same")


def _dismiss(context: Context) -> int:
    given = context.arguments
    if given.words and given.reason:
        raise RefusedError("two reasons are given", code=Code.USAGE, hint="give one")
    reason = (given.reason or " ".join(given.words)).strip()
    issue = _open_issue(context)
    why = f"{DISMISSED}: {reason}" if reason else DISMISSED
    closed = context.api.call(Close(actor=context.actor, id=issue["id"], reason=why, force=True))
    return _told(context, [closed], "Dismissed")


def _open_issue(context: Context) -> IssueDoc:
    issue = context.api.call(Show(ids=(context.arguments.id,)))[0]
    if issue["status"] == "closed":
        raise RefusedError(f"{issue['id']} is closed already", code=Code.CONFLICT)
    if LABEL not in issue.get("labels", ()):
        note(context, f"Warning: {naming(issue)} does not have the label '{LABEL}'")
    return issue


def _told(context: Context, closed: Sequence[IssueDoc], done: str) -> int:
    told = [confirmed(context, f"{done}: {naming(closed[0])}"), *finished_lines(context, closed)]
    answer(context, list(map(documents.changed, closed)), told)
    return exits.OK


def _essentials(context: Context) -> int:
    return print_text(context, "human", QUICKSTART)


COMMANDS: Final = (
    Command(
        "human", "The commands that people need most", no_arguments, _essentials, alone=True, examples=("moot human",)
    ),
    Command("human list", "Issues that wait for a human", _list_arguments, _list, examples=("moot human list",)),
    Command(
        "human respond",
        "Answer one of them, which closes it",
        _respond_arguments,
        _respond,
        examples=('moot human respond bd-a1b2 "Use OAuth"',),
    ),
    Command(
        "human dismiss",
        "Close one of them without an answer",
        _dismiss_arguments,
        _dismiss,
        examples=('moot human dismiss bd-a1b2 "No longer needed"',),
    ),
    Command(
        "human stats",
        "How many wait, were answered, were dismissed",
        no_arguments,
        _stats,
        examples=("moot human stats", "moot human stats --json"),
    ),
)
"""The commands of this module."""
