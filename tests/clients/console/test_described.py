"""Completion and manual pages say what the grammar knows, and shells understand it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from moot.console.described import Described, Flag, bash, fish, manual, manual_of, zsh

ADD = Described(
    "dep add", ("link",), "Make an issue wait", "dep add [flags] ID ON",
    (Flag(("-t", "--type"), "TYPE", "blocks, or 'what'"), Flag(("--dry-run",), "", "write nothing")),
    (("ID", ".the issue"),), ("moot dep add a b",),
)  # fmt: skip
GC = Described("mol wisp gc", (), "Clear away", "mol wisp gc", (Flag(("--age",), "DURATION", "so old"),), (), ())
WISP = Described("mol wisp", (), "Wisps", "mol wisp", (Flag(("--var",), "X", "a value"),), (), ())
ALL = (ADD, WISP, GC)


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    script = tmp_path / "moot.bash"
    script.write_text(bash(ALL, "moot"))
    typed = " ".join(f"'{word}'" for word in words)
    told = f'source {script}; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _moot; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(["bash", "-uc", told], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("moot", ""), ["dep", "link", "mol"]), (("moot", "l"), ["link"]), (("moot", "dep", ""), ["add"]),
        (("moot", "dep", "add", "-"), ["-t", "--type", "--dry-run"]), (("moot", "dep", "add", "--t"), ["--type"]),
        (("moot", "mol", "wisp", ""), ["gc"]), (("moot", "mol", "wisp", "--"), ["--var"]),
        (("moot", "mol", "wisp", "gc", "--"), ["--age"]), (("moot", "mol", "-q", "wisp", "g"), ["gc"]),
        (("moot", "dep", "add", "x", ""), []), (("moot", "none", "-"), []),
    ],
)  # fmt: skip
def test_bash_offers_what_can_follow(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(tmp_path, *words) == offered


def test_zsh_takes_bashes_and_fish_has_its_own() -> None:
    assert zsh(ALL, "moot").endswith(bash(ALL, "moot"))
    told = fish(ALL, "bd").splitlines()
    assert "complete -c bd -n 'test (__moot_path) = \"dep\"' -f -a add -d 'Make an issue wait'" in told
    wanted = "complete -c bd -n 'test (__moot_path) = \"dep add\"' -s t -l type -r -d 'blocks, or \\'what\\''"
    assert wanted in told


def test_a_manual_page_has_every_part_and_no_line_that_passes_for_a_request() -> None:
    page = manual_of(ADD, "moot")
    assert page.startswith('.TH "MOOT\\-DEP\\-ADD" 1')
    for part in ("NAME", "SYNOPSIS", "ARGUMENTS", "OPTIONS", "EXAMPLES", "ALIASES"):
        assert f".SH {part}\n" in page
    assert "\\fB\\-t\\fR, \\fB\\-\\-type\\fR \\fITYPE\\fR\n" in page
    assert "\n\\&.the issue\n" in page
    assert ".B mol wisp gc\nClear away\n" in manual(ALL, "moot")


def test_groff_has_nothing_to_complain_of() -> None:
    program = shutil.which("groff")
    for page in (manual_of(ADD, "moot"), manual(ALL, "moot")) if program else ():
        done = subprocess.run(
            [str(program), "-man", "-ww", "-z"], input=page, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
