# Tocsin's workbench. `make` alone explains itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := .build
ARGS ?=

help: ## Show this help.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  \033[36m%-10s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(BUILD)/setup.stamp ## Install everything that the other targets need (they call it themselves).

$(BUILD)/setup.stamp: requirements.lock requirements-go.lock pyproject.toml gateway/go.mod gateway/go.sum scripts/setup.sh scripts/third_party.py
	@PYTHON="$(PYTHON)" scripts/setup.sh
	@touch $@

up: $(BUILD)/setup.stamp gateway ## Start the mesh and keep it up until Ctrl-C.
	@$(BIN)/tocsin up $(ARGS)

demo: $(BUILD)/setup.stamp gateway ## Start the mesh and play a real scenario through Envoy (ARGS=--exit ends it).
	@$(BIN)/tocsin demo $(ARGS)

gateway: $(BUILD)/bin/tocsin-gateway

$(BUILD)/bin/tocsin-gateway: $(BUILD)/setup.stamp $(shell find gateway generated/go generated/openapi -name '*.go' -o -name '*.html' -o -name '*.openapi.json' -o -path 'generated/*/go.mod') gateway/go.mod gateway/go.sum
	@echo "==> building the gateway"
	@cd gateway && CGO_ENABLED=0 $$(../scripts/go.sh) build -trimpath -o ../$@ ./cmd/tocsin-gateway

test: $(BUILD)/setup.stamp gateway ## Run all tests on real parts.
	@$(BIN)/pytest -n auto $(ARGS)

lint: $(BUILD)/setup.stamp ## Formatting, lint, types, layers, contracts.
	@scripts/lint.sh

generate: $(BUILD)/setup.stamp ## Write generated/ anew from proto/.
	@$(BIN)/python scripts/generate.py

bench: $(BUILD)/setup.stamp gateway ## Measure against the references (see docs/performance.md).
	@$(BIN)/python -m tests.bench $(ARGS)

chaos: $(BUILD)/setup.stamp gateway ## The reliability tests.
	@$(BIN)/pytest tests/chaos $(ARGS)

clean: ## Remove what was built (not the state of a mesh).
	@rm -rf $(BUILD) $(VENV)

.PHONY: help setup up demo gateway test lint generate bench chaos clean
