"""A short story about Moot, told by running it: `make demo`, or `make demo DATA=FILE` on issues of your own.

Everything happens in a temporary home folder and in a virtual environment inside the checkout; both are this demo's
own, and nothing else is touched.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-demo"
STAMP = ENVIRONMENT / "installed"
WRITERS = 4
KILL_AFTER = 60
"""Acknowledged writes after which the daemon is killed in the middle of the burst."""
SHOWN_LINES = 8


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


class Story:
    """Runs commands in a home of its own, and shows them."""

    def __init__(self, home: Path, actor: str = "ada") -> None:
        self.home = home
        self.project = home / "project"
        self.project.mkdir(parents=True)
        (home / "run").mkdir(mode=0o700)
        self.moot = ENVIRONMENT / "bin" / "moot"
        self.prompt = "$ "
        self.environment = {
            "HOME": str(home),
            "PATH": f"{ENVIRONMENT / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "XDG_RUNTIME_DIR": str(home / "run"),
            "MOOT_ACTOR": actor,
            "LANG": "C.UTF-8",
        }

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.moot, *arguments],
            cwd=self.project,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def show(self, *arguments: str, lines: int = SHOWN_LINES) -> str:
        """Run a command and show it as a terminal would."""
        print(f"\n  {self.prompt}moot {' '.join(_quoted(word) for word in arguments)}", flush=True)
        begun = time.perf_counter()
        done = self.run(*arguments)
        output = (done.stdout + done.stderr).rstrip("\n").split("\n")
        for line in output[:lines]:
            print(f"    {line}")
        if len(output) > lines:
            print(f"    … {len(output) - lines} more lines")
        if time.perf_counter() - begun > 1:
            print(f"    ({time.perf_counter() - begun:.1f} s)")
        if done.returncode:
            raise SystemExit(f"that failed with exit code {done.returncode}")
        return done.stdout

    def json(self, *arguments: str) -> object:
        """A command's `--json` answer, not shown."""
        done = self.run(*arguments, "--json")
        if done.returncode:
            raise SystemExit(f"moot {' '.join(arguments)} failed: {done.stdout}{done.stderr}")
        return json.loads(done.stdout)


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word or not word else word


def install() -> None:
    """Install this checkout into the demo's environment, if it has changed since the last time."""
    sources = [
        ROOT / "pyproject.toml",
        *(path for top in ("protocol", "daemon", "clients") for path in (ROOT / top).rglob("*")),
    ]
    newest = max(path.stat().st_mtime for path in sources if "__pycache__" not in path.parts)
    if STAMP.exists() and STAMP.stat().st_mtime > newest:
        return
    say("Setting up: an environment inside the checkout (.venv-demo)…")
    venv.create(ENVIRONMENT, with_pip=True, clear=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, str(ROOT)], check=True)
    STAMP.touch()


def work_on_issues(story: Story, data: Path) -> None:
    """One person's day: import, find, create, claim, block, comment, close."""
    say("1. A town of one machine. The first command starts the daemon.")
    story.show("init", "--prefix", "demo", lines=20)
    say(f"2. Real issues: {data.name}, from the public tracker of the Beads project.")
    story.show("import", str(data))
    story.show("ready", "-n", "5")
    say("3. Work: create, claim, block, comment, close.")
    login = story.run("q", "Log in with a passkey", "-p", "1", "-t", "feature").stdout.strip()
    print(f'\n  $ moot q "Log in with a passkey" -p 1 -t feature\n    {login}')
    keys = story.run("q", "Store passkeys", "-p", "1").stdout.strip()
    print(f'\n  $ moot q "Store passkeys" -p 1\n    {keys}')
    story.show("dep", "add", login, keys)
    story.show("update", keys, "--claim")
    story.show("comment", keys, "One table, one row for each key.")
    story.show("close", keys, "--reason", "stored")
    story.show("show", login)


