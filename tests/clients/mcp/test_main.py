"""The program behind `moot mcp`: what it says where it can't serve."""

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from moot.facts import ACTORS
from moot.mcp import main as program
from moot_testkit.clients.control import serving
from moot_testkit.clients.gates import StubGate


def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    really = builtins.__import__

    def without_sdk(
        name: str, globals_: Mapping[str, Any] | None = None, locals_: Mapping[str, Any] | None = None,
        wanted: Sequence[str] | None = (), level: int = 0,
    ) -> Any:  # fmt: skip
        if name == "moot.mcp.server":
            raise ModuleNotFoundError("No module named 'mcp'", name="mcp")
        return really(name, globals_, locals_, wanted, level)

    monkeypatch.setattr(builtins, "__import__", without_sdk)
    assert program.main([]) == 69
    told = capsys.readouterr().err
    assert "in Moot's checkout" in told
    assert "pip install '.[mcp]'" in told


def test_its_help_needs_no_sdk(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["--help"])
    assert caught.value.code == 0
    assert "--actor" in capsys.readouterr().out


def test_an_argument_it_does_not_know_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.main(["--colour"])
    assert caught.value.code == 2
    assert "--colour" in capsys.readouterr().err


def test_an_argument_it_does_not_know_can_not_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["\x1b[31m\u202e"])
    assert "^[[31m<U+202E>" in capsys.readouterr().err


def test_a_token_that_is_not_good_ends_it_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving() as daemon:
        daemon.server.gate = StubGate(binding=False)
        for name, value in (("MOOT_SOCKET", str(daemon.path)), ("MOOT_TOKEN", "stale")):
            monkeypatch.setenv(name, value)
        for name in ACTORS:
            monkeypatch.delenv(name, raising=False)
        assert program.main([]) == 77
    assert "this API token is not good" in capsys.readouterr().err
