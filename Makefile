SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test bench bench-collecting bench-web chaos simulate check format clean

help:
	@echo "make demo    evaluate the bundled model on the sample suite and write a report to open"
	@echo "make test    run the whole test suite"
	@echo "make bench   compare the engine's speed with others' (ARGS='--server PATH' for your own llama-server; see docs/benchmarks.md)"
	@echo "make bench-collecting  time the scoring and reporting of 10,000 and 100,000 turns (docs/report.md)"
	@echo "make bench-web  measure the page: events, /v1, every page's time, memory (docs/web.md)"
	@echo "make chaos   run the long fault tests and more hostile input, an hour and a half"
	@echo "make simulate  count how often intervals hold the truth and tests raise a false alarm (docs/statistics.md)"
	@echo "make check   run ruff, mypy --strict and import-linter"
	@echo "make format  apply ruff format and the safe fixes"

$(VENV)/.run-installed: scripts/install.sh scripts/locks/build.lock scripts/locks/run.lock pyproject.toml
	@PYTHON=$(PYTHON) bash scripts/install.sh run

$(VENV)/.dev-installed: scripts/install.sh scripts/locks/build.lock scripts/locks/dev.lock scripts/locks/readers.lock pyproject.toml
	@PYTHON=$(PYTHON) bash scripts/install.sh dev

demo: $(VENV)/.run-installed
	@$(BIN)/nightjar demo

# Files side by side, one for each core; more than eight would want more memory than many machines have.
test: $(VENV)/.dev-installed
	@$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist loadfile

bench: $(VENV)/.dev-installed
	@$(BIN)/python -m nightjar.scripts.dev.bench $(ARGS)

bench-collecting: $(VENV)/.run-installed
	@$(BIN)/python -m nightjar.scripts.dev.collecting_bench $(ARGS)

bench-web: $(VENV)/.dev-installed
	@$(BIN)/python -P -m nightjar.scripts.dev.web_bench $(ARGS)

chaos: $(VENV)/.dev-installed
	@FUZZ=10 $(BIN)/python -m pytest tests/fuzz -s
	@$(BIN)/python -m pytest tests/acceptance/chaos -m chaos -s

simulate: $(VENV)/.run-installed
	@$(BIN)/python -m nightjar.scripts.dev.simulate $(ARGS)

check: $(VENV)/.dev-installed
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.dev-installed
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

clean:
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
