"""`make agents`: 30 small tasks of an agent through `moot mcp`: how many are solved, in how many calls and tokens.

The agent is a script that sees nothing but what the tools answer, as a model would. Whether a task is solved is judged
from the daemon's state by somebody else. Tokens are those of the calls and of the answers' text, by o200k_base.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession, types
from mcp.client.stdio import StdioServerParameters, stdio_client
from pydantic import AnyUrl

from moot import AsyncClient, Issue
from moot_testkit.machines.machine import BIN, Machine, machine
from moot_testkit.tokens import tokens

NAME = "ada/agent-1"
PATIENCE_S = 20.0


class Agent:
    """An agent's session: counts what it asks and what it reads."""

    def __init__(self, session: ClientSession, changed: "asyncio.Queue[str]") -> None:
        self._session = session
        self._changed = changed
        self.calls = 0
        self.tokens = 0

    async def try_to(self, tool: str, **given: Any) -> tuple[str, dict[str, Any]]:
        """Call a tool: the text and the structure of its answer, whatever it is."""
        answer = await self._session.call_tool(tool, given)
        text = "\n".join(part.text for part in answer.content if isinstance(part, types.TextContent))
        self._count(given, text)
        return text, answer.structuredContent or {}

    async def do(self, tool: str, **given: Any) -> list[dict[str, Any]]:
        """Call a tool that must not fail: the issues it answers with."""
        text, structure = await self.try_to(tool, **given)
        assert "issues" in structure, f"{tool}: {text}"
        issues: list[dict[str, Any]] = structure["issues"]
        return issues

    async def fails(self, tool: str, **given: Any) -> dict[str, Any]:
        """Call a tool that must fail: the error."""
        text, structure = await self.try_to(tool, **given)
        assert "error" in structure, f"{tool}: {text}"
        error: dict[str, Any] = structure["error"]
        return error

    async def read(self, uri: str) -> str:
        """Read a resource."""
        (content,) = (await self._session.read_resource(AnyUrl(uri))).contents
        assert isinstance(content, types.TextResourceContents)
        self._count(uri, content.text)
        return content.text

    async def subscribe(self, uri: str) -> None:
        await self._session.subscribe_resource(AnyUrl(uri))
        self._count(uri, "")

    async def news(self) -> str:
        """Wait until a resource has changed."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._changed.get()

    async def definitions(self) -> int:
        """The tokens of all tools' definitions."""
        listed = await self._session.list_tools()
        return tokens([tool.model_dump(mode="json", exclude_none=True) for tool in listed.tools])

    def _count(self, given: Any, text: str) -> None:
        self.calls += 1
        self.tokens += tokens(given) + tokens(text)


class World:
    """The others: make what a task begins with, and judge what came of it. Each task has a label of its own."""

    def __init__(self, client: AsyncClient, town: Machine, label: str) -> None:
        self.client = client
        self.town = town
        self.label = label

    async def make(self, title: str, **fields: Any) -> str:
        """An issue of the task."""
        return (await self.client.create(title, labels=[self.label], **fields)).id

    async def show(self, issue: str) -> Issue:
        return await self.client.show(issue)

    async def ready(self) -> set[str]:
        return {issue.id for issue in await self.client.ready(labels=[self.label], limit=0)}

    async def all(self) -> dict[str, Issue]:
        return {issue.title: issue for issue in await self.client.list(labels=[self.label], status="all", limit=0)}


Task = Callable[[Agent, World], Awaitable[bool]]
TASKS: dict[str, Task] = {}


def task(work: Task) -> Task:
    TASKS[work.__name__.replace("_", " ")] = work
    return work


# -- Find --------------------------------------------------------------------------------------------------------
@task
async def find_the_most_urgent_ready_issue(agent: Agent, world: World) -> bool:
    await world.make("Later", priority=3)
    urgent = await world.make("Urgent", priority=0)
    await world.make("Waits", priority=0, depends_on=[urgent])
    return bool((await agent.do("find", label=world.label))[0]["id"] == urgent)


@task
async def find_an_issue_by_words_of_its_description(agent: Agent, world: World) -> bool:
    await world.make("One", description="about wombats")
    wanted = await world.make("Two", description="about a quokka that escaped")
    return [issue["id"] for issue in await agent.do("find", which="open", text="QUOKKA")] == [wanted]


