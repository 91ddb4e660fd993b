"""Several towns on one plane through real remotes: invited, admitted, removed, under new keys; in one process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.ticket import decode_ticket, encode_ticket
from moot_testkit.machines.git_servers import bare, surroundings
from moot_testkit.machines.mqtt_broker import MqttBroker
from moot_testkit.towns.exchanging import QUICK, Peer, in_step, peers, settle, through_broker, through_git, until
from moot_testkit.towns.town import PROJECT
from mootd.edges.entropy import SeededEntropy
from mootd.edges.mqtt.settings import Version
from mootd.engine.membership.charter_writing import found_plane
from mootd.engine.membership.charters import epochs_of, towns_of
from mootd.engine.membership.inviting import invite, invite_town, open_plane
from mootd.engine.membership.joining import join
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import remove_town
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.state import TOWN_KEY
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out

SHARED = "shared"


def share(founder: Peer) -> None:
    """Found a plane that other towns may join, with a project."""
    recovery = SeedSigner(SeededEntropy(b"paper").bytes(32)).public

    def work(unit: Unit) -> None:
        number = found_plane(unit, PlaneKind.FEDERATION, SHARED, recovery)
        unit.seal()
        open_plane(unit, unit.plane(number))

    founder.commit(work)
    founder.commit(lambda unit: carry_out(unit, InitProject(actor=founder.name, prefix="sh", plane=SHARED)))


def let_in(founder: Peer, other: Peer, role: Role) -> None:
    made = founder.commit(lambda unit: invite_town(unit, founder.plane(SHARED), role, 0, ()))
    ticket = decode_ticket(encode_ticket(made.ticket))
    other.commit(lambda unit: join(unit, ticket))


def write(peer: Peer) -> None:
    request = Create(actor=peer.name, project="sh", plane=SHARED, fields=IssueFields(title=f"of {peer.name}"))
    peer.commit(lambda unit: carry_out(unit, request))


def roles(peer: Peer) -> list[str]:
    """The roles of all towns but the recovery key's, as a machine sees them."""
    with peer.replica.read() as reader:
        towns = towns_of(LogSnapshot(reader), peer.plane(SHARED)).values()
    return sorted(f"{town.role}{' ended' if town.ended else ''}" for town in towns if town.depth)


def agree(*some: Peer) -> bool:
    return in_step(*some, plane=SHARED)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return bare(tmp_path)


def connect(peer: Peer, folder: Path, repository: Path) -> None:
    own = folder / peer.name
    own.mkdir()
    peer.add(through_git(f"file://{repository}", own, surroundings(folder)))


async def test_three_towns_share_a_plane_through_git_until_one_is_removed(tmp_path: Path, repository: Path) -> None:
    async with peers(3, joined=False) as (one, two, three):
        share(one)
        for peer in (one, two, three):
            connect(peer, tmp_path, repository)
        let_in(one, two, Role.ADMIN)
        let_in(one, three, Role.WRITER)
        await settle(one, two, three, rounds=2)
        for peer in (one, two, three):
            write(peer)
        await settle(one, two, three, rounds=2)
        assert roles(one) == roles(three) == ["admin", "admin", "writer"]
        assert agree(one, two, three)

        with one.replica.read() as reader:
            gone = towns_of(LogSnapshot(reader), one.plane(SHARED))[three.replica.signer(TOWN_KEY).public]
        removed = one.commit(lambda unit: remove_town(unit, one.plane(SHARED), gone))
        write(one)
        await settle(one, two, three, rounds=1)
        assert roles(two) == roles(three) == ["admin", "admin", "writer ended"]
        assert agree(one, two)
        assert PlaneKeys(two.replica.keys, two.plane(SHARED).id).key_of(removed.epoch) is not None
        assert PlaneKeys(three.replica.keys, three.plane(SHARED).id).key_of(removed.epoch) is None
        assert not agree(one, three)


async def test_another_machine_of_a_town_joins_again_through_git_after_the_town_s_key_was_changed(
    tmp_path: Path, repository: Path
) -> None:
    async with peers(2) as (one, two):
        for peer in (one, two):
            connect(peer, tmp_path, repository)
        await settle(one, two, rounds=2)
        before = two.replica.id
        one.commit(rotate_town)
        one.hub.renew()
        await settle(one, two, rounds=1)
        made = one.commit(lambda unit: invite(unit, one.plane(), Role.WRITER, 0, ()))
        joined = two.commit(lambda unit: join(unit, decode_ticket(encode_ticket(made.ticket))))
        two.hub.renew()
        assert joined.is_again
        assert two.replica.id != before
        await settle(one, two, rounds=2)
        request = Create(actor="two", project=PROJECT, plane="ledger", fields=IssueFields(title="under the new key"))
        two.commit(lambda unit: carry_out(unit, request))
        await settle(one, two, rounds=2)
        assert in_step(one, two)
        with one.replica.read() as reader:
            source = LogSnapshot(reader)
            newest = epochs_of(source, one.plane()).live[-1]
            # It entered, told its version, and wrote.
            assert source.feed(source.feed_number(one.plane().number, two.replica.id)).n == 3
        assert before not in newest.value.wraps
        assert PlaneKeys(two.replica.keys, two.plane().id).key_of(newest.id) is not None


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttBroker]:
    with MqttBroker(tmp_path, version=Version.V311) as made:
        yield made


async def test_two_towns_share_a_plane_live_and_one_changes_its_keys(broker: MqttBroker) -> None:
    async with peers(2, QUICK, joined=False) as (one, two):
        share(one)
        for peer in (one, two):
            peer.add(through_broker(broker.port), kind="mqtt")
        let_in(one, two, Role.WRITER)
        await until(lambda: roles(one) == roles(two) == ["admin", "writer"] and agree(one, two))
        write(two)
        await until(lambda: agree(one, two) and two.own_n(SHARED) > 1)

        before = one.replica.id
        one.commit(rotate_town)
        one.hub.renew()
        write(one)
        await until(lambda: roles(two) == ["admin", "admin ended", "writer"] and agree(one, two))
        assert one.replica.id != before
        write(two)
        await until(lambda: agree(one, two))
        assert not one.progress().problems
