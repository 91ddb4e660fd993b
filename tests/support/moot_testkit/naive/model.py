"""What a plane must look like, computed from the set of all its batches: plain, slow, and obviously right.

Nothing of the daemon's engine is used here: acceptance is `moot_protocol.trust.acceptance` over sets in memory, what is
live is the definition written down, and readiness is a fixpoint over all issues.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from hashlib import sha256
from typing import Any, NamedTuple

from moot_protocol.clock import is_ahead
from moot_protocol.codec import encode
from moot_protocol.exchange.frontier import Frontier
from moot_protocol.exchange.messages import ForkProof
from moot_protocol.issues.issue import Edge, Facts, IssueReading, created_ms, facts, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.log.batch import Batch, decode_header
from moot_protocol.log.event import Event
from moot_protocol.merge.fold import LiveWrite, Placed
from moot_protocol.merge.kinds import CERTIFICATE, CHARTER_KINDS, ISSUE, Role
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.trust.acceptance import Accepted, FeedKind
from moot_protocol.trust.charter import is_void
from moot_testkit.naive.entity_map import KeyHistory
from moot_testkit.naive.erasure import Name, Speaker, erased_by, name_of, without_values
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import allows, settle
from moot_testkit.naive.settling import frontier_of

EXCLUDED_TYPES = {"merge-request", "gate", "molecule", "message", "agent", "role", "rig"}
BLOCKING = {"blocks", "conditional-blocks"}
PARENT = "parent-child"

Write = tuple[bytes, int]
"""A write by its author's key and number."""


class Live(NamedTuple):
    """A live write of a key."""

    sibling: Sibling
    leaf: bytes


class Entity(NamedTuple):
    """What accepted events leave of an entity."""

    live: dict[str, list[Live]]
    created: int
    updated: int
    writes: dict[str, dict[Write, tuple[Sibling, list[Write]]]]
    """key → write → (its value, the accepted writes it names), superseded ones included."""

    def siblings(self) -> dict[str, list[Sibling]]:
        """What is live, as policies read it."""
        return {key: [write.sibling for write in writes] for key, writes in self.live.items()}


class Expected(NamedTuple):
    """How every replica that holds these batches must stand."""

    accepted: dict[bytes, Accepted]
    frontier: Frontier
    digest: bytes
    entities: dict[tuple[str, str], Entity]
    events: dict[tuple[bytes, int], Placed]
    """The accepted events by author and number, without the values that are gone."""
    erased: Set[Name]
    """The events whose values are gone for good."""

    def superseded(self, kind: str, entity: str, key: str) -> set[tuple[bytes, int, bytes]]:
        """What accepted events that count name in `over` of a key: (author, n, first 8 bytes of the leaf)."""
        named = set()
        for placed in self.events.values():
            skeleton = placed.event.skeleton
            if (skeleton.kind, skeleton.entity) == (kind, entity) and self._counts(placed):
                for change in skeleton.changes:
                    if change.key == key and allows(self.accepted[placed.author], kind, key):
                        named |= {(placed.authors[index], n, leaf8) for index, n, leaf8 in change.over}
        return named

    def _counts(self, placed: Placed) -> bool:
        return counts(self.accepted[placed.author], placed.event)


def gather(plane: bytes, batches: Iterable[Batch], proofs: Iterable[ForkProof], now_ms: int) -> HeldBatches:
    """The set of these batches and of the evidence in these proofs, those too far ahead of the wall parked."""
    held = HeldBatches(plane)
    for batch in batches:
        held.add(batch, parked=is_ahead(batch.header.hlc_last, now_ms))
    for proof in proofs:
        for header in proof.headers:
            held.add_evidence(decode_header(header), sha256(header).digest())
    return held


def expect(plane: bytes, held: HeldBatches, lost: Set[Name] = frozenset()) -> Expected:
    """Compute what these batches make of a plane.

    Args:
        plane: the plane's 16 bytes.
        held: all its batches.
        lost: events whose values no replica has any more, though nothing that counts erases them.
    """
    settlement = settle(plane, held)
    accepted = dict(settlement.accepted)
    whole = list(held.accepted(settlement))
    erased = erased_by(_speakers(held, accepted, whole))
    events = {
        (placed.author, placed.event.n): without_values(placed)
        if name_of(placed.author, placed.event) in erased | lost
        else placed
        for placed in whole
    }
    entities = _entities(accepted, events)
    return Expected(accepted, frontier_of(accepted), _digest(entities), entities, events, erased)


