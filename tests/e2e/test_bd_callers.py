"""How programs of Beads' world call `bd` and what they read from the answer: each call is a line, run in its order.

A line is `$NAME = command => what is read`; the name keeps the answer's `id` for later lines. What is read is `[…]`
or `{…}` around the fields that the caller takes from a list's first entry or from an object, `[0]` for a list that
must be empty, or words on standard output; after a `!` the words are those of a failure.
"""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from moot_testkit.machine import Machine, machine

FORMULA = """
formula = "mol-deacon"
version = 1

[vars]
feature = "x"

[[steps]]
id = "look"
title = "Look at {{feature}}"

[[steps]]
id = "act"
title = "Act on {{feature}}"
needs = ["look"]
"""

CALLERS = {
    "gastown": """
        --allow-stale version => bd version 1.
        config get issue_prefix => gt
        config set types.custom agent,role,rig,convoy,slot => types.custom
        config set status.custom hooked:active,pinned:frozen => status.custom
        $WORK = create --json --title=Walls --labels=gt:task,x --priority=1 --actor=joe => {id priority created_by}
        $AGENT = create --json --id=gt-agent-1 --force --title=Agent --type=agent --labels=gt:agent => {id}
        $WISP = create --json --title=Patrol --labels=gt:task --ephemeral => {id ephemeral}
        list --json --flat --status=open --assignee=nobody --limit=0 => [0]
        list --json --flat --status=all --label=gt:agent --limit=0 => [id title status priority issue_type labels]
        update $WORK --status=hooked --assignee=joe --set-labels=q --set-labels=r => Updated issue
        list --json --flat --status=hooked --assignee=joe --limit=0 => [id assignee labels]
        show $WORK --json => [id title status assignee labels]
        show gt-nowhere --json => !not found
        query --json "ephemeral=true AND label=gt:task AND status=open" --limit=5 => [id ephemeral]
        blocked --json => [0]
        ready --json --limit=10 => [0]
        merge-slot check --json => {error}
        merge-slot create --json => {id status}
        merge-slot acquire --json --holder=joe => {id acquired holder}
        merge-slot check --json => {id available holder waiters}
        merge-slot release --json --holder=joe => {id released}
        dep add $AGENT $WORK --type=tracks => Added
        dep list $AGENT --direction=down --type=tracks --json => [id title status dependency_type]
        dep remove $AGENT $WORK => Removed
        cook mol-deacon => look
        $WISP2 = mol wisp mol-deacon --var feature=a --root-only --json => {new_epic_id id_mapping created}
        mol wisp list --json => {wisps count}
        mol burn $WISP2 --force --json => {deleted_count}
        $MOL = mol pour mol-deacon --var feature=b --json => {new_epic_id id_mapping created phase}
        ready --mol $MOL --json -n 100 => {molecule_id ready_steps steps}
        mol current $MOL --json => [molecule_id molecule_title steps completed total]
        show $MOL --children --json => {$MOL}
        show $MOL --refs --json => {$MOL}
        mol progress $MOL --json => {molecule_id total completed in_progress percent}
        close $WORK --force --reason=done --session=s1 => Closed
        delete $AGENT --force --json => {deleted}
        sync => sync
    """,
    "vscode and web boards": """
        info --json => {database_path mode config}
        $A = create "A title" --type task --priority 1 --description "words" --json => {id}
        $B = create --title "Another" --type bug -p P2 --labels a,b --json => {id labels}
        dep add $B $A --type blocks --json => {status issue_id depends_on_id type}
        list --json --all --limit 0 => [id title status priority issue_type created_at updated_at dependency_count]
        show $B --json => [id dependencies]
        update $A --status in_progress --json => [id status]
        update $A --title New --description "other words" --design d --acceptance c --notes n --json => [id]
        label add $A ui --json => [status issue_id label]
        label remove $A ui --json => [status issue_id label]
        comments add $A "A text" --author ann --json => {id issue_id author text created_at}
        comments $A --json => [id issue_id author text created_at]
        blocked --json => [id blocked_by blocked_by_count]
        stats --json => {summary}
        epic status --eligible-only --json => [0]
        dep remove $B $A --json => {status issue_id depends_on_id}
        search title --json --limit 5 => [0]
        search Another --json --status open => [id title]
        ready --json --limit=10 => [id title status priority issue_type]
        count --by-status --json => {total groups}
        close $A --reason "all done" --json => [id status closed_at close_reason]
        reopen $A --json => [id status]
        delete $B => --force
        delete $B --force --json => {deleted}
        list --frobnicate => !unknown flag: --frobnicate
        graph --all --json => [root issues]
        daemon status --json => {running}
    """,
    "loops": """
        $E = create "An epic" -t epic -d "of two" --json => {id}
        $ONE = create "First" --parent $E -t task -p 0 --json => {id}
        $TWO = create "Second" --parent $E --deps $ONE --labels loop --json => {id}
        list --json --parent $E --all => [id parent]
        list --type epic --json => [id]
        ready --json --limit 10 --parent $E => [id title status priority]
        update $ONE --claim --json => [id status assignee]
        update $ONE --claim --actor other --json => !already claimed
        close $TWO => !blocked
        close $ONE --reason done --suggest-next --json => {closed unblocked}
        ready --parent $E --label loop --json => [id]
        close $TWO => Closed
        epic close-eligible --json => {closed count}
        create "In words" --type task => Created issue: gt-
        q "Quick" => gt-
        ready --json --label no-such => [0]
        stale --days 30 --json => [0]
        remember "tests need a broker" --json => {key value action}
        memories --json => {tests-need-a-broker}
        dolt push =>
        list --status open,in_progress --json => [id]
        dep tree $TWO --json => [id depth parent_id]
        dep cycles --json => [0]
        prime => bd
        onboard => bd
    """,
}  # fmt: skip


