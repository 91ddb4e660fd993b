"""import: Beads' JSONL, streamed in pieces, so that neither side ever holds a whole file.

Lines of memories (`"_type": "memory"`) go in as memories.

Import sends lines as they stand and in order; what is wrong with one is reported by its number and the rest goes in.
With `--since` it reads two states of a file in step, and sends only the lines that differ.
"""

from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from moot.console import as_bd, documents, exits
from moot.console.command import Command, Context
from moot.console.context import carry_out, chunks_of, need_project, note
from moot.console.lines.issue_pages import issue_pages
from moot.console.lines.problems import problem_lines
from moot.console.progress import Progress
from moot.console.text.amounts import several
from moot.console.text.json_lines import LINE_BYTES, CountedLines, no_document, split_lines
from moot.console.text.safe_text import neutralise
from moot_protocol import limits
from moot_protocol.beads.line_problem import CONFLICT_MARKER
from moot_protocol.beads.pairs import LinePair, Pairing
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.issues.issue import CLOSED
from moot_protocol.requests.issues import WorkspaceInfo
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import Remember
from moot_protocol.requests.transfer import EDIT_COUNTS, Import, ImportEdits
from moot_protocol.text.json_text import UNREADABLE

LINES_AT_ONCE: Final = 2000
"""Lines in one request: few enough for one short transaction, enough to make its cost small."""
PAIRS_AT_ONCE: Final = 1000
"""Pairs of lines in one request: what differs in them has to be found out as well."""
BYTES_AT_ONCE: Final = limits.RPC_FRAME_BYTES // 4
"""Bytes of lines in one request."""
MEMORIES_AT_ONCE: Final = 200
"""Memories that are kept in one transaction."""
_MEMORY: Final = b'"memory"'
_MAY_BE_ERASED: Final = (
    "some of this memory was erased here, and its line doesn't say when it was written; `moot remember` keeps it anew"
)
_MERGE: Final = "both sides of the merge were offered; of an issue that stands in both, the upper line was taken"
_COUNTS: Final = ("created", "updated", "unchanged", "skipped")


class _Piece(NamedTuple):
    """Lines that go into one request."""

    first: int
    lines: tuple[bytes, ...]
    too_long: tuple[int, ...]
    """Numbers of lines that are blank here since they are longer than a line may be."""


# -- Cutting a stream into pieces --------------------------------------------------------------------------------
def _pieces(lines: Iterable[bytes | None]) -> Iterator[_Piece]:
    held: list[bytes] = []
    too_long: list[int] = []
    size, first, number = 0, 1, 0
    for number, line in enumerate(lines, start=1):
        if held and (len(held) >= LINES_AT_ONCE or size + len(line or b"") > BYTES_AT_ONCE):
            yield _Piece(first, tuple(held), tuple(too_long))
            held, too_long, size, first = [], [], 0, number
        held.append(line or b"")
        size += len(line or b"")
        if line is None:
            too_long.append(number)
    if held:
        yield _Piece(first, tuple(held), tuple(too_long))


# -- Memories in a file ------------------------------------------------------------------------------------------
def memory_of(line: bytes | None) -> tuple[str, str] | None:
    """(key, text) of a line that holds a memory; None for any other."""
    if line is None or _MEMORY not in line:
        return None
    try:
        found = msgspec.json.decode(line, type=_MemoryLine)
    except UNREADABLE:
        return None
    return (found.key, found.value) if found.type == "memory" and found.key and found.value else None


class _MemoryLine(msgspec.Struct):
    key: str
    value: str
    type: str = msgspec.field(name="_type")


class _Memories:
    """Takes the memories out of a stream of lines and keeps them, some at a time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._held: list[tuple[int, Remember]] = []
        self.count = 0
        self.problems: list[dict[str, Any]] = []
        """Of lines that were left out."""

    def apart(self, lines: Iterable[bytes | None]) -> Iterator[bytes | None]:
        """The lines, those of memories blank."""
        context = self._context
        for number, line in enumerate(lines, start=1):
            found = memory_of(line)
            if found is not None:
                key, text = found
                project = need_project(context)
                keep = Remember(
                    actor=context.actor,
                    dry_run=context.arguments.dry_run,
                    project=project,
                    plane=context.plane,
                    key=key,
                    text=text,
                    unless_erased=True,
                )
                self._held.append((number, keep))
                if len(self._held) == MEMORIES_AT_ONCE:
                    self._keep()
            yield line if found is None else b""
        self._keep()

    def _keep(self) -> None:
        if self._held:
            answers = carry_out(self._context, [(f"memory {keep.key}", keep) for _, keep in self._held])
            left_out = [held for held, answer in zip(self._held, answers, strict=True) if answer.get("_erased")]
            self.problems += [{"line": line, "id": keep.key, "problem": _MAY_BE_ERASED} for line, keep in left_out]
            self.count += len(self._held) - len(left_out)
            self._held = []


# -- import ------------------------------------------------------------------------------------------------------
def _import_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", metavar="FILE", help="a JSONL file; - is stdin")
    parser.add_argument("-i", "--input", metavar="FILE", help="the same")
    parser.add_argument("--dry-run", action="store_true", help="check everything, write nothing")
    parser.add_argument(
        "--dedup", action="store_true", help="leave out new issues whose title an open one has, in letters of any size"
    )
    parser.add_argument(
        "--since", metavar="BASE", help="take in only what changed since this earlier state of the file"
    )
    parser.add_argument(
        "--delete-missing",
        action="store_true",
        help="with --since: delete issues whose lines are gone, unless the file has lines that can't be read",
    )


class _OnlyNew:
    """Takes out of a stream of lines the issues that would be new here and have an open one's title."""

    def __init__(self, context: Context) -> None:
        self._ids: set[str] = set()
        self._titles: set[str] = set()
        for page in issue_pages(context, Filter(projects=(need_project(context),))):
            self._ids.update(issue["id"] for issue in page)
            self._titles.update(_same(issue["title"]) for issue in page if issue["status"] != CLOSED)
        self.count = 0

    def apart(self, lines: Iterable[bytes | None]) -> Iterator[bytes | None]:
        """The lines, those that are left out blank."""
        for line in lines:
            found = read_line(line)
            is_known = found is None or found.id in self._ids or _same(found.title) not in self._titles
            self.count += not is_known
            yield line if is_known else b""


