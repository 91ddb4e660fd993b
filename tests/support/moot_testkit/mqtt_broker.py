"""Mosquitto on a free port of loopback, for tests that need a real broker."""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

_START_S: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_PORTS_TRIED: Final = 5


def _program(name: str) -> str:
    """Where a program of the package is: Debian puts the broker where only the administrator's PATH leads."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def require_mosquitto() -> None:
    """Fail what needs the broker where there is none, and say what to install.

    No other stands in for it: what these tests are about (expiry, reason codes, receive maximum, no local echo) is MQTT
    5, which the brokers that could be installed with the packages of the tests don't speak.
    """
    missing = [name for name in ("mosquitto", "mosquitto_passwd") if not _program(name)]
    if missing:
        pytest.fail(f"no {' nor '.join(missing)} here: install Mosquitto 2 (apt install mosquitto)", pytrace=False)


def free_port() -> int:
    """A port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_passwords(path: Path, passwords: dict[str, str]) -> None:
    """Write a password file, as an administrator does with the broker's own tool."""
    path.touch(mode=0o600)
    for user, password in passwords.items():
        subprocess.run([_program("mosquitto_passwd"), "-b", path, user, password], check=True, capture_output=True)


_libc: Final = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class MqttBroker:
    """One broker: a folder, a port, and a process while it runs.

    Args:
        folder: an empty folder for its configuration and its data.
        settings: lines of mosquitto.conf; by default it lets everybody in.
        keeps: whether sessions and retained messages outlive it, even killed: it saves at every change.
    """

    def __init__(
        self, folder: Path, settings: Sequence[str] = ("allow_anonymous true",), *, keeps: bool = False
    ) -> None:
        require_mosquitto()
        self._folder = folder
        self._settings = tuple(settings)
        self._keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        """Start it, on the port that it had before if it had one, and return when it takes connections."""
        for _ in range(_PORTS_TRIED if not self.port else 1):
            port = self.port or free_port()
            if self._starts_on(port):
                self.port = port
                return
        pytest.fail(f"the broker doesn't start: {self.log}")

    def stop(self) -> None:
        """Let it end properly."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it (-9)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it where it is: its connections stay, and nothing comes from them."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def reload(self) -> None:
        """Let it read its files anew; connections stay."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._folder / "log").read_text(errors="replace")

    def configuration(self, port: int) -> list[str]:
        """The lines of its configuration, but for those that any broker of a test needs."""
        saves = ["persistence true", "autosave_interval 1", "autosave_on_changes true"]
        return [
            f"listener {port} 127.0.0.1",
            *self._settings,
            *(saves if self._keeps else ["persistence false"]),
            f"persistence_location {self._folder}/",
        ]

    def _starts_on(self, port: int) -> bool:
        user = ["user root"] if os.geteuid() == 0 else []  # another couldn't read the folder
        conf = self._folder / "mosquitto.conf"
        conf.write_text("\n".join([*self.configuration(port), *user, "log_dest stderr", "log_type all", ""]))
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [_program("mosquitto"), "-c", conf],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, nothing that takes a lock
            )
        self._process = process
        give_up = time.monotonic() + _START_S
        while process.poll() is None and time.monotonic() < give_up:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
            time.sleep(0.005)  # until it listens or ends
        self._end(signal.SIGKILL)
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait(_START_S)
