"""Short ways to say what `update` and `dep add` say: note, tag, label propagate, link, dep relate, dep unrelate."""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Final

from moot.console import documents
from moot.console.arguments.several_issues import batched, labels_named
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, text_given
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, naming, nothing_to_do
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddEdge, Children, Edge, RemoveEdge, Update

RELATED: Final = "relates-to"


# -- note --------------------------------------------------------------------------------------------------------
def _note_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("text", nargs="*", metavar="TEXT", help="what to add; words are put together, - reads stdin")
    parser.add_argument("--stdin", action="store_true", help="read the text from stdin")
    parser.add_argument("--file", metavar="FILE", help="read the text from a file; - is stdin")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")


def _note(context: Context) -> int:
    given = context.arguments
    if sum([bool(given.text), given.stdin, given.file is not None]) != 1:
        raise RefusedError("a note needs one text", code=Code.USAGE, hint='`moot note ID "text"`, --file, or --stdin')
    text = text_given(context).strip()
    if not text:
        raise RefusedError("a note can't be empty", code=Code.USAGE)
    changed = context.api.call(Update(actor=context.actor, dry_run=given.dry_run, id=given.id, append_notes=text))
    answer(context, documents.changed(changed), [confirmed(context, f"Note added to {naming(changed)}")])
    return 0


# -- tag, link ---------------------------------------------------------------------------------------------------
def _tag_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("label", metavar="LABEL", help="the label; several with commas: A,B")


def _tag(context: Context) -> int:
    labels = labels_named(context.arguments.label)
    changed = context.api.call(Update(actor=context.actor, id=context.arguments.id, add_labels=labels))
    told = (
        nothing_to_do(f"{naming(changed)} has {_in_words(labels)} already")
        if is_unchanged(changed)
        else confirmed(context, f"Added {_in_words(labels)} to {naming(changed)}")
    )
    answer(context, documents.changed(changed), [told])
    return 0


def _in_words(labels: Sequence[str]) -> str:
    named = ", ".join(f"'{neutralise(label)}'" for label in labels)
    return f"label {named}" if len(labels) == 1 else f"labels {named}"


def _propagate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="PARENT", help="the issue whose children get it")
    parser.add_argument("label", metavar="LABEL", help="the label; several with commas: A,B")


def _propagate(context: Context) -> int:
    """Give the children that lack labels what they lack: some hundred in one script, which is all or nothing.

    Where a later script is refused, the children before it have theirs; who repeats the command goes on from there.
    """
    labels = labels_named(context.arguments.label)
    children = context.api.call(Children(id=context.arguments.id)).issues
    lacking = {
        child["id"]: missing
        for child in children
        if (missing := tuple(label for label in labels if label not in child.get("labels", ())))
    }
    for script in batched(
        [(one, Update(actor=context.actor, id=one, add_labels=each))] for one, each in lacking.items()
    ):
        carry_out(context, script)
    document = [
        {"status": "added", "issue_id": one, "label": label} for one, missing in lacking.items() for label in missing
    ]
    answer(context, document, [_propagated(context, labels, len(lacking), len(children))])
    return 0


def _propagated(context: Context, labels: Sequence[str], added: int, children: int) -> str:
    shown = _in_words(labels)
    if added:
        return confirmed(context, f"Added {shown} to {added:,} of {several(children, 'child', 'ren')}")
    parent = neutralise(context.arguments.id)
    return nothing_to_do(f"every child of {parent} has {shown} already" if children else f"{parent} has no children")


def _link_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue that waits")
    parser.add_argument("to", metavar="ON", help="the issue it waits for")
    parser.add_argument("-t", "--type", default="blocks", help="blocks, tracks, related, parent-child… or your own")


def _link(context: Context) -> int:
    given = context.arguments
    edge = context.api.call(AddEdge(actor=context.actor, id=given.id, edge=Edge(to=given.to, type=given.type)))
    ends = {name: edge[name] for name in ("issue_id", "depends_on_id", "type")}
    told = f"{neutralise(ends['issue_id'])} depends on {neutralise(ends['depends_on_id'])} ({neutralise(ends['type'])})"
    if edge.get("created", True):
        answer(context, {"status": "added", **ends}, [confirmed(context, f"Linked: {told}")])
    else:
        answer(context, {"status": "added", **ends, UNCHANGED: True}, [nothing_to_do(f"{told} already")])
    return 0


# -- dep relate, dep unrelate ------------------------------------------------------------------------------------
def _pair_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an issue")
    parser.add_argument("to", metavar="OTHER", help="the other; both refer to one another")


def _relate(context: Context) -> int:
    given = context.arguments
    pairs = ((given.id, given.to), (given.to, given.id))
    edges = carry_out(
        context, [(one, AddEdge(actor=context.actor, id=one, edge=Edge(to=to, type=RELATED))) for one, to in pairs]
    )
    if any(edge.get("created", True) for edge in edges):
        return _related(context, "linked", "are related")
    one, other = given.id, given.to
    told = f"{neutralise(one)} and {neutralise(other)} are related already"
    answer(context, {"id1": one, "id2": other, "linked": True, UNCHANGED: True}, [nothing_to_do(told)])
    return 0


def _unrelate(context: Context) -> int:
    given = context.arguments
    pairs = ((given.id, given.to), (given.to, given.id))
    gone = carry_out(
        context,
        [
            (one, RemoveEdge(actor=context.actor, id=one, to=to, type=RELATED, may_be_missing=True))
            for one, to in pairs  # `dep add -t relates-to` makes one of the two, and so does an import
        ],
    )
    if not any(edge["removed"] for edge in gone):
        raise RefusedError(f"{given.id} and {given.to} are not related", code=Code.NOT_FOUND)
    return _related(context, "unlinked", "are no longer related")


def _related(context: Context, status: str, told: str) -> int:
    one, other = context.arguments.id, context.arguments.to
    line = f"{neutralise(one)} and {neutralise(other)} {told}"
    answer(context, {"id1": one, "id2": other, status: True}, [confirmed(context, line)])
    return 0


COMMANDS: Final = (
    Command(
        "note", "Add a line to an issue's notes", _note_arguments, _note, examples=('moot note bd-a1b2 "Done so far"',)
    ),
    Command("tag", "Add a label to an issue", _tag_arguments, _tag, examples=("moot tag bd-a1b2 urgent",)),
    Command(
        "label propagate",
        "Give an issue's children a label",
        _propagate_arguments,
        _propagate,
        examples=("moot label propagate bd-a1b2 release-1.4  # to each of its children",),
    ),
    Command(
        "dep relate",
        "Let two issues refer to one another",
        _pair_arguments,
        _relate,
        aliases=("relate",),
        examples=("moot dep relate bd-a1b2 bd-c3d4  # neither waits for the other",),
    ),
    Command(
        "dep unrelate",
        "Take that back",
        _pair_arguments,
        _unrelate,
        aliases=("unrelate",),
        examples=("moot dep unrelate bd-a1b2 bd-c3d4",),
    ),
    Command("link", "Make an issue wait for another", _link_arguments, _link, examples=("moot link bd-a1b2 bd-c3d4",)),
)
"""The commands of this module."""