class IssueLine(msgspec.Struct):
    """The parts of a line that tell whether it is wanted."""

    id: str = ""
    title: str = ""
    owner: str = ""
    status: str = ""


def read_line(line: bytes | str | None) -> IssueLine | None:
    """What a line says of an issue; None of one that can't be read."""
    try:
        return msgspec.json.decode(line, type=IssueLine) if line else None
    except UNREADABLE:
        return None  # what is wrong with it is told by whoever takes it in


def _same(title: str) -> str:
    return " ".join(title.casefold().split())


class _Tally:
    """What an import has come to so far."""

    def __init__(self, names: Sequence[str] = _COUNTS) -> None:
        self.counts = dict.fromkeys(names, 0)
        self.problems: list[dict[str, Any]] = []
        self.session = ""
        self.lines = 0
        self.memories = 0
        self.elsewhere = 0
        """Lines of issues that other projects of the town have, and keep."""
        self.left_out = 0
        """Lines that say what an open issue says already."""

    @property
    def taken(self) -> int:
        """Lines that are in the log now, whoever put them there."""
        return self.memories + sum(count for name, count in self.counts.items() if name != "skipped")

    @property
    def unreadable(self) -> int:
        """Lines of the file of which nothing could be taken in, since it isn't known whose they are."""
        return sum(1 for problem in self.problems if not problem["id"] and not problem.get("base"))

    def count(self, answered: dict[str, Any]) -> None:
        """Count what a request came to."""
        for name in self.counts:
            self.counts[name] += answered.get(name, 0)
        self.elsewhere += answered.get("elsewhere", 0)
        self.problems += answered.get("problems", ())

    def add(self, piece: _Piece, answered: dict[str, Any]) -> None:
        """Count what came of a piece."""
        self.count(answered)
        told = f"longer than {LINE_BYTES} bytes"
        self.problems += [{"line": number, "id": "", "problem": told} for number in piece.too_long]
        self.session = answered.get("session", self.session)
        self.lines = piece.first + len(piece.lines) - 1


def _import(context: Context) -> int:
    path = _source(context)
    since = context.arguments.since
    tally = _take_in(context, path) if since is None else _take_in_edits(context, since, path)
    tally.problems.sort(key=lambda problem: ("base" not in problem, problem["line"]))
    if context.json:
        source = {"source": _name(path)} | ({} if since is None else {"since": _name(since)})
        kept = {"memories": tally.memories} if tally.memories else {}
        kept |= {"deduplicated": tally.left_out} if context.arguments.dedup else {}
        kept |= {"elsewhere": tally.elsewhere} if tally.elsewhere else {}
        kept |= {"unreadable": tally.unreadable} if tally.unreadable else {}
        document = {**source, **tally.counts, **kept, "problems": tally.problems}
        documents.write(context, document | ({"dry_run": True} if context.arguments.dry_run else {}))
    else:
        _tell(context, tally, path)
    failed = tally.unreadable or (not tally.taken and any(problem.get("refused") for problem in tally.problems))
    return exits.FAILED if failed else exits.OK


def _source(context: Context) -> str:
    file, flag = context.arguments.file, context.arguments.input
    since = context.arguments.since
    if file is None and flag is None and context.terminal.facts.is_bd and since is None:
        return _file_of_beads(context)
    if (file is None) == (flag is None):
        raise RefusedError("import needs one file", code=Code.USAGE, hint="`moot import FILE`, or - for stdin")
    path = str(flag if file is None else file)
    if since is not None and context.arguments.dedup:
        raise RefusedError("--dedup and --since exclude one another", code=Code.USAGE)
    if since is None and context.arguments.delete_missing:
        raise RefusedError("--delete-missing goes with --since BASE", code=Code.USAGE)
    if since == path == "-":
        raise RefusedError("standard input can be one of the files only", code=Code.USAGE)
    return path


