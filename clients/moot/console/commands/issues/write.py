"""Creating and changing issues: create, q, update, assign, priority.

Several ids are changed together or not at all: one answer, one commit, one error. Each command is a function that
says which mutations it wants, so that `batch` can string them together, and one that carries them out and confirms.
"""

import posixpath
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from moot.console import documents
from moot.console.arguments.issue_fields import (
    add_field_arguments,
    priority,
    read_entries,
    read_fields,
    read_metadata,
)
from moot.console.command import Command, Context
from moot.console.commands.issues.claims import add_ttl
from moot.console.context import answer, carry_out, need_project
from moot.console.grammar import comma_separated
from moot.console.lines.confirm import UNCHANGED, confirmed, finished_lines, is_unchanged, naming, nothing_to_do
from moot.console.notices.edge_types_given import note_own_types
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS, EXTERNAL, PARENT, WAITS_FOR
from moot_protocol.issues.issue import DEFAULT_PRIORITY, DEFAULT_TYPE
from moot_protocol.issues.sections import missing_sections
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.gates import SetAwaited
from moot_protocol.requests.issues import AddEdge, Create, Edge, IssueFields, Show, Update
from moot_protocol.requests.listing import IssueDoc

_KEPT_AS_METADATA: Final = (
    "--mol-type", "--wisp-type", "--event-actor", "--event-category", "--event-payload", "--event-target",
)  # fmt: skip
Labelled = tuple[str, Mutation[Any]]
"""A mutation and what names it in errors."""


# -- create ------------------------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("words", nargs="*", metavar="TITLE", help="what it is called")
    add_field_arguments(parser)
    add("-l", "--labels", "--label", action="append", metavar="A,B", help="its labels")
    add("--parent", metavar="ID", help="the issue it is part of")
    add("--no-inherit-labels", action="store_true", help="don't take over the parent's labels")
    add(
        "--deps",
        action="append",
        metavar="TYPE:ID,…",
        help="what it depends on; blocks:ID makes ID wait for this one (not so in a file)",
    )
    add("--waits-for", metavar="ID", help="wait for the children of this issue")
    add("--waits-for-gate", choices=("all-children", "any-children"), default="all-children", help="for all, or one")
    add("--metadata", metavar="JSON", help="more fields of your own: a JSON object, or @FILE")
    add("--id", help="an id of your own choice")
    add("--append-notes", metavar="TEXT", help="notes, beside those of --notes")
    add("--skills", metavar="TEXT", help="what whoever does it has to know; goes into the description")
    add("--context", metavar="TEXT", help="what to know about it; goes into the description")
    add("--repo", metavar="FOLDER", help="the project's folder, if it is this one; else go there with -C")
    add("--validate", action="store_true", help="refuse a description without the sections that its type should have")
    for flag in _KEPT_AS_METADATA:
        add(flag, metavar="TEXT", help="kept in the issue's metadata under this name")
    for flag in ("--force", "--no-history"):
        add(flag, action="store_true", help="accepted for bd's sake: it changes nothing here")
    add("--dry-run", action="store_true", help="check everything, write nothing")
    add("--silent", action="store_true", help="print the id only")
    add(
        "-f",
        "--file",
        metavar="FILE",
        help="make the issues of a Markdown file: `## Title`, `### Section`; below `### Dependencies` stands what an "
        "issue waits for, by ID or blocks:ID; - is stdin",
    )
    add("--graph", metavar="FILE", help="make the issues of a plan with their edges, as JSON; - is stdin")


