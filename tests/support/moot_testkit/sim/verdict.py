"""What has to be true at the end of a run, when all faults are over and all replicas have come into step."""

from collections.abc import Iterator, Mapping, Sequence, Set

from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.trust.acceptance import FeedKind
from moot_testkit.laws import erasure as laws_of_erasure
from moot_testkit.laws import replica as laws
from moot_testkit.naive import model
from moot_testkit.naive.acceptance import NaiveAcceptance
from moot_testkit.naive.erasure import names_of
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.model import Expected, Issue
from moot_testkit.naive.settlement import settle
from moot_testkit.sim.hostile import Hostile
from moot_testkit.sim.node import Node, World
from moot_testkit.towns.town import Member


def check_run(plane: bytes, nodes: Sequence[Node], hostiles: Sequence[Hostile], world: World, now_ms: int) -> None:
    """Hold what the replicas of a run hold and show against the models, and against one another.

    Args:
        plane: the plane's 16 bytes.
        nodes: the honest replicas.
        hostiles: the others.
        world: what happened.
        now_ms: the wall clock at the end.

    Raises:
        BrokenLawError: a law doesn't hold.
    """
    members = [node.member for node in nodes]
    honest = list(_honest_batches(hostiles, world))
    found = [laws.held_of(member) for member in members]
    proofs = [proof for _, evidence in found for proof in evidence]
    held_now = [batch for held, _ in found for batch, _ in held]
    batches = {(batch.id, _values_of(batch)): batch for batch in (*honest, *held_now)}
    ever_named = world.knowledge.erased.union(*(names_of(event) for batch in held_now for event in batch.events))
    union = model.gather(plane, batches.values(), proofs, now_ms)
    # Nobody asks for what is linked to nothing, so each may hold other such batches: they prove a fork to those
    # who hold two of them, and to the rest by the proof. Nor does anybody ask for feeds of which nobody accepts
    # anything, but for towns' charters: forks of such feeds are known by their proofs. `check_unnamed` shows that
    # nothing rests on them.
    previous = {batch.id: batch.header.prev for batch in batches.values()}
    placed = [batch for batch in batches.values() if _is_placed(union, batch, previous)]
    settled = settle(plane, model.gather(plane, placed, proofs, now_ms)).accepted
    named = {entry.author for node in nodes for entry in node.exchange.log.position().frontier if entry.n}
    named |= {author for author, accepted in settled.items() if accepted.kind is FeedKind.CHARTER}
    agreed = [batch for batch in placed if batch.header.author in named]
    gathered = model.gather(plane, agreed, proofs, now_ms)
    expected = model.expect(plane, gathered)
    laws.check_unnamed(expected, named, settled)
    if sum(bool(node.town) for node in nodes) > 1:
        proved = [(proof.author, proof.first) for proof in proofs]
        all_held = [(batch, union.is_parked(batch.header.author, batch.id)) for batch in placed]
        laws.check_towns(settled, NaiveAcceptance(plane, all_held, proved))
    lost = laws_of_erasure.lost_to_all(held_now, ever_named, expected)
    expected = model.expect(plane, gathered, lost) if lost else expected
    issues = model.issues_of(expected)
    world.counts["lost values"] += len(lost)
    world.counts["issues"] += len(issues)
    world.counts["events"] += len(expected.events)
    world.counts["erased events"] += len(expected.erased)
    words = laws_of_erasure.erased_words((*world.knowledge.batches.values(), *held_now), expected)
    for member in members:
        _check_member(member, expected, issues, words)
    laws.check_acknowledged(members, world.acknowledged, expected)
    laws.check_once(honest)
    laws_of_erasure.check_kept(members, world.acknowledged, expected, ever_named)


def _check_member(member: Member, expected: Expected, issues: dict[str, Issue], words: Set[bytes]) -> None:
    laws.check_state(member, expected)
    laws.check_issues(member, issues)
    laws_of_erasure.check_erased(member, words, expected)
    laws.check_fsck(member)
    laws.check_rebuild(member)
    laws_of_erasure.check_erased(member, words, expected)
    laws.check_limits(member)


def _honest_batches(hostiles: Sequence[Hostile], world: World) -> Iterator[Batch]:
    """Every batch that an honest replica ever wrote, but for those whose key somebody stole."""
    stolen = {hostile.key.public for hostile in hostiles}
    return (batch for batch in world.knowledge.batches.values() if batch.header.author not in stolen)


def _values_of(batch: Batch) -> tuple[bool, ...]:
    """Which of its events have their values: copies that differ in this complete one another."""
    return tuple(event.values_bytes is not None for event in batch.events)


def _is_placed(held: HeldBatches, batch: Batch, previous: Mapping[bytes, bytes]) -> bool:
    """Whether a batch is linked, or will be when its time comes: parked, as all are before it back to a linked one."""
    author, at = batch.header.author, batch.id
    while at != ZEROS and held.get(author, at) is None:
        if not held.is_parked(author, at):
            return False
        at = previous[at]
    return True
