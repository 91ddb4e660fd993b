"""completion and man, over the real grammar."""

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from moot.console.described import Described, pages
from moot.console.main import GRAMMAR
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Page
from moot_protocol.requests.queries import Begun
from moot_protocol.times import format_ms
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import issue, run_console


@cache
def every_command() -> Sequence[Described]:
    return GRAMMAR.described()


@cache
def every_page() -> dict[str, str]:
    return dict(pages(every_command(), "moot", format_ms(NOW_MS)[:10]))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_can_be_completed(shell: str) -> None:
    script = run_console(f"completion {shell}").out
    words = {word for command in every_command() for word in command.name.split(" ")}
    assert [word for word in words if word not in script] == []
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


FOUND = [issue(1), issue(2) | {"title": "Two\x1b"}, issue(3) | {"id": "bd-$(reboot)"}, issue(4) | {"id": "x-bd-1"}]
BEGUN = Page(issues=FOUND, total=4, truncated=False)


def test_issues_are_offered_by_how_they_begin_unless_a_shell_would_make_more_of_them() -> None:
    ran = run_console("completion ids bd-", {"begun": BEGUN})
    (asked,) = ran.asked
    assert isinstance(asked, Begun)
    assert asked.starts == ("bd-",)
    assert ran.out == "bd-000000000001\nbd-000000000002\n"
    titled = run_console("completion ids --titles bd-", {"begun": BEGUN})
    assert titled.out.splitlines()[1] == "bd-000000000002\tTwo^["


def test_of_more_than_are_offered_those_changed_last_are() -> None:
    many = [
        issue(number) | {"updated_at": f"2026-01-01T00:{number % 60:02}:{number // 60:02}Z"} for number in range(300)
    ]
    offered = run_console("completion ids bd-", {"begun": Page(issues=many, total=300, truncated=False)}).out.split()
    latest = sorted(many, key=lambda each: str(each["updated_at"]), reverse=True)
    assert offered == [each["id"] for each in latest[:200]]


@pytest.mark.parametrize(
    ("start", "begun"),
    [
        ("bd-", Page(issues=FOUND, total=None, truncated=True)),
        ("bd-", RefusedError("the snapshot can't", code=Code.UNREACHABLE)),
        ("", AssertionError()),
    ],
)
def test_where_too_many_begin_so_or_beginnings_are_not_to_be_had_those_changed_last_are_gone_through(
    start: str, begun: Any
) -> None:
    ran = run_console(f"completion ids {start}", {"begun": begun, "list": BEGUN})
    asked = ran.asked[-1]
    assert isinstance(asked, ListIssues)
    assert (asked.filter.title_or_id, asked.all, asked.sort, asked.limit) == (start, True, "updated", 200)
    assert ran.out.startswith("bd-000000000001\nbd-000000000002\n")


# -- Manual pages ------------------------------------------------------------------------------------------------
def test_every_command_has_a_page() -> None:
    assert len(every_page()) == len(every_command()) + 1
    for page in every_page().values():
        assert page.startswith(".TH")
    assert "\\-\\-json" in every_page()["moot-ready.1"]
    assert run_console("man dep add").out == every_page()["moot-dep-add.1"]


def test_without_a_name_all_are_listed_and_unknown_ones_refused() -> None:
    page = run_console("man").out
    assert all(f".B {command.name.replace('-', chr(92) + '-')}\n" in page for command in every_command())
    assert run_console("man nothing").code == 3
    assert run_console("man dep add --json").document["name"] == "dep add"


def test_all_pages_can_be_written_as_files() -> None:
    ran = run_console("man --output man/man1/")
    assert ran.terminal.files == {f"man/man1/{name}": page.encode() for name, page in every_page().items()}
    assert ran.out == f"✓ Wrote {len(every_page())} pages to man/man1\n"
    assert run_console("man dep add -o x").code == 2


CHECKERS = {"groff": ["groff", "-man", "-ww", "-z"], "mandoc": ["mandoc", "-Tlint", "-Wwarning"]}


@pytest.mark.parametrize("checker", CHECKERS)
def test_formatters_have_nothing_to_complain_of_on_any_page(checker: str, tmp_path: Path) -> None:
    if shutil.which(checker) is None:
        pytest.skip(f"no {checker} here, so manual pages are NOT CHECKED by it: apt install {checker}")
    for name, page in every_page().items():
        (tmp_path / name).write_text(page)
    done = subprocess.run(
        [*CHECKERS[checker], *every_page()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