def _speakers(held: HeldBatches, accepted: Mapping[bytes, Accepted], whole: Iterable[Placed]) -> dict[bytes, Speaker]:
    """The replicas of which anything counts, with their events."""
    said: dict[bytes, list[Event]] = {}
    for placed in whole:
        said.setdefault(placed.author, []).append(placed.event)
    return {
        author: Speaker(str(each.role), each.town, held.branch(author, each.batch)[0].header.last, said.get(author, []))
        for author, each in accepted.items()
        if each.n and each.kind is FeedKind.REPLICA
    }


def counts(author: Accepted, event: Event) -> bool:
    """Whether an accepted event may say anything: charters speak of membership only, and nobody else does."""
    kind = event.skeleton.kind
    if author.kind is FeedKind.CHARTER:
        return allows(author, kind, kind) and not is_void(event)
    return kind not in CHARTER_KINDS and (author.role is not Role.READER or kind == CERTIFICATE)


def _entities(
    accepted: dict[bytes, Accepted], events: dict[tuple[bytes, int], Placed]
) -> dict[tuple[str, str], Entity]:
    by_entity: dict[tuple[str, str], list[Placed]] = {}
    for placed in events.values():
        if counts(accepted[placed.author], placed.event):
            skeleton = placed.event.skeleton
            by_entity.setdefault((skeleton.kind, skeleton.entity), []).append(placed)
    return {place: _entity(accepted, place[0], found) for place, found in by_entity.items()}


def _entity(accepted: dict[bytes, Accepted], kind: str, events: list[Placed]) -> Entity:
    """live(key) = writes(key) without all that any write of the key names."""
    writes: dict[str, dict[tuple[bytes, int, bytes], Live]] = {}
    named: dict[str, set[tuple[bytes, int, bytes]]] = {}
    over: dict[str, dict[Write, list[tuple[bytes, int, bytes]]]] = {}
    for author, event, authors in events:
        values = iter(event.values() or ())
        for change in event.skeleton.changes:
            value = MISSING if change.removes else next(values, MISSING)
            if not allows(accepted[author], kind, change.key):
                continue
            names = [(authors[index], n, leaf8) for index, n, leaf8 in change.over]
            named.setdefault(change.key, set()).update(names)
            over.setdefault(change.key, {})[author, event.n] = names
            if not change.removes:
                sibling = Sibling(value, event.skeleton.hlc, author, event.n, event.skeleton.actor, event.leaf[:8])
                writes.setdefault(change.key, {})[author, event.n, event.leaf[:8]] = Live(sibling, event.leaf)
    live = {
        key: [write for name, write in found.items() if name not in named.get(key, set())]
        for key, found in writes.items()
    }
    times = [placed.event.skeleton.hlc for placed in events]
    return Entity(
        {key: found for key, found in live.items() if found},
        min(times),
        max(times),
        {
            key: {
                (author, n): (write.sibling, [name[:2] for name in over[key][author, n] if name in found])
                for (author, n, _), write in found.items()
            }
            for key, found in writes.items()
        },
    )


def _digest(entities: dict[tuple[str, str], Entity]) -> bytes:
    total = 0
    for (kind, entity), found in entities.items():
        for key, live in found.live.items():
            for sibling, leaf in live:
                place = sha256(encode([kind, entity, sibling.author, sibling.n, leaf])).digest()
                factor = int.from_bytes(sha256(key.encode()).digest(), "big") | 1
                total += int.from_bytes(place, "big") * factor
    return (total % 2**256).to_bytes(32, "big")


# -- Issues ------------------------------------------------------------------------------------------------------
class Issue(NamedTuple):
    """An issue as it must be shown."""

    reading: IssueReading
    document: dict[str, Any]
    facts: Facts
    created_ms: int
    is_deletion_disputed: bool


def is_deletion_disputed(live: Mapping[str, Sequence[Live | LiveWrite]]) -> bool:
    """Whether live values of `deleted` differ in what they say, or no deletion that tells what it saw saw all."""
    writes = live.get("deleted", ())
    said, seen = set(), set()
    for write in writes:
        value = write.sibling.value
        if not isinstance(value, list) or len(value) < 3:
            said.add("" if value in (None, "") else repr(value))
            continue
        said.add(repr([*value, None][:4]))
        if len(value) > 4 and isinstance(value[4], str) and len(value[4]) == 16:
            seen.add(value[4])
    deleting = {(write.sibling.author, write.sibling.n) for write in writes}
    beside = [
        [key, write.sibling.author, write.sibling.n, write.leaf[:8]]
        for key, found in live.items()
        for write in found
        if key not in {"deleted", "updated_at"} and (write.sibling.author, write.sibling.n) not in deleting
    ]
    return len(said) > 1 or bool(seen and sha256(encode(sorted(beside))).hexdigest()[:16] not in seen)