@task
async def find_what_blocks_an_issue(agent: Agent, world: World) -> bool:
    blocker = await world.make("Blocker")
    await world.make("Waits", depends_on=[blocker])
    (waits,) = await agent.do("find", which="blocked", label=world.label)
    return bool(waits["blocked_by"] == [blocker])


@task
async def find_what_i_hold(agent: Agent, world: World) -> bool:
    mine = {await world.make("Mine"), await world.make("Mine too")}
    await world.make("Nobody's")
    for issue in mine:
        await agent.do("claim", id=issue)
    return {issue["id"] for issue in await agent.do("find", which="mine", label=world.label)} == mine


@task
async def find_why_an_issue_was_closed(agent: Agent, world: World) -> bool:
    done = await world.make("Done")
    await world.client.close(done, reason="a duplicate of the other one")
    (closed,) = await agent.do("find", which="closed", label=world.label, fields=["id", "close_reason"])
    return bool(closed["close_reason"] == "a duplicate of the other one")


@task
async def find_more_than_the_first_page(agent: Agent, world: World) -> bool:
    for number in range(25):
        await world.make(f"Number {number}")
    _, first = await agent.try_to("find", label=world.label)
    if not first.get("more"):
        return False
    return len(await agent.do("find", label=world.label, limit=100)) == 25


@task
async def count_what_is_left_of_an_epic(agent: Agent, world: World) -> bool:
    epic = await world.make("Epic", issue_type="epic")
    parts = [await world.make(f"Part {number}", parent=epic) for number in range(3)]
    await world.client.close(parts[0])
    return {issue["id"] for issue in await agent.do("find", which="open", parent=epic)} == set(parts[1:])


@task
async def show_an_issue_by_the_short_id_that_a_list_gave(agent: Agent, world: World) -> bool:
    wanted = await world.make("Short", description="the whole story")
    text, _ = await agent.try_to("find", label=world.label)
    shown, _ = await agent.try_to("show", ids=[text.split()[0]])
    return wanted in shown and "the whole story" in shown


# -- Claim -------------------------------------------------------------------------------------------------------
@task
async def claim_whatever_is_next(agent: Agent, world: World) -> bool:
    first = await world.make("First of all", priority=0)
    (claimed,) = await agent.do("claim")
    shown = await world.show(first)
    return claimed["id"] == first and (shown.assignee, shown.status) == (NAME, "in_progress")


@task
async def claim_a_named_issue(agent: Agent, world: World) -> bool:
    named = await world.make("Named")
    await agent.do("claim", id=named)
    return (await world.show(named)).assignee == NAME


@task
async def claim_another_after_a_lost_race(agent: Agent, world: World) -> bool:
    held, free = await world.make("Held", priority=1), await world.make("Free", priority=2)
    found = await agent.do("find", label=world.label)
    await world.client.claim(held)
    for issue in found:
        _, answer = await agent.try_to("claim", id=issue["id"])
        if answer.get("error", {}).get("code") != "lost_race":
            break
    return (await world.show(held)).assignee == "bob" and (await world.show(free)).assignee == NAME


@task
async def claim_the_blocker_of_what_is_wanted(agent: Agent, world: World) -> bool:
    blocker = await world.make("Groundwork")
    wanted = await world.make("Wanted", depends_on=[blocker])
    (issue,) = await agent.do("find", which="blocked", label=world.label)
    await agent.do("claim", id=issue["blocked_by"][0])
    return (await world.show(blocker)).assignee == NAME and (await world.show(wanted)).assignee == ""


@task
async def release_what_i_hold(agent: Agent, world: World) -> bool:
    issue = await world.make("Too much")
    await agent.do("claim", id=issue)
    await agent.do("update", id=issue, status="open", assignee="")
    return (await world.show(issue)).assignee == "" and issue in await world.ready()


# -- Split and plan ----------------------------------------------------------------------------------------------
@task
async def split_an_issue_into_steps_that_follow_one_another(agent: Agent, world: World) -> bool:
    big = await world.make("Big", issue_type="epic")
    steps = [
        {"title": "Step one", "parent": big},
        {"title": "Step two", "parent": big, "depends_on": ["$1"]},
        {"title": "Step three", "parent": big, "depends_on": ["$2"]},
    ]
    made = await agent.do("create", issues=steps)
    ready = {issue.id for issue in await world.client.ready(parent=big)}
    return len(made) == 3 and ready == {made[0]["id"]}


