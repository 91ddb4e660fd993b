"""A loop's calls of `bd`, through the real client and daemon: what it reads is there (see `bd_calls` for the table)."""

from collections.abc import Sequence

from moot_testkit.clients.bd_calls import Said, misread
from moot_testkit.machines.machine import machine

LOOP = """
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
    sync => sync
    dolt push =>
    sync --import-only =>
    list --status open,in_progress --json => [id]
    dep tree $TWO --json => [id depth parent_id]
    dep cycles --json => [0]
    prime => bd
    onboard => bd
"""


def test_what_a_loop_calls_answers_as_it_reads_it() -> None:
    with machine() as town:

        def run(words: Sequence[str]) -> Said:
            done = town.run(*words, program="bd")
            return Said(done.returncode, done.stdout, done.stderr)

        assert run(("init", "--prefix", "gt", "--quiet", "--server"))[:2] == (0, "")
        assert misread(LOOP, run) == []
