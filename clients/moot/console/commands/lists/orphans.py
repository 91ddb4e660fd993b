"""orphans: issues that commits speak of, and that are not closed.

The client reads the log of the repository it stands in; nothing of the repository is touched. A message speaks of an
issue where its id or its alias stands as a word of its own: whole, or as far as lists show it.
"""

import re
from argparse import ArgumentParser
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, finished_lines, naming
from moot.console.text.style import style_of
from moot_protocol.errors import Code, MootError
from moot_protocol.limits import ENTITY_BYTES, SHORT_ID_CHARS
from moot_protocol.requests.issues import Close, ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.queries import Begun

COMMITS: Final = 10_000
REASON: Final = "Implemented"
_STATUSES: Final = ("open", "in_progress")
_ASKED: Final = 1_000
"""Words that are looked up by one request."""
_BEGUN: Final = 20
"""Ids that a word begins of which the issues are looked at: it means one, so there are few."""
MESSAGE_CHARS: Final = 64 * 1024
"""Characters of one message that are looked at: no commit of people speaks of issues beyond them."""
_word: Final = re.compile(r"(?<![\w.])[A-Za-z][\w.]*+(?:-[\w.]++)++")
"""What may be an id. It begins where a word does and gives nothing back, so a long word is gone through once."""


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--details", action="store_true", help="with the latest commit that speaks of each")
    parser.add_argument("-f", "--fix", action="store_true", help="close them")
    add_dry_run(parser)
    parser.add_argument("-l", "--label", action="append", help="with all of these labels")
    parser.add_argument("--label-any", action="append", help="with any of these labels")
    filters.add_place(parser)


def _orphans(context: Context) -> int:
    arguments = context.arguments
    wanted = Filter(
        projects=filters.projects_of(context),
        plane=arguments.plane,
        statuses=_STATUSES,
        labels=comma_separated(arguments.label),
        any_labels=comma_separated(arguments.label_any),
    )
    log = context.terminal.git_log(COMMITS)
    found = spoken_of(_meant_by(context, wanted, words_of(log)), log)
    fixing = batched([_closing(context, issue)] for issue, _ in found) if arguments.fix else ()
    closed = [each for steps in fixing for each in carry_out(context, steps)]
    told = [*_lines(context, found), *finished_lines(context, closed)]
    answer(context, [_document(issue, *commit) for issue, commit in found], told)
    return exits.OK


def _closing(context: Context, issue: IssueDoc) -> tuple[str, Any]:
    dry_run = context.arguments.dry_run
    return issue["id"], Close(actor=context.actor, dry_run=dry_run, id=issue["id"], reason=REASON, force=True)


def _meant_by(context: Context, wanted: Filter, words: Sequence[str]) -> list[IssueDoc]:
    """The issues of a filter that words may mean, in order of id: looked up, not looked for among all."""
    found: dict[str, IssueDoc] = {}
    try:
        for at in range(0, len(words), _ASKED):
            page = context.api.call(Begun(starts=tuple(words[at : at + _ASKED]), filter=wanted, most=_BEGUN))
            found |= {issue["id"]: issue for issue in page.issues}
    except MootError as error:
        if error.code is not Code.UNREACHABLE:
            raise
        # What a sandbox has of the project tells no beginnings; it is small.
        return context.api.call(ListIssues(filter=wanted, sort="id", limit=0)).issues
    return [found[name] for name in sorted(found)]


def words_of(log: str) -> list[str]:
    """What in a log may be an id or how one begins, each once, in the order of commits.

    Args:
        log: as `Terminal.git_log` gives it.
    """
    messages = (commit.partition("\t")[2] for commit in log.split("\0"))
    return list(dict.fromkeys(word for message in messages for word in _words(message)))


def _words(message: str) -> Iterator[str]:
    found = (word.rstrip(".") for word in dict.fromkeys(_word.findall(message[:MESSAGE_CHARS])))
    return (word for word in found if len(word) <= ENTITY_BYTES)


def spoken_of(issues: Sequence[IssueDoc], log: str) -> list[tuple[IssueDoc, tuple[str, str]]]:
    """The issues that commits speak of, in order of id, each with (hash, first line) of the latest such commit.

    Args:
        issues: those to look for, in order of id.
        log: as `Terminal.git_log` gives it.
    """
    meant = {name: issue["id"] for issue in issues for name in (issue["id"], issue.get("_alias")) if name}
    names = sorted(meant)
    latest: dict[str, tuple[str, str]] = {}
    for commit in log.split("\0"):
        commit_hash, _, message = commit.partition("\t")
        for word in _words(message):
            issue = meant.get(_meant(names, word), "")
            if issue and issue not in latest:
                latest[issue] = (commit_hash, message.partition("\n")[0])
    return [(issue, latest[issue["id"]]) for issue in issues if issue["id"] in latest]


def _meant(names: Sequence[str], word: str) -> str:
    """The name that a word is, or is the beginning of; empty where there is none, or several."""
    place = bisect_left(names, word)
    if place == len(names) or not names[place].startswith(word):
        return ""
    if names[place] == word:
        return word
    is_long = len(word.rpartition("-")[2]) >= SHORT_ID_CHARS
    is_unique = place + 1 == len(names) or not names[place + 1].startswith(word)
    return names[place] if is_long and is_unique else ""


def _document(issue: IssueDoc, commit_hash: str, message: str) -> dict[str, Any]:
    return {
        "issue_id": issue["id"],
        "title": issue.get("title", ""),
        "status": issue.get("status", ""),
        "latest_commit": commit_hash,
        "latest_commit_message": message,
    }


def _lines(context: Context, found: Sequence[tuple[IssueDoc, tuple[str, str]]]) -> Iterator[str]:
    if not found:
        yield confirmed(context, "No orphaned issues found")
    style = style_of(context.terminal.facts)
    for issue, (commit_hash, message) in found:
        yield lines.node_line(style, "", issue)
        if context.arguments.details:
            told = {"hash": commit_hash, "message": message}
            yield f"  {style.faint(lines.text_of(told, 'hash'))} {lines.text_of(told, 'message')}"
    if context.arguments.fix:
        done = "Would close" if context.arguments.dry_run else "Closed"
        yield from (confirmed(context, f"{done} {naming(issue)}") for issue, _ in found)


COMMANDS: Final = (
    Command(
        "orphans",
        "Issues that git commits speak of and that are not closed",
        _arguments,
        _orphans,
        examples=("moot orphans --details", "moot orphans --fix --dry-run"),
    ),
)
"""The commands of this module."""
