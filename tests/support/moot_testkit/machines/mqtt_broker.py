"""A broker on a free port of loopback, for tests that need a real one: Mosquitto, or for want of it `amqtt`.

`amqtt` is written in Python and installed with the packages of the tests. It speaks MQTT 3.1.1 only, and is taken for
what that can show. The rest, which needs MQTT 5 or settings of Mosquitto's, is skipped then and says so. Where all must
run (the environment has CI, or MOOT_SCALE=ci) a machine without Mosquitto fails. With MOOT_BROKER=amqtt a machine that
has it does as if it hadn't.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

import pytest

from mootd.edges.mqtt.settings import Version

_START_S: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_PORTS_TRIED: Final = 5
_PROGRAMS: Final = ("mosquitto", "mosquitto_passwd")
ANYBODY: Final = ("allow_anonymous true",)
"""The settings that every broker of the tests can have."""


def _program(name: str) -> str:
    """Where a program of the package is: Debian puts the broker where only the administrator's PATH leads."""
    if os.environ.get("MOOT_BROKER") == "amqtt":
        return ""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or ""


def _missing() -> str:
    """The programs of Mosquitto's that aren't here, in words; empty where it is."""
    return " nor ".join(name for name in _PROGRAMS if not _program(name))


def speaks() -> tuple[Version, ...]:
    """The versions of MQTT that `MqttBroker` speaks here, the latest first."""
    return (Version.V311,) if _missing() else tuple(Version)


def require_mosquitto() -> None:
    """Skip, loudly, what only Mosquitto can show where it isn't; where all must run, fail and say what to install."""
    missing = _missing()
    if missing and _must_run():
        pytest.fail(f"no {missing} here: install Mosquitto 2 (apt install mosquitto)", pytrace=False)
    if missing:
        pytest.skip(f"NOT TESTED: no {missing} here, and amqtt can't show this")


def _must_run() -> bool:
    wanted = bool(os.environ.get("CI")) or os.environ.get("MOOT_SCALE") == "ci"
    return wanted and not os.environ.get("MOOT_BROKER")


def free_port() -> int:
    """A port of loopback that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def write_passwords(path: Path, passwords: dict[str, str]) -> None:
    """Write a password file, as an administrator does with the broker's own tool."""
    require_mosquitto()
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
        settings: lines of mosquitto.conf; by default it lets everybody in. Others need Mosquitto.
        keeps: whether sessions and retained messages outlive it, even killed: it saves at every change. Needs it, too.
        version: the earliest version of MQTT with which can be shown what is shown.
    """

    def __init__(
        self,
        folder: Path,
        settings: Sequence[str] = ANYBODY,
        *,
        keeps: bool = False,
        version: Version = Version.V5,
    ) -> None:
        if _must_run() or keeps or tuple(settings) != ANYBODY or version is Version.V5:
            require_mosquitto()
        self._folder = folder
        self._settings = tuple(settings)
        self._keeps = keeps
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        """Start it, and kill it in the end."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

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
        command = self._for_amqtt(port) if _missing() else self._for_mosquitto(port)
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
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

    def _for_mosquitto(self, port: int) -> list[str]:
        user = ["user root"] if os.geteuid() == 0 else []  # another couldn't read the folder
        conf = self._folder / "mosquitto.conf"
        conf.write_text("\n".join([*self.configuration(port), *user, "log_dest stderr", "log_type all", ""]))
        return [_program("mosquitto"), "-c", str(conf)]

    def _for_amqtt(self, port: int) -> list[str]:
        conf = self._folder / "amqtt.yaml"
        anybody = "amqtt.plugins.base.BaseAuthPlugin: {}"  # as one who is called anonymous, nobody would have a session
        conf.write_text(f"{{listeners: {{default: {{type: tcp, bind: '127.0.0.1:{port}'}}}}, plugins: {{{anybody}}}}}")
        return [str(Path(sys.executable).parent / "amqtt"), "-c", str(conf)]

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait(_START_S)
