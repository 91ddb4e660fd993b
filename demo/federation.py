"""Three towns of two machines each, told by running them: `make demo-federation`.

Six daemons, each at home in a folder of its own, exchange through a bare Git repository and, where `mosquitto` is
installed, a broker. Everything happens in one temporary folder. What is said with a tick has been checked: the demo
ends with an error where it isn't so.
"""

import argparse
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from stage import (
    Broker,
    Machine,
    add_installed,
    all_at_once,
    aside,
    broker,
    claim,
    commands_of,
    digest,
    invite,
    meanwhile,
    say,
    stage,
)

COMMONS, BRIDGE = "commons", "bridge"
PRIVATE = "The north lock leaks"
"""What only two of the towns may read."""
UNREACHABLE, DENIED = 69, 4
PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.05

ROLE = """+++
title = "Reviewer"

[commands]
test = "{command}"
+++
You read every change before it is merged.
"""
FORMULA = """formula = "release"
version = "{version}"
type = "workflow"

[[steps]]
id = "test"
title = "{title}"
"""
TEMPLATE = "What happened, and what did you expect? {name} reads it.\n"


class World(NamedTuple):
    """Three towns, and what lies between them."""

    folder: Path
    repository: Path
    broker: Broker | None
    ada: Machine
    bob: Machine
    cleo: Machine
    dan: Machine
    eve: Machine
    finn: Machine

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.ada, self.bob, self.cleo, self.dan, self.eve, self.finn)

    @property
    def two_towns(self) -> tuple[Machine, ...]:
        return (self.ada, self.bob, self.cleo, self.dan)

    @property
    def pairs(self) -> tuple[tuple[Machine, Machine], ...]:
        """The machine with the town's key, and the other one, of each town."""
        return ((self.ada, self.bob), (self.cleo, self.dan), (self.eve, self.finn))


def build(folder: Path, commands: Path) -> World:
    """Six machines without a town, a repository, and a broker if there can be one."""
    towns = {"river": ("ada", "bob"), "hill": ("cleo", "dan"), "sea": ("eve", "finn")}
    machines = [
        Machine(folder / name, name, commands, prompt=f"{f'{name}@{town}':<10} $ ")
        for town, names in towns.items()
        for name in names
    ]
    repository = folder / "towns.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(repository)], check=True)
    return World(folder, repository, broker(folder / "broker"), *machines)


def exchange(*machines: Machine, rounds: int = 2) -> None:
    """Let machines exchange at the same time; twice, since what one sends in the first others answer in the next."""
    with meanwhile("all of them: moot sync --wait") as mark:
        for _ in range(rounds):
            all_at_once(*(_syncing(machine, mark) for machine in machines))


def _syncing(machine: Machine, mark: Callable[[], None]) -> Callable[[], None]:
    """An exchange that is tried again where a remote has just come back; it is marked once it is done."""

    def sync() -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while machine.run("sync", "--wait").returncode:
            if time.monotonic() > until:
                raise SystemExit(f"{machine.prompt}moot sync --wait fails for {PATIENCE_SECONDS:.0f} seconds")
            time.sleep(_LOOK_SECONDS)
        mark()

    return sync


def agree(plane: str, *machines: Machine) -> None:
    """Claim that machines hold the same of a plane."""
    until = time.monotonic() + PATIENCE_SECONDS
    while len({digest(machine, plane) for machine in machines}) > 1 and time.monotonic() < until:
        exchange(*machines, rounds=1)
    digests = {digest(machine, plane)[:16] for machine in machines}
    claim(f"{len(machines)} machines hold the same of {plane}: digest {', '.join(digests)}", len(digests) == 1)


def planes_of(machine: Machine) -> set[str]:
    return {plane["name"] for plane in machine.json("plane", "list")}


def document(machine: Machine, name: str) -> dict[str, Any]:
    shown: dict[str, Any] = machine.json("doc", "show", name)
    return shown


def replica_of(machine: Machine) -> str:
    key: str = machine.json("town", "show")["replica"]
    return key


