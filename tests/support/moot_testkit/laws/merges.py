"""Real merges as a check: two replicas take in both sides of a merge of a Beads file, exchange, and must hold both.

What must hold is computed from the three files alone, by rules that read like the laws:

* a field that one side changed has that side's value, and one that both changed alike has the value of both;
* a field that both changed differently shows one of the two values and lists both under conflicts;
* an element that either side added is there; one that a side removed, and the other left as it was, is gone;
* an issue deleted on one side and edited on the other is listed under conflicts (`deleted`);
* a line that is gone is reported and its issue stays, unless deleting missing issues is asked for;
* a line that can't be taken is reported by its number.

Where a policy merges by itself, both values of a field can't be in conflict. Each such rule stands in `_merged`,
`_EXEMPT` or `_entry` with its reason.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from moot_protocol.beads.pairs import Pairing
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Conflicts
from moot_protocol.requests.machine import Status
from moot_protocol.requests.transfer import Export, Import, ImportEdits
from moot_protocol.times import instant_ns
from moot_testkit.towns.town import Api, make_town

R = TypeVar("R")
Line = dict[str, Any]

PROJECT: Final = "bd"
PAIRS_AT_ONCE: Final = 1000
TOMBSTONE: Final = "tombstone"


class Case(NamedTuple):
    """One merge: the file at the merge base and on both sides."""

    name: str
    base: bytes
    ours: bytes
    theirs: bytes


class Replica(Protocol):
    """What a replica has to answer, in this process or behind a socket."""

    def call(self, request: Request[R], key: str = "") -> R:
        """Carry out a request."""


class Pair(Protocol):
    """Two replicas of a town, and what brings both into step."""

    @property
    def one(self) -> Replica:
        """The replica that takes in the base."""

    @property
    def other(self) -> Replica:
        """The replica that receives the base."""

    def exchange(self) -> None:
        """Exchange until both are in step."""


class Outcome(NamedTuple):
    """What came of a merge."""

    name: str
    issues: int
    """Issues that either side changed."""
    blocking: int
    """Ways in which the replicas don't agree, so that work could not go on."""
    lost: int
    """Changes of one side that are not there, and disagreements that are not listed."""
    conflicts: int
    """Conflicts listed."""
    line_conflicts: bool
    """Whether a merge by lines conflicts."""
    failures: list[str]
    """Each of what is blocking or lost, in words."""


# -- Reading a case ----------------------------------------------------------------------------------------------
def read_case(folder: Path) -> Case:
    """A case from a folder of three files."""
    return Case(folder.name, *((folder / f"{side}.jsonl").read_bytes() for side in ("base", "ours", "theirs")))


class _File(NamedTuple):
    """A file as the laws see it."""

    issues: dict[str, Line]
    """id → line; of an id that stands twice, the first."""
    numbers: dict[str, int]
    bad: set[int]
    """Numbers of the lines that are no issue's, or whose id stood before."""


def _read(data: bytes) -> _File:
    file = _File({}, {}, set())
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            issue = json.loads(line)
            name = issue["id"]
        except (ValueError, TypeError, KeyError):
            file.bad.add(number)
            continue
        if name in file.issues:
            file.bad.add(number)
        else:
            file.issues[name], file.numbers[name] = issue, number
    return file


