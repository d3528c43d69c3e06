# `make demo` and `make test` are all a new machine needs: Python 3.11+, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: demo test check lint clean bench-build bench-requests bench-plan

demo: $(VENV)/ready
	$(BIN)/geoloupe demo --out runs/demo

test: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: lint test

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

# The rivals of the benchmark are no part of the lock; alone on the machine, or figures mislead.
bench-build: $(VENV)/ready
	@$(PIP) "odc-stac==0.5.3" "async-tiff==0.7.2"
	@$(BIN)/python -m tests.bench.build $(BENCH)

bench-requests: $(VENV)/ready
	@$(BIN)/python -m tests.bench.requests

bench-plan: $(VENV)/ready
	@$(BIN)/python -m tests.bench.plan

# The environment is built anew whenever the lock or the project file is newer than it.
$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "geoloupe needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "installing the pinned packages into $(VENV), about two minutes"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) runs
