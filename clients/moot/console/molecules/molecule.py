"""A molecule as it stands: an epic with the steps below it, and what can be told of them in the shapes of `bd`.

Any issue that has others below it can be looked at so, whether a formula was poured into it or somebody wrote it by
hand. Nothing is stored but the issues themselves.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from moot.console.command import Context
from moot.console.lines.issues import parent_of
from moot.console.molecules import pouring
from moot.console.molecules.swarm_analysis import waves
from moot.console.text import when
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.edge_types import HOLDING
from moot_protocol.issues.issue import CLOSED, LONG_TEXTS, TOMBSTONE
from moot_protocol.limits import FORMULA_STEPS
from moot_protocol.requests.issues import ListIssues, Ready, Show
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.time_units import HOUR_MS

_VARIABLE: Final = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_MARKS: Final = frozenset({"dependents", "_short", "_blocked"})
"""What `show` says of an issue that stands elsewhere in a molecule's document, or is of use to the eye only."""
_TEXTS: Final = ("title", *LONG_TEXTS)


class Molecule:
    """A molecule's epic and what is below it, in the formula's order.

    Args:
        context: the command's.
        typed: what names the epic.

    Raises:
        RefusedError: nothing is below it and it is no epic; it is deleted; or there is no such issue.
    """

    def __init__(self, context: Context, typed: str) -> None:
        self.epic = context.api.call(Show(ids=(typed,)))[0]
        if self.epic.get("status") == TOMBSTONE:
            name = self.epic["id"]
            raise RefusedError(f"{name} is deleted", code=Code.NOT_FOUND, hint=f"`moot undelete {name}` brings it back")
        self._place = Filter(parent=self.epic["id"])
        page = context.api.call(
            ListIssues(filter=self._place, all=True, limit=0, sort="created", reverse=True, texts=True)
        )
        self.steps = sorted(page.issues, key=_order)
        if not self.steps and self.epic.get("issue_type") not in {pouring.EPIC, pouring.LABEL}:
            raise RefusedError(f"{self.epic['id']} is no molecule", code=Code.CONFLICT, hint="see `moot mol list`")
        self._context = context
        self._ready: list[IssueDoc] | None = None

    @property
    def id(self) -> str:
        """Its epic's id."""
        return str(self.epic["id"])

    @property
    def title(self) -> str:
        """Its epic's title."""
        return str(self.epic.get("title", ""))

    @property
    def is_wisp(self) -> bool:
        """Whether it is ephemeral."""
        return bool(self.epic.get("ephemeral"))

    def with_status(self, status: str) -> list[IssueDoc]:
        """Its steps of one status."""
        return [step for step in self.steps if step.get("status") == status]

    def ready(self) -> list[IssueDoc]:
        """Its steps that can be worked on now and that nobody has begun, in its order."""
        if self._ready is None:
            wanted = Ready(filter=self._place, limit=0, include_ephemeral=True)
            found = {issue["id"] for issue in self._context.api.call(wanted).issues}
            self._ready = [step for step in self.steps if step["id"] in found and step.get("status") != IN_PROGRESS]
        return self._ready

    def progress(self) -> dict[str, Any]:
        """How far it is, as `bd mol progress --json` has it."""
        working = self.with_status(IN_PROGRESS)
        ended = sorted(filter(None, (when.instant(step.get("closed_at")) for step in self.with_status(CLOSED))))
        done, total = len(self.with_status(CLOSED)), len(self.steps)
        document: dict[str, Any] = {
            "molecule_id": self.id,
            "molecule_title": self.title,
            "total": total,
            "completed": done,
            "in_progress": len(working),
            "current_step_id": working[0]["id"] if working else "",
        }
        if total:
            document["percent"] = 100 * done / total
        hours = (ended[-1] - ended[0]) / HOUR_MS if len(ended) > 1 else 0
        if hours:
            rate = (done - 1) / hours
            document |= {"rate_per_hour": rate, "eta_hours": (total - done) / rate}
        return document

    def current(self) -> dict[str, Any]:
        """Where the work stands, as one entry of `bd mol current --json`."""
        ready = self.ready()
        ids = {step["id"] for step in ready}
        working = self.with_status(IN_PROGRESS)
        states = [_state(step, ids) for step in self.steps]
        document: dict[str, Any] = {"molecule_id": self.id, "molecule_title": self.title}
        if self.epic.get("assignee"):
            document["assignee"] = self.epic["assignee"]
        document |= {"current_step": working[0]} if working else {}
        document |= {"next_step": ready[0]} if ready else {}
        steps = [
            {"issue": step, "status": state, "is_current": state == "current"}
            for step, state in zip(self.steps, states, strict=True)
        ]
        return document | {"steps": steps, "completed": states.count("done"), "total": len(steps)}

    def shown(self, *, parallel: bool) -> dict[str, Any]:
        """All of it, as `bd mol show --json` has it."""
        epic = {name: value for name, value in self.epic.items() if name not in _MARKS}
        issues = [epic, *self.steps]
        document = {
            "root": epic,
            "issues": issues,
            "dependencies": [edge for step in self.steps for edge in step.get("dependencies", ())],
            "variables": variables_of(issues),
            "is_compound": False,
            "bonded_from": None,
        }
        return document | ({"parallel": self.parallel()} if parallel else {})

    def parallel(self) -> dict[str, Any]:
        """Which of its steps can be done at once."""
        needs = self._needs()
        left = {step["id"] for step in self.steps if step.get("status") != CLOSED}
        still = {step: [other for other in needs[step] if other in left] for step in left}
        groups = {f"group-{n}": wave for n, wave in enumerate(waves(still)[0], start=1) if len(wave) > 1}
        group_of = {step: name for name, wave in groups.items() for step in wave}
        ready = {step["id"] for step in self.ready()}
        steps = {
            step["id"]: {
                "step_id": step["id"],
                "status": step.get("status", ""),
                "is_ready": step["id"] in ready,
                "parallel_group": group_of.get(step["id"], ""),
                "blocked_by": still.get(step["id"], []),
                "blocks": [other for other in needs if step["id"] in needs[other]],
                "can_parallel": [
                    other for other in groups.get(group_of.get(step["id"], ""), ()) if other != step["id"]
                ],
            }
            for step in self.steps
        }
        return {
            "molecule_id": self.id,
            "total_steps": len(self.steps),
            "ready_steps": len(ready),
            "parallel_groups": groups,
            "steps": steps,
        }

    def ready_steps(self) -> dict[str, Any]:
        """What can be done now, as `bd ready --mol --json` has it."""
        analysis = self.parallel()
        steps = []
        for step in self.ready():
            info = analysis["steps"][step["id"]]
            group = {"parallel_group": info["parallel_group"]} if info["parallel_group"] else {}
            steps.append({"issue": step, "parallel_info": info, **group})
        return {
            "molecule_id": self.id,
            "molecule_title": self.title,
            "total_steps": len(self.steps),
            "ready_steps": len(steps),
            "steps": steps,
            "parallel_groups": analysis["parallel_groups"],
        }

    def last_activity(self) -> dict[str, Any]:
        """What happened last, as `bd mol last-activity --json` has it."""
        latest = max([self.epic, *self.steps], key=lambda issue: when.instant(issue.get("updated_at")) or 0)
        of_epic = latest is self.epic
        source = "molecule_updated" if of_epic else "step_closed" if latest.get("status") == CLOSED else "step_updated"
        document = {"molecule_id": self.id, "last_activity": latest.get("updated_at", ""), "source": source}
        return document | ({} if of_epic else {"source_step_id": latest["id"]})

    def _needs(self) -> dict[str, list[str]]:
        """What each step waits for among the others."""
        inside = {step["id"] for step in self.steps}
        return {
            step["id"]: [
                edge["depends_on_id"]
                for edge in step.get("dependencies", ())
                if edge.get("type") in HOLDING and edge.get("depends_on_id") in inside
            ]
            for step in self.steps
        }