# -- 1 and 2: towns and planes -----------------------------------------------------------------------------------
def found_towns(world: World) -> None:
    say("1. Three towns, founded apart: river, hill and sea. Each has a second machine.")

    def found(machine: Machine, town: str) -> None:
        machine.must("town", "create", town)
        machine.must("remote", "add", "git", str(world.repository))
        if world.broker:
            machine.must("remote", "add", "mqtt", world.broker.url, "--name", "live")

    for machine, town in ((world.ada, "river"), (world.cleo, "hill"), (world.eve, "sea")):
        print(f"\n  {machine.prompt}moot town create {town}")
        print(f"  {machine.prompt}moot remote add git {world.repository}")
    if world.broker:
        print(f"  … and all of them: moot remote add mqtt {world.broker.url}")
    else:
        print("  (With `mosquitto` installed they would exchange through a broker too.)")
    with meanwhile("all three at once"):
        all_at_once(
            lambda: found(world.ada, "river"), lambda: found(world.cleo, "hill"), lambda: found(world.eve, "sea")
        )
    ticket = invite(world.ada)
    world.bob.show("join", "-", stdin=ticket, lines=1, first="✓")
    with meanwhile("the second machines of hill and sea join as well"):
        all_at_once(*(_joining(pair, "ledger") for pair in world.pairs[1:]))
    exchange(*world.machines)
    world.ada.show("town", "show")
    for first, second in world.pairs:
        agree("ledger", first, second)


def _joining(pair: tuple[Machine, Machine], plane: str) -> Callable[[], str]:
    first, second = pair
    return lambda: second.must("join", "-", stdin=first.must("invite", "--plane", plane))


def share_planes(world: World) -> None:
    say("2. River founds a plane for all three, and another one that it shares with hill alone.")
    ada, cleo, eve = world.ada, world.cleo, world.eve
    ada.show("plane", "create", COMMONS, "--kind", "federation")
    ticket = invite(ada, "--town", "--plane", COMMONS, "--role", "admin", lines=6)
    cleo.show("join", "-", stdin=ticket)
    eve.show("join", "-", stdin=invite(ada, "--town", "--plane", COMMONS), lines=1)
    ada.show("plane", "create", BRIDGE)
    cleo.show("join", "-", stdin=invite(ada, "--town", "--plane", BRIDGE), lines=1)
    exchange(ada, cleo, eve, rounds=1)
    aside("Each town lets its other machine in by itself; river is asked for nothing.")
    with meanwhile("they join"):
        all_at_once(*(_joining(pair, COMMONS) for pair in world.pairs))
        all_at_once(*(_joining(pair, BRIDGE) for pair in world.pairs[:2]))
    exchange(*world.machines)
    world.finn.show("town", "list", "--plane", COMMONS)
    roles = {town["name"]: town["role"] for town in world.finn.json("town", "list", "--plane", COMMONS)}
    expected = {"river": "admin", "hill": "admin", "sea": "writer"}
    claim("the newest machine of the third town knows who is in", roles == expected)
    with meanwhile("each opens a project of its own: moot init"):
        all_at_once(*(_opening(machine, "lock", BRIDGE) for machine in world.two_towns))
        all_at_once(_opening(eve, "sea", "ledger"), _opening(world.finn, "sea", "ledger"))


def _opening(machine: Machine, prefix: str, plane: str) -> Callable[[], str]:
    return lambda: machine.must("init", "--prefix", prefix, "--plane", plane)


