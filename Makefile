PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test test-all check install clean

run: install
	$(BIN)/bench run

test: install
	$(BIN)/pytest -m "not slow"

test-all: install
	$(BIN)/pytest

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(VENV)/installed

# torch first: a bare torch pulls the CUDA build where a CPU build is enough.
$(VENV)/installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs
