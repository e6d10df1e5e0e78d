# Everything a person or CI runs. `make demo` and `make test` set up all they need by themselves; `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first Python that really runs (a shim may exist and not run) and is new enough. Choose one: make PY=python3.13 test
PY ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$python"; break; }; done)
PROTOS := $(shell find proto -name '*.proto')
ROOT_ON_DEBIAN := [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null

.PHONY: help setup demo test test-ci bench-issue lint format proto baseline lock clean python system-deps

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: .venv/ok ## environment, locked packages, generated stubs

demo: .venv/ok ## the whole mesh on this machine (KEEP=1 leaves it running)
	$(BIN)/python -m loadtest.demo $(if $(KEEP),--keep)

test: .venv/ok system-deps ## every test but the heavy ones, under ten minutes
	$(BIN)/pytest -m "not ci"

test-ci: .venv/ok system-deps ## the heavy programmes in their short edition
	$(BIN)/pytest -m ci

bench-issue: .venv/ok ## how fast the boundary issues, against raw P-256 verify and sign in the same run
	$(BIN)/python -m tests.edgehsm.bench_issue

lint: .venv/ok ## ruff, mypy, import contracts, buf lint and breaking
	ruff check . --output-format concise
	ruff format --check .
	mypy
	lint-imports --no-logo
	@[ -f build/obis.binpb ] || $(BIN)/python hatch_build.py
	buf format -d --exit-code proto
	buf lint build/obis.binpb --config proto/buf.yaml
	@if [ -f proto/baseline.binpb ]; then \
	  echo "buf breaking build/obis.binpb --against proto/baseline.binpb"; \
	  buf breaking build/obis.binpb --against proto/baseline.binpb --config proto/buf.yaml; \
	else echo "buf breaking: not run, proto/baseline.binpb is not there yet (make baseline writes it)"; fi

format: .venv/ok ## rewrite Python and proto files in the house's format
	ruff check --fix-only . && ruff format .
	buf format -w proto

proto: .venv/ok ## generate the stubs again
	$(BIN)/python hatch_build.py

baseline: .venv/ok ## freeze the contract: make lint refuses what breaks it
	$(BIN)/python hatch_build.py
	buf build build/obis.binpb --exclude-source-info --exclude-imports -o proto/baseline.binpb

lock: .venv/ok ## resolve the newest packages into requirements/*.lock
	uv pip compile -q --universal --upgrade --python-version 3.11 --generate-hashes --all-extras --group dev pyproject.toml -o requirements/dev.lock
	uv pip compile -q --universal --upgrade --python-version 3.11 --generate-hashes --extra pkcs11 pyproject.toml -o requirements/factory.lock
	echo uv | uv pip compile -q --universal --upgrade --python-version 3.11 --generate-hashes - -o requirements/uv.lock

clean: ## remove all that make made
	rm -rf .venv build dist buf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	rm -f obis/v1/*_pb2*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python that can make virtual environments. Debian keeps that part in a package of its own.
python:
	@[ -n "$(PY)" ] || { echo "OBIS needs Python 3.11 or newer on the PATH (Debian 12: apt-get install python3 python3-venv)."; exit 1; }
	@$(PY) -c 'import venv, ensurepip' 2>/dev/null || { $(ROOT_ON_DEBIAN) \
	  && { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv; } >/dev/null 2>&1; } || true
	@$(PY) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PY) cannot make virtual environments. As root: apt-get install python3-venv. Then run make again."; exit 1; }

# Compiled now: the demo's fifty processes would otherwise each compile the same modules at their first start.
# uv is about ten times faster; pip reads the same hashed lock where uv cannot reach the package index.
.venv/packages: requirements/dev.lock requirements/uv.lock
	@$(BIN)/python -c '' 2>/dev/null || { $(MAKE) -s python; rm -rf .venv; $(PY) -m venv .venv; }
	@echo "installing the locked packages into .venv"
	@{ $(BIN)/python -m pip install -q --require-hashes -r requirements/uv.lock \
	  && $(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.lock; } \
	  || { echo "uv could not; trying pip on the same lock"; $(BIN)/python -m pip install -q --require-hashes -r requirements/dev.lock; }
	@touch $@

.venv/ok: .venv/packages pyproject.toml hatch_build.py $(PROTOS)
	@$(BIN)/python -m pip install -q --no-build-isolation --no-deps -e .
	@$(BIN)/python -m compileall -q -j 0 buf cloud edgehsm factory loadtest obis station || true
	@touch $@

# What tests use besides Python. Not root, or not Debian: those tests are skipped and the last lines of the run say so.
system-deps:
	@need=(); command -v openssl >/dev/null || need+=(openssl); \
	[ -n "$$(ls /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so 2>/dev/null)" ] || need+=(softhsm2); \
	[ $${#need[@]} = 0 ] || { if $(ROOT_ON_DEBIAN); then echo "installing $${need[*]}"; \
	  { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$${need[@]}"; } >/dev/null 2>&1 \
	  || echo "could not install $${need[*]}: their tests will be skipped"; \
	else echo "not root on Debian: tests that need $${need[*]} will be skipped (as root: apt-get install $${need[*]})"; fi; }