# -- 3: documents ------------------------------------------------------------------------------------------------
def share_documents(world: World) -> None:
    say("3. A role, a formula and a template for everybody. Another town's text is nobody's instruction until adopted.")
    ada, cleo, dan, finn = world.ada, world.cleo, world.dan, world.finn
    ada.show("doc", "new", "role", "reviewer", "--from", "-", stdin=ROLE.format(command="make test"))
    cleo.show("doc", "new", "formula", "release", "--from", "-", stdin=FORMULA.format(version="1.0.0", title="Test"))
    finn.show("doc", "new", "template", "bug", "--from", "-", stdin=TEMPLATE.format(name="finn"))
    finn.show("doc", "new", "role", "boss", "--from", "-", stdin=ROLE.format(command="true"), fails=DENIED)
    exchange(*world.machines, rounds=1)
    dan.show("doc", "list")
    claim("a text of river is no word of hill yet", document(dan, "reviewer")["standing"] == "not_adopted")
    dan.show("doc", "adopt", "reviewer", "--yes", lines=30)
    exchange(*world.machines, rounds=1)
    claim("it holds on hill's other machine", document(cleo, "reviewer")["standing"] == "adopted")
    claim("and not in sea", document(world.eve, "reviewer")["standing"] == "not_adopted")
    agree(COMMONS, *world.machines)


# -- 4: what the third town can't read ---------------------------------------------------------------------------
def keep_apart(world: World) -> str:
    say("4. River and hill work on the bridge plane. Sea shares the repository with them, and holds nothing of it.")
    issue = world.ada.show("q", PRIVATE, "-p", "1").split()[0]
    exchange(*world.machines, rounds=1)
    world.dan.show("show", issue, lines=2)
    world.eve.show("plane", "list")
    claim("the plane isn't in sea's lists", all(BRIDGE not in planes_of(each) for each in (world.eve, world.finn)))
    aside("Every file of sea and of the repository is searched.")
    look_for_bytes(world)
    return issue


def look_for_bytes(world: World) -> None:
    """Grep every file of sea and of the repository for the plane's text, id, and keys."""
    shown = next(plane for plane in world.ada.json("plane", "list") if plane["name"] == BRIDGE)
    keys = plane_keys(world.ada, shown["plane"])
    needles = {"the issue's text": [PRIVATE.encode()], "the plane's id": ids(shown["plane"]), "the plane's keys": keys}
    sea = [world.eve.home, world.finn.home, world.repository]
    print()
    for what, wanted in needles.items():
        at_home = files_with(wanted, world.dan.home)
        claim(f"{what}: in {at_home} files of dan@hill", at_home)
        claim(f"{what}: in no file of sea, nor of the repository", not files_with(wanted, *sea))


def ids(plane: str) -> list[bytes]:
    return [plane.encode(), bytes.fromhex(plane)]


def plane_keys(machine: Machine, plane: str) -> list[bytes]:
    """The secret keys of a plane, as they lie on a machine."""
    places = (machine.home / ".local/share/moot/keys").rglob(f"*{plane}*")
    return [place.read_bytes() for place in places if place.is_file()]


def files_with(wanted: list[bytes], *folders: Path) -> int:
    """How many files below some folders hold any of some bytes; what Git has packed is unpacked for it."""
    found = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                found += any(each in _bytes_of(path) for each in wanted)
        for repository in {path.parent for path in folder.rglob("HEAD")}:
            command = ["git", "-C", str(repository), "cat-file", "--batch-all-objects", "--batch"]
            objects = subprocess.run(command, check=True, capture_output=True).stdout
            found += any(each in objects for each in wanted)
    return found


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""  # a daemon has just removed it


# -- 5: a partition, and what people did meanwhile ---------------------------------------------------------------
def part(world: World, issue: str) -> None:
    say("5. Repository and broker go down: every machine is alone. Work goes on, and four things are done twice.")
    ada, cleo, dan, eve = world.ada, world.cleo, world.dan, world.eve
    away = world.repository.with_name("away.git")
    world.repository.rename(away)
    if world.broker:
        world.broker.stop()
    cleo.show("sync", "--wait", fails=UNREACHABLE)
    ada.show("update", issue, "--title", f"{PRIVATE} on Saturdays")
    cleo.show("update", issue, "--title", f"{PRIVATE} at low tide")
    ada.show("doc", "publish", "release", "--from", "-", stdin=FORMULA.format(version="1.1.0", title="Test twice"))
    cleo.show("doc", "publish", "release", "--from", "-", stdin=FORMULA.format(version="1.1.0", title="Test by night"))
    ada.show("doc", "publish", "reviewer", "--from", "-", stdin=ROLE.format(command="make test SCALE=ci"))
    cleo.show("doc", "publish", "reviewer", "--from", "-", stdin=ROLE.format(command="make check test"))
    dan.show("doc", "new", "template", "report", "--from", "-", stdin=TEMPLATE.format(name="dan"))
    eve.show("doc", "new", "template", "report", "--from", "-", stdin=TEMPLATE.format(name="eve"))
    away.rename(world.repository)
    if world.broker:
        world.broker.start()
    aside("Both are back.")
    exchange(*world.machines)
    agree(COMMONS, *world.machines)
    agree(BRIDGE, *world.two_towns)