def conflicts_by_line(base: bytes, ours: bytes, theirs: bytes) -> tuple[bool, bytes]:
    """Whether `git merge-file` conflicts on three texts, and what it makes of them."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
            (Path(folder) / name).write_bytes(data)
            names.append(name)
        merged = subprocess.run(["git", "merge-file", "-p", "-q", *names], cwd=folder, capture_output=True, check=False)
    assert 0 <= merged.returncode <= 127, merged.stderr
    return merged.returncode != 0, merged.stdout


# -- Running it --------------------------------------------------------------------------------------------------
class Session:
    """Two replicas of a town in this process that exchange messages by hand."""

    def __init__(self, seed: int = 0) -> None:
        self.members = make_town(2, seed)
        self.one, self.other = (Api(member) for member in self.members)

    def exchange(self) -> None:
        """Exchange until both are in step."""
        ends = {member.id: member.exchange() for member in self.members}
        one, other = ends
        for _ in range(100):
            if other in ends[one].in_step and one in ends[other].in_step:
                return
            for sender, receiver in ((one, other), (other, one)):
                waiting = [(sender, message) for message in ends[sender].start(receiver)]
                while waiting:
                    sent_by, outgoing = waiting.pop(0)
                    answers = ends[outgoing.to].take(sent_by, outgoing.message).outgoing
                    waiting += [(outgoing.to, answer) for answer in answers]
        raise AssertionError("the replicas don't come into step")


def run_merge(
    case: Case, one: Replica, other: Replica, exchange: Callable[[], None], *, delete_missing: bool = False
) -> Outcome:
    """Take a merge through two replicas.

    Args:
        case: the merge.
        one: a replica that takes in the base, and then our side.
        other: one that receives the base, and takes in their side.
        exchange: brings both into step.
        delete_missing: whether lines that are gone delete their issues.
    """
    check = _Check(case, delete_missing=delete_missing)
    lines = tuple(case.base.split(b"\n"))
    check.reported("base", one.call(Import(actor="alice", project=PROJECT, lines=lines)), check.base.bad)
    exchange()
    check.edited("ours", edit(one, "alice", case.base, case.ours, delete_missing=delete_missing), check.ours)
    check.edited("theirs", edit(other, "bob", case.base, case.theirs, delete_missing=delete_missing), check.theirs)
    exchange()
    check.settled(*check.agree(one, other))
    return check.outcome(conflicts_by_line(*case[1:])[0])


def edit(replica: Replica, actor: str, base: bytes, file: bytes, *, delete_missing: bool = False) -> dict[str, Any]:
    """Take in the differences between two files; all answers as one."""
    pairing = Pairing(base.split(b"\n"), file.split(b"\n"))
    pairs, answer = iter(pairing), dict[str, Any](problems=[])
    while piece := tuple(islice(pairs, PAIRS_AT_ONCE)):
        done = replica.call(
            ImportEdits(actor=actor, project=PROJECT, pairs=piece, delete_missing=delete_missing and pairing.is_whole)
        )
        answer["problems"] += done.pop("problems")
        answer |= {name: answer.get(name, 0) + count for name, count in done.items()}
    answer["problems"] += [
        {"line": found.problem.line, "id": found.problem.id, "problem": found.problem.problem, "base": found.in_base}
        for found in pairing.problems
    ]
    return answer


def exported(replica: Replica) -> dict[str, Line]:
    """All issues as the export tells them."""
    issues: dict[str, Line] = {}
    after = ""
    while True:
        page = replica.call(Export(after=after))
        issues |= {issue["id"]: issue for issue in map(json.loads, page["lines"])}
        after = page["next"]
        if not after:
            return issues


def conflicts(replica: Replica, names: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """id → field → the values in conflict, of those of these issues that are in any."""
    listed: dict[str, dict[str, list[Any]]] = {}
    wanted = frozenset(names)
    for found in replica.call(Conflicts()):
        if found["id"] in wanted:
            values = [_plain(value["value"], found["field"]) for value in found["values"]]
            listed.setdefault(found["id"], {})[found["field"]] = values
    return listed


def _plain(value: Any, field: str) -> Any:
    """A listed value as a file has it: entries of named fields are kept as JSON text."""
    return json.loads(value[1]) if "." in field and isinstance(value, list) else value


# -- What must hold ----------------------------------------------------------------------------------------------
_SETS: Final = ("labels", "dependencies", "comments")
_TEXTS: Final = frozenset({"description", "design", "acceptance_criteria", "notes"})
_DELETION: Final = ("deleted_at", "deleted_by", "delete_reason", "original_type")
_GREATEST: Final = frozenset({"created_at", "started_at", "closed_at", "compaction_level"})
_FIRST: Final = frozenset({"assignee"})
_KNOWN: Final = (
    _TEXTS | _GREATEST | _FIRST
    | {"title", "status", "priority", "issue_type", "owner", "created_by", "estimated_minutes", "close_reason"}
    | {"closed_by_session", "due_at", "defer_until", "external_ref", "spec_id", "ephemeral", "pinned"}
)  # fmt: skip
"""Fields with a register of their own; all others are entries under their names."""
_DEFAULTS: Final = {"title": "", "status": "open", "priority": 2, "issue_type": "task"}
"""What is shown of fields that every issue has, where no line has them."""
_EXEMPT: Final = frozenset({"id", "updated_at", *_SETS, "metadata", *_DELETION})
"""Names that are no fields of their own: the sets and `metadata` are judged by element, a deletion as a whole. And
`updated_at` is told only as long as nothing was written after it: an issue that both sides changed was."""


class _Check:
    """Collects what doesn't hold."""

    def __init__(self, case: Case, *, delete_missing: bool) -> None:
        self.case = case
        self.base, self.ours, self.theirs = _read(case.base), _read(case.ours), _read(case.theirs)
        self._delete_missing = delete_missing
        self._blocking: list[str] = []
        self._lost: list[str] = []
        self._conflicts = 0
        self._left_out: set[tuple[str, str]] = set()
        """(id, field) of what no replica can store, and said so."""
        self.changed = sorted(self._changed())

    def _changed(self) -> Iterator[str]:
        for name in {*self.base.issues, *self.ours.issues, *self.theirs.issues}:
            lines = [file.issues.get(name) for file in (self.base, self.ours, self.theirs)]
            if lines[1] != lines[0] or lines[2] != lines[0]:
                yield name

    def outcome(self, line_conflicts: bool) -> Outcome:
        """All that was found."""
        return Outcome(
            self.case.name,
            len(self.changed),
            len(self._blocking),
            len(self._lost),
            self._conflicts,
            line_conflicts,
            [f"{self.case.name}: {words}" for words in (*self._blocking, *self._lost)],
        )

    def _expect(self, holds: bool, words: str) -> None:
        if not holds:
            self._lost.append(words)

    # -- What was reported ---------------------------------------------------------------------------------------
    def reported(self, what: str, answer: dict[str, Any], bad: set[int], *, base: bool = False) -> None:
        """Every line that can't be taken was reported by its number."""
        told = {problem["line"] for problem in answer["problems"] if problem.get("base", False) == base}
        for number in sorted(bad - told):
            self._lost.append(f"{what}: line {number} was dropped silently")
        for problem in answer["problems"]:
            field, _, rest = problem["problem"].partition(" left out: ")
            if rest:
                self._left_out.add((problem["id"], field))

    def edited(self, side: str, answer: dict[str, Any], file: _File) -> None:
        """What has to be reported of the differences between two files was."""
        self.reported(side, answer, file.bad)
        self.reported(f"{side}, base", answer, self.base.bad, base=True)
        if self._delete_missing and not file.bad:
            return
        told = {problem["id"] for problem in answer["problems"] if problem.get("base")}
        for name in sorted(self.base.issues.keys() - file.issues.keys() - told):
            if self.base.issues[name].get("status") != TOMBSTONE:
                self._lost.append(f"{side}: {name} is gone from the file, and nobody said so")

    # -- What is there -------------------------------------------------------------------------------------------
    def agree(self, one: Replica, other: Replica) -> tuple[dict[str, Line], dict[str, dict[str, list[Any]]]]:
        """Both show the same and have the same digest: the issues, and the values that are in conflict."""
        digests = [
            {plane["name"]: plane["digest"] for plane in replica.call(Status())["planes"]}["ledger"]
            for replica in (one, other)
        ]
        if digests[0] != digests[1]:
            self._blocking.append("the digests differ")
        shown = exported(one), conflicts(one, self.changed)
        if shown != (exported(other), conflicts(other, self.changed)):
            self._blocking.append("the replicas show different issues")
        return shown

    def settled(self, shown: Mapping[str, Line], listed: Mapping[str, Mapping[str, list[Any]]]) -> None:
        """All changes of both sides are there."""
        self._conflicts = sum(map(len, listed.values()))
        for name in self.changed:
            base = self.base.issues.get(name)
            ours, theirs = self._state(name, self.ours), self._state(name, self.theirs)
            if name not in shown:
                self._expect(ours is None and theirs is None, f"{name} is not there")
                continue
            _Issue(name, base, ours, theirs, shown[name], listed.get(name, {}), self._expect, self._left_out).check()

    def _state(self, name: str, file: _File) -> Line | None:
        """An issue as a side leaves it: one that is gone is as it was, or deleted."""
        line = file.issues.get(name)
        base = self.base.issues.get(name)
        if line is not None or base is None:
            return line
        deletes = self._delete_missing and not file.bad
        return base | {"status": TOMBSTONE, "gone": True} if deletes else base


