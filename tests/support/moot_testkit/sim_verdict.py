"""What has to be true at the end of a run, when all faults are over and all replicas have come into step."""

from collections.abc import Iterator, Mapping, Sequence

from moot_protocol.acceptance import FeedKind, settle
from moot_protocol.batch import ZEROS, Batch
from moot_testkit import laws, model
from moot_testkit.held import HeldBatches
from moot_testkit.hostile import Hostile
from moot_testkit.naive_acceptance import NaiveAcceptance
from moot_testkit.sim_node import Node, World


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
    batches = {(batch.id, True): batch for batch in honest}
    proofs = []
    for member in members:
        held, evidence = laws.held_of(member)
        proofs += evidence
        for batch, _ in held:
            batches.setdefault((batch.id, batch.is_complete), batch)
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
    expected = model.expect(plane, model.gather(plane, agreed, proofs, now_ms))
    laws.check_unnamed(expected, named, settled)
    if sum(bool(node.town) for node in nodes) > 1:
        proved = [(proof.author, proof.first) for proof in proofs]
        held = [(batch, union.is_parked(batch.header.author, batch.id)) for batch in placed]
        laws.check_towns(settled, NaiveAcceptance(plane, held, proved))
    issues = model.issues_of(expected)
    world.counts["issues"] += len(issues)
    world.counts["events"] += len(expected.events)
    for member in members:
        laws.check_state(member, expected)
        laws.check_issues(member, issues)
        laws.check_fsck(member)
        laws.check_rebuild(member)
        laws.check_limits(member)
    laws.check_acknowledged(members, world.acknowledged, expected)
    laws.check_once(honest)


def _honest_batches(hostiles: Sequence[Hostile], world: World) -> Iterator[Batch]:
    """Every batch that an honest replica ever wrote, but for those whose key somebody stole."""
    stolen = {hostile.key.public for hostile in hostiles}
    return (batch for batch in world.knowledge.batches.values() if batch.header.author not in stolen)


def _is_placed(held: HeldBatches, batch: Batch, previous: Mapping[bytes, bytes]) -> bool:
    """Whether a batch is linked, or will be when its time comes: parked, as all are before it back to a linked one."""
    author, at = batch.header.author, batch.id
    while at != ZEROS and held.get(author, at) is None:
        if not held.is_parked(author, at):
            return False
        at = previous[at]
    return True
