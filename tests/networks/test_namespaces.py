"""The networks that tests run on do what they say: cut, lose, delay, count, and leave nothing behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_testkit.machines import namespaces
from moot_testkit.machines.namespaces import Network, network, require_namespaces, sweep

PACKETS = 500
DATAGRAMS = """
import socket, sys
with socket.socket(type=socket.SOCK_DGRAM) as sender:
    for _ in range(int(sys.argv[2])):
        sender.sendto(bytes(100), (sys.argv[1], 9))
"""
CONNECT = """
import socket, sys
with socket.create_server((sys.argv[1], 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    listener.accept()[0].close()
"""


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Network]:
    require_namespaces()
    with network(("one", "two", "three"), tmp_path) as made:
        yield made


def send(net: Network, sender: str, receiver: str, count: int) -> None:
    """Send datagrams, once the two know each other's hardware."""
    for number in (1, count):
        command = net.inside(sender, [sys.executable, "-c", DATAGRAMS, net.address(receiver), str(number)])
        subprocess.run(command, check=True)


def connect_s(net: Network, sender: str, receiver: str, patience_s: float = 20) -> float:
    """Connect one node to another; how long that took, in seconds. Fails with `CalledProcessError`."""
    with subprocess.Popen(
        net.inside(receiver, [sys.executable, "-c", CONNECT, net.address(receiver)]), stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        port = listener.stdout.readline().strip()
        words = f"import socket; socket.create_connection(({net.address(receiver)!r}, {port}), {patience_s}).close()"
        begun = time.monotonic()
        try:
            subprocess.run(net.inside(sender, [sys.executable, "-c", words]), check=True, capture_output=True)
        finally:
            listener.kill()
        return time.monotonic() - begun


def test_a_cut_lets_nothing_through_between_two_nodes_until_it_heals(net: Network) -> None:
    assert net.dropped.packets == 0
    connect_s(net, "one", "two")  # they know each other's hardware now, and needn't ask for it across the cut
    net.cut([("one", "two")])
    for pair in (("one", "two"), ("two", "one")):
        with pytest.raises(subprocess.CalledProcessError):
            connect_s(net, *pair, patience_s=0.4)
    assert net.dropped.packets
    connect_s(net, "one", "three")
    net.heal()
    connect_s(net, "one", "two")


def test_who_is_muted_still_gets_what_others_send(net: Network) -> None:
    connect_s(net, "one", "two")
    net.mute([("one", "two")])
    before = net.dropped.packets
    send(net, "two", "one", PACKETS)
    back = net.dropped.packets - before  # what is to tell the sender that nobody listens at that port
    assert back < PACKETS // 10
    send(net, "one", "two", PACKETS)
    assert net.dropped.packets >= before + PACKETS
    with pytest.raises(subprocess.CalledProcessError):
        connect_s(net, "two", "one", patience_s=0.4)
    net.heal()
    connect_s(net, "one", "two")


def test_about_as_many_packets_are_lost_as_it_is_told(net: Network) -> None:
    connect_s(net, "one", "two")
    net.lose(30)
    send(net, "one", "two", PACKETS)
    assert 0.2 * PACKETS < net.dropped.packets < 0.4 * PACKETS
    assert net.traffic("one").packets >= PACKETS


def test_every_packet_is_as_late_as_it_is_told(net: Network) -> None:
    connect_s(net, "one", "two")
    net.delay(300)
    assert connect_s(net, "one", "two") >= 0.6


def test_what_a_killed_process_left_behind_is_removed() -> None:
    require_namespaces()
    with subprocess.Popen(["true"]) as ended:
        pass
    left = f"moot-net-{ended.pid}-0-switch"
    subprocess.run([namespaces._ip(), "netns", "add", left], check=True)
    sweep()
    assert not Path("/run/netns", left).exists()


def test_nothing_is_left_of_a_network_that_has_been_left(tmp_path: Path) -> None:
    require_namespaces()
    with network(("one",), tmp_path) as made:
        lasting = subprocess.Popen(made.inside("one", ["sleep", "600"]))
        names = made.namespaces
    assert lasting.wait(60)
    assert not [name for name in names if Path("/run/netns", name).exists()]


def test_without_root_it_is_said_what_was_not_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="NOT TESTED: only root"):
        require_namespaces()
