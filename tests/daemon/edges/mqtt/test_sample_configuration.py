"""The configuration for Mosquitto that is shipped: a replica can't publish as another."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_protocol.errors import Code
from moot_testkit.live import (
    ALICE,
    BATCHES,
    BOB,
    CAROL,
    FRONTIER,
    TOPIC,
    WANT,
    frames_until,
    publish_refused,
    refused,
    take,
)
from moot_testkit.machines.mqtt_broker import MqttBroker, write_passwords
from moot_testkit.machines.tls_files import Authority
from mootd.edges.mqtt.address import Address, Credentials, Tls
from mootd.edges.mqtt.remote import MqttRemote
from mootd.remotes import Channel, Incoming, Will

SHIPPED = Path(__file__).resolve().parents[4] / "docs" / "mosquitto"


class SampleBroker(MqttBroker):
    """A broker with exactly the files that are shipped, but for their paths and the port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        self.ties_identifiers = False
        authority = Authority(folder, "ca")
        authority.vouch("broker")
        write_passwords(folder / "passwords", {sender.hex(): password(sender) for sender in (ALICE, BOB, CAROL)})
        (folder / "acl.conf").write_bytes((SHIPPED / "acl.conf").read_bytes())

    def configuration(self, port: int) -> list[str]:
        text = (SHIPPED / "mosquitto.conf").read_text()
        for before, after in (
            ("listener 8883\n", f"listener {port} 127.0.0.1\n"),
            ("/etc/mosquitto/certs/", f"{self.folder}/"),
            ("/etc/mosquitto/", f"{self.folder}/"),
            ("/var/lib/mosquitto/", f"{self.folder}/"),
        ):
            assert before in text
            text = text.replace(before, after)
        if self.ties_identifiers:
            text = text.replace("#use_username_as_clientid", "use_username_as_clientid")
        return text.splitlines()

    def remote(self, user: bytes) -> MqttRemote:
        address = Address("localhost", self.port, is_tls=True, user=user.hex())
        return MqttRemote(address, Tls(ca=self.folder / "ca.pem"), Credentials(password(user)))


def password(user: bytes) -> str:
    return f"password of {user.hex()}"


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[SampleBroker]:
    with SampleBroker(tmp_path) as broker:
        yield broker


async def test_replicas_hear_one_another(sample: SampleBroker) -> None:
    async with sample.remote(ALICE).connect(ALICE, [TOPIC]) as alice, sample.remote(BOB).connect(BOB, [TOPIC]) as bob:
        for line in (alice, bob):
            await line.publish(TOPIC, BATCHES, bytes(1 << 17))
        assert [each.sender for each in await take(alice, 1) + await take(bob, 1)] == [BOB, ALICE]


@pytest.mark.parametrize("channel", [BATCHES, FRONTIER, WANT], ids=str)
async def test_a_replica_cannot_publish_as_another(sample: SampleBroker, channel: Channel) -> None:
    async with sample.remote(CAROL).connect(CAROL, [TOPIC]) as carol:
        async with sample.remote(BOB).connect(BOB, [TOPIC]) as bob:
            await bob.publish(TOPIC, FRONTIER, b"bob's")
        async with sample.remote(ALICE).connect(BOB, [TOPIC]) as alice_as_bob:
            error = await publish_refused(alice_as_bob, TOPIC, channel, b"forged")
            assert (error.code, error.retryable) == (Code.DENIED, False)
        async with sample.remote(BOB).connect(BOB, [TOPIC]) as bob:
            await bob.publish(TOPIC, WANT, b"last")
        assert await frames_until(carol, b"last") == [b"bob's", b"last"]
    async with sample.remote(CAROL).connect(CAROL, [TOPIC]) as carol:
        assert await take(carol, 1) == [Incoming(TOPIC, BOB, FRONTIER, b"bob's")]


async def test_with_identifiers_tied_to_users_nobody_takes_over_anothers_connection(tmp_path: Path) -> None:
    sample = SampleBroker(tmp_path)
    sample.ties_identifiers = True
    sample.start()
    try:
        async with sample.remote(CAROL).connect(CAROL, [TOPIC]) as carol:
            one, other = sample.remote(BOB), sample.remote(ALICE)
            async with one.connect(BOB, [TOPIC]) as bob, other.connect(BOB, [TOPIC]):
                await bob.publish(TOPIC, WANT, b"still here")
            assert [each.frame for each in await take(carol, 1)] == [b"still here"]
    finally:
        sample.kill()


async def test_a_replica_cannot_leave_a_last_word_as_another(sample: SampleBroker) -> None:
    async with sample.remote(CAROL).connect(CAROL, [TOPIC]) as carol:
        for user, last_word in ((ALICE, b"forged"), (BOB, b"bob's")):
            with pytest.raises(ZeroDivisionError):
                async with sample.remote(user).connect(BOB, [TOPIC], Will(TOPIC, last_word)):
                    raise ZeroDivisionError

        assert await frames_until(carol, b"bob's") == [b"bob's"]


async def test_nobody_comes_in_without_the_password_of_a_user(sample: SampleBroker) -> None:
    tls = Tls(ca=sample.folder / "ca.pem")
    for user, secret in (("", ""), (ALICE.hex(), ""), (ALICE.hex(), password(BOB)), ("mallory", "x")):
        address = Address("localhost", sample.port, is_tls=True, user=user)
        error = await refused(MqttRemote(address, tls, Credentials(secret)).connect(ALICE, [TOPIC]))
        assert error.code is Code.DENIED