def _order(step: IssueDoc) -> int:
    """A step's place in its formula; what was added later comes last."""
    place = step.get("metadata", {}).get(pouring.ORDER)
    return place if isinstance(place, int) else FORMULA_STEPS


def _state(step: IssueDoc, ready: set[str]) -> str:
    known = {CLOSED: "done", IN_PROGRESS: "current", "blocked": "blocked"}
    return known.get(str(step.get("status")), "ready" if step["id"] in ready else "pending")


def variables_of(issues: Iterable[IssueDoc]) -> list[str]:
    """The names that stand as `{{name}}` in the texts of issues."""
    texts = (str(issue.get(field, "")) for issue in issues for field in _TEXTS)
    return sorted({name for text in texts for name in _VARIABLE.findall(text)})


def roots_of(context: Context, issues: Sequence[IssueDoc]) -> dict[str, IssueDoc]:
    """For each issue the topmost one that it is part of; what is part of nothing has none."""
    known: dict[str, IssueDoc] = {issue["id"]: issue for issue in issues}
    roots: dict[str, IssueDoc] = {}
    for issue in issues:
        seen, above = {issue["id"]}, issue
        while (parent := parent_of(above)) and parent not in seen:
            seen.add(parent)
            if parent not in known:
                known[parent] = context.api.call(Show(ids=(parent,)))[0]
            above = known[parent]
        if above is not issue:
            roots[issue["id"]] = above
    return roots
