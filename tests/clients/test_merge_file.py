"""merge-file in the client's own process, as git calls it: without a daemon and without a town."""

import subprocess
from pathlib import Path

import pytest

from moot.merge_file import FAILED, merge_file
from moot_testkit.machines.machine import BIN

BASE = '{"id":"a","title":"A","priority":1,"updated_at":"2026-01-01T00:00:00Z"}\n'


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = BASE, BASE.replace('"A"', '"Ours"'), BASE.replace(":1,", ":3,")
    paths = [tmp_path / name for name in ("base", "ours", "theirs")]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    return [str(path) for path in paths]


def test_the_result_takes_the_place_of_our_file(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert merge_file(*files) == 0
    assert Path(files[1]).read_text() == BASE.replace('"A"', '"Ours"').replace(":1,", ":3,")
    assert capsys.readouterr() == ("", "")


def test_a_disagreement_is_1_and_told(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(files[2]).write_text(BASE.replace('"A"', '"Theirs"'))
    assert merge_file(*files) == 1
    assert "a title" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_no_merge(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(files[2]).unlink()
    assert merge_file(*files) == FAILED > 128
    assert "No such file" in capsys.readouterr().err


def test_a_file_is_named_so_that_it_can_not_act_on_a_terminal(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge_file("\x1b[31m\u202e", *files[1:]) == FAILED
    assert capsys.readouterr().err == "moot: ^[[31m<U+202E>: No such file or directory\n"


def test_git_merges_a_file_by_field_where_no_daemon_may_run(tmp_path: Path) -> None:
    path = tmp_path / ".beads" / "issues.jsonl"
    environment = {"HOME": str(tmp_path), "PATH": f"{BIN}:/usr/bin:/bin", "MOOT_NO_AUTOSTART": "1"}

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
        driver = ("-c", "merge.moot.driver=moot merge-file %O %A %B")
        return subprocess.run(
            ["git", *who, *driver, *words], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def commit(content: str) -> None:
        path.write_text(content)
        git("add", ".")
        git("commit", "-qm", "x")

    path.parent.mkdir()
    (tmp_path / ".gitattributes").write_text(".beads/*.jsonl merge=moot\n")
    git("init", "-q")
    commit(BASE)
    git("checkout", "-qb", "other")
    commit(BASE.replace('"A"', '"Theirs"'))
    git("checkout", "-q", "main")
    commit(BASE.replace(":1,", ":3,"))
    git("merge", "-q", "--no-edit", "other")
    assert path.read_text() == BASE.replace('"A"', '"Theirs"').replace(":1,", ":3,")
    assert git("status", "--porcelain", "--untracked-files=no") == ""
