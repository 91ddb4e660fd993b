"""A town of real replicas in one process, from one seed: what happens, in which order, and what goes wrong.

Everything random comes from one generator, every clock is set by hand, and nothing runs beside anything else, so a
seed always makes the same run. `run` lets people work while the network, the clocks, the disks and hostile replicas
misbehave; then it heals everything, lets the replicas exchange until they are in step, and checks the laws.
"""

from hashlib import sha256
from random import Random
from typing import Any, TypeVar

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import RefusedError
from moot_protocol.exchange.messages import Single
from moot_protocol.exchange.sync import FIRST_REST
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import CERTIFICATE, Role
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.trust.charter import End, end_draft
from moot_testkit.laws import replica as laws
from moot_testkit.laws.replica import BrokenLawError, require
from moot_testkit.naive import model
from moot_testkit.sim.hostile import Branch, Hostile
from moot_testkit.sim.network import Network
from moot_testkit.sim.node import Keyed, Node, World
from moot_testkit.sim.plan import Crash, Plan, Report, plan_of
from moot_testkit.sim.portions import small_portions
from moot_testkit.sim.towns import Keeper, hostile_town, make_towns
from moot_testkit.sim.verdict import check_run
from moot_testkit.towns.town import PROJECT, START_MS
from moot_testkit.towns.workload import Workload
from mootd.engine.exchange.plane_exchange import Outgoing
from mootd.engine.exchange.receive import resettle
from mootd.engine.issues.reading import Issues
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.unit import Unit
from mootd.service.snapshot import Snapshot
from mootd.store.memory_store import CrashError

R = TypeVar("R")

ROUNDS = 12
"""Rounds in which healed replicas must have come into step."""
MANY = 100_000
"""More batches than a run ever has."""
MOST_MESSAGES = 5000
"""Messages after which the talk of one round counts as endless."""
_DAY_MS = 86_400_000
_OFFSETS_MS = (0, 0, -5_000, 8_000, -3_600_000, 3_600_000, 660_000, _DAY_MS, -_DAY_MS)


