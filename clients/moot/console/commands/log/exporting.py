"""export: Beads' JSONL, streamed in pieces, so that neither side ever holds a whole file.

It is of this folder's project unless others are named: a file that is committed publishes what is in it.
"""

from argparse import ArgumentParser
from collections.abc import Container, Iterator
from typing import Final

from moot.console import documents, exits
from moot.console.arguments.filters import projects_of
from moot.console.command import Command, Context
from moot.console.commands.log.importing import read_line
from moot.console.context import known_projects, need_project, note, write_private
from moot.console.integrity import SURE, leftovers
from moot.console.notices.unknown_names import refuse_projects
from moot.console.progress import Progress
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import TOMBSTONE
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import Memories
from moot_protocol.requests.transfer import Export

_NAMED: Final = 5
"""Other projects that are named at most."""
_TOMBSTONE: Final = f'"{TOMBSTONE}"'


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("-o", "--output", metavar="FILE", help="write to this file, whole or not at all; else stdout")
    parser.add_argument("--all", action="store_true", help="all that the project has: its memories, too")
    parser.add_argument("--project", action="append", metavar="NAME", help="another project; `all` for every one")
    parser.add_argument("--plane", default="", help="of this plane only: its name, or the start of its id")
    parser.add_argument("--no-tombstones", action="store_true", help="leave deleted issues out")
    parser.add_argument("--include-memories", action="store_true", help="this project's memories after the issues")
    parser.add_argument("--include-infra", action="store_true", help="accepted for bd's sake: no type is left out")
    parser.add_argument("--scrub", action="store_true", help="leave out what looks like a test's: see `doctor`")
    parser.add_argument("--exclude-owner", action="append", metavar="NAME", help="leave out what this one owns")


def _export(context: Context) -> int:
    pages = _Pages(context)
    _tell_whose(context)
    output = context.arguments.output
    if output in {None, "-"}:
        # A file gets the bytes that were stored; at a terminal nothing may act on it, and equal JSON says the same.
        safe = documents.escaped if context.terminal.facts.out_is_terminal else str
        for line in pages:
            context.terminal.out(safe(line))
        return exits.OK
    refuse_projects(context)  # before a file that is there gives way to an empty one
    write_private(context, output, (line.encode() for line in pages), parents=False)
    names = sorted(pages.projects) or known_projects(context, context.arguments.plane)
    if context.json:
        told = {"file": output, "issues": pages.issues, "deleted": pages.deleted}
        documents.write(context, told | ({"projects": names} if len(names) > 1 else {}))
    else:
        of = f" of {', '.join(map(neutralise, names))}" if len(names) > 1 else ""
        gone = f", {pages.deleted:,} of them deleted," if pages.deleted else ""
        note(context, f"Exported {several(pages.issues, 'issue')}{of}{gone} to {neutralise(output)}")
    return exits.OK


def _tell_whose(context: Context) -> None:
    """Tell who asks for all that other projects have is not among it: scripts may mean those, too."""
    given = context.arguments
    if not (given.all and context.project) or given.project or context.terminal.facts.is_bd:
        return
    others = [name for name in known_projects(context, given.plane) if name != context.project]
    if others:
        named = ", ".join(map(neutralise, others[:_NAMED])) + (", …" if len(others) > _NAMED else "")
        note(context, f"This is all of {neutralise(context.project)}; `--project all` writes {named}, too")


class _Pages:
    """The export's text, a page at a time, and how many issues it has come to."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.projects = projects_of(context)
        """Those that it is of; none stands for all."""
        self._remembering = self._project_remembered()
        self.issues = 0
        self.deleted = 0
        """How many of them are tombstones, which no list and no count of issues tells of."""

    def __iter__(self) -> Iterator[str]:
        context, given = self._context, self._context.arguments
        wanted = Filter(projects=self.projects, plane=given.plane)
        progress = Progress(context, "exporting", "issues")
        after = ""
        scrubbed = self._scrubbed(wanted) if given.scrub else frozenset()
        while True:
            page = context.api.call(Export(filter=wanted, after=after, tombstones=not given.no_tombstones))
            lines = page["lines"]
            if scrubbed or given.exclude_owner:
                lines = [line for line in lines if self._is_wanted(line, scrubbed)]
            self.issues += len(lines)
            self.deleted += sum(map(_is_tombstone, lines))
            if lines:
                yield "\n".join(lines) + "\n"
            progress.report(self.issues)
            after = page["next"]
            if not after:
                break
        progress.end()
        if self._remembering:
            yield from self._memories()

    def _scrubbed(self, wanted: Filter) -> frozenset[str]:
        """The issues that look most like ones that a test has made."""
        page = self._context.api.call(ListIssues(filter=wanted, all=True, limit=0, sort="id", texts=True))
        return frozenset(found.issue["id"] for found in leftovers(page.issues) if found.score >= SURE)

    def _is_wanted(self, line: str, scrubbed: Container[str]) -> bool:
        found = read_line(line)
        return found is None or not (
            found.id in scrubbed or found.owner in (self._context.arguments.exclude_owner or ())
        )

    def _project_remembered(self) -> str:
        """The project whose memories are meant: the only one, else this folder's; lines don't say whose they are.

        Raises:
            RefusedError: memories are asked for by their flag, and there is no such project.
        """
        given, own = self._context.arguments, self._context.project
        if not (given.include_memories or given.all):
            return ""
        if len(self.projects) == 1:
            return self.projects[0]
        if own and (own in self.projects or not self.projects):
            return own
        if given.include_memories:
            hint = "`moot export --project NAME --include-memories` writes those of that one"
            raise RefusedError("memories are written of one project", code=Code.USAGE, hint=hint)
        return need_project(self._context) if given.include_memories else ""

    def _memories(self) -> Iterator[str]:
        context = self._context
        project = self._remembering
        plane = context.arguments.plane or (context.plane if project == context.project else "")
        for kept in context.api.call(Memories(project=project, plane=plane)):
            line = {"_type": "memory", "key": kept["key"], "value": kept["text"]}
            yield f"{documents.encoded(line)}\n"


def _is_tombstone(line: str) -> bool:
    """Whether a line is a deleted issue's; most are told from those without being read."""
    if _TOMBSTONE not in line:
        return False
    found = read_line(line)
    return found is not None and found.status == TOMBSTONE


COMMANDS: Final = (
    Command(
        "export",
        "Write issues out as Beads JSONL, in order of id",
        _export_arguments,
        _export,
        examples=(
            "moot export -o issues.jsonl",
            "moot export --all | wc -l  # with the project's memories",
            "moot export --project all -o town.jsonl  # every project on this machine",
        ),
    ),
)
