# Everything that is done often. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
DATA_DIR ?= .seaway
PYTEST_ARGS ?=

.PHONY: help venv demo clean-demo up down test test-fast lint format drill bench packages clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# Several processes run the same modules; each would compile them anew.
unexport PYTHONDONTWRITEBYTECODE

# A name of its own, so that the demo never touches another Seaway on this machine.
demo clean-demo up down: export SEAWAY_INSTANCE ?= seaway-demo

venv: ## Make or refresh .venv with the pinned dependencies
	@scripts/venv $(VENV)

demo: venv ## Start Seaway, deploy the example application, print where it is
	@$(BIN)/python -m seaway.demo --data-dir $(DATA_DIR)

clean-demo: venv ## Stop Seaway and remove the demo's containers and data
	@$(BIN)/python -m seaway.demo --data-dir $(DATA_DIR) --remove

up: venv ## Start Seaway alone, in the foreground
	@exec $(BIN)/seaway up --data-dir $(DATA_DIR)

down: venv ## Stop the Seaway that `make demo` started; deployed applications keep serving
	@$(BIN)/python -m seaway.demo --data-dir $(DATA_DIR) --stop

packages: ## Install the system packages that the tests use
	@scripts/system-packages

lint: venv ## Style, formatting, types and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: venv ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: packages venv ## All checks and all tests but the drills
	@scripts/tests $(VENV) $(PYTEST_ARGS)

test-fast: venv ## Unit tests, and workflow tests but the thorough ones, in a minute
	@$(BIN)/pytest tests/unit tests/workflow -m "not drill and not thorough" --numprocesses 3 --dist worksteal \
	    $(PYTEST_ARGS)

drill: packages venv ## The slow tests: long load, kill matrix, disasters
	@$(BIN)/pytest -m drill --timeout 3600 $(PYTEST_ARGS)

bench: packages venv ## The numbers that the documentation quotes
	@$(BIN)/python -m benchmarks.deploy
	@$(BIN)/python -m benchmarks.servers

clean: ## Remove what the build and the tests leave behind; keeps Seaway's data
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