def issues_of(expected: Expected) -> dict[str, Issue]:
    """Every issue that has anything live, by id."""
    found: dict[str, Issue] = {}
    for (kind, name), entity in expected.entities.items():
        if kind == ISSUE and entity.live:
            live = entity.siblings()
            reading = read_issue(name, live, entity.created, entity.updated, _lineage(entity))
            others = created_ms(live, entity.created), is_deletion_disputed(entity.live)
            found[name] = Issue(reading, document(reading), facts(live), *others)
    return found


def _lineage(entity: Entity) -> Any:
    return lambda key: KeyHistory(entity.writes.get(key, {}))


def edges_of(issue: Issue) -> list[Edge]:
    """The edges of an issue that hold it up, if anything does: none to things outside, whatever is named like one."""
    return [edge for edge in issue.reading.edges if not edge.to.startswith("external:")]


def is_settled(issue: Issue) -> bool:
    """Whether it blocks nothing and is never blocked."""
    return issue.facts.status in {"closed", "pinned"}


def left_out(issues: dict[str, Issue]) -> set[tuple[str, str, str]]:
    """The blocking edges that close a cycle with parent edges and with blocking edges of earlier writes."""
    edges = [
        (edge.rank, name, edge.to, edge.type)
        for name, issue in issues.items()
        if not issue.facts.is_deleted
        for edge in edges_of(issue)
    ]
    ahead: dict[str, set[str]] = {}
    for _, source, target, kind in edges:
        if kind == PARENT:
            ahead.setdefault(source, set()).add(target)
    found = set()
    for _, source, target, kind in sorted(edge for edge in edges if edge[3] in BLOCKING):
        if source in _reach(ahead, target):
            found.add((source, target, kind))
        else:
            ahead.setdefault(source, set()).add(target)
    return found


def _reach(ahead: dict[str, set[str]], start: str) -> set[str]:
    seen, stack = {start}, [start]
    while stack:
        for target in ahead.get(stack.pop(), set()) - seen:
            seen.add(target)
            stack.append(target)
    return seen


def blocked_of(issues: dict[str, Issue]) -> set[str]:
    """The issues that something blocks: the least fixpoint of the three rules."""
    alive = {name: issue for name, issue in issues.items() if not issue.facts.is_deleted}
    without = left_out(issues)
    blocked: set[str] = set()
    while True:
        more = {
            name
            for name, issue in alive.items()
            if name not in blocked and not is_settled(issue) and _is_held_up(name, alive, blocked, without)
        }
        if not more:
            return blocked
        blocked |= more


def _is_held_up(name: str, alive: dict[str, Issue], blocked: set[str], without: set[tuple[str, str, str]]) -> bool:
    for edge in edges_of(alive[name]):
        target = alive.get(edge.to)
        if target is None:
            continue
        if edge.type in BLOCKING and not is_settled(target) and (name, edge.to, edge.type) not in without:
            return True
        if edge.type == PARENT and edge.to in blocked:
            return True
        if edge.type == "waits-for" and _must_wait(alive, edge.to, edge.extra):
            return True
    return False


def _must_wait(alive: dict[str, Issue], spawner: str, extra: dict[str, Any]) -> bool:
    closed = [
        issue.facts.status == "closed"
        for issue in alive.values()
        if any(edge.type == PARENT and edge.to == spawner for edge in edges_of(issue))
    ]
    if "any-children" in extra.get("metadata", "") and any(closed):
        return False
    return not all(closed)


def ready_of(issues: dict[str, Issue], now_ms: int) -> set[str]:
    """The issues that `ready` shows without a filter."""
    blocked = blocked_of(issues)
    return {
        name
        for name, issue in issues.items()
        if not issue.facts.is_deleted
        and name not in blocked
        and _is_to_do(issue)
        and not issue.facts.pinned
        and not issue.facts.ephemeral
        and issue.facts.issue_type not in EXCLUDED_TYPES
        and _until_ms(issues, issue) <= now_ms
    }


def _is_to_do(issue: Issue) -> bool:
    """Whether only time, types and what it waits for may keep an issue from being ready."""
    has_end = issue.facts.defer_until_ms is not None and issue.facts.defer_until_ms > 0
    return issue.facts.status == "open" or (issue.facts.status == "deferred" and has_end)


def _until_ms(issues: dict[str, Issue], issue: Issue) -> int:
    parents = (issues.get(edge.to) for edge in edges_of(issue) if edge.type == PARENT)
    deferred = [parent.facts.defer_until_ms for parent in parents if parent and not parent.facts.is_deleted]
    return max(0, issue.facts.defer_until_ms or 0, *(ms or 0 for ms in deferred))
