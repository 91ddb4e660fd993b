"""hooks run: git goes on, whatever becomes of the exchange."""

import pytest

from moot.console.commands.machine.hook_runs import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import Sync
from moot_testkit.clients.canned_api import CannedApi, run


@pytest.mark.parametrize("argv", ["hooks run post-merge 0", "hooks run pre-push origin file:///x"])
def test_an_exchange_is_begun_and_not_waited_for(argv: str) -> None:
    ran = run(COMMANDS, argv, CannedApi(sync={"remotes": [{}], "done": False}))
    assert (ran.code, ran.out, ran.asked) == (0, "", [Sync()])


def test_a_failure_is_told_and_is_none_of_gits() -> None:
    ran = run(COMMANDS, "hooks run post-merge", CannedApi(sync=RefusedError("no town\x1b", code=Code.NOT_READY)))
    assert (ran.code, ran.err) == (0, "moot: no town^[\n")
