# Every target runs from any directory: make -C path/to/synthdata <target>. PYTHON names the interpreter of the venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
ROOT := $(dir $(abspath $(lastword $(MAKEFILE_LIST))))
PYTHON ?= python3
VENV := $(ROOT).venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synthdata-stamp
WORKERS ?= 2

export DAGSTER_HOME ?= $(ROOT:/=)
export SYNTHDATA_STATE_DIR ?= $(ROOT)var/dagster
export GX_ANALYTICS_ENABLED ?= false
export RAY_USAGE_STATS_ENABLED ?= 0
export OMP_WAIT_POLICY ?= passive

.PHONY: help setup fix lint types layers test test-quick test-gpu validate dev demo build check

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(ROOT)Makefile | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(STAMP) ## make .venv with the tested versions (again when pyproject.toml or constraints.txt change)

$(STAMP): $(ROOT)pyproject.toml $(ROOT)constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python is {v[0]}.{v[1]}, expected 3.11 or newer: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(ROOT)constraints.txt $(BIN)/python -m pip install --quiet torch==2.13.0
	PIP_CONSTRAINT=$(ROOT)constraints.txt $(BIN)/python -m pip install --quiet -e '$(ROOT)[dev]'
	touch $@

fix: setup ## mend what ruff can mend, and format
	cd $(ROOT) && $(BIN)/ruff check --fix . && $(BIN)/ruff format .

lint: setup ## ruff, format, spelling
	cd $(ROOT) && $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell

types: setup ## mypy, strict
	cd $(ROOT) && $(BIN)/mypy

layers: setup ## import contracts: pipelines -> assets -> synthdata
	cd $(ROOT) && $(BIN)/lint-imports

test: setup ## all tests that need no GPU
	cd $(ROOT) && OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not gpu' $(ARGS)

test-quick: setup ## tests that take seconds
	cd $(ROOT) && OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not (slow or gpu or ray or service or realdata)' $(ARGS)

test-gpu: setup ## tests that need a CUDA device
	cd $(ROOT) && $(BIN)/python -m pytest -m gpu $(ARGS)

validate: setup ## load the code location as the web server does
	cd $(ROOT) && mkdir -p $(SYNTHDATA_STATE_DIR) && $(BIN)/dagster definitions validate -w workspace.yaml

dev: setup ## web interface and daemon on http://127.0.0.1:3000
	cd $(ROOT) && mkdir -p $(SYNTHDATA_STATE_DIR) && $(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p 3000

demo: setup ## the built-in phantom from scans to a signed release in var/releases (ARGS='--dataset NAME' for another one)
	cd $(ROOT) && $(BIN)/python -m pipelines.demo $(ARGS)

build: setup ## the wheel, in dist/
	cd $(ROOT) && $(BIN)/python -m build --wheel

check: lint types layers validate test demo ## all that CI runs
