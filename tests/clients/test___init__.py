"""What `import moot` gives programs, and that it costs the command line nothing."""

import subprocess
import sys

import pytest

import moot
from moot import answers, async_client, client
from moot_protocol import errors


def test_every_public_name_is_there() -> None:
    for name in moot.__all__:
        assert getattr(moot, name) is not None
    listed = {name for names in moot._HOMES.values() for name in names} | {"__version__"}
    assert listed == set(moot.__all__)


def test_a_name_is_what_its_module_defines() -> None:
    assert moot.Client is client.Client
    assert moot.AsyncClient is async_client.AsyncClient
    assert moot.Issue is answers.Issue
    assert moot.MootError is errors.MootError


def test_there_are_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Server'"):
        _ = moot.Server  # type: ignore[attr-defined]


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import moot; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["moot"]