@task
async def split_and_keep_the_labels_of_the_parent(agent: Agent, world: World) -> bool:
    big = await world.make("Labelled")
    await agent.do("create", issues=[{"title": "Its part", "parent": big, "labels": ["extra"]}])
    return set((await world.all())["Its part"].labels) == {world.label, "extra"}


@task
async def create_several_and_none_where_one_is_wrong(agent: Agent, world: World) -> bool:
    issues = [{"title": "Good", "labels": [world.label]}, {"title": "Bad", "parent": "demo-nosuchissue"}]
    error = await agent.fails("create", issues=issues)
    if error["code"] != "not_found" or await world.all():
        return False
    await agent.do("create", issues=issues[:1])
    return set(await world.all()) == {"Good"}


@task
async def plan_changes_to_an_issue(agent: Agent, world: World) -> bool:
    issue = await world.make("Vague", priority=4)
    await agent.do("update", id=issue, title="Clear", priority=1, add_labels=["planned"], design="One table.")
    shown = await world.show(issue)
    return (shown.title, shown.priority, shown.design, "planned" in shown.labels) == ("Clear", 1, "One table.", True)


# -- Block -------------------------------------------------------------------------------------------------------
@task
async def block_an_issue_by_another(agent: Agent, world: World) -> bool:
    first, second = await world.make("First"), await world.make("Second")
    await agent.do("link", id=second, depends_on=first)
    return await world.ready() == {first}


@task
async def turn_a_dependency_round_after_a_cycle_was_refused(agent: Agent, world: World) -> bool:
    cart, horse = await world.make("Cart"), await world.make("Horse")
    await world.client.depend(horse, cart)
    if (await agent.fails("link", id=cart, depends_on=horse))["code"] != "conflict":
        return False
    await agent.do("link", id=horse, depends_on=cart, remove=True)
    await agent.do("link", id=cart, depends_on=horse)
    return await world.ready() == {horse}


@task
async def unblock_what_waits_and_go_on_with_it(agent: Agent, world: World) -> bool:
    first = await world.make("Walls")
    second = await world.make("Roof", depends_on=[first])
    (closed,) = await agent.do("close", ids=[first], reason="built")
    await agent.do("claim", id=closed["_unblocked"][0])
    return (await world.show(second)).assignee == NAME


@task
async def note_work_that_was_discovered_on_the_way(agent: Agent, world: World) -> bool:
    issue = await world.make("At work")
    (found,) = await agent.do("create", issues=[{"title": "Leaks", "type": "bug", "labels": [world.label]}])
    await agent.do("link", id=found["id"], depends_on=issue, type="discovered-from")
    (link,) = (await world.show(found["id"])).dependencies
    return link.type == "discovered-from" and found["id"] in await world.ready()


# -- Hand over ---------------------------------------------------------------------------------------------------
@task
async def hand_an_issue_over(agent: Agent, world: World) -> bool:
    issue = await world.make("Half done")
    await agent.do("claim", id=issue)
    await agent.do("comment", id=issue, text="Parser done; next: the writer.")
    await agent.do("update", id=issue, status="open", assignee="")
    taken = await world.client.claim(issue)
    (comment,) = (await world.show(issue)).comments
    return taken.assignee == "bob" and (comment.author, "next: the writer" in comment.text) == (NAME, True)


@task
async def take_over_from_a_comment(agent: Agent, world: World) -> bool:
    issue = await world.make("Flaky test")
    await world.client.comment(issue, "next: run with seed 7")
    text, _ = await agent.try_to("show", ids=[issue])
    step = text.partition("next: ")[2].splitlines()[0]
    await agent.do("claim", id=issue)
    await agent.do("update", id=issue, append_notes=f"did: {step}")
    return (await world.show(issue)).notes == "did: run with seed 7"


@task
async def read_an_issue_as_a_resource(agent: Agent, world: World) -> bool:
    issue = await world.make("Resource", description="read me")
    return "read me" in await agent.read(f"moot://issue/{issue}")


@task
async def wait_for_what_another_does(agent: Agent, world: World) -> bool:
    issue = await world.make("Awaited")
    uri = f"moot://issue/{issue}"
    await agent.subscribe(uri)
    await world.client.close(issue, reason="by bob")
    return await agent.news() == uri and "by bob" in await agent.read(uri)