def create_mutations(context: Context, itself: str = "$1") -> list[Labelled]:
    """What `create` wants: the issue, and the edges of others that lead to it.

    Args:
        context: with the arguments of `create`.
        itself: how steps after it name the new issue.
    """
    given = context.arguments
    fields = read_fields(context)
    fields.title = _title(given.words, given.title)
    if fields.priority is UNSET:
        fields.priority = DEFAULT_PRIORITY
    if fields.issue_type is UNSET:
        fields.issue_type = DEFAULT_TYPE
    _write_together(given, fields)
    if given.validate:
        _check_sections(fields)
    _check_folder(context)
    outward, inward = _read_deps(given)
    create = Create(
        actor=context.actor,
        dry_run=given.dry_run,
        project=need_project(context),
        plane=context.plane,
        fields=fields,
        id=given.id or "",
        labels=comma_separated(given.labels),
        edges=tuple(outward),
        parent=given.parent or "",
        metadata=_as_metadata(given) | read_metadata(context, given.metadata),
        inherit_labels=not given.no_inherit_labels,
    )
    waiting = [AddEdge(actor=context.actor, dry_run=given.dry_run, id=issue, edge=Edge(to=itself)) for issue in inward]
    return [("create", create), *((f"blocks:{edge.id}", edge) for edge in waiting)]


def _write_together(given: Namespace, fields: IssueFields) -> None:
    """Put the texts that have no field of their own where they belong."""
    sections = {"Required Skills": given.skills, "Context": given.context}
    told = [f"## {name}\n{text}" for name, text in sections.items() if text]
    if told:
        before = [] if isinstance(fields.description, UnsetType) else [fields.description]
        fields.description = "\n\n".join(filter(None, [*before, *told]))
    if given.append_notes:
        notes = [] if isinstance(fields.notes, UnsetType) else [fields.notes]
        fields.notes = "\n".join(filter(None, [*notes, given.append_notes]))


def _as_metadata(given: Namespace) -> dict[str, Any]:
    names = (flag.removeprefix("--").replace("-", "_") for flag in _KEPT_AS_METADATA)
    return {name: value for name in names if (value := getattr(given, name)) is not None}


def _check_sections(fields: IssueFields) -> None:
    """Refuse a description that lacks sections.

    Raises:
        RefusedError: `invalid`.
    """
    told = ["" if value is UNSET else str(value) for value in (fields.description, fields.acceptance_criteria)]
    missing = missing_sections(str(fields.issue_type), *told)
    if missing:
        raise RefusedError(f"the description lacks {', '.join(missing)}", hint="add them, or leave --validate out")


def _check_folder(context: Context) -> None:
    """Refuse another folder's project: this command acts where it was called.

    Raises:
        RefusedError: `usage`; the hint says how to go there.
    """
    folder, meant = context.terminal.facts.folder, context.arguments.repo
    if meant and posixpath.normpath(posixpath.join(folder, meant)) != posixpath.normpath(folder):
        hint = f"`{context.terminal.facts.program} -C {meant} create …`"
        raise RefusedError(f"{meant} is another folder than this", code=Code.USAGE, hint=hint)


def _title(words: Sequence[str], flag: str | None) -> str:
    if len(words) > 1:
        raise RefusedError("the title is more than one argument", code=Code.USAGE, hint="put the title in quotes")
    if words and flag is not None and words[0] != flag:
        raise RefusedError("two titles are given", code=Code.USAGE, hint="give it once")
    title = (words[0] if words else flag or "").strip()
    if not title:
        raise RefusedError("an issue needs a title", code=Code.USAGE, hint='`moot create "What is to be done"`')
    return title


def _read_deps(given: Namespace) -> tuple[list[Edge], list[str]]:
    """The edges that lead away from a new issue, and the issues that are to wait for it."""
    outward: list[Edge] = []
    inward: list[str] = []
    for entry in comma_separated(given.deps):
        kind, target = _split_dep(entry)
        if not kind or not target:
            raise RefusedError(f"{entry!r} is no dependency", code=Code.USAGE, hint="write TYPE:ID, or ID alone")
        if kind == BLOCKS:
            inward.append(target)
        else:
            kind = BLOCKS if kind in {"depends-on", "blocked-by"} else kind
            outward.append(Edge(to=target, type=kind))
    if given.waits_for:
        gate = msgspec.json.encode({"gate": given.waits_for_gate}).decode()
        outward.append(Edge(to=given.waits_for, type=WAITS_FOR, metadata=gate))
    return outward, inward


