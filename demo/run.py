"""A short story about Moot, told by running it: `make demo`, or `make demo DATA=FILE` on issues of your own.

Everything happens in a temporary home folder and in a virtual environment inside the checkout; both are this demo's
own, and nothing else is touched.
"""

import argparse
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from stage import ENVIRONMENT, ROOT, Machine, aside, broker, claim, digest, install, invite, meanwhile, say, stage

EXCERPT = ROOT / "tests" / "data" / "beads-excerpt.jsonl"
"""What is shown unless another file is named."""
WRITERS = 4
KILL_AFTER = 60
"""Acknowledged writes after which the daemon is killed in the middle of the burst."""


def work_on_issues(story: Machine, data: Path) -> None:
    """One person's day: import, find, create, claim, block, comment, close."""
    say("1. A town of one machine. The first command starts the daemon.")
    story.show("init", "--prefix", "demo", lines=20)
    origin = ", from the public tracker of the Beads project" if data == EXCERPT else ""
    say(f"2. Real issues: {data.name}{origin}.")
    story.show("import", str(data))
    story.show("ready", "-n", "5")
    say("3. Work: create, claim, block, comment, close.")
    login = story.show("q", "Log in with a passkey", "-p", "1", "-t", "feature").split()[0]
    keys = story.show("q", "Store passkeys", "-p", "1").split()[0]
    story.show("dep", "add", login, keys)
    story.show("update", keys, "--claim")
    story.show("comment", keys, "One table, one row for each key.")
    story.show("close", keys, "--reason", "stored")
    story.show("show", login)


def burst(story: Machine) -> list[str]:
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

    pid = story.pid()
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


def survive(story: Machine) -> None:
    """Kill -9 in the middle of a burst of writes, and look what is left."""
    say(f"4. {WRITERS} clients write at once, and the daemon is killed with -9 in the middle.")
    with meanwhile("they write"):
        acknowledged = burst(story)
    aside(f"{len(acknowledged)} writes were acknowledged before it died. It starts again with the next command:")
    story.show("daemon", "start")
    present = {issue["id"] for issue in story.json("list", "--limit", "0")}
    lost = [issue for issue in acknowledged if issue not in present]
    print()
    claim(f"{len(acknowledged) - len(lost)} of {len(acknowledged)} acknowledged writes are there", not lost)
    say("5. The log is the truth: replay it into fresh views, and check every hash and signature.")
    story.show("rebuild")
    story.show("fsck")
    proof = story.project / "proof"
    story.show("prove", acknowledged[0], "-o", str(proof))
    story.show("verify-proof", str(proof), lines=12)


def two_machines(first: Machine, second: Machine, home: Path) -> None:
    """A second machine joins with a ticket, and both agree through a bare Git repository."""
    say("6. A second machine, and a Git repository that both can reach. It sees sealed frames only.")
    hub = home / "hub.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(hub)], check=True)
    first.prompt, second.prompt = "ada@desk   $ ", "bob@laptop $ "
    first.show("remote", "add", "git", str(hub))
    first.show("sync", "--wait")
    ticket = invite(first)
    print(f"\n  {second.prompt}moot join -", flush=True)
    joined = second.run("join", "-", stdin=ticket)
    shown = [line for line in (joined.stdout + joined.stderr).splitlines() if "plane" in line or "charter" in line]
    print("".join(f"    {line}\n" for line in shown), end="", flush=True)
    second.show("sync", "--wait")
    second.show("init", "--prefix", "demo", lines=2)
    second.show("ready", "-n", "3")
    aside("Both write at the same time, one of them to the same issue:")
    issue = first.run("q", "Rotate the signing keys").stdout.strip()
    exchange(first, second)
    first.show("update", issue, "--priority", "0")
    second.show("update", issue, "--title", "Rotate the signing keys every year")
    second.show("create", "Write down who holds the paper key", lines=1)
    exchange(first, second, first)
    for story in (first, second):
        story.show("show", issue, lines=2)
    compare(first, second)


def exchange(*machines: Machine) -> None:
    """Let machines exchange, one after the other."""
    with meanwhile("each of them: moot sync --wait"):
        for machine in machines:
            machine.run("sync", "--wait")


def compare(first: Machine, second: Machine) -> None:
    """Both machines' digests of the plane they share."""
    digests = [digest(machine, "ledger") for machine in (first, second)]
    print()
    claim(f"digests: {digests[0][:16]} and {digests[1][:16]}", digests[0] == digests[1])


def live(first: Machine, second: Machine, home: Path) -> None:
    """The same two machines over a broker, where one is installed."""
    running = broker(home / "broker")
    if running is None:
        say("7. (With `mosquitto` installed, this would show both machines live through MQTT.)")
        return
    say("7. Live through an MQTT broker: what one writes, the other sees at once.")
    for story in (first, second):
        story.show("remote", "add", "mqtt", running.url, "--name", "live", lines=1)
        exchange(story)
    issue = first.show("q", "Said on one machine").split()[0]
    begun = time.perf_counter()
    while second.run("show", issue).returncode:
        if time.perf_counter() - begun > 20:
            raise SystemExit("it didn't come")
    aside(f"It stood on the other machine {1000 * (time.perf_counter() - begun):.0f} ms later.")
    second.show("show", issue, lines=2)
    compare(first, second)


def agree() -> None:
    """Three simulated replicas edit apart and agree."""
    say("8. Three replicas of one town, in one process, edit apart and then exchange what they have.")
    subprocess.run([str(ENVIRONMENT / "bin" / "python"), str(ROOT / "demo" / "three_replicas.py")], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=EXCERPT)
    data = parser.parse_args().data.resolve()
    if not data.is_file():
        parser.error(f"there is no file {data}")
    commands = install()
    with stage() as home:
        story, second = (Machine(home / name, actor, commands) for name, actor in (("desk", "ada"), ("laptop", "bob")))
        work_on_issues(story, data)
        survive(story)
        two_machines(story, second, home)
        live(story, second, home)
        agree()
    say("That was Moot. Read README.md for a tour, ARCHITECTURE.md for how it is made; `make test` proves it.")


if __name__ == "__main__":
    main()
