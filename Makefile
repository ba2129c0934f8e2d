# Every target installs what it needs and prints what it does; `make` alone lists them.
# PYTEST_ARGS passes arguments on: make test-unit PYTEST_ARGS='-k words -x'

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTHON_HERE := PYTHONPATH=hack:. $(BIN)/python
PYTEST_ARGS ?=
# How many workers run tests; most tests wait for a cluster. WORKERS=0 runs them one after the other.
WORKERS ?= 4
PYTEST := $(BIN)/pytest -n $(WORKERS)
TOOLS_TESTS := $(PYTHON_HERE) -m toolstests

.PHONY: help setup prepare lint format test test-unit test-chart test-integration test-e2e test-tools test-image bench \
	bench-compare argo-given soak generate verify demo kind-demo dev images load-images cluster-up cluster-down clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Make .venv with everything for development (no work if nothing has changed)
	@hack/setup.sh

prepare: setup # What the embedded cluster needs: binaries and images, built once and cached
	@$(PYTHON_HERE) -m localcluster prepare

lint: setup ## Check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Format the sources
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The image that the tests install by Helm on the real node, which needs root; at once if nothing has changed.
test-image: setup
	@[[ $$EUID != 0 ]] || $(PYTHON_HERE) -m container build

test: prepare test-image ## Run all tests, on clusters of their own
	@due=$$($(TOOLS_TESTS) due); set -x; \
		$(PYTEST) tests/e2e tests/integration tests/chart tests/unit $$due $(PYTEST_ARGS)
	@[[ -n '$(PYTEST_ARGS)' ]] || $(TOOLS_TESTS) passed

test-unit: setup ## Run the tests that need no cluster (two minutes)
	$(PYTEST) tests/unit $(PYTEST_ARGS)

test-chart: prepare ## Render the Helm chart, and check its manifests and refusals
	$(BIN)/pytest tests/chart $(PYTEST_ARGS)

test-integration: prepare ## Run the tests on a real API server with simulated nodes
	$(PYTEST) tests/integration $(PYTEST_ARGS)

test-e2e: prepare test-image ## Run the examples and faults on a cluster with a real node
	$(BIN)/pytest tests/e2e $(PYTEST_ARGS)

test-tools: prepare ## Run the tests of the bench, the embedded cluster and the tests' own helpers
	$(PYTEST) tests/tools $(PYTEST_ARGS)

bench: prepare ## Measure speed and cost on simulated nodes (hours; BENCH_ARGS=--short: minutes)
	$(PYTHON_HERE) -m tests.bench $(BENCH_ARGS)

bench-compare: argo-given prepare ## Measure Argo's controller too (ARGO_CONTROLLER=file ARGO_CRDS=folder [ARGO_FLAGS=…])
	$(PYTHON_HERE) -m tests.bench.compare --controller='$(ARGO_CONTROLLER)' --crds='$(ARGO_CRDS)' \
		--flags='$(ARGO_FLAGS)' $(BENCH_ARGS)

argo-given: # Fail with an explanation if there is nothing to compare with
	@[[ -x '$(ARGO_CONTROLLER)' && -d '$(ARGO_CRDS)' ]] || { \
		echo "Set what to compare with: ARGO_CONTROLLER is the path of Argo's workflow-controller," \
			"ARGO_CRDS the folder with the manifests of its custom resources (argoproj.io_*.yaml)." >&2; \
		exit 2; \
	}

soak: prepare ## Run a steady load for an hour and kill the operator again and again (SOAK_ARGS='--minutes 10')
	$(PYTHON_HERE) -m tests.bench.soak $(SOAK_ARGS)

generate: setup ## Write the generated files: custom resources, tables in the docs
	$(PYTHON_HERE) -m nightcrawler_crds.generate
	$(PYTHON_HERE) -m settingsdoc
	$(PYTHON_HERE) -m valuesdoc

verify: setup ## Fail if a generated file is out of date
	$(PYTHON_HERE) -m nightcrawler_crds.generate --check
	$(PYTHON_HERE) -m settingsdoc --check
	$(PYTHON_HERE) -m valuesdoc --check

demo: setup ## Start a cluster, install the Helm chart, run workflows, and leave it all running
	@$(PYTHON_HERE) -m demo up

kind-demo: setup ## The same in a cluster made with kind; needs Docker and kind
	@env -u NIGHTCRAWLER_KUBECONFIG $(PYTHON_HERE) -m demo up --kind

dev: setup ## The same with operator and facade as processes on this host, restarted each time
	@$(PYTHON_HERE) -m demo dev

images: setup ## Build the container image, with Docker or without, and print the path of its archive
	@$(PYTHON_HERE) -m container build

load-images: setup ## Load the container image into the cluster of `make cluster-up`
	@$(PYTHON_HERE) -m container load

cluster-up: setup ## Start only a cluster; its kubeconfig is build/kubeconfig
	@$(PYTHON_HERE) -m localcluster up

cluster-down: ## Stop the operator, facade and cluster of the demo, and delete their data
	@if [[ -x $(BIN)/python ]]; then \
		$(PYTHON_HERE) -m demo down; \
		$(PYTHON_HERE) -m localcluster down; \
	else \
		echo "There is no .venv, so nothing from this clone is running."; \
	fi

clean: cluster-down ## Stop the demo and remove everything made here (the build cache stays)
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