def _split_dep(entry: str) -> tuple[str, str]:
    if entry.startswith(EXTERNAL) or ":" not in entry:
        return "depends-on", entry
    kind, _, target = entry.partition(":")
    return kind.strip(), target.strip()


def _create(context: Context) -> int:
    given = context.arguments
    if given.file is not None or given.graph is not None:
        return _create_several(context)
    created: IssueDoc = carry_out(context, create_mutations(context))[0]
    if context.json:
        documents.write(context, documents.changed(created))
    elif context.arguments.silent:
        context.terminal.out(f"{neutralise(created['id'])}\n")
    elif context.arguments.dry_run:
        answer(context, created, _preview(created))
    else:
        answer(context, created, [confirmed(context, f"Created issue: {naming(created)}"), *_facts(created)])
    note_own_types(context, (edge.type for edge in _read_deps(given)[0]))
    return 0


def _create_several(context: Context) -> int:
    given = context.arguments
    if (given.file is None) == (given.graph is None) or given.words or given.title is not None:
        raise RefusedError("a title, --file and --graph exclude one another", code=Code.USAGE, hint="give one")
    from moot.console.commands.issues import creating  # few issues are made of files

    if given.graph is not None:
        return creating.create_from_graph(context, given.graph)
    return creating.create_from_markdown(context, given.file)


def _facts(issue: IssueDoc) -> Iterator[str]:
    yield f"  Priority: P{issue.get('priority', DEFAULT_PRIORITY)}"
    yield f"  Status: {neutralise(str(issue.get('status', 'open')))}"


def _preview(issue: IssueDoc) -> Iterator[str]:
    yield "Dry run: nothing was written. This would create"
    yield f"  Title: {neutralise(str(issue.get('title', '')))}"
    yield f"  Type: {neutralise(str(issue.get('issue_type', DEFAULT_TYPE)))}"
    yield from _facts(issue)
    for name in ("assignee", "description"):
        if issue.get(name):
            yield f"  {name.capitalize()}: {neutralise(str(issue[name]))}"
    if issue.get("labels"):
        yield f"  Labels: {neutralise(', '.join(issue['labels']))}"
    for edge in issue.get("dependencies", ()):
        is_parent = edge.get("type") == PARENT
        kind = "" if is_parent else f" ({neutralise(str(edge.get('type', '')))})"
        yield f"  {'Child of' if is_parent else 'Depends on'}: {neutralise(str(edge['depends_on_id']))}{kind}"


# -- q -----------------------------------------------------------------------------------------------------------
def _quick_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="TITLE", help="what it is called; several words are put together")
    parser.add_argument("-t", "--type", dest="issue_type", default=DEFAULT_TYPE, help="bug, feature, task…")
    parser.add_argument("-p", "--priority", type=priority, default=DEFAULT_PRIORITY, help="0 to 4 or P0 to P4")
    parser.add_argument("-l", "--labels", "--label", action="append", metavar="A,B", help="its labels")
    parser.add_argument("--parent", default="", metavar="ID", help="the issue it is part of")


def _quick(context: Context) -> int:
    given = context.arguments
    created = context.api.call(
        Create(
            actor=context.actor,
            project=need_project(context),
            plane=context.plane,
            fields=IssueFields(
                title=_title([" ".join(given.words)], None), priority=given.priority, issue_type=given.issue_type
            ),
            labels=comma_separated(given.labels),
            parent=given.parent,
        )
    )
    if context.json:
        documents.write(context, documents.changed(created))
    else:
        context.terminal.out(f"{neutralise(created['id'])}\n")
    return 0


