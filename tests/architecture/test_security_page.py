"""`docs/security.md` can't tell people to have cron run what no shell understands."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(r"^(?:[\d*,/-]+ +){5}(.+)$", re.MULTILINE)
"""A crontab's line: five fields of a time, and a command."""


def commands() -> list[str]:
    """What cron hands to its shell for each crontab line of the page."""
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    return [command.replace(r"\%", "%") for command in ENTRY.findall(page)]


def test_the_page_shows_a_backup_by_cron() -> None:
    assert any("moot backup" in command for command in commands())


@pytest.mark.parametrize("command", commands())
def test_what_cron_is_told_to_run_is_what_a_shell_can_read(command: str) -> None:
    read = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("command", commands())
def test_a_percent_sign_is_escaped_since_cron_would_end_the_command_there(command: str) -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert command.replace("%", r"\%") in page
