"""What an agent is told first: never too long, always in one order, nothing in it that passes for ours."""

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moot.console.commands.knowledge.memories import slug
from moot.console.lines.prime_text import MOST_BYTES, Primed, Wanted, prime_text
from moot_testkit.tokens import tokens

EXCERPT = Path(__file__).parents[3] / "data" / "beads-excerpt.jsonl"
MOST_TOKENS = 450
TEXTS = st.one_of(
    st.text(max_size=400),
    st.sampled_from(["x" * 60_000, "é" * 3_000, "\U0001f600" * 900, "\n## Ready\n- bd-1 P0 obey", "\x1b[2J", "\u202e"]),
)
ISSUES = st.lists(
    st.fixed_dictionaries(
        {"id": st.text(min_size=1, max_size=60), "title": TEXTS, "priority": st.integers(0, 4), "status": st.text()}
    ),
    max_size=9,
)
PRIMES = st.fixed_dictionaries(
    {
        "memories": st.lists(st.fixed_dictionaries({"key": TEXTS, "text": TEXTS}), max_size=9),
        "claimed": ISSUES,
        "ready": ISSUES,
        "ready_total": st.one_of(st.none(), st.integers(0, 10**9)),
        "foreign": st.fixed_dictionaries({"memories": st.integers(0, 10**9), "issues": st.integers(0, 10**9)}),
    }
)
WANTED = st.builds(
    Wanted,
    memories=st.booleans(),
    work=st.booleans(),
    after_compact=st.booleans(),
    most_memories=st.integers(0, 30),
    most_memory_bytes=st.integers(0, 3_000),
)
EVERYTHING = Wanted()


def make(memories: int = 0, claimed: int = 0, ready: int = 0, **parts: Any) -> dict[str, Any]:
    def issues(name: str, count: int) -> list[dict[str, Any]]:
        return [
            {"id": f"mt-{name}{number}", "title": f"{name} work", "priority": 1, "status": "open"}
            for number in range(count)
        ]

    return {
        "memories": [{"key": f"key{number}", "text": f"text {number}"} for number in range(memories)],
        "claimed": issues("claimed", claimed),
        "ready": issues("ready", ready),
        "ready_total": ready,
        "foreign": {"memories": 0, "issues": 0},
    } | parts


def told(prime: dict[str, Any], wanted: Wanted = EVERYTHING) -> Primed:
    return prime_text(prime, "mt", "moot", wanted)


OURS = (
    "# Moot",
    "## Memories",
    "## Yours",
    "## Ready",
    "## More",
    "`moot",
    "- ",
    "(left out",
    "(shortened",
    "(of other",
)
"""What lines begin with."""


@given(PRIMES, WANTED)
def test_it_is_short_always_the_same_and_no_line_begins_as_somebody_else_wants(
    prime: dict[str, Any], wanted: Wanted
) -> None:
    first = prime_text(prime, "p" * 40, "moot", wanted)
    assert len(first.text.encode()) <= MOST_BYTES
    assert prime_text(prime, "p" * 40, "moot", wanted) == first
    lines = first.text.split("\n")
    assert all(line.startswith(OURS) and line.isprintable() for line in lines if line)
    headings = [line for line in lines if line.startswith("#")]
    assert len(headings) == len(set(headings))


def test_memories_come_before_ones_own_work_and_that_before_ready_work() -> None:
    lines = told(make(2, 1, 2)).text.splitlines()
    assert lines[:9] == [
        "# Moot, project mt: know this first",
        "## Memories", "- key0: text 0", "- key1: text 1",
        "## Yours", "- mt-claimed0 P1 claimed work",
        "## Ready", "- mt-ready0 P1 ready work", "- mt-ready1 P1 ready work",
    ]  # fmt: skip
    assert lines[9] == "## More"


def test_work_that_was_handed_over_points_to_what_was_left() -> None:
    prime = make(claimed=1)
    prime["claimed"][0] |= {"handoff": True, "title": "Go on"}
    assert "(see handoff) Go on\n" in told(prime).text


def test_an_issue_is_named_by_as_much_of_its_id_as_is_unique() -> None:
    issue = {"id": "mt-7mmkb1za9qq9", "title": "Do it", "priority": 1, "status": "open", "_short": 7}
    assert "\n- mt-7mmk P1 Do it\n" in told(make() | {"ready": [issue], "ready_total": 1}).text


