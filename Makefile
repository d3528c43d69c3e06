# `make demo` and `make test` are all a new machine needs: Python 3.11+, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install -qq --disable-pip-version-check

.PHONY: demo test check lint clean bench-requests

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

bench-requests: $(VENV)/ready
	@$(BIN)/python -m tests.bench.requests

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
