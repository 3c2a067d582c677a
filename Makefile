# `make demo` runs the main job with no account; `make test` proves it. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
DATA ?=
JOBS ?= 2
KILLS ?= 200
SEED ?=
STATE ?= sqlite

.PHONY: help install demo test check format bench simulate nightly real kills mutants lock docs screenshots clean

help: ## show what there is
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

# The lock is given as constraints too: otherwise pip does not hold "sqlalchemy[asyncio]", which Prefect asks for, to the pinned "sqlalchemy".
install: $(VENV)/.installed ## make the virtual environment, from the hashed lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Handoff needs Python 3.11, 3.12 or 3.13 (make PYTHON=python3.12 …)"; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: apt install python3-venv"; exit 1; }
	@echo "Installing from requirements.lock (a minute or two, once) …"
	@$(RUN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock -c requirements.lock
	@PYTHONWARNINGS=ignore $(RUN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

demo: install ## the main job on loopback: make demo, or make demo DATA=<folder of CSV files>
	@$(RUN)/handoff demo $(if $(DATA),--data "$(DATA)")

test: install ## every test
	@$(RUN)/python -m pytest -n $(JOBS) -m "not nightly and not real" $(ARGS)

check: install ## format, lint, types
	@$(RUN)/ruff format --check .
	@$(RUN)/ruff check .
	@$(RUN)/mypy

format: install ## rewrite as the formatter wants it
	@$(RUN)/ruff format .
	@$(RUN)/ruff check --fix .

bench: install ## measure: planning, applying, a quiet run, the rate limit
	@$(RUN)/python -m bench $(ARGS)

simulate: install ## the whole pipeline with faults everywhere: make simulate, SEED=1234 to see one, SEEDS=5000 for more
	@$(RUN)/python -m tests.simulation $(if $(SEED),$(SEED),--seeds $(or $(SEEDS),500) --jobs $(JOBS)) $(ARGS)

nightly: install ## the long property runs
	@HYPOTHESIS_PROFILE=nightly $(RUN)/python -m pytest -n $(JOBS) -m "not real" $(ARGS)

real: install ## install and start real servers (Odoo, Tryton, Redmine, Kanboard, Roundup) below .real/, and run against them
	@$(RUN)/python -m pytest -n $(JOBS) --dist loadgroup -m real tests/real $(ARGS)

kills: install ## kill -9 a backfill at many moments, and look: make kills [KILLS=200] [SEED=1] [STATE=postgresql]
	@$(RUN)/python -m tests.processes.kills --kills $(KILLS) --state $(STATE) $(if $(SEED),--seed $(SEED))

mutants: install ## remove the guards one at a time: what is seen without each [EXAMPLES=100]
	@$(RUN)/python -m tests.machine.trial $(EXAMPLES)

lock: install ## pin the dependencies again
	@$(RUN)/python -m pip install --quiet uv
	@$(RUN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o requirements.lock

docs: install ## write what is generated: docs/configuration.md and schemas/
	@$(RUN)/handoff schema --reference > docs/configuration.md
	@$(RUN)/handoff schema --write

screenshots: install ## take the docs' pictures of the Prefect UI and the hub, in Chromium (apt install chromium fonts-noto-cjk)
	@$(RUN)/python -m tests.screenshots docs/images

clean: ## remove what was made
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
