"""How long two machines can both believe that they hold a claim: over a Git remote and over a broker.

PYTHONPATH=tests/support python bench/claims.py [RUNS]

Two machines of one town, each with a real daemon. One claims an issue, at any moment of what goes on by itself; what is
measured is the time from its answer until the other machine shows it, which is how long that one would have let
somebody claim it too. Over Git it is mostly the 5 seconds for which pushes wait for company, and the time until the
other one fetches, which it does once a minute.
"""

import random
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from moot_protocol.requests.issues import Show, Update
from moot_testkit.machines.machine import Machine, town_of_two
from moot_testkit.machines.mqtt_broker import MqttBroker

RUNS = 8
LINE_S, POLL_S = 2.0, 60.0
"""Over how long claims are spread where the other side is told, and where it fetches once in that time."""
LOOK_S = 0.005
WAIT_S = 120.0


def windows(one: Machine, two: Machine, runs: int, period_s: float) -> list[float]:
    """Seconds from a claim's answer on one machine until the other shows it.

    Args:
        one: claims.
        two: hears of it.
        runs: how many claims.
        period_s: how often what goes on by itself is repeated: claims are made at moments spread over it.
    """
    draw = random.Random(1)
    issues = [one.ok("q", f"Issue {number}").strip() for number in range(runs)]
    one.ok("sync", "--wait")
    two.ok("sync", "--wait")
    found = []
    with one.client() as here, two.client() as there:
        for issue in issues:
            time.sleep(draw.uniform(0, period_s))
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
        one, two = stack.enter_context(town_of_two("mqtt", f"mqtt://127.0.0.1:{broker.port}"))
        tell("MQTT", windows(one, two, runs, LINE_S))
    with tempfile.TemporaryDirectory(prefix="moot-claims-") as hub:
        subprocess.run(["git", "init", "-q", "--bare", hub], check=True)
        with town_of_two("git", f"file://{hub}") as (one, two):
            tell("Git", windows(one, two, runs, POLL_S))


if __name__ == "__main__":
    main()
