"""The command `mcp`, as the console knows it."""

from moot.console import exits
from moot_testkit.clients.console import run_console


def test_it_is_listed_and_explained() -> None:
    assert "mcp" in run_console("help").out
    assert "moot --actor ada/agent-1 mcp" in run_console("help mcp").out


def test_where_the_client_did_not_become_the_server_it_says_that_it_should_have() -> None:
    outcome = run_console("mcp")
    assert outcome.code == exits.USAGE
    assert "a process of its own" in outcome.err
