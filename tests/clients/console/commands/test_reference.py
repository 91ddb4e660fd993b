"""completion and man, over the real grammar."""

import subprocess

import pytest

from moot.console.described import manual_of
from moot.console.main import GRAMMAR
from moot_testkit.console import run_console


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_can_be_completed(shell: str) -> None:
    script = run_console(f"completion {shell}").out
    words = {word for command in GRAMMAR.described() for word in command.name.split(" ")}
    assert [word for word in words if word not in script] == []
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_every_command_has_a_page() -> None:
    for command in GRAMMAR.described():
        page = manual_of(command, "moot")
        assert page.startswith(".TH")
        assert "\\-\\-json" in page
    assert run_console("man dep add").out == manual_of(
        next(c for c in GRAMMAR.described() if c.name == "dep add"), "moot"
    )


def test_without_a_name_all_are_listed_and_unknown_ones_refused() -> None:
    page = run_console("man").out
    assert all(f".B {command.name.replace('-', chr(92) + '-')}\n" in page for command in GRAMMAR.described())
    assert run_console("man nothing").code == 3
    assert run_console("man dep add --json").document["name"] == "dep add"