def _file_of_beads(context: Context) -> str:
    """The file that `bd` reads where none is named: the one that Beads keeps in the project's folder."""
    need_project(context)
    known = context.api.call(WorkspaceInfo(workspace=context.terminal.facts.workspace)) or {}
    return f"{known.get('folder', '')}/.beads/issues.jsonl"


def _name(path: str) -> str:
    return "stdin" if path == "-" else path


def _take_in(context: Context, path: str) -> _Tally:
    project = need_project(context)
    tally = _Tally()
    progress = Progress(context, "importing", "lines")
    memories = _Memories(context)
    read = CountedLines(split_lines(no_document(chunks_of(context, path), _name(path))))
    lines = memories.apart(read)
    new = _OnlyNew(context) if context.arguments.dedup else None
    pieces = _pieces(lines if new is None else new.apart(lines))
    piece = next(pieces, None)
    while piece is not None:
        following = next(pieces, None)
        request = Import(
            actor=context.actor,
            dry_run=context.arguments.dry_run,
            project=project,
            plane=context.plane,
            lines=piece.lines,
            first_line=piece.first,
            last=following is None,
            session=tally.session,
        )
        try:
            tally.add(piece, context.api.call(request))
        except MootError as error:
            if tally.lines and not context.arguments.dry_run:
                error.hint = _how_far(error.hint, tally.lines, read.all())
            raise
        progress.report(tally.lines)
        piece = following
    progress.end()
    tally.memories = memories.count
    tally.problems += memories.problems
    tally.counts["skipped"] += len(memories.problems)
    tally.left_out = 0 if new is None else new.count
    return tally


def _how_far(hint: str, lines: int, of: int) -> str:
    """A hint that also says how much of a file has been taken in before something failed."""
    told = f"{lines:,} of {several(of, 'line')} are in; run it again"
    return f"{hint}; {told}" if hint else told


def _take_in_edits(context: Context, since: str, path: str) -> _Tally:
    """Take in what changed between two states of a file."""
    project = need_project(context)
    tally = _Tally(EDIT_COUNTS)
    progress = Progress(context, "comparing", "lines")

    def counted() -> Iterator[bytes | None]:
        for line in split_lines(no_document(chunks_of(context, path), _name(path))):
            tally.lines += 1
            progress.report(tally.lines)
            yield line

    pairing = Pairing(split_lines(chunks_of(context, since)), counted())
    for pairs in _portions(pairing):
        request = ImportEdits(
            actor=context.actor,
            dry_run=context.arguments.dry_run,
            project=project,
            plane=context.plane,
            pairs=pairs,
            # Missing lines come last: by then it is known whether all others could be read.
            delete_missing=context.arguments.delete_missing and pairing.is_whole,
        )
        tally.count(context.api.call(request))
    progress.end()
    tally.counts["unchanged"] += pairing.equal
    for in_base, problem in pairing.problems:
        told = {"line": problem.line, "id": problem.id, "problem": problem.problem}
        tally.problems.append(told | ({"base": True} if in_base else {}))
    return tally


def _portions(pairs: Iterable[LinePair]) -> Iterator[tuple[LinePair, ...]]:
    held: list[LinePair] = []
    size = 0
    for pair in pairs:
        bytes_of_pair = len(pair.base) + len(pair.line)
        if held and (len(held) >= PAIRS_AT_ONCE or size + bytes_of_pair > BYTES_AT_ONCE):
            yield tuple(held)
            held, size = [], 0
        held.append(pair)
        size += bytes_of_pair
    if held:
        yield tuple(held)


def _tell(context: Context, tally: _Tally, path: str) -> None:
    counts = ", ".join(f"{count:,} {name}" for name, count in tally.counts.items())
    counts += f", {tally.memories:,} kept as memories" if tally.memories else ""
    counts += f", {tally.left_out:,} left out as there already" if tally.left_out else ""
    counts += f", {several(len(tally.problems), 'problem')}" if tally.problems else ""
    done = "Would import" if context.arguments.dry_run else "Imported"
    source = neutralise(_name(path))
    since = context.arguments.since
    changes = "" if since is None else f"what changed since {neutralise(_name(since))} "
    note(context, f"{done} {changes}from {source}: {counts} of {several(tally.lines, 'line')}")
    for line in problem_lines(tally.problems):
        context.terminal.err(f"{line}\n")
    if tally.elsewhere:
        told = f"{several(tally.elsewhere, 'issue')} of the file already in other projects of this town, and left there"
        see = "see `moot list --project all`"
        note(context, f"  {told}; {as_bd.hint(see) if context.terminal.facts.is_bd else see}")
    if any(problem["problem"] == CONFLICT_MARKER for problem in tally.problems):
        context.terminal.err(f"  {_MERGE}\n")
    if tally.unreadable:
        context.terminal.err(f"  {several(tally.unreadable, 'line')} could not be read: see above\n")


COMMANDS: Final = (
    Command(
        "import",
        "Take in issues from a Beads JSONL file",
        _import_arguments,
        _import,
        examples=(
            "moot import .beads/issues.jsonl",
            "moot import - --dry-run < issues.jsonl",
            "moot import --since before.jsonl issues.jsonl",
        ),
    ),
)
