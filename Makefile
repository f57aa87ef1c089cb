# Everything a person or a build machine does here, one target each.
# Variables: TASK, IMAGE, OUTPUT and SESSION (for run), BASE (for image), REV (for figures),
# PYTEST_ARGS (for check, test, soak).

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup engine base run lint check test soak bench ablation audit figures lock reference image dist clean
MAKEFLAGS += --no-print-directory

PYTHON := .venv/bin/python
SET_UP := .venv/.set-up
# In the order in which they stand: the files with real boxes, few and long, come before the many quick ones.
# Four on two cores, too: half of a test with a real box is waiting.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(SET_UP) ## make .venv, with everything locked by hash
	@:

$(SET_UP): requirements-dev.txt pyproject.toml .ci/venv
	@.ci/venv
	@touch $@

engine: ## make sure that a Docker Engine answers; one that answers is left untouched
	@.ci/engine

base: engine ## build the offline base image from distribution packages, if it is missing
	@images/base/build --if-missing

run: setup engine ## a first run: TASK="..." with a model, or else a recorded session
	@.ci/first-run

lint: setup ## format, lint, types and import rules
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

check: lint ## lint, then unit and architecture tests; no engine, under a minute
	@L2MAC_TEST_TIER=check $(PYTHON) -m pytest $(SIDE_BY_SIDE) tests/unit tests/architecture $(PYTEST_ARGS)

test: setup engine base ## run every test once, those with real containers under runc; about 8 minutes
	@L2MAC_TEST_TIER=test $(PYTHON) -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

soak: setup engine base ## run every test at length: all runtimes, many kills and examples
	@L2MAC_TEST_TIER=soak $(PYTHON) -m pytest $(SIDE_BY_SIDE) $(PYTEST_ARGS)

bench: setup engine base ## measure a sandbox against host tools, docker exec and docker-py, in one run
	@$(PYTHON) tests/bench/bench.py
	@$(PYTHON) tests/bench/scale.py

ablation: setup ## run the same scripted tasks with each switch on and off, and by each method
	@$(PYTHON) tests/bench/ablation.py

audit: setup engine base ## have others judge it: hadolint, inspect-ai's battery for sandboxes
	@.ci/audit

reference: setup ## write docs/reference.md anew from the program's own help and settings
	@$(PYTHON) .ci/reference

figures: setup ## print the project's figures as Markdown; REV=... for an earlier revision
	@$(PYTHON) .ci/figures $(if $(REV),--rev $(REV))

lock: ## write the lock files anew from pyproject.toml
	@.ci/lock

image: engine ## build the image of the platform itself, l2mac:latest
	docker build --tag l2mac:latest $(if $(BASE),--build-arg BASE=$(BASE)) .

dist: setup ## build the wheel and the source package into dist/
	@rm -rf dist
	@$(PYTHON) -m hatchling build

clean: ## remove .venv, caches, build output and box images; never a run or its workspace
	@if [ -x .venv/bin/l2mac ]; then .venv/bin/l2mac clean --images --yes || echo "clean: the box images stay, see the line above"; fi
	@rm -rf .venv .venv-audit .venv-bench build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find l2mac sandbox tests -type d -name __pycache__ -prune -exec rm -rf {} +
	@echo "clean: done"
