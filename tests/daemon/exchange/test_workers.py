"""Which worker a remote gets, from what its row says."""

from pathlib import Path

import pytest

from moot_protocol.errors import RefusedError
from moot_testkit.towns.exchanging import Peer
from mootd.edges.mqtt.remote import MqttRemote
from mootd.edges.mqtt.settings import Version
from mootd.edges.paths import locate
from mootd.engine.machine.remotes import RemoteRow
from mootd.exchange.git_worker import GitWorker
from mootd.exchange.live_worker import LiveWorker
from mootd.exchange.workers import make_worker


def row(kind: str, url: str, **options: str) -> RemoteRow:
    return RemoteRow(3, "origin", kind, url, "auto", options)


def made(tmp_path: Path, wanted: RemoteRow) -> object:
    peer = Peer("peer")
    try:
        return make_worker(wanted, peer.hub, locate({"HOME": str(tmp_path)}), {"HOME": str(tmp_path), "PATH": "/bin"})
    finally:
        peer.close()


def test_git_and_mqtt_have_workers_of_their_own(tmp_path: Path) -> None:
    (tmp_path / ".local/share/moot").mkdir(parents=True, mode=0o700)
    assert isinstance(made(tmp_path, row("git", "/srv/hub.git")), GitWorker)
    assert (tmp_path / ".local/share/moot/git").stat().st_mode & 0o777 == 0o700
    assert isinstance(made(tmp_path, row("mqtt", "mqtt://broker")), LiveWorker)


def test_a_password_is_the_first_line_of_its_file_and_goes_with_a_user(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("pass word\nnot this\n")
    options = {"user": "ada", "password_file": str(secret)}
    assert isinstance(made(tmp_path, row("mqtt", "mqtt://broker", **options)), LiveWorker)
    with pytest.raises(RefusedError, match="without a user"):
        made(tmp_path, row("mqtt", "mqtt://broker", password_file=str(secret)))


def test_a_password_file_that_is_not_there_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="nowhere"):
        made(tmp_path, row("mqtt", "mqtt://broker", user="ada", password_file=str(tmp_path / "nowhere")))


def test_the_version_of_mqtt_is_the_one_that_was_asked_for_else_whichever_the_broker_speaks(tmp_path: Path) -> None:
    for protocol, versions in (("", (Version.V5, Version.V311)), ("5", (Version.V5,)), ("3.1.1", (Version.V311,))):
        worker = made(tmp_path, row("mqtt", "mqtt://broker", protocol=protocol))
        assert isinstance(worker, LiveWorker)
        for remote in (worker._remote, worker._probe):
            assert isinstance(remote, MqttRemote)
            assert remote._options.versions == versions


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    for kind, url in (("git", "ftp://x"), ("mqtt", "http://x")):
        with pytest.raises(RefusedError):
            made(tmp_path, row(kind, url))
