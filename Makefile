PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENV_PARITY := .venv-parity

.PHONY: run test test-all kill-test fuzz check docs parity perf gpu-check gpu-wheels install clean

run: install
	$(BIN)/bench run

# So many files at a time, each on one thread: torch's threads beside other work are far slower. In the order
# of the folders, whose last files are short, so that the processes end together.
PROCESSES ?= 2
test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10

test-all: install
	$(BIN)/pytest

# A small suite under 65 random SIGKILLs, inline and on Ray: nothing may be lost. Some 15 minutes.
kill-test: install
	$(BIN)/python -m tests.kill_test

# Every bad input of tests/fuzz/corpus/ as a command of its own: each ends in one line and exit code 2.
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz

check: install docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# docs/ as a site that needs no network, .site/index.html; a link that leads nowhere is an error.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Our losses against TRL's, in an environment of its own: TRL is no dependency.
parity: $(VENV_PARITY)/installed
	$(VENV_PARITY)/bin/python -m tests.parity

# Our speed and memory beside TRL's on this machine, which should be doing nothing else: docs/performance.md.
perf: $(VENV_PARITY)/installed
	$(VENV_PARITY)/bin/python -m tests.perf

# What only a GPU can tell, in seven minutes; OPTIONS=--small on a CPU. Nothing is installed: a machine with a GPU
# brings its own torch, and the wheels that it lacks are collected where there is a network.
ANY_PYTHON = $(or $(wildcard $(BIN)/python),$(PYTHON))
gpu-check:
	$(ANY_PYTHON) -m tests.gpu --out runs/gpu $(OPTIONS)

gpu-wheels:
	$(ANY_PYTHON) -m tests.gpu.wheels --out runs/wheels

install: $(VENV)/installed

# torch first: a bare torch pulls the CUDA build where a CPU build is enough.
$(VENV)/installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps llama-index-core  # its punkt_tab alone
	touch $@

$(VENV_PARITY)/installed: pyproject.toml constraints.txt
	test -d $(VENV_PARITY) || $(PYTHON) -m venv $(VENV_PARITY)
	$(VENV_PARITY)/bin/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(VENV_PARITY)/bin/pip install --quiet --constraint constraints.txt --editable . "trl==1.16.*" peft
	touch $@

clean:
	rm -rf $(VENV) $(VENV_PARITY) runs .site
