"""Random work on issues, as people and agents do it: requests to the daemon, chosen by a seeded generator."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from moot_protocol.requests.actions import Erase
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    Edge,
    IssueFields,
    RemoveEdge,
    Reopen,
    Resolve,
    Script,
    Undelete,
    Update,
)
from moot_protocol.text import json_text

ACTORS = ("alice", "bob", "alice/claude-3")
LABELS = ("ui", "db", "perf", "ü")
STATUSES = ("open", "in_progress", "blocked", "deferred", "pinned", "hooked")
TYPES = ("task", "bug", "epic", "gate", "message")
EDGE_TYPES = ("blocks", "blocks", "conditional-blocks", "parent-child", "parent-child", "waits-for", "related")
TEXTS = ("description", "notes", "design")
ERASED = (
    (), (), (), ("description",), ("title",), ("notes", "design"), ("comments",), ("labels", "metadata"),
    ("created_by",),
)  # fmt: skip
"""Fields that are erased together; none for all that hold people's words."""
BASE = [f"line {number}" for number in range(8)]
"""What texts begin with: writers change different lines of it, or the same."""
MARK = "secret-"
"""What stands before the six digits of a text's own number."""

Show = Callable[[str], dict[str, Any]]
Maker = Callable[["Workload"], Mutation[Any]]


