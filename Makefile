# Copyright (c) 2026, the comfyops.fleet contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

BIN := .venv/bin
# The plugins by the path that gives their modules the collection's full names.
PLUGINS := collections/ansible_collections/comfyops/fleet/plugins
# Processes of pytest; on a machine that does other work: make units JOBS=1.
JOBS ?= auto
# Options for pytest: make units PYTEST="-k digest -x".
PYTEST ?=

# Tools find each other and this checkout, and write bytecode: without it every ansible command is slower.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.PHONY: help
help: ## Say what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' Makefile

.PHONY: setup
setup: ## Make .venv with what running the collection needs (PYTHON=... chooses the interpreter).
	@sh requirements/setup.sh control

.PHONY: setup-test
setup-test:
	@sh requirements/setup.sh test

.PHONY: debian
debian:
	@sh requirements/debian.sh

.PHONY: demo
demo: setup ## Show it: a version on three machines, all of them directories here. No network, GPU or root.
	@PYTHONPATH=collections $(BIN)/python -m tests.demo

.PHONY: test
test: setup-test debian ## Everything that a change must pass, the quick checks first.
	@for part in lint types docs units sanity artifact integration; do \
	    begin=$$(date +%s); $(MAKE) "$$part" || exit 1; echo "== make $$part passed in $$(($$(date +%s) - begin)) s"; \
	done

.PHONY: lint
lint: setup-test debian ## Style and mistakes: ruff, yamllint, ansible-lint, shellcheck, licences, rules of our own.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/yamllint .
	shellcheck requirements/*.sh .ci/run
	$(BIN)/python -m tests.checks.source_rules
	$(BIN)/python -m tests.checks.requirement_files
	$(BIN)/reuse lint --lines
	$(BIN)/ansible-lint --offline --strict

.PHONY: format
format: setup-test ## Put the Python sources into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: setup-test ## mypy, strict: everything, then what runs on hosts as Python 3.10.
	$(BIN)/mypy $(PLUGINS) tests $(wildcard benchmarks)
	$(BIN)/mypy --python-version 3.10 $(PLUGINS)/modules $(PLUGINS)/module_utils

.PHONY: docs
docs: setup-test ## The documentation of modules, roles and playbooks, and the changelog.
	$(BIN)/antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs=all --disallow-unknown-collection-refs \
	    --check-extra-docs-refs .
	$(BIN)/antsibull-changelog lint
	$(BIN)/python -m tests.checks.module_docs
	$(BIN)/python -m tests.checks.role_docs

.PHONY: units
units: setup-test debian ## The tests of tests/unit.
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST) tests/unit

.PHONY: sanity
sanity: setup-test debian ## ansible-test sanity, without exceptions, on a copy of the checkout.
	$(BIN)/python -m tests.checks.sanity

.PHONY: artifact
artifact: setup-test ## The collection as it would be published: built, looked at, installed, asked for its documentation.
	$(BIN)/python -m tests.checks.artifact

.PHONY: integration
integration: setup-test debian ## The tests of tests/integration: whole runs, on hosts of the lab too.
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(PYTEST) tests/integration

.PHONY: benchmark
benchmark: setup-test ## Measure against what else does the same work, on this machine (some minutes).
	@for part in converge packages models; do PYTHONPATH=collections $(BIN)/python -m "benchmarks.$$part" || exit 1; done

.PHONY: requirements
requirements: setup-test ## Lock requirements/*.in again (OPTIONS=--upgrade: the newest of everything).
	sh requirements/compile.sh $(OPTIONS)

.PHONY: clean
clean: ## Remove what is made here: .venv, caches, the demo's machines, results.
	rm -rf .venv .ansible .cache .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/output changelogs/.plugin-cache.yaml *.tar.gz
	find . -name __pycache__ -prune -exec rm -rf {} +
