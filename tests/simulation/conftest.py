"""How many seeds the simulator runs: `--sim-seeds N --sim-first S`, or by MOOT_SEEDS or MOOT_SCALE."""

import os

import pytest

DEFAULT_SEEDS, CI_SEEDS = 100, 2000


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--sim-seeds", type=int, default=None, help="how many seeds to run")
    group.addoption("--sim-first", type=int, default=0, help="the first seed")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sim_seed" in metafunc.fixturenames:
        # Options are known only where pytest was started on this folder.
        count = metafunc.config.getoption("--sim-seeds", default=None)
        first = metafunc.config.getoption("--sim-first", default=0)
        if count is None:
            scale = CI_SEEDS if os.environ.get("MOOT_SCALE") == "ci" else DEFAULT_SEEDS
            count = int(os.environ.get("MOOT_SEEDS") or scale)
        metafunc.parametrize("sim_seed", range(first, first + count))
