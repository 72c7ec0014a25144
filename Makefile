# `make fuzz` and `make test` set up everything they need; see .ci/setup.sh.

BIN := .venv/bin
TIME ?= 2m
ARGS ?=

.PHONY: help setup fuzz test lint clean

help:
	@echo 'make fuzz   fuzz for TIME=$(TIME), with ARGS as further arguments of vcpufuzz run'
	@echo 'make test   run the tests, with ARGS as arguments of pytest'
	@echo 'make lint   check style and types'
	@echo 'make setup  only install what the above need'
	@echo 'make clean  remove the Python environment and caches'

setup:
	@.ci/setup.sh

# doctor speaks once per environment; later, run itself says what is missing.
fuzz: setup
	@test -e .venv/doctor.ok || { $(BIN)/vcpufuzz doctor && touch .venv/doctor.ok; }
	$(BIN)/vcpufuzz run --time $(TIME) $(ARGS) || test $$? -eq 77

test: setup
	$(BIN)/python -m pytest $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