class Workload:
    """Makes requests.

    Args:
        random: what all chance comes from.
        project: the project that new issues belong to.
        marks: whether every text gets a mark of its own, so that what is left of it can be found.
    """

    def __init__(self, random: Random, project: str, *, marks: bool = False) -> None:
        self._random = random
        self._project = project
        self._marks = marks
        self._marked = 0
        self._made = 0
        self._known: Sequence[str] = ()
        self._show: Show = lambda name: {"id": name}
        self._now_ms = 0

    def request(self, known: Sequence[str], show: Show, now_ms: int) -> Mutation[Any]:
        """A random request.

        Args:
            known: ids of issues to choose from; they need not be here.
            show: an issue's document as it is shown to whoever writes; empty for one that isn't here.
            now_ms: the wall clock, for times to come.
        """
        self._known, self._show, self._now_ms = known, show, now_ms
        if len(known) < 3 or not self._random.randrange(6):
            return self._create()
        return self._random.choices(_MAKERS, _WEIGHTS)[0](self)

    def erasure(self, known: Sequence[str]) -> Erase:
        """A request to erase some fields of an issue, most often of one that much was written about."""
        self._known = known
        fields, is_rehearsal = self._random.choice(ERASED), not self._random.randrange(8)
        return Erase(actor=self._actor(), id=self._issue(), fields=fields, dry_run=is_rehearsal)

    def lines(self, now_ms: int) -> tuple[bytes, ...]:
        """Lines of a Beads file that several machines import, each a little different."""
        ids = [f"bd-{number}" for number in range(1, 6)]
        found = []
        for name in self._random.sample(ids, self._random.randrange(1, 5)):
            line: dict[str, Any] = {
                "id": name,
                "title": f"imported {self._random.randrange(2)}",
                "status": self._random.choice(("open", "closed", "in_progress", "tombstone")),
                "priority": self._random.randrange(5),
                "issue_type": "task",
                "created_at": _rfc3339(now_ms // 1000 - 86_400),
                "updated_at": _rfc3339(now_ms // 1000 + self._random.randrange(-600, 600)),
                "labels": self._random.sample(LABELS, self._random.randrange(3)),
                "notes": "\n".join(self._random.sample(BASE, 3)),
                "odd": self._random.randrange(3),
            }
            to = self._random.choice(ids)
            if to != name:
                line["dependencies"] = [{"issue_id": name, "depends_on_id": to, "type": "blocks"}]
            if self._random.randrange(2):
                line["comments"] = [{"id": 1, "issue_id": name, "author": "bob", "text": "said", "created_at": "x"}]
            found.append(json_text.to_text(line).encode())
        return tuple(found)

    def _actor(self) -> str:
        return self._random.choice(ACTORS)

    def _issue(self) -> str:
        # Few issues get most of the work, so that writers meet.
        return self._known[min(self._random.randrange(len(self._known)), self._random.randrange(len(self._known)))]

    def _word(self) -> str:
        return self._told_apart(f"w{self._random.randrange(1000)}")

    def _told_apart(self, text: str) -> str:
        if not self._marks:
            return text
        self._marked += 1
        return f"{text} {MARK}{self._marked:06}"

    def _create(self) -> Create:
        self._made += 1
        has_parent = self._known and not self._random.randrange(4)
        fields = IssueFields(title=self._told_apart(f"issue {self._made}"))
        if self._random.randrange(2):
            fields.description = "\n".join(BASE)
        if not self._random.randrange(4):
            fields.issue_type = self._random.choice(TYPES)
        return Create(
            actor=self._actor(),
            project=self._project,
            fields=fields,
            labels=tuple(self._random.sample(LABELS, self._random.randrange(3))),
            parent=self._issue() if has_parent else "",
            metadata={"origin": self._word()} if not self._random.randrange(4) else {},
        )

    def _update(self) -> Update:
        fields = IssueFields()
        match self._random.randrange(7):
            case 0:
                fields.title = self._word()
            case 1:
                fields.priority = self._random.randrange(5)
            case 2:
                fields.assignee = self._random.choice((*ACTORS, ""))
            case 3:
                fields.status = self._random.choice(STATUSES)
            case 4:
                fields.issue_type = self._random.choice(TYPES)
            case 5:
                fields.pinned, fields.ephemeral = (bool(self._random.randrange(5) == 0) for _ in range(2))
            case 6:
                seconds = (self._now_ms + self._random.randrange(-600_000, 1_800_000)) // 1000
                fields.defer_until = _rfc3339(seconds) if self._random.randrange(3) else ""
                if fields.defer_until and seconds % 2:
                    fields.status = "deferred"
        return Update(actor=self._actor(), id=self._issue(), fields=fields)

    def _edit(self) -> Update:
        """Change one line of a text, or add one, as its writer sees it."""
        name, field = self._issue(), self._random.choice(TEXTS)
        lines = str(self._show(name).get(field) or "\n".join(BASE)).split("\n")
        if self._random.randrange(4):
            lines[self._random.randrange(len(lines))] = self._word()
        else:
            lines.insert(self._random.randrange(len(lines) + 1), self._word())
        fields = IssueFields()
        setattr(fields, field, "\n".join(lines))
        return Update(actor=self._actor(), id=name, fields=fields)

    def _sets(self) -> Update:
        pick = self._random.sample(LABELS, 2)
        request = Update(actor=self._actor(), id=self._issue())
        match self._random.randrange(5):
            case 0 | 1:
                request.add_labels = tuple(pick)
            case 2:
                request.remove_labels = tuple(pick)
            case 3:
                request.set_labels = tuple(pick)
            case 4:
                request.set_metadata = {"owner": self._word()}
                request.unset_metadata = ("origin",)
        return request

    def _claim(self) -> Update:
        return Update(actor=self._actor(), id=self._issue(), claim=True)

    def _reparent(self) -> Update:
        return Update(actor=self._actor(), id=self._issue(), parent=self._issue() if self._random.randrange(4) else "")

    def _add_edge(self) -> AddEdge:
        to = self._issue() if self._random.randrange(12) else "external:elsewhere"
        kind = self._random.choice(EDGE_TYPES)
        metadata = '{"gate":"any-children"}' if kind == "waits-for" and self._random.randrange(2) else ""
        edge = Edge(to=to, type=kind, metadata=metadata)
        return AddEdge(actor=self._actor(), id=self._issue(), edge=edge, check_cycles=self._random.randrange(2) > 0)

    def _remove_edge(self) -> RemoveEdge:
        name = self._issue()
        edges = self._show(name).get("dependencies") or [{"depends_on_id": name, "type": ""}]
        edge = self._random.choice(edges)
        return RemoveEdge(actor=self._actor(), id=name, to=edge["depends_on_id"], type=edge["type"])

    def _comment(self) -> AddComment:
        self._made += 1
        return AddComment(actor=self._actor(), id=self._issue(), text=self._told_apart(f"comment {self._made}"))

    def _resolve(self) -> Resolve:
        field = self._random.choice(("title", "status", "priority", "description", "metadata.owner", "deleted"))
        pick = self._random.randrange(1, 3)
        return Resolve(actor=self._actor(), id=self._issue(), field=field, pick=pick)

    def _script(self) -> Script:
        """Several steps, of which the last often fails: then none may show."""
        steps: list[dict[str, Any]] = [
            {"method": "update", "params": {"id": self._issue(), "fields": {"title": self._word()}}},
            {"method": "create", "params": {"project": self._project, "fields": {"title": self._word()}}},
            {"method": "add_edge", "params": {"id": "$2", "edge": {"to": self._issue()}}},
        ]
        if self._random.randrange(2):
            steps.append({"method": "close", "params": {"id": "nowhere-000000"}})
        return Script(actor=self._actor(), steps=tuple(steps), dry_run=not self._random.randrange(3))


_MAKERS: tuple[Maker, ...] = (
    Workload._update,
    Workload._edit,
    Workload._sets,
    Workload._claim,
    Workload._reparent,
    Workload._add_edge,
    Workload._remove_edge,
    Workload._resolve,
    Workload._script,
    lambda work: Close(actor=work._actor(), id=work._issue(), reason="done", force=work._random.randrange(2) > 0),
    lambda work: Reopen(actor=work._actor(), id=work._issue(), reason="not so"),
    lambda work: Delete(actor=work._actor(), id=work._issue(), reason="wrong"),
    lambda work: Undelete(actor=work._actor(), id=work._issue()),
    Workload._comment,
)
_WEIGHTS = (20, 12, 12, 6, 6, 18, 6, 5, 3, 8, 4, 4, 4, 5)


def _rfc3339(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