def settle(world: World, issue: str) -> None:
    say("6. Nothing was lost: three conflicts, and a template that keeps both.")
    ada, cleo, dan, finn = world.ada, world.cleo, world.dan, world.finn
    dan.show("conflicts", lines=60)
    ours, theirs = (conflicts_of(each) for each in (dan, finn))
    claim(
        "hill sees the issue, the formula and the role in conflict", ours == {issue, "formula/release", "role/reviewer"}
    )
    claim("sea sees the formula and the role, and nothing of the issue", theirs == {"formula/release", "role/reviewer"})
    finn.show("doc", "list", lines=9)
    templates = {each["id"] for each in finn.json("doc", "list") if each["kind"] == "template"}
    claim("both reports stand side by side", len([name for name in templates if "report" in name]) == 2)
    aside("The role goes on as it was agreed last, until an admin settles it. The rest anybody who writes may settle.")
    claim("the role as it was", 'make test"' in document(dan, "reviewer")["text"])
    dan.show("resolve", issue, "title", "--value", f"{PRIVATE} at low tide on Saturdays")
    finn.show("resolve", "formula/release", "document", "--pick", "1")
    finn.show("resolve", "role/reviewer", "document", "--pick", "1", fails=DENIED)
    cleo.show("resolve", "role/reviewer", "document", "--pick", "2")
    exchange(*world.machines)
    claim("no conflicts anywhere", not any(conflicts_of(machine) for machine in world.machines))
    ada.show("show", issue, lines=1)
    agree(COMMONS, *world.machines)
    agree(BRIDGE, *world.two_towns)


def conflicts_of(machine: Machine) -> set[str]:
    return {conflict["id"] for conflict in machine.json("conflicts")}


# -- 7: a rotated key --------------------------------------------------------------------------------------------
def rotate(world: World) -> None:
    say("7. The plane gets a new key; hill looks what a new key of its own would mean.")
    ada, cleo, dan = world.ada, world.cleo, world.dan
    before = epoch_of(dan)
    ada.show("plane", "rotate-key", COMMONS)
    exchange(*world.machines)
    claim("all six seal under the new key", len({epoch_of(each) for each in world.machines} - {before}) == 1)
    cleo.show("town", "rotate-key", "--dry-run", lines=20)
    agree(COMMONS, *world.machines)


def epoch_of(machine: Machine) -> str:
    epoch: str = machine.json("plane", "show", COMMONS)["epoch"]
    return epoch


