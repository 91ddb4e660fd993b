"""Making the worker for a remote: the only place that knows which kinds of remotes there are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from moot_protocol.errors import RefusedError
from mootd.edges.paths import Places, private_folder
from mootd.engine.machine.remotes import RemoteRow
from mootd.exchange.hub import Hub
from mootd.exchange.served import Worker

REPOSITORIES: Final = "git"
"""The folder of Moot's own repositories, beside the log."""


def make_worker(row: RemoteRow, hub: Hub, places: Places, environment: Mapping[str, str]) -> Worker:
    """Make what exchanges with a remote. Libraries that only one kind needs are loaded with the first of it.

    Args:
        row: the remote.
        hub: whose worker it will be.
        places: where everything lies.
        environment: the process's, with the user's HOME and SSH agent.

    Raises:
        RefusedError: `invalid`: the remote's address is none.
    """
    if row.kind == "git":
        from mootd.edges.git.remote import GitRemote
        from mootd.exchange.git_worker import GitWorker

        folder = places.data / REPOSITORIES
        private_folder(folder)
        return GitWorker(GitRemote(row.url, folder / f"{row.number}.git", environment), row.number, hub)
    return _mqtt_worker(row, hub)


def _mqtt_worker(row: RemoteRow, hub: Hub) -> Worker:
    from mootd.edges.mqtt.address import Credentials, Tls, parse_address
    from mootd.edges.mqtt.remote import MqttRemote
    from mootd.edges.mqtt.settings import DEFAULT_OPTIONS, Version
    from mootd.exchange.live_worker import LiveWorker

    options = row.options
    address = parse_address(row.url)
    if options.get("user"):
        address = address._replace(user=options["user"])
    files = (_file(options, name) for name in ("ca_file", "certificate_file", "key_file"))
    tls, credentials = Tls(*files), Credentials(_password(options))
    kept = DEFAULT_OPTIONS
    if options.get("protocol"):
        kept = kept._replace(versions=(Version(options["protocol"]),))
    passing = kept._replace(session_s=0)  # the name that it is tried out under is never used again
    probe = MqttRemote(address, tls, credentials, passing)
    return LiveWorker(MqttRemote(address, tls, credentials, kept), row.number, hub, probe)


def _file(options: Mapping[str, str], name: str) -> Path | None:
    return Path(options[name]) if options.get(name) else None


def _password(options: Mapping[str, str]) -> str:
    """The first line of the file that holds the password."""
    path = _file(options, "password_file")
    if path is None:
        return ""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise RefusedError(f"cannot read the password file {path}", hint="see `moot remote add --help`") from error
    return lines[0] if lines else ""
