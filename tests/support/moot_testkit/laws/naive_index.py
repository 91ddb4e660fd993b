"""What records and INDEX must hold, computed from all accepted batches by `fold` and the policies, all at once."""

from collections.abc import Iterable
from typing import Any

from moot_protocol.clock import to_ms
from moot_protocol.issues.issue import IssueReading, read_edges, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.log.batch import Batch
from moot_protocol.merge import policies
from moot_protocol.merge.digest import Digest
from moot_protocol.merge.fold import LiveWrite, Placed, fold
from moot_protocol.merge.kinds import ISSUE, SET_LIKE, Policy, field_of
from moot_protocol.times import instant_ms
from moot_testkit.bytes.feeds import live_digest
from moot_testkit.naive.model import is_deletion_disputed
from moot_testkit.naive.readiness import EXCLUDED_TYPES, Naive, NaiveEdge, NaiveIssue
from moot_testkit.towns.engine import Desk
from mootd.engine.stored import layout
from mootd.engine.views import standing
from mootd.engine.views.standing import Standing
from mootd.store.port import Table

Live = dict[str, list[LiveWrite]]
LISTS = (layout.STATUS, layout.ASSIGNEE, layout.LABEL, layout.UPDATED, layout.CONFLICT, layout.DELETED)


def placed(batches: Iterable[Batch]) -> list[Placed]:
    """The events of batches where they stand."""
    return [
        Placed(batch.header.author, event, (batch.header.author, *batch.header.authors))
        for batch in batches
        for event in batch.events
    ]


class NaiveState:
    """The issues of a set of accepted batches."""

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.events = placed(batches)
        self.live: dict[str, Live] = {
            entity: live for (kind, entity), live in fold(self.events).items() if kind == ISSUE
        }
        self.readings = {entity: self._reading(entity) for entity in self.live}
        self.readiness: Naive[str] = Naive(
            {entity: self._naive(entity) for entity, it in self.readings.items() if it.deleted is None}
        )

    def digest(self) -> Digest:
        """The plane's digest."""
        return live_digest(self.events)

    def hlcs(self, entity: str) -> list[int]:
        """The times of an issue's events."""
        return [
            each.event.skeleton.hlc
            for each in self.events
            if (each.event.skeleton.kind, each.event.skeleton.entity) == (ISSUE, entity)
        ]

    def _reading(self, entity: str) -> IssueReading:
        live = {key: [write.sibling for write in writes] for key, writes in self.live[entity].items()}
        hlcs = self.hlcs(entity)
        return read_issue(entity, live, min(hlcs), max(hlcs))

    def _naive(self, entity: str) -> NaiveIssue[str]:
        shown = document(self.readings[entity])
        edges = []
        for edge in read_edges([write.sibling for write in self.live[entity].get("edges", [])]):
            any_child = "any-children" in str(edge.extra.get("metadata", ""))
            if not edge.to.startswith("external:"):
                edges.append(NaiveEdge(edge.to, edge.type, edge.rank, any_child))
        return NaiveIssue(
            shown["status"],
            shown.get("pinned", False),
            shown["issue_type"],
            shown.get("ephemeral", False),
            max(instant_ms(shown.get("defer_until")) or 0, 0),
            edges,
        )

    def in_conflict(self, entity: str) -> bool:
        """Whether some field may be in conflict: texts count as soon as they may be."""
        if is_deletion_disputed(self.live[entity]):
            return True
        for key, writes in self.live[entity].items():
            if key == "deleted":
                continue
            policy = field_of(ISSUE, key).policy
            siblings = [write.sibling for write in writes]
            if policy is Policy.KEYED and any(each.conflict for each in policies.keyed(siblings).values()):
                return True
            is_register = len(siblings) > 1 and policy not in SET_LIKE
            if is_register and (policy is Policy.TEXT or policies.read(policy, siblings).conflict):
                return True
        return False