class _Issue(NamedTuple):
    """One issue: what was, what the sides made of it, and what is shown."""

    name: str
    base: Line | None
    ours: Line | None
    theirs: Line | None
    shown: Line
    listed: Mapping[str, list[Any]]
    expect: Callable[[bool, str], None]
    left_out: set[tuple[str, str]]

    def check(self) -> None:
        """Judge every field and element."""
        self._deletion()
        base, ours, theirs = (line or {} for line in (self.base, self.ours, self.theirs))
        if self.base is None and (self.ours is None or self.theirs is None):
            # Only one side has it: what the other doesn't know it didn't remove.
            ours = theirs = self.ours or self.theirs or {}
        for field in sorted({*base, *ours, *theirs} - _EXEMPT - {"gone"}):
            if (self.name, field) not in self.left_out:
                values = (line.get(field) for line in (base, ours, theirs))
                self._field(field, *values)
        for field in _SETS:
            self._set(field, *(_elements(self.name, field, line.get(field)) for line in (base, ours, theirs)))
        entries = [line.get("metadata") or {} for line in (base, ours, theirs)]
        for name in sorted({*entries[0], *entries[1], *entries[2]}):
            before, our, their = (line.get(name) for line in entries)
            self._value(f"metadata.{name}", before, our, their, (self.shown.get("metadata") or {}).get(name))

    # -- Deletion ------------------------------------------------------------------------------------------------
    def _deletion(self) -> None:
        is_shown = self.shown.get("status") == TOMBSTONE
        before, ours, theirs = (_is_deleted(line) for line in (self.base, self.ours, self.theirs))
        if self.base is None or before:
            if ours == theirs:
                self.expect(is_shown == ours, f"{self.name}: deleted {is_shown}, expected {ours}")
            return
        if ours != theirs and _is_edited(self.base, self.theirs if ours else self.ours):
            self.expect("deleted" in self.listed, f"{self.name}: deleted on one side, edited on the other, not listed")
        else:
            self.expect(is_shown == (ours or theirs), f"{self.name}: deleted {is_shown}, expected {ours or theirs}")

    # -- Fields --------------------------------------------------------------------------------------------------
    def _field(self, field: str, base: Any, ours: Any, theirs: Any) -> None:
        shown = self.shown.get(field)
        if field == "status":
            # A tombstone doesn't say what its status was.
            ours, theirs = (base if value == TOMBSTONE else value for value in (ours, theirs))
            if TOMBSTONE in (shown, base):
                return
        if field == "priority" and base is not None:
            # Some versions of Beads leave zeros out, and all read what is left out as zero.
            ours, theirs = (0 if value is None else value for value in (ours, theirs))
        if field == "closed_at" and self.shown.get("status") != "closed":
            return  # shows only while the shown status is closed
        self._value(field if field in _KNOWN else f"extra.{field}", base, ours, theirs, shown)

    def _value(self, field: str, base: Any, ours: Any, theirs: Any, shown: Any) -> None:
        what = f"{self.name}: {field} shows {shown!r:.60}"
        if ours in (base, theirs) or theirs == base:
            wanted = theirs if ours == base else ours
            wanted = _DEFAULTS.get(field) if wanted is None else wanted
            self.expect(_same(shown, wanted), f"{what}, expected {wanted!r:.60}")
            return
        conflict = self.listed.get(field)
        if conflict is None:
            merged = _merged(field, base, ours, theirs)
            self.expect(any(_same(shown, value) for value in merged), f"{what}, in no conflict; {ours!r}, {theirs!r}")
            return
        self.expect(_same(shown, ours) or _same(shown, theirs), f"{what}, which neither side wrote")
        for value in (ours, theirs):
            self.expect(any(_same(value, each) for each in conflict), f"{what}, and {value!r:.60} isn't listed")

    # -- Sets ----------------------------------------------------------------------------------------------------
    def _set(
        self, field: str, base: dict[Hashable, Any], ours: dict[Hashable, Any], theirs: dict[Hashable, Any]
    ) -> None:
        if any(part.split(" ")[0] == _PART[field] for name, part in self.left_out if name == self.name):
            return
        shown = _elements(self.name, field, self.shown.get(field))
        for key in {*base, *ours, *theirs, *shown}:
            values = [side.get(key) for side in (base, ours, theirs)]
            what = f"{self.name}: {field} {key!r:.80}"
            # Whoever changes an element adds it again, and adding wins over removing.
            changed = [value for value in values[1:] if value is not None and value != values[0]]
            if changed:
                self.expect(shown.get(key) in changed, f"{what} is not there as it was written")
            elif key in ours and key in theirs:
                self.expect(shown.get(key) == values[0], f"{what} is not there any more")
            else:
                self.expect(key not in shown, f"{what} is there although a side removed it")