# -- update ------------------------------------------------------------------------------------------------------
def _update_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("ids", nargs="+", metavar="ID", help="the issues to change: all of them or none")
    add_field_arguments(parser)
    add("--persistent", action="store_true", help="no longer ephemeral")
    add("--claim", action="store_true", help="make it yours and in_progress, unless somebody else holds it")
    add_ttl(parser)
    add("--append-notes", metavar="TEXT", help="add a line to its notes")
    add("--add-label", action="append", metavar="A,B", help="labels to add")
    add("--remove-label", action="append", metavar="A,B", help="labels to take away")
    add("--set-labels", action="append", metavar="A,B", help="the labels it is to have; empty for none")
    add("--metadata", metavar="JSON", help="entries of your own to set: a JSON object, or @FILE")
    add("--set-metadata", action="append", metavar="KEY=VALUE", help="one such entry")
    add("--unset-metadata", action="append", metavar="KEY", help="take an entry away")
    add("--parent", metavar="ID", help="the issue it is part of; empty for none")
    add("--await-id", metavar="ID", help="of a gate: the run or pull request that it waits for")
    add("--session", metavar="ID", help="accepted for bd's sake: who acts is told by --actor")
    for flag in ("--allow-empty-description", "--history", "--no-history"):
        add(flag, action="store_true", help="accepted for bd's sake: it changes nothing here")
    add("--dry-run", action="store_true", help="check everything, write nothing")


def update_mutations(context: Context) -> list[Labelled]:
    """What `update` wants: one change for each id."""
    given = context.arguments
    if given.notes is not None and given.append_notes is not None:
        raise RefusedError("--notes and --append-notes contradict one another", code=Code.USAGE, hint="give one")
    if given.metadata is not None and (given.set_metadata or given.unset_metadata):
        raise RefusedError(
            "--metadata can't be combined with --set-metadata or --unset-metadata", code=Code.USAGE, hint="give one"
        )
    if given.ttl and not given.claim:
        raise RefusedError("--ttl goes with --claim", code=Code.USAGE, hint="add --claim")
    change = Update(
        actor=context.actor,
        dry_run=given.dry_run,
        id="",
        fields=_changed_fields(context),
        claim=given.claim,
        ttl_ms=given.ttl,
        append_notes=given.append_notes or "",
        add_labels=comma_separated(given.add_label),
        remove_labels=comma_separated(given.remove_label),
        set_labels=None if given.set_labels is None else comma_separated(given.set_labels),
        set_metadata=read_metadata(context, given.metadata) | read_entries(given.set_metadata),
        unset_metadata=tuple(given.unset_metadata or ()),
        parent=given.parent,
    )
    awaited = _awaited(context)
    if change == Update(actor=context.actor, dry_run=given.dry_run, id=""):
        if awaited:
            return awaited
        raise RefusedError("nothing to change", code=Code.USAGE, hint="`moot help update` lists what can be")
    return [*awaited, *_for_each(context, change)]


def _awaited(context: Context) -> list[Labelled]:
    """What `--await-id` wants."""
    given = context.arguments
    if given.await_id is None:
        return []
    if len(given.ids) > 1:
        raise RefusedError("--await-id is for one gate", code=Code.USAGE)
    gate = SetAwaited(actor=context.actor, dry_run=given.dry_run, id=given.ids[0], await_id=given.await_id)
    return [(given.ids[0], gate)]


def _changed_fields(context: Context) -> IssueFields:
    fields = read_fields(context)
    if context.arguments.persistent:
        fields.ephemeral = False
    if fields.title is not UNSET and not str(fields.title).strip():
        raise RefusedError("a title can't be empty", code=Code.USAGE)
    return fields


def _for_each(context: Context, change: Update) -> list[Labelled]:
    changes = [msgspec.structs.replace(change, id=issue) for issue in dict.fromkeys(context.arguments.ids)]
    if change.fields.defer_until == "" and change.fields.status is UNSET and not change.claim:
        changes = _undeferred(context, changes)
    return [(update.id, update) for update in changes]


