"""How programs of Beads' world call `bd` and what they read from the answer (see `bd_calls` for the tables).

All is done in one process, with a daemon's service; each caller has a town of its own.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from moot.console import main
from moot_protocol.requests.issues import InitProject
from moot_testkit.clients.bd_calls import Said, misread
from moot_testkit.clients.terminal import FACTS, RecordingTerminal
from moot_testkit.towns.town import Api, make_town

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
    "lists for editors": """
        config set status.custom review:active,parked:frozen => status.custom
        config set types.custom story,spike => types.custom
        $A = create --json --title=One --type=story --label x --label y --mol-type=work => {id issue_type labels}
        $B = create "Two words" -t bug -p 0 --external-ref gh-9 --spec-id s1 --deps discovered-from:$A --json => {id}
        update $A --status=review --json => [id status]
        list --status review --json => [id]
        list --status parked --json => [0]
        list --type story --json => [id issue_type]
        list --label-regex ^x$ --json => [id]
        list --flat --all --sort updated --limit 1 --json => [id]
        query --json "status=open AND priority<=1" --all --limit 1 => [id]
        show $A --long --include-comments --json => [id title]
        show $B --json => [id external_ref dependencies]
        statuses --json => {built_in_statuses custom_statuses}
        types --json => {core_types custom_types}
        context --json => {beads_dir bd_version}
        count --by-type --json => {total groups}
        history $A --json => [CommitHash Committer CommitDate Issue]
        activity --json => [timestamp type issue_id message]
        dep tree $B --show-all-paths --status open --json => [id depth]
        dep remove $B $A --json => {status}
        dep add $B $A --type blocks --json => {status}
        dep remove $B $A --json --type blocks => {status}
        gate list --json => [0]
        close $A --force --json => [id close_reason]
        reopen --json $A => [id status]
        update $A --remove-label x --json => [labels]
        update $A --set-labels z --json => [labels]
        worktree list => !not here
        sql "select 1" => !not here
        delete $A $B --force --json => {deleted}
    """,
    "housekeeping": """
        create "A, kept" => Created
        gc => Nothing to collect
        compact --auto => Nothing to compact
        bootstrap => gt
        migrate schema => nothing to migrate
        migrate issues => !is not here
        admin => !admin needs one of: compact
        dolt show --json => {embedded mode database}
        dolt commit =>
        vc status --json => {branch commit}
        daemon health --json => {total healthy daemons}
        sync --status =>
        purge --json => {purged_count}
        purge --force --json => {purged_count}
        migrate --json =>
        doctor --fix --json => {checks overall_ok}
        mol seed --help => mol seed
        export -o out.jsonl =>
        import -i out.jsonl --json => {created updated unchanged skipped}
    """,
}  # fmt: skip


def _not_expected(error: Exception) -> str:
    raise error


@pytest.mark.parametrize("caller", CALLERS)
def test_what_programs_call_answers_as_they_read_it(caller: str, tmp_path: Path) -> None:
    api = Api(make_town(1, 0)[0], tmp_path)
    api.call(InitProject(actor="ada", prefix="gt", workspace="w1", folder=str(tmp_path)))
    files = {f"{tmp_path}/.beads/formulas/mol-deacon.formula.toml": FORMULA.encode()}

    def run(words: Sequence[str]) -> Said:
        facts = FACTS._replace(argv=tuple(words), program="bd", folder=str(tmp_path))
        terminal = RecordingTerminal(facts, files=files)
        code = main.run(api, terminal, api.clock.now_ms(), _not_expected)
        files.update(terminal.files)
        return Said(code, terminal.written, terminal.complaints)

    assert misread(CALLERS[caller], run) == []