_PART: Final = {"labels": "label", "dependencies": "dependency", "comments": "comment"}
"""What reports call an element."""


def _is_deleted(line: Line | None) -> bool:
    return line is not None and line.get("status") == TOMBSTONE


def _is_edited(base: Line, line: Line | None) -> bool:
    return line is not None and {**line, "updated_at": ""} != {**base, "updated_at": ""}


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one; what is cleared and what was never there are."""
    return one == other or (one in (None, "") and other in (None, ""))


def _merged(field: str, base: Any, ours: Any, theirs: Any) -> list[Any]:
    """What a field may show, without a conflict, that both sides changed differently; nothing, by default."""
    if field in _GREATEST:
        # Policy `maximum`: times and levels only grow.
        return [max(ours, theirs, key=lambda value: instant_ns(value) or 0)]
    if field in _FIRST:
        # Policy `earliest`: the first of concurrent claimers keeps it.
        return [ours, theirs]
    if field in _TEXTS:
        # Policy `text`: a clean merge of both.
        conflict, merged = conflicts_by_line(*(f"{text or ''}\n".encode() for text in (base, ours, theirs)))
        return [] if conflict else [merged.decode().removesuffix("\n")]
    if "." in field and None in (ours, theirs):
        # Entries of named fields: a change wins over a removal, as with every set.
        return [theirs if ours is None else ours]
    if _same(ours, theirs):
        return [ours, theirs]
    return []


def _elements(issue: str, field: str, elements: Any) -> dict[Hashable, Any]:
    """The elements of a set by what makes each the same, the first of those that are called alike."""
    found: dict[Hashable, Any] = {}
    for element in elements or ():
        if field == "labels":
            found.setdefault(element, element)
            continue
        rest = {name: value for name, value in element.items() if (name, value) != ("issue_id", issue)}
        if field == "dependencies":
            found.setdefault((rest["depends_on_id"], rest["type"]), rest)
        else:
            name = rest.get("id")
            key = json.dumps(rest, sort_keys=True) if name in (None, "") else (str(name), rest.get("text"))
            found.setdefault(key, rest)
    return found
