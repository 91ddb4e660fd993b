"""The service unit: systemd itself finds nothing wrong with it, and what the daemon relies on stands in it."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from moot_protocol.limits import RPC_CLIENTS

UNIT = Path(__file__).parents[2] / "systemd" / "mootd.service"
KNOWN = {
    "Unit": {"Description", "StartLimitIntervalSec", "StartLimitBurst"},
    "Service": {
        "Type", "NotifyAccess", "ExecStart", "Restart", "RestartSec", "TimeoutStartSec", "TimeoutStopSec", "KillMode",
        "LimitNOFILE", "UMask",
    },
    "Install": {"WantedBy"},
}  # fmt: skip
"""What may stand in the unit, for machines without systemd."""


def parse(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def complaints(text: str, folder: Path) -> list[str]:
    """What systemd finds wrong with a unit; without systemd, the settings that are none we know."""
    program = shutil.which("systemd-analyze")
    if program is None:
        parser = parse(text)
        return [f"unknown {key}" for name in parser.sections() for key in parser[name] if key not in KNOWN[name]]
    installed = folder / ".local" / "bin" / "mootd"
    installed.parent.mkdir(parents=True)
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o700)
    unit = folder / UNIT.name
    unit.write_text(text)
    done = subprocess.run(
        [program, "verify", "--user", "--man=no", str(unit)],
        env={"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stderr.splitlines() + ([f"exit code {done.returncode}"] if done.returncode else [])


def test_nothing_is_wrong_with_the_unit(tmp_path: Path) -> None:
    assert complaints(UNIT.read_text(), tmp_path) == []


def test_a_misspelt_setting_would_be_found(tmp_path: Path) -> None:
    assert complaints(UNIT.read_text().replace("LimitNOFILE", "LimitNOFLE"), tmp_path)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Service", "Type", "notify"),
        ("Service", "NotifyAccess", "main"),
        ("Service", "ExecStart", "%h/.local/bin/mootd run"),
        ("Service", "Restart", "on-failure"),
        ("Service", "KillMode", "mixed"),
        ("Service", "UMask", "0077"),
        ("Install", "WantedBy", "default.target"),
    ],
)
def test_what_the_daemon_relies_on_stands_in_the_unit(section: str, key: str, value: str) -> None:
    assert parse(UNIT.read_text())[section][key] == value


def test_there_are_files_enough_for_every_client() -> None:
    assert int(parse(UNIT.read_text())["Service"]["LimitNOFILE"]) >= 4 * RPC_CLIENTS