@pytest.fixture(scope="module")
def town() -> Iterator[Machine]:
    with machine() as made:
        assert made.run("init", "--prefix", "gt", "--quiet", "--server", program="bd").stdout == ""
        folder = made.folder / ".beads" / "formulas"
        folder.mkdir(parents=True)
        (folder / "mol-deacon.formula.toml").write_text(FORMULA, encoding="utf-8")
        yield made


def held(document: Any, wanted: str) -> Any:
    """The entry or the object that a caller reads; the test fails where its shape is another or a field is missing."""
    shape, fields = (list if wanted[0] == "[" else dict), set(wanted[1:-1].split())
    assert isinstance(document, shape)
    if fields == {"0"}:
        assert document == []
        return {}
    assert document
    first: Any = document[0] if isinstance(document, list) else document
    assert fields <= set(first)
    return first


@pytest.mark.parametrize("caller", CALLERS)
def test_what_programs_call_answers_as_they_read_it(town: Machine, caller: str) -> None:
    names: dict[str, str] = {}
    failed = []
    for line in filter(None, map(str.strip, CALLERS[caller].splitlines())):
        call, wanted = re.split(r" =>(?: |$)", line)
        name, command = call.split(" = ", 1) if call.startswith("$") else ("", call)
        command, wanted = (re.sub(r"\$[A-Z]+\d?", lambda at: names.get(at[0], ""), part) for part in (command, wanted))
        done = town.run(*shlex.split(command), program="bd")
        try:
            if wanted.startswith("!"):
                assert done.returncode == 1
                assert wanted[1:] in done.stderr
                continue
            assert done.returncode == 0
            if wanted.startswith(("[", "{")):
                read = held(json.loads(done.stdout), wanted)
                names[name] = read.get("id") or read.get("new_epic_id")
            else:
                assert wanted in done.stdout
        except (AssertionError, ValueError):
            failed.append(f"bd {command} => {wanted}: [{done.returncode}] {done.stdout[:300]}{done.stderr[:300]}")
    assert failed == []