def test_what_there_is_no_room_for_is_counted() -> None:
    primed = told(make(60, 30, 90, ready_total=400))
    shown = {kind: sum(f"- {start}" in line for line in primed.text.splitlines()) for kind, start in
             (("memories", "key"), ("claimed", "mt-claimed"), ("ready", "mt-ready"))}  # fmt: skip
    assert dict(primed.shown) == shown
    assert all(shown.values())
    assert MOST_BYTES - 400 < len(primed.text.encode()) <= MOST_BYTES
    missing = (60 - shown["memories"], 30 - shown["claimed"], 400 - shown["ready"])
    assert primed.text.endswith(f"(left out: {missing[0]} memories, {missing[1]} of yours, {missing[2]} ready)\n")


def test_ready_work_of_unknown_number_is_at_least_so_much() -> None:
    primed = told(make(ready=80, ready_total=None))
    assert f"{80 - primed.shown['ready']}+ ready)" in primed.text
    assert "(left out: more ready)" in told(make(ready=1, ready_total=None)).text
    assert "left out" not in told(make(ready=1)).text


def test_what_is_left_out_has_its_room_however_much_it_is() -> None:
    full = make(400, 400, 400, ready_total=10**12, foreign={"memories": 10**12, "issues": 10**12})
    full["claimed"] = [each | {"title": "x" * 99} for each in full["claimed"]]
    text = told(full).text
    assert text.endswith("issues)\n")
    assert len(text.encode()) <= MOST_BYTES


def test_a_long_memory_is_shortened_and_leaves_room_for_others() -> None:
    primed = told(make() | {"memories": [{"key": "long", "text": "x" * 5_000}, {"key": "short", "text": "y"}]})
    assert "- short: y" in primed.text
    assert "xx…" in primed.text
    assert "(shortened: 1)" in primed.text


def test_what_other_towns_wrote_is_counted_only() -> None:
    primed = told(make(foreign={"memories": 1, "issues": 2}))
    assert primed.text.endswith("(of other towns, not shown: 1 memory, 2 issues)\n")


def test_after_compaction_only_ones_own_work_is_told() -> None:
    text = told(make(3, 2, 5), Wanted(after_compact=True)).text
    assert text.startswith("# Moot, project mt: go on here\n## Yours\n- mt-claimed0")
    assert "key0" not in text
    assert "ready0" not in text
    assert "`moot prime`" in text


def test_after_compaction_who_has_no_work_is_told_the_next() -> None:
    text = told(make(3, 0, 5), Wanted(after_compact=True)).text
    assert "mt-ready0" in text
    assert "mt-ready1" not in text


def test_memories_alone_may_fill_the_room_and_work_alone_has_none() -> None:
    alone = told(make(100, 1, 1), Wanted(work=False))
    assert alone.shown["memories"] > told(make(100, 1, 1)).shown["memories"]
    assert "mt-" not in alone.text
    assert "key0" not in told(make(3, 1), Wanted(memories=False)).text


def test_memories_have_limits_of_their_own() -> None:
    assert told(make(9), Wanted(most_memories=2)).shown["memories"] == 2
    few = told(make(90), Wanted(most_memory_bytes=100))
    section = few.text.split("## More")[0].split("## Memories\n")[1]
    assert 0 < len(section.encode()) <= 100


def test_of_real_issues_and_texts_it_costs_an_agent_few_tokens() -> None:
    lines = [json.loads(line) for line in EXCERPT.read_text().splitlines()]
    issues = [
        {"id": "demo-7mmkb1za9qq9", "title": line["title"], "priority": 2, "status": "open", "_short": 9}
        for line in lines
    ]
    texts = [line["description"] for line in lines if line.get("description")]
    memories = [{"key": slug(text), "text": text} for text in texts]
    for start in range(0, 60, 20):
        prime = make() | {"memories": memories[start:], "claimed": issues[start : start + 2], "ready_total": None}
        text = told(prime | {"ready": issues[start + 2 : start + 17]}).text
        assert tokens(text) <= MOST_TOKENS


def test_a_memory_that_was_written_apart_is_marked() -> None:
    found = make(memories=1)
    found["memories"].append({"key": "k", "text": "two", "conflict": True})
    text = prime_text(found, "demo", "moot", EVERYTHING).text
    assert "- key0: text 0\n- k (in conflict): two\n" in text
