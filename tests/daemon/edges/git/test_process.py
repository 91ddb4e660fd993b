"""Running git: deadlines hold, nothing is left running, and nothing of the surroundings leads it astray."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_testkit.machines import git_servers
from moot_testkit.machines.git_servers import is_alive, is_gone
from moot_testkit.refusals import awaited_refusal
from mootd.edges.git.process import Deadlines, Git, surroundings

SOON = Deadlines(quiet_s=1, patience_s=60)
PREPARES = 'case "$*" in *"init --quiet"*|*"config --get"*) exit 0;; esac\n'
"""What every git here is asked first."""


def git_that(
    folder: Path, script: str, deadlines: Deadlines | None = None, environment: dict[str, str] | None = None
) -> Git:
    """A stand-in for git that runs a shell script."""
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{PREPARES}{script}\n")
    program.chmod(0o700)
    given = {"PATH": os.environ["PATH"], **(environment or {})}
    return Git(folder / "repository", given, deadlines or Deadlines(), program=str(program))


def real_git(folder: Path, **environment: str) -> Git:
    return Git(folder / "repository", {**git_servers.surroundings(folder), **environment}, Deadlines())


def whistle(folder: Path) -> Path:
    """A pipe: who reads it waits until a script has written to it."""
    os.mkfifo(folder / "whistle")
    return folder / "whistle"


# -- What comes back ---------------------------------------------------------------------------------------------
async def test_input_goes_in_and_output_comes_back(tmp_path: Path) -> None:
    done = await git_that(tmp_path, "tr a-z A-Z; echo words >&2; exit 3").run(
        "x", stdin=b"loud" * 100_000, room=1 << 20
    )
    assert done == (3, b"LOUD" * 100_000, b"words\n")


async def test_input_that_nobody_reads_is_no_trouble(tmp_path: Path) -> None:
    assert (await git_that(tmp_path, "exit 1").run("x", stdin=bytes(1 << 20))).code == 1


async def test_output_may_fill_its_room_and_not_more(tmp_path: Path) -> None:
    git = git_that(tmp_path, "head -c 1000 /dev/zero")
    assert (await git.run("x", room=1000)).out == bytes(1000)
    with pytest.raises(MalformedError) as caught:
        await git.run("x", room=999)
    assert caught.value.code is Code.TOO_LARGE


async def test_output_without_end_is_cut_off(tmp_path: Path) -> None:
    git = git_that(tmp_path, f"echo $$ > {tmp_path}/pid; exec cat /dev/zero")
    with pytest.raises(MalformedError):
        await git.run("x", room=10_000_000)
    assert is_gone(tmp_path / "pid")


async def test_only_its_last_words_are_kept(tmp_path: Path) -> None:
    done = await git_that(tmp_path, "head -c 1000000 /dev/zero >&2; echo the end >&2").run("x")
    assert len(done.err) == 64 * 1024
    assert done.err.endswith(b"the end\n")


async def test_a_helper_that_stays_and_keeps_stderr_open_holds_nothing_up(tmp_path: Path) -> None:
    git = git_that(tmp_path, f"sleep 1000 >/dev/null & echo $! > {tmp_path}/pid; echo words >&2")
    done = await git.run("x")
    assert done.err == b"words\n"
    assert is_alive(tmp_path / "pid")
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_helpers_of_a_git_that_broke_off_end_with_it(tmp_path: Path) -> None:
    git = git_that(tmp_path, f"sleep 1000 >/dev/null & echo $! > {tmp_path}/pid; exit 128")
    assert (await git.run("x")).code == 128
    assert is_gone(tmp_path / "pid")


async def test_where_there_is_no_git_this_is_said(tmp_path: Path) -> None:
    git = Git(tmp_path / "repository", {}, Deadlines(), program=str(tmp_path / "no-git"))
    error = await awaited_refusal(git.run("x"))
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)
    assert "git" in error.hint


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("echo fatal: bad object >&2; exit 128", Code.STORE_DAMAGED, "bad object"),
        ("echo fatal: objects/5: No space left on device >&2; exit 128", Code.STORE_FULL, "No space left"),
        ("kill -9 $$", Code.UNREACHABLE, "signal 9"),
    ],
    ids=["damage", "a full disk", "killed"],
)
async def test_a_local_command_that_fails_says_why(tmp_path: Path, script: str, code: Code, words: str) -> None:
    error = await awaited_refusal(git_that(tmp_path, script).local("x"))
    assert (error.code, words in error.message) == (code, True)
    assert error.retryable is (code is not Code.STORE_DAMAGED)


async def test_a_repository_that_somebody_moved_away_is_made_anew(tmp_path: Path) -> None:
    git = real_git(tmp_path)
    await git.local("for-each-ref")
    (tmp_path / "repository").rename(tmp_path / "away")
    assert (await git.local("for-each-ref")).out == b""
    assert (tmp_path / "repository" / "HEAD").exists()


# -- Deadlines ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["obedient", "deaf"])
async def test_a_git_that_says_nothing_ends_with_all_that_it_started(
    tmp_path: Path, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mootd.edges.git.process._GRACE_S", 0.5)
    script = f"{trap}sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; wait; sleep 1000"
    error = await awaited_refusal(git_that(tmp_path, script, SOON).run("fetch"))
    assert (error.code, error.retryable) == (Code.TIMEOUT, True)
    assert is_gone(tmp_path / "pid")
    assert is_gone(tmp_path / "child")


async def test_signs_of_life_put_off_the_deadline(tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i% >&2; sleep 0.1; done"
    done = await git_that(tmp_path, script, Deadlines(quiet_s=0.9, patience_s=60)).run("fetch")
    assert done.code == 0


async def test_signs_of_life_do_not_put_it_off_forever(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; while :; do echo and on >&2; sleep 0.02; done"
    error = await awaited_refusal(git_that(tmp_path, script, Deadlines(quiet_s=60, patience_s=1)).run("fetch"))
    assert error.code is Code.TIMEOUT
    assert is_gone(tmp_path / "pid")


async def test_one_command_may_have_deadlines_of_its_own(tmp_path: Path) -> None:
    git = git_that(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 1000")
    assert (await awaited_refusal(git.run("gc", deadlines=SOON))).code is Code.TIMEOUT
    assert is_gone(tmp_path / "pid")


async def test_cancelling_leaves_nothing_running(tmp_path: Path) -> None:
    started = whistle(tmp_path)
    script = f"sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/pid; echo > {started}; wait"
    git = git_that(tmp_path, script)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(git.run("fetch"))
        await asyncio.to_thread(started.read_text)
        task.cancel()
    assert is_gone(tmp_path / "pid")
    assert is_gone(tmp_path / "child")


async def test_closing_ends_what_runs(tmp_path: Path) -> None:
    started = whistle(tmp_path)
    git = git_that(tmp_path, f"echo $$ > {tmp_path}/pid; echo > {started}; exec sleep 1000")
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(git.run("fetch"))
        await asyncio.to_thread(started.read_text)
        await git.close()
        assert (await task).code == -signal.SIGTERM
    assert is_gone(tmp_path / "pid")


# -- Surroundings ------------------------------------------------------------------------------------------------
def test_variables_that_lead_git_elsewhere_are_left_out() -> None:
    astray = {
        "GIT_DIR": "/x", "GIT_WORK_TREE": "/x", "GIT_INDEX_FILE": "/x", "GIT_OBJECT_DIRECTORY": "/x",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": "/x", "GIT_NAMESPACE": "x", "GIT_CONFIG_PARAMETERS": "'core.bare=false'",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "x.y", "GIT_CONFIG_VALUE_0": "z", "GIT_TRACE": "1",
        "GIT_TEMPLATE_DIR": "/x", "GIT_ASKPASS": "/x", "SSH_ASKPASS": "/x", "GIT_TERMINAL_PROMPT": "1",
        "GIT_ALLOW_PROTOCOL": "ext", "GIT_DEFAULT_HASH": "sha256", "LANGUAGE": "de", "LC_ALL": "de_DE.UTF-8",
    }  # fmt: skip
    assert surroundings(astray, Path("/r")) == surroundings({}, Path("/r"))


def test_the_users_way_to_remotes_stays() -> None:
    kept = {
        "HOME": "/home/alice", "PATH": "/bin", "SSH_AUTH_SOCK": "/run/agent", "https_proxy": "http://proxy",
        "GIT_SSH_COMMAND": "ssh -v", "GIT_CONFIG_GLOBAL": "/x", "GIT_SSL_CAINFO": "/ca",
    }  # fmt: skip
    assert kept.items() <= surroundings(kept, Path("/r")).items()


def test_nothing_can_ask() -> None:
    given = surroundings({"SSH_ASKPASS": "/usr/bin/ask"}, Path("/r"))
    assert (given["GIT_TERMINAL_PROMPT"], given["GIT_ASKPASS"]) == ("0", "")
    assert given["SSH_ASKPASS_REQUIRE"] == "never"
    assert "SSH_ASKPASS" not in given


async def test_there_is_no_terminal_to_ask_at(tmp_path: Path) -> None:
    done = await git_that(tmp_path, "(: </dev/tty) 2>/dev/null && echo terminal; ps -o sid= -p $$").run("x")
    assert b"terminal" not in done.out
    assert int(done.out) != os.getsid(0)


async def test_unusual_protocols_are_off_even_where_the_user_allows_them(tmp_path: Path) -> None:
    (tmp_path / "mark").unlink(missing_ok=True)
    git = real_git(tmp_path)
    (tmp_path / "home" / "gitconfig").write_text('[protocol]\n\tallow = always\n[protocol "ext"]\n\tallow = always\n')
    done = await git.run("ls-remote", f"ext::touch {tmp_path}/mark")
    assert done.code
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("config", "environment", "expected"),
    [
        ("", {}, b"-o BatchMode=yes"),
        ("[core]\n\tsshCommand = ssh -F own", {}, b"-F own"),
        ("", {"GIT_SSH_COMMAND": "ssh -F mine"}, b"-F mine"),
        ("", {"GIT_SSH": "ssh"}, b"host git-upload-pack"),
    ],
)
async def test_ssh_never_asks_unless_the_user_chose_how_to_call_it(
    tmp_path: Path, config: str, environment: dict[str, str], expected: bytes
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\necho "called: $*" >&2\nexit 1\n')
    ssh.chmod(0o700)
    git = real_git(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}", GIT_SSH_VARIANT="ssh", **environment)
    (tmp_path / "home" / "gitconfig").write_text(config)
    done = await git.run("ls-remote", "host:x")
    assert expected in done.err
    assert (b"BatchMode" in done.err) is (expected == b"-o BatchMode=yes")


# -- The repository ----------------------------------------------------------------------------------------------
async def test_the_repository_is_made_once_for_this_user_alone(tmp_path: Path) -> None:
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    (template / "post-update").write_text("#!/bin/sh\n")
    git = real_git(tmp_path, GIT_TEMPLATE_DIR=str(template.parent))
    (tmp_path / "home" / "gitconfig").write_text(f"[init]\n\ttemplateDir = {template.parent}\n")
    assert (await git.local("rev-parse", "--is-bare-repository")).out == b"true\n"
    repository = tmp_path / "repository"
    assert repository.stat().st_mode & 0o777 == 0o700
    assert not (repository / "hooks").exists()
    blob = (await git.local("hash-object", "-w", "--stdin", stdin=b"kept")).lines()[0]
    assert (await real_git(tmp_path).local("cat-file", "blob", blob)).out == b"kept"


async def test_a_repository_that_lies_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir(mode=0o755)
    assert (await awaited_refusal(real_git(tmp_path).run("version"))).code is Code.DENIED


async def test_locks_of_a_git_that_was_killed_are_cleared(tmp_path: Path) -> None:
    git = real_git(tmp_path)
    blob = (await git.local("hash-object", "-w", "--stdin", stdin=b"x")).lines()[0]
    name = "refs/seen/a/b"
    await git.local("update-ref", name, blob)
    locks = [tmp_path / "repository" / lock for lock in ("packed-refs.lock", f"{name}.lock", "config.lock")]
    for lock in locks:
        lock.touch()
    assert (await git.run("update-ref", "-d", name)).code
    assert (await real_git(tmp_path).run("update-ref", "-d", name)).code == 0
    assert not any(lock.exists() for lock in locks)


async def test_locks_of_a_git_that_this_process_ends_are_cleared(tmp_path: Path) -> None:
    lock = tmp_path / "repository" / "packed-refs.lock"
    git = git_that(tmp_path, f"echo > {lock}; exec sleep 1000", SOON)
    with contextlib.suppress(RefusedError):
        await git.run("x")
    assert not lock.exists()
