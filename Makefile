# Needs only make and Python 3.11 or newer. Everything else is fetched from package registries, as your
# pip, uv, Maven and Go settings say, and held to the hashes in locks/.

PYTHON ?= python3
ARGS ?=
JOBS ?= 4

TOOLS := .tools
UV := $(TOOLS)/bin/uv
VENV := .venv
BIN := $(VENV)/bin
COMPILE := $(UV) pip compile --upgrade --generate-hashes --no-header --universal --python-version 3.11 --quiet

export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# Our own modules are compiled once and not again by each of the dozens of processes of a run, whatever this shell says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-relay bench-bridge soak up down status schemas format lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/ready ## watch orders go through the whole loop, audited (options: ARGS="--orders 200 --seed 7")
	@$(BIN)/tidegate demo $(ARGS)

test: $(VENV)/ready ## run the tests on real servers (one file: ARGS="tests/unit/test_ids.py")
	@$(BIN)/tidegate fetch --tests >&2
	@$(BIN)/python -m pytest -m "not benchmark and not soak" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/ready ## format, lint, types, layers, schemas, determinism
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m schemas.generate --check
	@$(BIN)/tidegate schemas check
	@$(BIN)/python -m workflows.determinism
	@$(BIN)/python -m workflows.patches >/dev/null

bench: $(VENV)/ready ## measure orders/s and relay rows/s
	@$(BIN)/python -m pytest tests/benchmarks -m benchmark -s --timeout=0 $(ARGS)

bench-relay: $(VENV)/ready ## the relay beside Debezium on the same servers, ten minutes (options: ARGS="--json", "--quick")
	@$(BIN)/python -m tests.benchmarks.bench_relay $(ARGS)

bench-bridge: $(VENV)/ready ## the bridge beside FastStream and the Temporal client alone, five minutes (ARGS as above)
	@$(BIN)/python -m tests.benchmarks.bench_bridge $(ARGS)

soak: $(VENV)/ready ## the long runs: faults by the thousand, and every property tried ten times as often (half an hour)
	@TIDEGATE_TESTS=thorough $(BIN)/python -m pytest tests/soak tests/property -m "not benchmark" -s --timeout=0 $(ARGS)

up: $(VENV)/ready ## start the servers in the background
	@$(BIN)/tidegate up --detach $(ARGS)

down: $(VENV)/ready ## stop them
	@$(BIN)/tidegate down $(ARGS)

status: $(VENV)/ready ## say what runs where
	@$(BIN)/tidegate status $(ARGS)

schemas: $(VENV)/ready ## write the typed events from the .avsc files
	@$(BIN)/python -m schemas.generate

format: $(VENV)/ready ## format the code and mend what can be mended
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

lock: $(VENV)/ready ## take newer dependencies (then read the difference and commit)
	@$(COMPILE) pyproject.toml --output-file locks/runtime.txt
	@$(COMPILE) pyproject.toml locks/build.in --group dev --all-extras --output-file locks/dev.txt
	@echo uv | $(COMPILE) - --output-file locks/uv.txt
	@$(BIN)/python -m infra.local.pin

clean: ## stop the servers and remove what make and tidegate made here (not the cache of downloads)
	@[ ! -x $(BIN)/tidegate ] || [ ! -d .tidegate ] || $(BIN)/tidegate down
	rm -rf $(VENV) $(TOOLS) .tidegate .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist

# uv, in an environment of its own, so that nothing of yours is asked for or changed.
$(UV): locks/uv.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("tidegate needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/uv.txt
	@touch $@

# The project's environment: exactly what the lock says, and the project itself in place.
$(VENV)/ready: locks/dev.txt pyproject.toml $(UV)
	@echo "preparing $(VENV) (a minute the first time)" >&2
	@[ -x $(BIN)/python ] || $(UV) venv --quiet --clear --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes locks/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
