# Every target sets up what it needs and says so; `make` alone lists them.
# PYTEST_ARGS passes arguments on: make test-unit PYTEST_ARGS='-k words -x'

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTHON_HERE := PYTHONPATH=hack:. $(BIN)/python
PYTEST_ARGS ?=
# How many tests run at once; most of them wait for a cluster. WORKERS=0 runs them one after the other.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -n $(WORKERS)
TOOLS_TESTS := $(PYTHON_HERE) -m toolstests

.PHONY: help setup prepare lint format test test-unit test-chart test-integration test-e2e test-tools bench \
	bench-compare argo-given soak generate verify demo images load-images cluster-up cluster-down clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with everything for development (at once if nothing has changed)
	@hack/setup.sh

prepare: setup # What the embedded cluster needs: binaries and images, built once and cached
	@$(PYTHON_HERE) -m localcluster prepare

lint: setup ## Check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Put the sources into their one form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: prepare ## Run all tests: unit, chart, integration and end to end, on clusters of their own
	@due=$$($(TOOLS_TESTS) due); set -x; \
		$(PYTEST) tests/e2e tests/integration tests/chart tests/unit $$due $(PYTEST_ARGS)
	@[[ -n '$(PYTEST_ARGS)' ]] || $(TOOLS_TESTS) passed

test-unit: setup ## Run the tests that need no cluster (seconds)
	$(PYTEST) tests/unit $(PYTEST_ARGS)

test-chart: prepare ## Render the Helm chart with helm, and check what it makes and refuses
	$(BIN)/pytest tests/chart $(PYTEST_ARGS)

test-integration: prepare ## Run the tests on a real API server with simulated nodes
	$(PYTEST) tests/integration $(PYTEST_ARGS)

test-e2e: prepare ## Run the examples and faults on a cluster with a real node
	$(BIN)/pytest tests/e2e $(PYTEST_ARGS)

test-tools: prepare ## Run the tests of the bench, the embedded cluster and the tests' own helpers
	$(PYTEST) tests/tools $(PYTEST_ARGS)

bench: prepare ## Measure speed and cost on simulated nodes (hours; BENCH_ARGS=--short: minutes)
	$(PYTHON_HERE) -m tests.bench $(BENCH_ARGS)

bench-compare: argo-given prepare ## Measure Argo's controller too (ARGO_CONTROLLER=file ARGO_CRDS=folder [ARGO_FLAGS=…])
	$(PYTHON_HERE) -m tests.bench.compare --controller='$(ARGO_CONTROLLER)' --crds='$(ARGO_CRDS)' \
		--flags='$(ARGO_FLAGS)' $(BENCH_ARGS)

argo-given:
	@[[ -x '$(ARGO_CONTROLLER)' && -d '$(ARGO_CRDS)' ]] || { \
		echo "Say what to compare with: ARGO_CONTROLLER is the path of Argo's workflow-controller," \
			"ARGO_CRDS the folder with the manifests of its custom resources (argoproj.io_*.yaml)." >&2; \
		exit 2; \
	}

soak: prepare ## Run a steady load for an hour and kill the operator again and again (SOAK_ARGS='--minutes 10')
	$(PYTHON_HERE) -m tests.bench.soak $(SOAK_ARGS)

generate: setup ## Write what is made from code: custom resources, tables of settings
	$(PYTHON_HERE) -m nightcrawler_crds.generate
	$(PYTHON_HERE) -m settingsdoc

verify: setup ## Fail if anything generated is not what the code makes
	$(PYTHON_HERE) -m nightcrawler_crds.generate --check
	$(PYTHON_HERE) -m settingsdoc --check

demo: setup ## Start a cluster, operator and facade; run workflows; leave it all running
	@$(PYTHON_HERE) -m demo up

images: setup ## Build the container image, with Docker or without, and print where its archive is
	@$(PYTHON_HERE) -m container build

load-images: setup ## Give the container image to the cluster of `make cluster-up`
	@$(PYTHON_HERE) -m container load

cluster-up: setup ## Start a cluster alone; its kubeconfig is build/kubeconfig
	@$(PYTHON_HERE) -m localcluster up

cluster-down: ## Stop the demo's operator, facade and cluster, and leave nothing of them
	@if [[ -x $(BIN)/python ]]; then \
		$(PYTHON_HERE) -m demo down; \
		$(PYTHON_HERE) -m localcluster down; \
	else \
		echo "There is no .venv, so nothing of this clone can be running."; \
	fi

clean: cluster-down ## Stop the demo and remove all that was made here (the build cache stays)
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