class NaiveIndex:
    """What INDEX of a desk must hold for the issues of its ledger."""

    def __init__(self, desk: Desk) -> None:
        self.state = NaiveState(desk.batches())
        self._eids = {
            layout.id_entity(key): int.from_bytes(value, "big")
            for key, value in desk.rows((Table.IDS_0, Table.IDS_1)[desk.replica.generation]).items()
            if key.startswith(layout.id_key(desk.replica.ledger.number, ISSUE, ""))
        }
        self._plane, self._projects = desk.replica.ledger.number, desk.replica.projects
        self._now_ms = desk.clock.now_ms()

    def lists(self) -> set[bytes]:
        """The keys of lists."""
        return {key for entity in self.state.readings for key in self._lists(entity)}

    def _lists(self, entity: str) -> Iterable[bytes]:
        reading, eid = self.state.readings[entity], self._eids[entity]
        shown = document(reading)
        project = self._projects[self._plane, self._register(entity, "project") or ""]
        if self.state.in_conflict(entity):
            yield layout.timed_key(layout.CONFLICT, project, 0, eid)
        if reading.deleted is not None:
            yield layout.timed_key(layout.DELETED, project, 0, eid)
            return
        order = layout.order_suffix(shown["priority"], self._created_ms(entity), layout.tie_of(entity), eid)
        settled = b"\1" if shown["status"] == "closed" else b"\0"
        yield layout.text_prefix(layout.STATUS, project, shown["status"]) + order
        yield layout.timed_key(layout.UPDATED, project, max(instant_ms(shown["updated_at"]) or 0, 0), eid)
        for label in shown.get("labels", ()):
            yield layout.text_prefix(layout.LABEL, project, label) + settled + order
        if "assignee" in shown:
            yield layout.text_prefix(layout.ASSIGNEE, project, shown["assignee"]) + settled + order

    def _created_ms(self, entity: str) -> int:
        siblings = [write.sibling for write in self.state.live[entity].get("created_at", [])]
        ms = instant_ms(policies.read(Policy.MAXIMUM, siblings).value)
        return min(max(to_ms(min(self.state.hlcs(entity))) if ms is None else ms, 0), 2**62)

    def _register(self, entity: str, key: str) -> Any:
        writes = self.state.live[entity].get(key, [])
        return writes[-1].sibling.value if writes else None

    def standings(self) -> set[bytes]:
        """The keys in READY, DEFERRED and BLOCKED, by a clock that never went back."""
        found: set[bytes] = set()
        readiness = self.state.readiness
        for entity, it in readiness.issues.items():
            kept = Standing(self._eids[entity], None)
            shown = document(self.state.readings[entity])
            kept.flags = standing.EXISTS | (standing.OPEN if it.is_to_do else 0)
            kept.flags |= (standing.PINNED if it.pinned else 0) | (
                standing.BLOCKED if entity in readiness.blocked else 0
            )
            kept.issue_class = (it.issue_type in EXCLUDED_TYPES) + 2 * it.ephemeral
            kept.project = self._projects[self._plane, self._register(entity, "project") or ""]
            kept.priority, kept.created_ms = shown["priority"], self._created_ms(entity)
            kept.tie = layout.tie_of(entity)
            kept.until_ms = readiness.until_ms(entity)
            kept.place(self._now_ms)
            found.update(kept.index_keys())
        return found

    def left_out(self) -> set[bytes]:
        """The keys of edges left out of readiness."""
        return {
            layout.edge_key(layout.CYCLE, self._eids[source], self._eids[target], edge_type)
            for source, target, edge_type in self.state.readiness.left_out
        }


def check(desk: Desk) -> None:
    """A desk's records, INDEX and digest are what its accepted batches make."""
    naive = NaiveIndex(desk)
    records = desk.records()
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        for entity, live in naive.state.live.items():
            kept = entities.live(records[entity])
            assert {key: sorted(siblings, key=lambda s: s.rank) for key, siblings in kept.items()} == {
                key: [write.sibling for write in writes] for key, writes in live.items()
            }
    assert {entity for entity, record in records.items() if record.groups} == set(naive.state.live)
    assert desk.index(*LISTS) == naive.lists()
    assert desk.index(layout.READY, layout.DEFERRED, layout.BLOCKED) == naive.standings()
    assert desk.index(layout.CYCLE) == naive.left_out()
    assert desk.digest(desk.replica.ledger.number) == naive.state.digest().digest()
