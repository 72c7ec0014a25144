# `make fuzz` and `make test` set up everything they need; see .ci/setup.sh.

BIN := .venv/bin
TIME ?= 2m
ARGS ?=
JOBS ?= $(shell n=$$(nproc); echo $$((n < 8 ? n : 8)))
# Each command would compile hundreds of modules anew.
unexport PYTHONDONTWRITEBYTECODE

SIDE_BY_SIDE = -n $(JOBS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup fuzz test test-fast mutation lint clean

help:
	@echo 'make fuzz   fuzz for TIME=$(TIME), with ARGS as further arguments of vcpufuzz run'
	@echo 'make test   run the tests, JOBS=$(JOBS) side by side, with ARGS as arguments of pytest'
	@echo 'make test-fast  run those that need no lab and are soon done'
	@echo 'make mutation   put small defects into what decides; each must be seen by a test'
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
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

# Tests that boot QEMU are marked: see tests/labguard.py. Laws are tried with fewer examples.
test-fast: setup
	VCPUFUZZ_TEST_SEEDS=1 $(BIN)/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile fast \
		-m 'not lab and not slow and not long' $(ARGS)

mutation: setup
	PYTHONPATH=tests $(BIN)/python -m mutation $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
