"""How long two machines can both believe that they hold a claim: over a Git remote and over a broker.

PYTHONPATH=tests/support python bench/claims.py [RUNS]

Two machines of one town, each with a real daemon. One claims an issue; what is measured is the time from its answer
until the other machine shows it, which is how long that one would have let somebody claim it too. Over Git it is mostly
the 5 seconds for which pushes wait for company, and the time until the other one fetches.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from moot_protocol.requests import Show, Update
from moot_testkit.machine import Machine, machine
from moot_testkit.mqtt_broker import MqttBroker

RUNS = 8
LOOK_S = 0.005
WAIT_S = 120.0


@contextmanager
def town(*remote: str) -> Iterator[tuple[Machine, Machine]]:
    """Two machines of one town that are in step over a remote."""
    with machine() as one, machine() as two:
        one.ok("init", "--prefix", "demo")
        one.ok("remote", "add", *remote)
        ticket = one.ok("invite").splitlines()[-1]
        two.ok("join", "-", stdin=ticket)
        for each in (two, one, two):
            each.ok("sync", "--wait")
        two.ok("init", "--prefix", "demo")
        yield one, two


def windows(one: Machine, two: Machine, runs: int) -> list[float]:
    """Seconds from a claim's answer on one machine until the other shows it."""
    issues = [one.ok("q", f"Issue {number}").strip() for number in range(runs)]
    one.ok("sync", "--wait")
    two.ok("sync", "--wait")
    found = []
    with one.client() as here, two.client() as there:
        for number, issue in enumerate(issues):
            time.sleep(0.37 * (number % 7))  # at any moment of what goes on by itself
            here.call(Update(actor="ada", id=issue, claim=True))
            began = time.perf_counter()
            while not there.call(Show(ids=(issue,)))[0].get("assignee"):
                if time.perf_counter() - began > WAIT_S:
                    raise SystemExit(f"not there after {WAIT_S:g} s")
                time.sleep(LOOK_S)
            found.append(time.perf_counter() - began)
    return found


def tell(what: str, found: list[float]) -> None:
    ordered = sorted(found)
    worst = ordered[-1]
    print(f"{what:<6} p50 {statistics.median(ordered) * 1000:8.0f} ms   worst of {len(ordered)} {worst * 1000:8.0f} ms")


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moot-claims-")))
        broker = MqttBroker(folder)
        broker.start()
        stack.callback(broker.stop)
        one, two = stack.enter_context(town("mqtt", f"mqtt://127.0.0.1:{broker.port}"))
        tell("MQTT", windows(one, two, runs))
    with tempfile.TemporaryDirectory(prefix="moot-claims-") as hub:
        subprocess.run(["git", "init", "-q", "--bare", hub], check=True)
        with town("git", f"file://{hub}") as (one, two):
            tell("Git", windows(one, two, runs))


if __name__ == "__main__":
    main()
