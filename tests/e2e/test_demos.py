"""What the demos say is so, and nothing of them is left when they are gone, however they went.

Three towns take most of a minute: they run with MOOT_SCALE=ci.
"""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMOS = ROOT / "demo"
ON_STAGE = """
    import os, subprocess
    from stage import stage
    with stage() as folder:
        stubborn = "trap '' TERM; echo ready; while :; do sleep 1; done"
        at_home = {**os.environ, "HOME": str(folder / "machine")}
        process = subprocess.Popen(["sh", "-c", stubborn], env=at_home, stdout=subprocess.PIPE)
        process.stdout.readline()
        print(folder, process.pid, flush=True)
        END
"""
"""A demo that starts a process which doesn't want to end."""


def staged(end: str) -> tuple[subprocess.Popen[str], Path, int]:
    """A demo that ends in some way, its folder, and the id of its process."""
    script = textwrap.dedent(ON_STAGE).replace("END", end)
    demo = subprocess.Popen(
        [sys.executable, "-c", f"import stage\nstage.GRACE_SECONDS = 0.2\n{script}"],
        cwd=DEMOS,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert demo.stdout
    folder, process = demo.stdout.readline().split()
    return demo, Path(folder), int(process)


def ended(demo: subprocess.Popen[str], folder: Path, process: int) -> bool:
    """Whether nothing is left: the guard is the last to hold the demo's output."""
    assert demo.stdout
    demo.stdout.read()
    demo.stdout.close()
    demo.wait()
    return not folder.exists() and not runs(process)


def runs(process: int) -> bool:
    try:
        return bool(Path(f"/proc/{process}/environ").read_bytes())  # empty where it only waits to be forgotten
    except OSError:
        return False


def test_the_replicas_of_the_demo_need_no_test_tools() -> None:
    # The demo makes an environment of its own, in which nothing is installed but what Moot needs.
    hidden = "import sys; sys.modules.update(dict.fromkeys(['pytest', 'hypothesis', 'blockbuster'], None))"
    subprocess.run([sys.executable, "-c", f"{hidden}; import three_replicas"], cwd=DEMOS, check=True)


def test_a_demo_that_is_killed_leaves_no_process_and_no_folder() -> None:
    demo, folder, process = staged("input()")
    demo.send_signal(signal.SIGKILL)
    assert ended(demo, folder, process)


def test_a_demo_that_fails_leaves_no_process_and_no_folder() -> None:
    assert ended(*staged('raise SystemExit("not so")'))


def test_what_is_not_so_ends_a_demo() -> None:
    script = "from stage import claim\nclaim('so', True)\nclaim('not so', [])\nprint('on')"
    done = subprocess.run([sys.executable, "-c", script], cwd=DEMOS, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == "  ✓ so\n"
    assert "NOT SO: not so" in done.stderr


def test_what_a_demo_says_fits_into_80_columns_and_what_it_waits_for_is_said_before_it_is_over() -> None:
    script = """
        from stage import aside, claim, meanwhile, say
        for tell in (say, aside, lambda text: claim(text, True)):
            tell("words " * 20)
        with meanwhile("they exchange") as mark:
            mark()
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=DEMOS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdin
        assert demo.stdout
        read = demo.stdout.read
        before = ""
        while (char := read(1)) not in {"", "."}:
            before += char
        demo.stdin.write("\n")
        demo.stdin.close()
        after = demo.stdout.read()
    assert max(map(len, before.splitlines())) <= 80
    assert before.endswith("(they exchange …")
    assert after.endswith(" s)\n")


if os.environ.get("MOOT_SCALE") == "ci":

    @pytest.mark.timeout(600)
    def test_three_towns_share_planes_part_disagree_and_settle_it() -> None:
        command = [sys.executable, str(DEMOS / "federation.py"), "--installed"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_demo_of_a_file_that_is_not_there_says_so_before_it_sets_anything_up(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMOS / "run.py"), "--data", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, env={"TMPDIR": str(tmp_path)}, check=False)
    assert (done.returncode, done.stdout, "there is no file" in done.stderr) == (2, "", True)
    assert list(tmp_path.iterdir()) == []
