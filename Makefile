# Everything a developer does, by name. `make` alone lists it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Tests come in two sizes: the default runs in minutes, SCALE=ci has more seeds, kills and examples, and runs all merges
# of a bundle where the environment's MOOT_BUNDLE names one.
SCALE  ?= default
JOBS   ?= 2
# Processes that run tests: one more than two cores have, since many tests wait for a broker, a server, a daemon.
WORKERS ?= 3
SEEDS  ?= 1000
TOWNS  ?= 10 30
DATA   ?= tests/data/beads-excerpt.jsonl
OVER   ?= session
MAN    ?= .man/man1
define WRITE_PAGES
import pathlib, sys, time; \
from moot.console.described import pages; from moot.console.main import GRAMMAR; \
folder = pathlib.Path(sys.argv[1]); folder.mkdir(parents=True, exist_ok=True); \
[(folder / name).write_text(page) for name, page in pages(GRAMMAR.described(), "moot", time.strftime("%F"))]
endef

# Compiled tests are kept whatever the shell says: without them every process of a run rewrites every assertion anew,
# which takes longer than all the rest of finding the tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-federation merges test networks cov check format bench agents sim towns fuzz man vectors clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(VENV)/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Moot needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@touch $@

# A program of others that the tests run against `moot` linked as `bd`.
$(VENV)/beads-mcp/bin/beads-mcp: | $(VENV)/ready
	sh tests/support/beads-mcp.sh $(VENV)

setup: $(VENV)/ready $(VENV)/beads-mcp/bin/beads-mcp  ## the development environment, in .venv

demo:  ## see it work on real issues (DATA=FILE for your own)
	@$(PYTHON) demo/run.py --data $(DATA)

demo-federation:  ## three towns share planes, part, disagree, and settle it
	@$(PYTHON) demo/federation.py

merges: $(VENV)/ready  ## real merges of a bundle: two replicas, or the driver (BUNDLE=FILE OVER=session)
	$(BIN)/python demo/merges.py --over $(OVER) $(BUNDLE)

test: $(VENV)/ready $(VENV)/beads-mcp/bin/beads-mcp  ## all tests (SCALE=ci for the long run)
	MOOT_SCALE=$(SCALE) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -q --tb=short \
		$(if $(filter ci,$(SCALE)),--timeout 2400) $(TESTS)

networks: $(VENV)/ready  ## hosts on networks that fail (EVENTS=100000 while one is away; root)
	MOOT_SCALE=ci MOOT_AWAY_EVENTS=$(EVENTS) $(BIN)/python -m pytest -n 0 -q -s --tb=short tests/networks

cov: $(VENV)/ready  ## all tests, with branch coverage
	MOOT_SCALE=$(SCALE) COVERAGE_PROCESS_START=pyproject.toml $(BIN)/python -m coverage run -m pytest -q
	$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report --skip-covered

check: $(VENV)/ready  ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	MYPYPATH=bench $(BIN)/mypy bench
	MYPYPATH=demo $(BIN)/mypy demo
	$(BIN)/lint-imports

format: $(VENV)/ready  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/ready  ## measure it against a floor taken in the same run
	$(BIN)/python bench/run.py $(BENCH)

agents: $(VENV)/ready  ## 30 tasks of an agent through `moot mcp`: calls, tokens, solved
	PYTHONPATH=tests/support $(BIN)/python bench/agent_tasks.py

sim: $(VENV)/ready  ## simulate towns: SEEDS=5000
	$(BIN)/python tests/simulation/run.py --seeds $(SEEDS) --jobs $(JOBS)

towns: $(VENV)/ready  ## an hour of many towns, and what it costs: TOWNS="10 30 100" (100: long)
	$(BIN)/python tests/simulation/towns.py --towns $(TOWNS)

fuzz: $(VENV)/ready  ## coverage-guided fuzzing of every decoder (needs atheris)
	$(BIN)/python tests/fuzz/fuzz_decoders.py

man: $(VENV)/ready  ## manual pages, written to MAN=FOLDER
	@$(BIN)/python -c '$(WRITE_PAGES)' $(MAN)

vectors: $(VENV)/ready  ## make the golden vectors again
	$(BIN)/python tests/vectors/make.py

clean:  ## remove environments and caches
	rm -rf .venv .venv-* .man .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* .bench
