"""Completion and manual pages say what the grammar knows, and shells understand it."""

import subprocess
from pathlib import Path

import pytest

from moot.console.described import Described, Flag, bash, fish, manual, manual_of, zsh
from moot.console.exits import MEANINGS

DATE = "2026-01-31"
ADD = Described(
    "dep add", ("link",), "Make an issue wait", "moot dep add [flags] ID ON",
    (Flag(("-t", "--type"), "TYPE", "blocks, or 'what' waits for…"), Flag(("--dry-run",), "", "write nothing")),
    (("ID", ".the issue"),), ("moot dep add a b",),
)  # fmt: skip
GC = Described(
    "mol wisp gc",
    (),
    "Clear away",
    "mol wisp gc",
    (
        Flag(("--age",), "DURATION", "so old"),
        Flag(("--of",), "ID", "whose"),
        Flag(("--by",), "age|in-turn", "order"),
        Flag(("--at",), "REPLICA|TOWN", "where"),
    ),
    (),
    (),
)
WISP = Described("mol wisp", (), "Wisps", "mol wisp", (Flag(("--var",), "X", "a value"),), (), ())
ALL = (ADD, WISP, GC)
STUB = """moot() { echo "id:$*" | tr " " ,; }"""
"""Tells how issues were asked for as if it were one."""


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = tmp_path / "moot.bash"
    script.write_text("\n".join([STUB, bash(ALL, "moot"), ""]))
    typed = " ".join(f"'{word}'" for word in words)
    told = f"source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _moot; "
    told += 'echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-uc", told], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("moot", ""), ["dep", "link", "mol"]), (("moot", "l"), ["link"]), (("moot", "dep", ""), ["add"]),
        (("moot", "dep", "add", "-"), ["-t", "--type", "--dry-run"]), (("moot", "dep", "add", "--t"), ["--type"]),
        (("moot", "mol", "wisp", ""), ["gc"]), (("moot", "mol", "wisp", "--"), ["--var"]),
        (("moot", "mol", "wisp", "gc", "--"), ["--age", "--of", "--by", "--at"]),
        (("moot", "mol", "-q", "wisp", "g"), ["gc"]),
        (("moot", "dep", "add", "x", ""), ["id:completion,ids,--,"]), (("moot", "none", "-"), []),
        (("moot", "dep", "add", "id:c"), ["id:completion,ids,--,id:c"]), (("moot", "mol", "wisp", "gc", ""), []),
        (("moot", "mol", "wisp", "gc", "--of", ""), ["id:completion,ids,--,"]),
        (("moot", "dep", "add", "-t", ""), []), (("moot", "dep", "add", "--type", ""), []),
        (("moot", "dep", "add", "--dry-run", ""), ["id:completion,ids,--,"]),
        (("moot", "mol", "wisp", "gc", "--by", ""), ["age", "in-turn"]),
        (("moot", "mol", "wisp", "gc", "--at", ""), []),
        (("moot", "help", ""), ["dep", "link", "mol"]), (("moot", "help", "dep", ""), ["add"]),
        (("moot", "help", "dep", "add", ""), []), (("moot", "dep", "add", "help", ""), ["id:completion,ids,--,"]),
    ],
)  # fmt: skip
def test_bash_offers_what_can_follow(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(tmp_path, *words) == offered


def test_zsh_takes_bashes_and_fish_has_its_own() -> None:
    assert zsh(ALL, "moot").endswith(bash(ALL, "moot"))
    told = fish(ALL, "bd").splitlines()
    assert "complete -c bd -n 'test (__moot_path) = \"dep\"' -f -a add -d 'Make an issue wait'" in told
    wanted = (
        "complete -c bd -n 'test (__moot_path) = \"dep add\"' -s t -l type -r -d 'blocks, or \\'what\\' waits for…'"
    )
    assert wanted in told
    issues = "-f -a '(env MOOT_NO_AUTOSTART=1 bd completion ids --titles -- (commandline -ct) 2>/dev/null)'"
    assert f"complete -c bd -n 'test (__moot_path) = \"dep add\"' {issues}" in told


def test_a_manual_page_has_every_part_and_no_line_that_passes_for_a_request() -> None:
    page = manual_of(ADD, "moot", DATE)
    assert page.startswith('.TH "MOOT\\-DEP\\-ADD" 1 "2026-01-31"')
    assert ".SH SYNOPSIS\nmoot dep add [flags] ID ON\n" in page
    for part in ("NAME", "SYNOPSIS", "ARGUMENTS", "OPTIONS", "EXAMPLES", "EXIT STATUS", "ALIASES"):
        assert f".SH {part}\n" in page
    assert "\\fB\\-t\\fR, \\fB\\-\\-type\\fR \\fITYPE\\fR\n" in page
    assert "\n\\&.the issue\n" in page
    assert "waits for\\[u2026]\n" in page
    assert ".B mol wisp gc\nClear away\n" in manual(ALL, "moot", DATE)


def test_every_manual_page_tells_what_each_exit_code_means() -> None:
    for page in (manual_of(ADD, "moot", DATE), manual(ALL, "moot", DATE)):
        told = page.partition(".SH EXIT STATUS\n")[2].partition(".SH ")[0]
        assert [int(line[3:]) for line in told.splitlines() if line.startswith(".B ")] == list(MEANINGS)