def burst(story: Story) -> list[str]:
    """Write from several clients at once, kill the daemon in the middle, and return the ids that were acknowledged."""
    acknowledged: list[str] = []
    enough = threading.Event()
    done = threading.Event()

    def write(writer: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            answer = story.run("q", f"Burst {writer}/{number}")
            if answer.returncode == 0:
                acknowledged.append(answer.stdout.strip())
            if len(acknowledged) >= KILL_AFTER:
                enough.set()

    pid = story.json("daemon", "status")["pid"]  # type: ignore[index]
    story.environment["MOOT_NO_AUTOSTART"] = "1"
    threads = [threading.Thread(target=write, args=(each,)) for each in range(WRITERS)]
    for thread in threads:
        thread.start()
    enough.wait()
    os.kill(pid, signal.SIGKILL)
    done.set()
    for thread in threads:
        thread.join()
    del story.environment["MOOT_NO_AUTOSTART"]
    return acknowledged


def survive(story: Story) -> None:
    """Kill -9 in the middle of a burst of writes, and look what is left."""
    say(f"4. {WRITERS} clients write at once, and the daemon is killed with -9 in the middle.")
    acknowledged = burst(story)
    print(f"\n  {len(acknowledged)} writes were acknowledged before it died. It starts again with the next command:")
    story.show("daemon", "start")
    present = {issue["id"] for issue in story.json("list", "--limit", "0")}  # type: ignore[attr-defined]
    lost = [issue for issue in acknowledged if issue not in present]
    print(f"\n  {len(acknowledged) - len(lost)} of {len(acknowledged)} acknowledged writes are there.")
    if lost:
        raise SystemExit(f"lost: {lost}")
    say("5. The log is the truth: replay it into fresh views, and check every hash and signature.")
    story.show("rebuild")
    story.show("fsck")
    proof = story.project / "proof"
    story.show("prove", acknowledged[0], "-o", str(proof))
    story.show("verify-proof", str(proof), lines=12)


def two_machines(first: Story, second: Story, home: Path) -> None:
    """A second machine joins with a ticket, and both agree through a bare Git repository."""
    say("6. A second machine, and a Git repository that both can reach. It sees sealed frames only.")
    hub = home / "hub.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(hub)], check=True)
    first.prompt, second.prompt = "ada@desk   $ ", "bob@laptop $ "
    first.show("remote", "add", "git", str(hub))
    first.show("sync", "--wait")
    ticket = first.run("invite").stdout.strip().splitlines()[-1]
    print(f"\n  {first.prompt}moot invite\n    {ticket[:60]}…")
    joined = second.run("join", "-", stdin=ticket)
    shown = [line for line in (joined.stdout + joined.stderr).splitlines() if "plane" in line or "charter" in line]
    print(f"\n  {second.prompt}moot join -\n    " + "\n    ".join(shown))
    second.show("sync", "--wait")
    second.show("init", "--prefix", "demo", lines=2)
    second.show("ready", "-n", "3")
    print("\n  Both write at the same time, one of them to the same issue:")
    issue = first.run("q", "Rotate the signing keys").stdout.strip()
    for story in (first, second):
        story.run("sync", "--wait")
    first.show("update", issue, "--priority", "0")
    second.show("update", issue, "--title", "Rotate the signing keys every year")
    second.show("create", "Write down who holds the paper key", lines=1)
    for story in (first, second, first):
        story.run("sync", "--wait")
    for story in (first, second):
        story.show("show", issue, lines=2)
    compare(first, second)


def compare(first: Story, second: Story) -> None:
    """Both machines' digests of the plane they share."""
    digests = [
        next(plane["digest"] for plane in story.json("status")["planes"] if plane["name"] == "ledger")  # type: ignore[index]
        for story in (first, second)
    ]
    print(f"\n  digests: {digests[0][:16]} and {digests[1][:16]}")
    if digests[0] != digests[1]:
        raise SystemExit("the two machines don't agree")


def live(first: Story, second: Story, home: Path) -> None:
    """The same two machines over a broker, where one is installed."""
    broker = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if broker is None:
        say("7. (With `mosquitto` installed, this would show both machines live through MQTT.)")
        return
    say("7. Live through an MQTT broker: what one writes, the other sees at once.")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = home / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n", encoding="utf-8")
    running = subprocess.Popen([broker, "-c", str(settings)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for story in (first, second):
            story.show("remote", "add", "mqtt", f"mqtt://127.0.0.1:{port}", "--name", "live", lines=1)
            story.run("sync", "--wait")
        issue = first.run("q", "Said on one machine").stdout.strip()
        begun = time.perf_counter()
        print(f'\n  {first.prompt}moot q "Said on one machine"\n    {issue}')
        while second.run("show", issue).returncode:
            if time.perf_counter() - begun > 20:
                raise SystemExit("it didn't come")
        print(f"\n  It stood on the other machine {1000 * (time.perf_counter() - begun):.0f} ms later.")
        second.show("show", issue, lines=2)
        compare(first, second)
    finally:
        running.terminate()
        running.wait()


def agree() -> None:
    """Three simulated replicas edit apart and agree."""
    say("8. Three replicas of one town, in one process, edit apart and then exchange what they have.")
    subprocess.run([str(ENVIRONMENT / "bin" / "python"), str(ROOT / "demo" / "three_replicas.py")], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "tests" / "data" / "beads-excerpt.jsonl")
    data = parser.parse_args().data.resolve()
    install()
    home = Path(tempfile.mkdtemp(prefix="moot-demo-"))
    story, second = Story(home / "desk"), Story(home / "laptop", "bob")
    try:
        work_on_issues(story, data)
        survive(story)
        two_machines(story, second, home)
        live(story, second, home)
        agree()
    finally:
        for each in (story, second):
            each.run("daemon", "stop")
        shutil.rmtree(home, ignore_errors=True)
    say("That was Moot. Read README.md for a tour, ARCHITECTURE.md for how it is made; `make test` proves it.")


if __name__ == "__main__":
    main()
