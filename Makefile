# Tocsin's workbench. `make` alone explains itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export PYTHON ?= python3
# Without its bytecode each of the hundreds of processes that tests start would compile Tocsin anew, for a second.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
BUILD := .build
GATEWAY := $(BUILD)/bin/tocsin-gateway
SCRIPTS := scripts/setup.sh scripts/packages.sh scripts/environment.sh requirements-uv.lock pyproject.toml
# Packages and the gateway are made side by side.
BESIDE := +@$(MAKE) --no-print-directory --silent -j2
ARGS ?=

help: ## Show this help.
	@if [ -t 1 ] && [ -z "$${NO_COLOR:-}" ]; then on=$$'\033[36m' off=$$'\033[0m'; else on='' off=''; fi; \
	awk -v on="$$on" -v off="$$off" -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %s%-15s%s %s\n", on, $$1, off, $$2}' \
	  $(firstword $(MAKEFILE_LIST))

setup: ## Install everything that the other targets need (they call it themselves).
	$(BESIDE) $(BUILD)/dev.stamp $(GATEWAY)

mesh: ## Install what the mesh runs on, and nothing else (up and demo call it themselves).
	$(BESIDE) $(BUILD)/mesh.stamp $(GATEWAY)

$(BUILD)/mesh.stamp: requirements.lock $(SCRIPTS)
	@scripts/setup.sh mesh
	@touch $@

$(BUILD)/dev.stamp: requirements-dev.lock $(SCRIPTS) scripts/third_party.py
	@scripts/setup.sh dev
	@touch $(BUILD)/mesh.stamp $@

# Tools that look at the code from outside, in an environment of their own.
$(BUILD)/quality.stamp: requirements-quality.lock $(SCRIPTS) scripts/quality_tools.sh
	@scripts/quality_tools.sh
	@touch $@

up: mesh ## Start the mesh and keep it up until Ctrl-C (ARGS="--port 8081").
	@$(BIN)/tocsin up $(ARGS)

demo: mesh ## Start the mesh and play a real scenario through Envoy (ARGS=--exit ends it).
	@$(BIN)/tocsin demo $(ARGS)

gateway: $(GATEWAY)

$(GATEWAY): gateway/go.mod gateway/go.sum scripts/gateway.sh scripts/go.sh $(shell find gateway generated/go generated/openapi -name '*.go' -o -name '*.html' -o -name '*.openapi.json' -o -path 'generated/*/go.mod')
	@scripts/gateway.sh $@

# pytest-timeout raises in a test, which what hangs may swallow, or outlast while it ends. After this time the process of the
# test ends, tells where each thread was, and another one goes on.
HANGS := -o faulthandler_timeout=240 -o faulthandler_exit_on_timeout=true --max-worker-restart=2

test: setup ## Run all tests on real parts.
	@$(BIN)/pytest -n auto $(HANGS) $(ARGS)

test-unit: $(BUILD)/dev.stamp ## Run the quick tests of rules and use cases, which need no server.
	@$(BIN)/pytest -n auto -m "not thorough" tests/unit $(ARGS)

test-affected: setup ## First the tests that the change can affect, by the import graph (ARGS="--base REVISION").
	@$(BIN)/python -m scripts.affected $(ARGS) -- -n auto

lint: $(BUILD)/dev.stamp ## Formatting, lint, types, layers, contracts (ARGS=types: only that group).
	@scripts/lint.sh $(ARGS)

coverage: ## All tests, and which share of each service they run (at least 80 %).
	@$(MAKE) --no-print-directory coverage-run
	@$(MAKE) --no-print-directory coverage-report ARGS=

coverage-run: setup ## Tests that measure which lines they run (ARGS=tests/unit).
	@scripts/coverage.sh run $(ARGS)

coverage-report: $(BUILD)/dev.stamp ## What the runs have measured, by service.
	@scripts/coverage.sh report

mutation: setup $(BUILD)/quality.stamp ## Whether the tests notice a sample of small faults (ARGS="--count 60 --seed 1").
	@scripts/mutation.sh $(ARGS)

duplicates: $(BUILD)/quality.stamp ## Report code that stands in several places.
	@scripts/duplicates.sh

test-results: $(BUILD)/dev.stamp ## Write docs/test-results.md from the last coverage and mutation runs.
	@$(BIN)/python -m scripts.test_results

audit: setup $(BUILD)/quality.stamp ## Known vulnerabilities of what is shipped (ARGS=IMAGE: of an image, too).
	@scripts/audit.sh $(ARGS)

sbom: setup $(BUILD)/quality.stamp ## The bill of materials of what is shipped, in .build/sbom.
	@scripts/sbom.sh $(ARGS)

generate: $(BUILD)/dev.stamp ## Write generated/ anew from proto/.
	@$(BIN)/python scripts/generate.py

counter-table: $(BUILD)/dev.stamp ## Write the table of docs/counters.md anew.
	@$(BIN)/python -m tests.support.aggregation.counter_table

lock: ## Pin the packages of pyproject.toml anew (ARGS=--upgrade: the newest of each).
	@scripts/lock.sh $(ARGS)

bench: setup ## Measure against the references (see docs/performance.md).
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: setup ## The reliability tests: whole meshes that are broken, and every test that is marked with chaos.
	@$(BIN)/pytest tests/chaos $(ARGS)
	@$(BIN)/pytest -n auto -m chaos tests/integration tests/e2e $(ARGS)

kube-lint: $(BUILD)/quality.stamp ## Hold deploy/kubernetes to the schemas of several versions of Kubernetes.
	@$(BUILD)/quality/bin/python scripts/kube_lint.py

kube-test: setup ## Roll out on the Kubernetes of KUBECONFIG and try it (tests/deploy/kubernetes).
	@$(BIN)/pytest -x tests/deploy/kubernetes $(ARGS)

wheels: ## Fetch the packages of an image, so that `make images` needs no network for them.
	@deploy/docker/wheels.sh $(ARGS)

images: $(GATEWAY) ## Build the images tocsin and tocsin-gateway (see deploy/docker/README.md).
	@deploy/docker/images.sh $(ARGS)

images-test: $(BUILD)/dev.stamp ## Run each image as a deployment does: read-only, without capabilities, in 512 MiB.
	@$(BIN)/pytest tests/deploy/test_images.py $(ARGS)

compose-test: $(BUILD)/dev.stamp ## Play the demo against the Compose deployment (images of deploy/compose/stand-ins).
	@$(BIN)/pytest tests/deploy/test_compose.py $(ARGS)

clean: ## Remove what was built (not the state of a mesh).
	@[ ! -d $(BUILD)/home ] || chmod -R u+w $(BUILD)/home # Go closes its modules to writing
	@rm -rf $(BUILD) .venv

.PHONY: help setup mesh up demo gateway test test-unit test-affected lint coverage coverage-run coverage-report mutation \
  duplicates test-results audit sbom generate counter-table lock bench chaos kube-lint kube-test wheels images images-test \
  compose-test clean
