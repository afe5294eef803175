# `make audit` and `make test` set themselves up; everything stays in this folder and the user's cache.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadscope
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: audit test test-all faults check bench clean

audit: $(READY) ## the demonstration, or what ARGS says: make audit ARGS="--model mlp@0"
	@$(BIN)/frenemy audit $(ARGS)

test: $(READY) ## all tests but the long ones
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: $(READY) ## all tests
	@$(PYTEST) $(ARGS)

faults: $(READY) ## what goes wrong in the world, one line a case; ARGS="43 45" runs those alone
	@OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults $(ARGS)

check: $(READY) ## format, lint, types
	@PATH="$(abspath $(BIN)):$$PATH" scripts/check

bench: $(READY) ## speed on this machine, against the peers that are installed; ARGS="--rounds 3" for a quick look
	@$(BIN)/python benchmarks/pgd.py $(ARGS)

clean: ## forget set-up and caches; runs/ stays
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "expected Python 3.11 to 3.13, got $$($(BIN)/python -V); write: make PYTHON=python3.12 VENV=.venv-312" >&2; exit 1; }
	@echo "setting up $(VENV), once ..."
	@$(PIP) "$$(grep '^torch==' constraints.txt)"
	@$(PIP) --editable ".[dev]"
	@touch $@
