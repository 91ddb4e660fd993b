"""What is attached to issues: dependencies, labels and comments are added and removed here."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from moot.console.arguments.several_issues import labels_named
from moot.console.command import Command, Context
from moot.console.commands.issues.write import Labelled
from moot.console.context import answer, carry_out, read_text, text_given
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, nothing_to_do
from moot.console.notices.edge_types_given import note_own_types
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.requests.issues import AddComment, AddEdge, Edge, RemoveEdge, Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.text.json_text import UNREADABLE


# -- dep add, dep remove -----------------------------------------------------------------------------------------
def _edge_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the issue that waits")
    parser.add_argument("to", nargs="?", metavar="ON", help="the issue it waits for, or external:PROJECT:CAPABILITY")


def _add_edge_arguments(parser: ArgumentParser) -> None:
    _edge_arguments(parser)
    parser.add_argument("--blocked-by", "--depends-on", metavar="ID", help="the same as ON")
    parser.add_argument(
        "-t", "--type", default="blocks", help="blocks, parent-child, related, discovered-from, waits-for… or your own"
    )
    parser.add_argument("--no-cycle-check", action="store_true", help="add it even if blockers would go in a circle")
    parser.add_argument(
        "--file",
        metavar="FILE",
        help='many at once, all or none: lines of {"from": ID, "to": ON, "type": …}; - is stdin',
    )


def _remove_edge_arguments(parser: ArgumentParser) -> None:
    _edge_arguments(parser)
    parser.add_argument("-t", "--type", default="", help="only this type; else every type")


def add_edge_mutations(context: Context) -> list[Labelled]:
    """What `dep add` wants."""
    given = context.arguments
    if given.file is not None:
        if given.id is not None or given.blocked_by is not None:
            raise RefusedError("--file names the issues itself", code=Code.USAGE, hint="leave ID and ON out")
        return [_read_edge(context, at, line) for at, line in _lines(read_text(context, given.file))]
    add = _adding(context, *_ends_of(given.id, given.to, given.blocked_by), given.type)
    return [("dep add", add)]


def _adding(context: Context, issue: str, to: str, edge_type: str) -> AddEdge:
    given = context.arguments
    edge = Edge(to=to, type=edge_type)
    return AddEdge(actor=context.actor, id=issue, edge=edge, check_cycles=not given.no_cycle_check)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((at, line) for at, line in enumerate(text.splitlines(), start=1) if line.strip())


class _EdgeLine(msgspec.Struct):
    """A dependency in a file; `bd` writes them one way for people and another way in its exports."""

    source: str = msgspec.field(name="from", default="")
    to: str = ""
    issue_id: str = ""
    depends_on_id: str = ""
    type: str = ""


def _read_edge(context: Context, at: int, line: str) -> Labelled:
    try:
        read = msgspec.json.decode(line, type=_EdgeLine)
    except UNREADABLE as error:
        raise RefusedError(f"line {at} is no dependency: {error}", code=Code.USAGE) from error
    issue, to = read.source or read.issue_id, read.to or read.depends_on_id
    if not (issue and to):
        raise RefusedError(f'line {at} needs "from" and "to"', code=Code.USAGE)
    return f"line {at}", _adding(context, issue, to, read.type or context.arguments.type)


def remove_edge_mutations(context: Context) -> list[Labelled]:
    """What `dep remove` wants."""
    given = context.arguments
    issue, to = _ends_of(given.id, given.to, None)
    return [("dep remove", RemoveEdge(actor=context.actor, id=issue, to=to, type=given.type))]


def _ends_of(issue: str | None, word: str | None, flag: str | None) -> tuple[str, str]:
    if issue is None or (word is None) == (flag is None):
        raise RefusedError("an edge needs two issues", code=Code.USAGE, hint="`moot dep add ID ON`: ID waits for ON")
    return issue, word if word is not None else str(flag)


def _add_edges(context: Context) -> int:
    """Add the dependencies of a file, all or none."""
    mutations = add_edge_mutations(context)
    edges = carry_out(context, mutations) if mutations else []
    added = sum(1 for edge in edges if edge.get("created", True))
    document = {"status": "added", "added": added, "unchanged": len(edges) - added, "total": len(edges)}
    several = "1 dependency" if added == 1 else f"{added:,} dependencies"
    told = f"Added {several}; {len(edges) - added:,} were there already"
    answer(context, document, [confirmed(context, told)])
    note_own_types(context, (edge["type"] for edge in edges))
    return 0


def _add_edge(context: Context) -> int:
    if context.arguments.file is not None:
        return _add_edges(context)
    edge = carry_out(context, add_edge_mutations(context))[0]
    told = f"{neutralise(edge['issue_id'])} depends on {neutralise(edge['depends_on_id'])} ({neutralise(edge['type'])})"
    created = edge.get("created", True)
    line = confirmed(context, f"Added dependency: {told}") if created else nothing_to_do(f"{told} already")
    answer(context, {"status": "added" if created else "unchanged", **_ends(edge), "type": edge["type"]}, [line])
    note_own_types(context, [edge["type"]])
    return 0


def _blocks_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue that has to be done first")
    parser.add_argument("-b", "--blocks", required=True, metavar="ID", help="the issue that waits for it")


def _blocks(context: Context) -> int:
    given = context.arguments
    edge = carry_out(
        context, [("dep", AddEdge(actor=context.actor, id=given.blocks, edge=Edge(to=given.id, type=BLOCKS)))]
    )[0]
    told = f"{neutralise(edge['depends_on_id'])} blocks {neutralise(edge['issue_id'])}"
    document = {"status": "added", "blocker_id": edge["depends_on_id"], "blocked_id": edge["issue_id"]}
    document["type"] = edge["type"]
    if edge.get("created", True):
        answer(context, document, [confirmed(context, f"Added dependency: {told}")])
    else:
        answer(context, document | {UNCHANGED: True}, [nothing_to_do(f"{told} already")])
    return 0


def _remove_edge(context: Context) -> int:
    edge = carry_out(context, remove_edge_mutations(context))[0]
    told = f"{neutralise(edge['issue_id'])} no longer depends on {neutralise(edge['depends_on_id'])}"
    if not edge["removed"]:
        raise RefusedError(
            f"{edge['issue_id']} does not depend on {edge['depends_on_id']}",
            code=Code.NOT_FOUND,
            hint=f"`moot dep list {edge['issue_id']}` lists what it depends on",
        )
    answer(context, {"status": "removed", **_ends(edge)}, [confirmed(context, f"Removed dependency: {told}")])
    return 0


def _ends(edge: dict[str, Any]) -> dict[str, Any]:
    return {"issue_id": edge["issue_id"], "depends_on_id": edge["depends_on_id"]}


# -- label add, label remove -------------------------------------------------------------------------------------
def _label_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="the issues: all of them or none")
    parser.add_argument("label", metavar="LABEL", help="the label, last; several with commas: A,B")


def label_mutations(context: Context, *, adding: bool) -> list[Labelled]:
    """What `label add` and `label remove` want: one change for each issue and label, issue by issue."""
    labels = labels_named(context.arguments.label)
    changes = [((label,), ()) if adding else ((), (label,)) for label in labels]
    return [
        (issue, Update(actor=context.actor, id=issue, add_labels=add, remove_labels=remove))
        for issue in dict.fromkeys(context.arguments.ids)
        for add, remove in changes
    ]


def _label(context: Context, *, adding: bool) -> int:
    issues: list[IssueDoc] = carry_out(context, label_mutations(context, adding=adding))
    labels = labels_named(context.arguments.label)
    done = list(zip(issues, labels * (len(issues) // len(labels)), strict=True))
    status, verb, towards = ("added", "Added", "to") if adding else ("removed", "Removed", "from")
    answer(
        context,
        [
            {"status": status, "issue_id": issue["id"], "label": label}
            | ({UNCHANGED: True} if is_unchanged(issue) else {})
            for issue, label in done
        ],
        (
            _labelled_already(issue, label, adding=adding)
            if is_unchanged(issue)
            else confirmed(context, f"{verb} label '{neutralise(label)}' {towards} {neutralise(str(issue['id']))}")
            for issue, label in done
        ),
    )
    return 0


def _labelled_already(issue: IssueDoc, label: str, *, adding: bool) -> str:
    has = f"has label '{neutralise(label)}' already" if adding else f"has no label '{neutralise(label)}'"
    return nothing_to_do(f"{neutralise(str(issue['id']))} {has}")


def _add_label(context: Context) -> int:
    return _label(context, adding=True)


def _remove_label(context: Context) -> int:
    return _label(context, adding=False)


# -- comment -----------------------------------------------------------------------------------------------------
def _comment_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to say; words are put together, - reads stdin")
    parser.add_argument("--stdin", action="store_true", help="read the text from stdin")
    parser.add_argument("-f", "--file", metavar="FILE", help="read the text from a file; - is stdin")
    parser.add_argument("-a", "--author", metavar="NAME", help="who says it, if not the one who acts")


def comment_mutations(context: Context) -> list[Labelled]:
    """What `comment` wants."""
    given = context.arguments
    sources = [bool(given.text), given.stdin, given.file is not None]
    if sum(sources) != 1:
        raise RefusedError(
            "a comment needs one text", code=Code.USAGE, hint='`moot comment ID "text"`, or --file FILE, or --stdin'
        )
    text = text_given(context)
    if not text.strip():
        raise RefusedError("a comment can't be empty", code=Code.USAGE)
    return [("comment", AddComment(actor=given.author or context.actor, id=given.id, text=text))]


def _comment(context: Context) -> int:
    comment = carry_out(context, comment_mutations(context))[0]
    answer(context, comment, [f"Comment added to {neutralise(comment['issue_id'])}"])
    return 0


ADD_EDGE = Command(
    "dep add",
    "Make an issue wait for another",
    _add_edge_arguments,
    _add_edge,
    examples=("moot dep add bd-a1b2 bd-c3d4", "moot dep add bd-a1b2 bd-c3d4 -t discovered-from"),
)
REMOVE_EDGE = Command(
    "dep remove",
    "Take a dependency away",
    _remove_edge_arguments,
    _remove_edge,
    aliases=("dep rm",),
    examples=("moot dep remove bd-a1b2 bd-c3d4",),
)
ADD_LABEL = Command(
    "label add", "Add a label to issues", _label_arguments, _add_label, examples=("moot label add bd-a1b2 urgent,api",)
)
REMOVE_LABEL = Command(
    "label remove",
    "Take a label from issues",
    _label_arguments,
    _remove_label,
    examples=("moot label remove bd-a1b2 urgent",),
)
COMMENT = Command(
    "comment",
    "Comment on an issue",
    _comment_arguments,
    _comment,
    aliases=("comments add",),
    examples=('moot comment bd-a1b2 "Seen on 3.12 too"', "moot comment bd-a1b2 --file report.md"),
)
DEP = Command(
    "dep",
    "Let one issue wait for another: the other way round than `dep add`",
    _blocks_arguments,
    _blocks,
    examples=("moot dep bd-a1b2 --blocks bd-c3d4",),
)
COMMANDS: Final = (DEP, ADD_EDGE, REMOVE_EDGE, ADD_LABEL, REMOVE_LABEL)
