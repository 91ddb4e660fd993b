"""Linked copies on shared planes: share, unshare, share list|follow."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.commands.issues.conflicts import value_text
from moot.console.context import answer, answer_list, note
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.exchange import KEY_SHOWN, table
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot_protocol.issues.redaction import DEFAULT_FIELDS
from moot_protocol.requests.shares import FollowShare, Share, Shares, Unshare

_STATES: Final = {"in_step": "in step", "behind": "to follow", "differs": "differs"}


def _meant(parser: ArgumentParser, *, to: str) -> None:
    add = parser.add_argument
    add("id", nargs="?", default="", metavar="ID", help="an issue")
    add("--label", default="", metavar="LABEL", help="all issues with this label")
    add("--project", default="", metavar="PREFIX", help="all issues of this project, with --label those of it")
    add("--to", default="", metavar="PLANE", help=to)


def what_of(share: Mapping[str, Any]) -> str:
    """What a share shares, in words."""
    value = lines.text_of(share, "value")
    within = f" of project {lines.text_of(share, 'project')}" if share.get("project") else ""
    return {"issue": value, "label": f"label {value}{within}"}.get(str(share["what"]), f"project {value}")


def _copies(count: int) -> str:
    return "1 copy" if count == 1 else f"{count:,} copies"


def _left(count: int) -> list[str]:
    return [f"{count:,} can't be copied"] if count else []


def _uncopied(share: Mapping[str, Any]) -> Iterator[str]:
    """A line for each issue that can't be copied."""
    for each in share.get("uncopied", ()):
        yield f"  {lines.text_of(each, 'source')} can't be copied: {lines.text_of(each, 'why')}"


# -- share -------------------------------------------------------------------------------------------------------
def _share_arguments(parser: ArgumentParser) -> None:
    _meant(parser, to="the plane that the copies go to")
    add = parser.add_argument
    add("--fields", action="append", metavar="A,B", help=f"what goes (default {','.join(DEFAULT_FIELDS)})")
    add(
        "--redact",
        default="",
        metavar="RULE",
        help="what stays: -label:PATTERN (labels), -issue:PATTERN (issues with such a label), -word:TEXT; with commas",
    )
    add("--prefix", default="", metavar="PREFIX", help="of the copies' ids (default: the plane's project, or `shared`)")
    add("--dry-run", action="store_true", help="only say what would be shared")


def _share(context: Context) -> int:
    given = context.arguments
    request = Share(
        actor=context.actor,
        dry_run=given.dry_run,
        id=given.id,
        label=given.label,
        project=given.project,
        to=given.to,
        fields=tuple(comma_separated(given.fields)),
        redact=given.redact,
        prefix=given.prefix,
    )
    made = context.api.call(request)
    answer(context, made, _begun(context, made))
    return exits.OK


def _begun(context: Context, made: Mapping[str, Any]) -> Iterator[str]:
    words = "Would share" if context.arguments.dry_run else "Shared"
    count = _copies(len(made["copies"]))
    yield confirmed(
        context, f"{words} {what_of(made)} on plane {lines.text_of(made, 'to')}: {count}, as {made['share']}"
    )
    yield f"  What goes: {neutralise(', '.join(made['fields']))}; everything else stays here"
    yield from _uncopied(made)
    for copy in made["copies"][:1] if made["what"] == "issue" else ():
        yield f"  The copy is {lines.text_of(copy, 'copy')}; it follows what is changed here, and nothing comes back"


# -- unshare -----------------------------------------------------------------------------------------------------
def _unshare_arguments(parser: ArgumentParser) -> None:
    _meant(parser, to="only from this plane")


def _unshare(context: Context) -> int:
    given = context.arguments
    request = Unshare(actor=context.actor, id=given.id, label=given.label, project=given.project, to=given.to)
    ended = context.api.call(request)
    count, program = _copies(ended["withdrawn"]), context.terminal.facts.program
    told = f"No longer shares {what_of(ended)} on plane {lines.text_of(ended, 'to')}: {count} deleted there"
    stays = "The issue itself stays" if ended["what"] == "issue" else "The issues themselves stay"
    answer(context, ended, [confirmed(context, told), f"  {stays} here; `{program} share` makes copies anew"])
    note(context, "Whoever has read them keeps what they were until now: deleting takes nothing out of others' logs")
    return exits.OK


# -- share list, share follow ------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="only of this issue")


def _list(context: Context) -> int:
    shares = context.api.call(Shares(id=context.arguments.id))
    answer_list(context, shares, lambda style: share_lines(style, shares), "nothing is shared")
    return exits.OK


def share_lines(style: Style, shares: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each share a line; below it what can't be copied, and copies that differ with what other towns suggest."""
    told: list[str] = []
    for share, head in zip(shares, table(style, [_head(share) for share in shares]), strict=True):
        told.append(head)
        told += _uncopied(share)
        for copy in share["copies"]:
            if share["what"] == "issue" or copy["state"] == "differs":
                state = _STATES.get(str(copy["state"]), neutralise(str(copy["state"])))
                told.append(f"  {lines.text_of(copy, 'source')} -> {lines.text_of(copy, 'copy')} {state}")
            told += [f"    {_suggestion(each)}" for each in copy["suggestions"]]
    return told


def _head(share: Mapping[str, Any]) -> list[str]:
    follower = "followed here" if share["is_here"] else f"followed by {neutralise(str(share['follower']))[:KEY_SHOWN]}"
    return [
        lines.text_of(share, "share"),
        what_of(share),
        f"on {lines.text_of(share, 'to')}",
        ", ".join([_copies(len(share["copies"])), *_left(len(share.get("uncopied", ())))]),
        follower,
        lines.text_of(share, "rule"),
    ]


def _suggestion(each: Mapping[str, Any]) -> str:
    who = " ".join(filter(None, (lines.text_of(each, "actor"), lines.origin_mark(each)))) or "another town"
    field = lines.text_of(each, "field")
    if field == "deleted":
        return f"deleted there by {who}"
    if each.get("there") is None:
        return f"{field}: {value_text(each['here'])} was taken out there"
    if each.get("here") is None:
        return f"{field}: {who} added {value_text(each['there'])}"
    return f"{field}: {value_text(each['here'])} here, {value_text(each['there'])} there, by {who}"


def _follow_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("share", metavar="SHARE", help="as `share list` names it")


def _follow(context: Context) -> int:
    taken = context.api.call(FollowShare(actor=context.actor, share=context.arguments.share))
    follows = confirmed(context, f"This machine follows {what_of(taken)} from now on")
    answer(context, taken, [follows, *_uncopied(taken)])
    return exits.OK


COMMANDS: Final = (
    Command(
        "share",
        "Copy issues onto a shared plane; the copies follow what is changed here",
        _share_arguments,
        _share,
        examples=("moot share a1b2 --to shared", "moot share --label api --to shared --redact -label:cust-*"),
    ),
    Command(
        "unshare",
        "Delete the copies, and follow no more",
        _unshare_arguments,
        _unshare,
        examples=("moot unshare a1b2", "moot unshare --label api"),
    ),
    Command(
        "share list",
        "What is shared, and where other towns have changed copies",
        _list_arguments,
        _list,
        examples=("moot share list", "moot share list bd-a1b2  # of this issue alone"),
    ),
    Command(
        "share follow",
        "Let this machine follow, in place of another one of the town",
        _follow_arguments,
        _follow,
        examples=("moot share follow 4f2k  # as `moot share list` names it",),
    ),
)
"""The commands of this module."""