def _undeferred(context: Context, changes: list[Update]) -> list[Update]:
    """Clearing the time opens what is `deferred`, which would else stay hidden."""
    shown = context.api.call(Show(ids=tuple(change.id for change in changes)))
    opened = msgspec.structs.replace(changes[0].fields, status="open")
    return [
        msgspec.structs.replace(change, fields=opened) if issue.get("status") == "deferred" else change
        for change, issue in zip(changes, shown, strict=True)
    ]


def _update(context: Context) -> int:
    changed = _updated(carry_out(context, update_mutations(context)), len(set(context.arguments.ids)))
    done = "Would update issue" if context.arguments.dry_run else "Updated issue"
    told = (
        nothing_to_do(f"{naming(issue)} is as it should be")
        if is_unchanged(issue)
        else confirmed(context, f"{done}: {naming(issue)}")
        for issue in changed
    )
    answer(context, list(map(documents.changed, changed)), [*told, *finished_lines(context, changed)])
    return 0


def _updated(answers: Sequence[IssueDoc], count: int) -> list[IssueDoc]:
    """The last answer about each of `count` issues; what `--await-id` changed before it is a change, too."""
    before, last = answers[:-count], answers[-count:]
    if all(map(is_unchanged, before)):
        return list(last)
    return [{name: value for name, value in issue.items() if name != UNCHANGED} for issue in last]


# -- assign, priority --------------------------------------------------------------------------------------------
def _assign_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("name", metavar="NAME", help="who works on it; empty for nobody")


def _assign(context: Context) -> int:
    name = context.arguments.name
    changed = _change_one(context, IssueFields(assignee=name))
    if is_unchanged(changed):
        state = f"is assigned to {neutralise(name)} already" if name else "isn't assigned to anybody"
        told = nothing_to_do(f"{naming(changed)} {state}")
    else:
        done = f"Assigned {naming(changed)} to {neutralise(name)}" if name else f"Unassigned {naming(changed)}"
        told = confirmed(context, done)
    answer(context, [documents.changed(changed)], [told])
    return 0


def _priority_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("level", metavar="0-4", type=priority, help="0 to 4 or P0 to P4; 0 is the most urgent")


def _priority(context: Context) -> int:
    level = context.arguments.level
    changed = _change_one(context, IssueFields(priority=level))
    told = (
        nothing_to_do(f"{naming(changed)} has priority P{level} already")
        if is_unchanged(changed)
        else confirmed(context, f"Set priority of {naming(changed)} to P{level}")
    )
    answer(context, [documents.changed(changed)], [told])
    return 0


def _change_one(context: Context, fields: IssueFields) -> IssueDoc:
    return context.api.call(Update(actor=context.actor, id=context.arguments.id, fields=fields))


CREATE = Command(
    "create",
    "Create an issue",
    _create_arguments,
    _create,
    aliases=("new",),
    examples=(
        'moot create "Login fails with a long name" -t bug -p 1',
        'moot create "Write the guide" --parent bd-a1b2 --deps discovered-from:bd-c3d4',
        'moot create "Tidy up" --body-file - --silent < description.md',
    ),
)
UPDATE = Command(
    "update",
    "Change issues, or claim one",
    _update_arguments,
    _update,
    examples=("moot update bd-a1b2 --claim", "moot update bd-a1b2 bd-c3d4 -p 0 --add-label urgent"),
)
COMMANDS: Final = (
    CREATE,
    Command(
        "q",
        "Create an issue, print its id only",
        _quick_arguments,
        _quick,
        examples=("id=$(moot q Fix the link -p 1)",),
    ),
    UPDATE,
    Command("assign", "Say who works on an issue", _assign_arguments, _assign, examples=("moot assign bd-a1b2 alice",)),
    Command(
        "priority", "Set an issue's priority", _priority_arguments, _priority, examples=("moot priority bd-a1b2 0",)
    ),
)