# -- Recover -----------------------------------------------------------------------------------------------------
@task
async def close_an_issue_that_is_blocked_after_its_blocker(agent: Agent, world: World) -> bool:
    blocker = await world.make("Blocker")
    issue = await world.make("Blocked", depends_on=[blocker])
    error = await agent.fails("close", ids=[issue])
    if error["code"] != "conflict" or blocker not in error["message"]:
        return False
    await agent.do("close", ids=[blocker, issue], reason="both")
    return {shown.status for shown in (await world.all()).values()} == {"closed"}


@task
async def find_the_issue_after_a_wrong_id(agent: Agent, world: World) -> bool:
    issue = await world.make("Mistyped")
    if (await agent.fails("claim", id="demo-zzzzzzzzzzzz"))["code"] != "not_found":
        return False
    (found,) = await agent.do("find", text="Mistyped")
    await agent.do("claim", id=found["id"])
    return (await world.show(issue)).assignee == NAME


@task
async def mend_arguments_that_do_not_fit(agent: Agent, world: World) -> bool:
    wrong = {"title": "Urgent", "priority": "P0", "labels": [world.label]}
    if (await agent.fails("create", issues=[wrong]))["code"] != "invalid":
        return False
    await agent.do("create", issues=[{**wrong, "priority": 0}])
    return [issue.priority for issue in (await world.all()).values()] == [0]


@task
async def go_on_after_the_daemon_was_killed(agent: Agent, world: World) -> bool:
    world.town.kill(await asyncio.to_thread(world.town.start))
    await agent.do("create", issues=[{"title": "After the crash", "labels": [world.label]}])
    return set(await world.all()) == {"After the crash"}


@task
async def reopen_what_was_closed_too_early(agent: Agent, world: World) -> bool:
    issue = await world.make("Not done")
    await world.client.close(issue)
    await agent.do("update", id=issue, status="open")
    await agent.do("comment", id=issue, text="It fails on an empty file.")
    shown = await world.show(issue)
    return shown.status == "open" and shown.closed_at == "" and len(shown.comments) == 1


# -- Running -----------------------------------------------------------------------------------------------------
@asynccontextmanager
async def session(town: Machine) -> AsyncIterator[Agent]:
    changed: asyncio.Queue[str] = asyncio.Queue()

    async def hear(message: Any) -> None:
        if isinstance(message, types.ServerNotification) and isinstance(
            message.root, types.ResourceUpdatedNotification
        ):
            changed.put_nowait(str(message.root.params.uri))

    server = StdioServerParameters(
        command=str(BIN / "moot"), args=["--actor", NAME, "mcp"], env=town.environment, cwd=town.folder
    )
    async with stdio_client(server) as (read, write), ClientSession(read, write, message_handler=hear) as client:
        await client.initialize()
        yield Agent(client, changed)


async def carry_out(town: Machine) -> int:
    """Carry out all tasks, a line for each; how many were not solved."""
    begun, solved, calls, cost = time.perf_counter(), 0, 0, 0
    others = AsyncClient(town.folder, actor="bob", project="demo", socket=town.socket, autostart=False)
    async with session(town) as agent, others:
        print(f"{'task':<58} {'calls':>5} {'tokens':>7}")
        for number, (name, work) in enumerate(TASKS.items(), 1):
            agent.calls = agent.tokens = 0
            try:
                outcome = "solved" if await work(agent, World(others, town, f"t{number}")) else "NOT SOLVED"
            except Exception as error:
                outcome = f"NOT SOLVED: {error!r}"
            solved += outcome == "solved"
            calls += agent.calls
            cost += agent.tokens
            print(f"{name:<58} {agent.calls:>5} {agent.tokens:>7} {outcome}", flush=True)
        told = await agent.definitions()
    taken = time.perf_counter() - begun
    print(
        f"\n{solved} of {len(TASKS)} solved in {calls} calls and {cost:,} tokens, {taken:.1f} s; tools: {told:,} tokens"
    )
    return len(TASKS) - solved


def main() -> None:
    with machine() as town:
        town.ok("init", "--prefix", "demo")
        unsolved = asyncio.run(carry_out(town))
    sys.exit(min(unsolved, 1))


if __name__ == "__main__":
    main()