# -- 8: a forked replica -----------------------------------------------------------------------------------------
def fork(world: World) -> None:
    say("8. Somebody copies bob's home to a new machine, and works on both: two machines under one key.")
    ada, bob = world.ada, world.bob
    bob.show("daemon", "stop")
    twin = Machine(world.folder / "twin", "bob", bob.moot.parent, prompt="bob@copy   $ ")
    for part in (".local", "project"):
        shutil.copytree(bob.home / part, twin.home / part, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
    print(f'\n  {bob.prompt}moot q "Grease the hinges"\n  {twin.prompt}moot q "Paint the gate"', flush=True)
    all_at_once(lambda: bob.must("q", "Grease the hinges"), lambda: twin.must("q", "Paint the gate"))
    exchange(ada, bob, twin)
    status = ada.show("status", lines=3)
    claim("the founder's machine raises an alarm", "signed two different histories" in status)
    titles = {issue["title"] for issue in ada.json("list")}
    claim("and counts neither side until somebody decides", not titles & {"Grease the hinges", "Paint the gate"})
    forked = replica_of(bob)
    bob.show("salvage", lines=5)
    twin.must("salvage")
    aside("Each takes a key of its own; an invite lets it in again, and then it writes again what it had written.")
    with meanwhile("both join all three planes"):
        for plane in ("ledger", COMMONS, BRIDGE):
            all_at_once(_joining((ada, bob), plane), _joining((ada, twin), plane))
    exchange(ada, bob, twin)
    bob.show("salvage", lines=5)
    twin.must("salvage")
    exchange(ada, bob, twin)
    ada.show("replica", "retire", "--", forked, lines=3)
    exchange(*world.two_towns, twin)
    world.dan.show("list", lines=5)
    titles = {issue["title"] for issue in world.dan.json("list")}
    claim("both machines' writes are there, and nothing is lost", titles >= {"Grease the hinges", "Paint the gate"})
    claim("the alarm is gone", "signed two different" not in ada.must("status"))
    agree(BRIDGE, *world.two_towns, twin)
    twin.must("daemon", "stop")


# -- 9 and 10: a removed town, and a live line -------------------------------------------------------------------
def remove(world: World) -> None:
    say("9. Sea leaves the federation. It keeps what it has; what comes after, it can't read.")
    ada, cleo, eve, finn = world.ada, world.cleo, world.eve, world.finn
    before = epoch_of(ada)
    ada.show("member", "remove", "sea", lines=6)
    claim("the plane has a new key", epoch_of(ada) != before)
    ada.must("doc", "new", "template", "later", "--from", "-", stdin=TEMPLATE.format(name="Nobody of sea"))
    finn.run("doc", "new", "template", "late", "--from", "-", stdin=TEMPLATE.format(name="finn"))
    with meanwhile("all of them: moot sync --wait") as mark:
        for _ in range(2):
            all_at_once(*(_trying(machine) for machine in world.machines))
            mark()
    eve.show("status", lines=6)
    known, kept = names_of(cleo), names_of(eve)
    claim("hill has what was written after the removal", "template/later" in known)
    claim("sea has not, and keeps what it had", "template/later" not in kept and "role/reviewer" in kept)
    claim("nothing that sea writes now counts elsewhere", "template/late" not in known)
    needle = [b"Nobody of sea reads it"]
    claim(
        "no file of sea, nor of the repository, has its text",
        not files_with(needle, eve.home, finn.home, world.repository),
    )
    agree(COMMONS, *world.two_towns)


def _trying(machine: Machine) -> Callable[[], object]:
    return lambda: machine.run("sync", "--wait")


def names_of(machine: Machine) -> set[str]:
    return {each["id"] for each in machine.json("doc", "list")}


def live(world: World) -> None:
    if not world.broker:
        return
    say("10. Between river and hill all goes on, live through the broker.")
    issue = world.ada.show("q", "Open the north lock").split()[0]
    begun = time.perf_counter()
    while world.dan.run("show", issue).returncode:
        if time.perf_counter() - begun > PATIENCE_SECONDS:
            raise SystemExit("it didn't come")
    claim(f"it stood in hill {1000 * (time.perf_counter() - begun):.0f} ms later", holds=True)
    world.dan.show("show", issue, lines=1)
    agree(BRIDGE, *world.two_towns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_installed(parser)
    commands = commands_of(parser.parse_args())
    begun = time.perf_counter()
    with stage() as folder:
        world = build(folder, commands)
        found_towns(world)
        share_planes(world)
        share_documents(world)
        issue = keep_apart(world)
        part(world, issue)
        settle(world, issue)
        rotate(world)
        fork(world)
        remove(world)
        live(world)
    say(f"That took {time.perf_counter() - begun:.0f} seconds. docs/membership.md says who may do what to whom.")


if __name__ == "__main__":
    main()
