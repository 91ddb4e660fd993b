"""The command `mootd`: what it says of itself, and how it ends when it cannot serve."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_testkit.clients.control import short_folder
from moot_testkit.machines.machine import BIN
from mootd.app import Daemon
from mootd.command import EXIT_DENIED, EXIT_FAILED, run
from mootd.config import Config, read_config
from mootd.version import VERSION


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of its own, without anything of the user's."""
    with short_folder() as folder:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(folder))
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        before = sys.getswitchinterval()
        yield folder
        sys.setswitchinterval(before)


def ended(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    """(exit code, standard output, standard error) of a call that argparse ends."""
    with pytest.raises(SystemExit) as caught:
        run(arguments)
    out, err = capsys.readouterr()
    return caught.value.code, out, err


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(capsys, "--version") == (0, f"mootd {VERSION}\n", "")


def test_the_installed_program_is_the_same() -> None:
    said = subprocess.run([BIN / "mootd", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said == f"mootd {VERSION}\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("serve",), ("run", "--log-level", "loud"), ("run", "--log-style", "ornate"), ("run", "--data"), ("run", "x")],
)
def test_what_it_does_not_understand_is_answered_with_its_usage_and_starts_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, out, err = ended(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("usage: mootd")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("arguments", [("\x1b[31m\u202e",), ("run", "\x1b[31m\u202e")])
def test_what_it_repeats_of_arguments_can_not_act_on_a_terminal(
    home: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    _, _, err = ended(capsys, *arguments)
    assert "[31m" in err
    assert err.replace("\n", "").isprintable()
    assert list(home.iterdir()) == []


def test_a_data_folder_is_named_so_that_it_can_not_act_on_a_terminal(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "\x1b[31m\u202e").touch()
    assert run(["run", "--data", str(home / "\x1b[31m\u202e")])
    assert capsys.readouterr().err.splitlines()[0].isprintable()


def test_a_data_folder_that_is_a_file_is_refused_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "data").write_text("mine")
    code = run(["run", "--data", str(home / "data")])
    assert code in {EXIT_FAILED, EXIT_DENIED}
    said = capsys.readouterr().err
    assert said.startswith("mootd: ")
    assert str(home / "data") in said
    assert (home / "data").read_text() == "mine"


def test_a_data_folder_that_others_can_write_is_denied_with_a_code_of_its_own(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = home / "data"
    data.mkdir()
    data.chmod(0o777)
    assert run(["run", "--data", str(data)]) == EXIT_DENIED
    assert str(data) in capsys.readouterr().err
    assert list(data.iterdir()) == []


def test_a_log_that_cannot_be_written_is_refused_in_words(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = home / "log"
    log.mkdir()
    assert run(["run", "--data", str(home / "data"), "--log-file", str(log)]) in {EXIT_FAILED, EXIT_DENIED}
    assert str(log) in capsys.readouterr().err
    assert not (home / "data").exists()


# -- Settings ----------------------------------------------------------------------------------------------------
@pytest.fixture
def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Config, bool]]:
    """(settings, whether the log takes what is said at `debug`) of each daemon that would serve here."""
    found: list[tuple[Config, bool]] = []

    def run(self: Daemon, _environment: dict[str, str], _pid: int) -> None:
        found.append((self._config, logging.getLogger().isEnabledFor(logging.DEBUG)))

    monkeypatch.setattr(Daemon, "run", run)
    (home / ".config" / "moot").mkdir(parents=True)
    return found


@pytest.mark.parametrize(
    ("text", "flags", "is_wordy"),
    [
        (None, [], False),
        (None, ["--log-level", "debug"], True),
        ('[log]\nlevel = "debug"\n', [], True),
        ('[log]\nlevel = "debug"\n', ["--log-level", "info"], False),
    ],
)
def test_the_daemon_is_told_its_settings_and_what_the_command_line_says_wins(
    home: Path, started: list[tuple[Config, bool]], text: str | None, flags: list[str], *, is_wordy: bool
) -> None:
    if text is not None:
        (home / ".config/moot/config.toml").write_text(text)
    assert run(["run", *flags]) == 0
    assert started == [(read_config((text or "").encode()), is_wordy)]


def test_settings_that_are_wrong_keep_it_from_starting_before_anything_is_made(
    home: Path, started: list[tuple[Config, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / ".config/moot/config.toml"
    path.write_text('[exchange]\n"poll\\u001b[31m" = 10\n')
    assert run(["run", "--log-file", str(home / "log")]) == EXIT_FAILED
    reason, advice = capsys.readouterr().err.splitlines()
    assert reason.startswith(f"mootd: {path}: exchange.poll")
    assert reason.isprintable()
    assert advice.startswith("  set that right")
    assert (started, [each.name for each in home.iterdir()]) == ([], [".config"])


@pytest.mark.parametrize(("text", "code"), [("", 0), ("[log]\nlevel = 1\n", EXIT_FAILED)])
def test_a_check_says_what_a_start_would_and_serves_and_makes_nothing(
    home: Path, started: list[tuple[Config, bool]], capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    (home / ".config/moot/config.toml").write_text(text)
    assert run(["check"]) == code
    said = capsys.readouterr()
    assert (started, [each.name for each in home.iterdir()]) == ([], [".config"])
    assert run(["run"]) == code
    assert capsys.readouterr() == said


def test_an_interruption_before_it_serves_ends_it_as_a_signal_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_self: Daemon, _environment: dict[str, str], _pid: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Daemon, "run", interrupted)
    assert run(["run", "--data", str(home / "data")]) == 130