class Simulation:
    """One run.

    Args:
        seed: what everything follows from.
        plan: what it is like; chosen by the seed if left out.
        crash: a crash at a certain commit; the replica begins anew at once.
    """

    def __init__(self, seed: int, plan: Plan | None = None, crash: Crash | None = None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.plan = plan or plan_of(self.random)
        self.now_ms = START_MS
        self._latest_ms = START_MS
        """The furthest that any wall clock ever stood."""
        self.world = World()
        self.network = Network(self.random, self.plan.weather)
        self._workload = Workload(self.random, PROJECT, marks=self.plan.erases)
        self._requests = 0
        members = make_towns(self.plan.members, self.plan.towns, seed, self.random)
        self._plane, self._town = members[0].ledger.id, members[0].ledger.town
        self.nodes = [
            Node(at, member, self.world, member.ledger.town if at < self.plan.towns else b"")
            for at, member in enumerate(members)
        ]
        for node in self.nodes:
            node.member.store.faults.commits = 0
            node.offset_ms = self.random.randrange(-3000, 3000)
            self._set_clock(node)
        self.hostiles = [self._hostile(at) for at in range(self.plan.hostiles)]
        if self.plan.town_is_stolen:
            self.hostiles.append(self._thief(self.nodes[0].member.keys.signer(TOWN_KEY), self._town))
        self._peers = [node.member.id for node in self.nodes] + [hostile.key.public for hostile in self.hostiles]
        if crash is not None:
            self._arm(crash)

    def _arm(self, crash: Crash) -> None:
        node = self.nodes[crash.node]
        node.restarts_at_once = True
        faults = node.member.store.faults
        if crash.after:
            faults.crash_after_commit = crash.commit
        else:
            faults.crash_before_commit = crash.commit

    # -- Who takes part ------------------------------------------------------------------------------------------
    def _hostile(self, at: int) -> Hostile:
        if self.plan.towns > 1 and self.random.randrange(3):
            members = [node.member for node in self.nodes]
            name, hostile = hostile_town(self.random, members, self.plan.towns, self.seed, at)
            self.world.counts[name] += 1
            return hostile
        sort = 7 if self.plan.graphs else self.random.randrange(8)
        if sort == 0:
            victim = self.random.choice(self.nodes).member
            return self._thief(victim.keys.signer(REPLICA_KEY), victim.id)
        key = SeedSigner(sha256(b"hostile %d %d" % (self.seed, at)).digest())
        if sort == 1:
            return Hostile(self.random, self._plane, key, None)
        town = self.nodes[0].member.keys.signer(TOWN_KEY)
        role = Role.READER if sort == 2 else Role.ADMIN if sort == 3 else Role.WRITER
        body = CertificateBody(FORMAT, self._plane, town.public, key.public, bytes(32), role)
        certificate = build_certificate(body, key if sort == 4 else town)
        return Hostile(self.random, self._plane, key, (CERTIFICATE, key_text(key.public), CERTIFICATE, certificate))

    def _thief(self, key: SeedSigner, author: bytes) -> Hostile:
        """Somebody with a copy of an honest key, who goes on from where its feed stood then."""
        batch = next(node.member.batches(author)[-1] for node in self.nodes if node.member.batches(author))
        self.world.counts["stolen keys"] += 1
        start = Branch(batch.header.last, batch.id, batch.header.hlc_last)
        return Hostile(self.random, self._plane, key, None, start)

    def _some_node(self) -> Node | None:
        up = [node for node in self.nodes if not node.is_down]
        return self.random.choice(up) if up else None

    # -- The run -------------------------------------------------------------------------------------------------
    def run(self) -> Report:
        """Let everything happen, heal, and check the laws.

        Raises:
            BrokenLawError: one doesn't hold.
        """
        actions, weights = self._actions()
        for _ in range(self.plan.steps):
            name = self.random.choices(actions, weights)[0]
            self.world.note(name, self.now_ms)
            getattr(self, f"_do_{name}")()
        commits = [node.member.store.faults.commits for node in self.nodes]
        self._heal()
        self._bring_into_step()
        self._check()
        self.world.counts.update(self.network.faults)
        self.world.note(laws.fingerprint([node.member for node in self.nodes]))
        return Report(self.seed, self.world.trace, self.world.counts, commits)

    def _actions(self) -> tuple[list[str], list[int]]:
        weights = {
            "write": 34,
            "import": 3,
            "talk": 16,
            "deliver": 24,
            "pass_time": 10,
            "break_store": 8 if self.plan.breaks else 0,
            "restart": 3 if self.plan.breaks else 0,
            "jump": 3 if self.plan.jumps else 0,
            "part": 3 if len(self.nodes) > 2 else 0,
            "join": 2,
            "hostile": 0 if self.plan.graphs else 10 * len(self.hostiles),
            "end": 6 if self.plan.ends else 0,
            "rebuild": 8,
            "check": 1,
            "keep": 16 if self.plan.towns > 1 else 0,
            "tangle": 10 if self.plan.graphs else 0,
            "erase": 6 if self.plan.erases else 0,
            "erase_wrongly": 6 * len(self.hostiles) if self.plan.erases else 0,
        }
        return list(weights), list(weights.values())

    # -- Work ----------------------------------------------------------------------------------------------------
    def _do_write(self) -> None:
        """One commit of one to three requests at one replica."""
        node = self._some_node()
        if node is not None:
            node.commit([self._request(node) for _ in range(self.random.choice((1, 1, 1, 2, 3)))])

    def _request(self, node: Node) -> Keyed:
        self._requests += 1
        with node.member.replica.read() as reader:
            issues = Snapshot(node.member.replica, reader, node.member.clock.now_ms()).issues
            known = self._known_at(issues)
            request = self._workload.request(known, lambda name: _shown(issues, name), self.now_ms)
        return request, f"key-{self._requests}" if self.random.randrange(3) else ""

    def _known_at(self, issues: Issues) -> list[str]:
        """Ids of the issues that a node has; now and then of all that there are anywhere."""
        known = self.world.knowledge.issues
        return [name for name in known if issues.names.eid(name) is not None] if self.random.randrange(8) else known

    def _do_erase(self) -> None:
        """Erase some of what was written in an issue."""
        node = self._some_node()
        if node is None:
            return
        with node.member.replica.read() as reader:
            known = self._known_at(Snapshot(node.member.replica, reader, node.member.clock.now_ms()).issues)
        if known:
            self._requests += 1
            self.world.counts["erasures asked for"] += 1
            request = self._workload.erasure(known)
            node.commit([(request, f"key-{self._requests}" if self.random.randrange(3) else "")])

    def _do_import(self) -> None:
        """Take in lines of a file that others may import too, now or later."""
        node = self._some_node()
        if node is not None:
            node.import_lines(self._workload.lines(node.member.clock.now_ms()))

    def _do_rebuild(self) -> None:
        node = self._some_node()
        if node is not None:
            node.rebuild()

    # -- Talk ----------------------------------------------------------------------------------------------------
    def _do_talk(self) -> None:
        """A node begins a round with another one."""
        node = self._some_node()
        if node is not None:
            self._start(node, self.random.choice([other.index for other in self.nodes if other is not node]))

    def _start(self, node: Node, to: int) -> None:
        self._send(node, to, node.start(self._peers[to]))

    def _send(self, node: Node, to: int, outgoing: list[Outgoing]) -> None:
        for each in outgoing:
            self.world.counts["messages"] += 1
            self.network.send(node.index, to, each.message, self.now_ms)

    def _do_deliver(self) -> None:
        for _ in range(self.random.randrange(1, 12)):
            if not self._deliver():
                return

    def _deliver(self) -> bool:
        """Let the next message arrive; whether there was one."""
        parcel = self.network.receive(self.now_ms)
        if parcel is None:
            return False
        if parcel.to < len(self.nodes) and not self.nodes[parcel.to].is_down:
            node = self.nodes[parcel.to]
            self.world.note(parcel.sender, parcel.to, sha256(parcel.message).digest())
            self._send(node, parcel.sender, node.take(self._peers[parcel.sender], parcel.message))
            self._check_alarms(node)
        return True

    def _check_alarms(self, node: Node) -> None:
        dishonest = {hostile.key.public for hostile in self.hostiles}
        alarms = {peer: alarm for peer, alarm in node.exchange.alarms.items() if peer not in dishonest}
        require(not alarms, "equal frontiers mean equal digests", node.member.name, alarms)

    def _do_part(self) -> None:
        parts = {node.index: self.random.randrange(2) for node in self.nodes}
        self.network.split(parts, one_way=not self.random.randrange(3))

    def _do_join(self) -> None:
        self.network.split({})

    # -- Time ----------------------------------------------------------------------------------------------------
    def _do_pass_time(self) -> None:
        self.now_ms += self.random.choice((1, 500, 5_000, 60_000, 700_000))
        for node in self.nodes:
            if not node.is_down:
                self._set_clock(node)
                node.release()

    def _set_clock(self, node: Node) -> None:
        self._latest_ms = max(self._latest_ms, node.set_clock(self.now_ms))

    def _do_jump(self) -> None:
        node = self._some_node()
        if node is not None:
            self.world.counts["clock jumps"] += 1
            node.offset_ms = self.random.choice(_OFFSETS_MS)
            self._set_clock(node)

    # -- Faults --------------------------------------------------------------------------------------------------
    def _do_break_store(self) -> None:
        """Let one of the next commits crash, before or after it, or one of the next writes find no room; then go on."""
        node = self._some_node()
        if node is None:
            return
        faults = node.member.store.faults
        match self.random.randrange(3):
            case 0:
                faults.crash_before_commit = faults.commits + self.random.randrange(1, 4)
            case 1:
                faults.crash_after_commit = faults.commits + self.random.randrange(1, 4)
            case 2:
                faults.full_at_write = faults.writes + self.random.randrange(1, 60)
        if self.random.randrange(2):
            node.commit([self._request(node)])
        else:
            node.rebuild()

    def _do_restart(self) -> None:
        for node in self.nodes:
            if node.is_down or not self.random.randrange(4):
                node.restart()

    # -- Hostility -----------------------------------------------------------------------------------------------
    def _do_hostile(self) -> None:
        at = self.random.randrange(len(self.hostiles))
        self._send_hostile(at, *self.hostiles[at].act(self.world.knowledge, self.now_ms))

    def _do_tangle(self) -> None:
        at = self.random.randrange(len(self.hostiles))
        self._send_hostile(at, "graphs", self.hostiles[at].tangle(self.world.knowledge, self.now_ms))

    def _do_erase_wrongly(self) -> None:
        at = self.random.randrange(len(self.hostiles))
        self._send_hostile(at, *self.hostiles[at].erase(self.world.knowledge, self.now_ms))

    def _send_hostile(self, at: int, name: str, message: bytes) -> None:
        self.world.counts[f"hostile: {name}"] += 1
        self.world.note(name, sha256(message).digest())
        self.network.send(len(self.nodes) + at, self.random.randrange(len(self.nodes)), message, self.now_ms)

    def _do_end(self) -> None:
        """The town ends somebody's feed: most often a forked one, on one of its branches."""
        node = self.nodes[0]
        if node.is_down:
            return
        ledger, own = node.member.ledger.number, {node.member.id, self._town}
        rows = [row for row in node.member.replica.feeds.values() if row.plane == ledger and row.author not in own]
        forked = [row for row in rows if row.forked_at]
        if not rows or (not forked and self.random.randrange(3)):
            return
        chosen = self.random.choice(forked or rows)
        n, is_plain = self.random.randrange(chosen.n + 1), self.random.randrange(3) == 0

        def end(unit: Unit) -> None:
            if is_plain:
                end_replica(unit, ledger, chosen.author, n)
            else:
                self._end_a_branch(unit, ledger, chosen.author)

        try:
            if node.guarded(lambda: node.member.commit(end)):
                self.world.counts["ends"] += 1
                node.learn_own()
        except RefusedError as error:
            self.world.note(error.code)

    def _do_keep(self) -> None:
        """A town's keeper lets in, removes or takes back somebody."""
        node = self.random.choice(self.nodes[: self.plan.towns])
        if node.is_down:
            return
        keeper, done = Keeper(self.random, node.member), []
        try:
            if node.guarded(lambda: done.append(node.member.commit(keeper.act))):
                self.world.counts[f"keepers: {done[0]}"] += 1
                node.learn_own()
        except RefusedError as error:
            self.world.counts["refused keepers"] += 1
            self.world.note(error.code)

    def _end_a_branch(self, unit: Unit, plane: int, author: bytes) -> None:
        branches = list(StoredFeeds(unit, plane).branches(author).refs.values())
        end = End(0, ZEROS, self._town)
        if branches and self.random.randrange(8):
            ref = self.random.choice(branches)
            end = End(self.random.randrange(ref.first, ref.last + 1), ref.id, self._town)
        unit.append(plane, end_draft(author, end, "admin"), feed=unit.feed_number(plane, self._town))
        unit.seal()
        resettle(unit, plane, self._town)

    # -- Checking ------------------------------------------------------------------------------------------------
    def _do_check(self) -> None:
        """At any moment a replica's state follows from what it holds."""
        node = self._some_node()
        if node is not None:
            laws.check_state(node.member, model.expect(self._plane, laws.gathered(node.member)))

    def _heal(self) -> None:
        """End every fault, set all clocks right, and let everybody have what hostile replicas made."""
        self.network.heal()
        self.now_ms = self._latest_ms + self.random.choice((0, 3_600_000))
        for node in self.nodes:
            faults = node.member.store.faults
            faults.crash_before_commit = faults.crash_after_commit = faults.full_at_write = None
            node.offset_ms = 0
            if node.is_down:
                node.restart()
            self._set_clock(node)
            node.release()
        for at, hostile in enumerate(self.hostiles):
            if hostile.made:
                self.network.send(len(self.nodes) + at, 0, hostile.all_batches(), self.now_ms)

    def _bring_into_step(self) -> None:
        rounds_apart = rested = 0
        before: list[frozenset[Single]] = []
        for node in self.nodes:
            node.exchange.ask_anew()  # as where lines are there again
        while rounds_apart < ROUNDS:
            for node in self.nodes:
                for other in self.nodes:
                    if other is not node:
                        self._start(node, other.index)
            messages = 0
            while self._deliver():
                messages += 1
                require(messages < MOST_MESSAGES, "the sessions come to rest")
            self.world.counts["rounds"] += 1
            positions = {node.member.name: node.exchange.log.position() for node in self.nodes}
            if len(set(positions.values())) > 1:
                rounds_apart += 1
                continue
            # Who couldn't complete a batch may have learned how since, and is asked again after as many rounds.
            lacking = [frozenset(node.exchange.log.missing(MANY)) for node in self.nodes]
            rested = rested + 1 if lacking == before else 0
            if not any(lacking) or rested > FIRST_REST:
                return
            before = lacking
        is_digest = len({position.frontier for position in positions.values()}) == 1
        law = "equal frontiers mean equal digests" if is_digest else "healed replicas come into step"
        common = set.intersection(*(set(position.frontier) for position in positions.values()))
        apart = [f"{name}: {[each for each in at.frontier if each not in common]}" for name, at in positions.items()]
        raise BrokenLawError("\n  ".join([law, *apart]))

    def _check(self) -> None:
        check_run(self._plane, self.nodes, self.hostiles, self.world, self.now_ms)


def _shown(issues: Issues, name: str) -> dict[str, Any]:
    eid = issues.names.eid(name)
    record = None if eid is None else issues.entities.record(eid)
    return {} if record is None else issues.document(record)


def run(seed: int, plan: Plan | None = None, crash: Crash | None = None) -> Report:
    """Run a seed; see `Simulation.run`. What breaks a law, or breaks at all, tells how to see it again."""
    try:
        with small_portions():
            return Simulation(seed, plan, crash).run()
    except (Exception, CrashError) as error:
        error.add_note(f"seed {seed}: `python tests/simulation/run.py --first {seed} --seeds 1` does the same again")
        raise
