PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
VENV_PARITY := .venv-parity

.PHONY: run test test-all kill-test soak fuzz lock audit check docs parity perf gpu-check gpu-wheels install clean

run: install
	$(BIN)/bench run

# So many files at a time, each on one thread: torch's threads beside other work are far slower. In the order
# of the folders, whose last files are short, so that the processes end together.
PROCESSES ?= 2
test: install
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n $(PROCESSES) --dist loadfile --no-loadscope-reorder --durations=10

test-all: install
	$(BIN)/pytest

# SIGKILLs at 65 random moments and inside every kind of step, and disks that are full at each write: inline, in 3
# jobs and on Ray. Nothing may be lost. Some 50 minutes; what was found is in runs/reliability/.
kill-test: install
	$(BIN)/python -m tests.kill_test
	$(BIN)/python -m tests.reliability.moments
	$(BIN)/python -m tests.reliability.full_disk

# The tiny suite over and over in one process for 20 minutes (OPTIONS="--minutes 1"): memory, handles, threads flat.
soak: install
	$(BIN)/python -m tests.reliability.soak $(OPTIONS)

# Every bad input of tests/fuzz/corpus/ as a command of its own: each ends in one line and exit code 2.
# Then suites, rows and replies as hypothesis draws them, the same ones each time.
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz
	OMP_NUM_THREADS=1 FUZZ_EXAMPLES=1000 $(BIN)/pytest tests/fuzz/test_properties.py

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
$(VENV)/installed: pyproject.toml constraints.txt requirements.lock
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# The versions of constraints.txt with the hashes of all their files; torch's build is each machine's own.
lock: $(VENV)/bin/uv
	grep -v "^#\|^torch==" constraints.txt | $(BIN)/uv pip compile - --quiet --no-deps --generate-hashes \
		--python-version 3.11.5 --no-header --no-annotate --output-file requirements.lock

# Versions that do not go together, known vulnerabilities (pip-audit asks PyPI, and fails where it cannot), and versions
# that their authors have withdrawn.
audit: install $(VENV)/bin/uv
	! $(BIN)/pip check | grep -v "^llama-index-core \|^No broken"  # of which we have one file of data
	$(BIN)/uvx --quiet pip-audit --strict --disable-pip --progress-spinner off --requirement requirements.lock
	! $(BIN)/pip install --dry-run --ignore-installed --no-deps --requirement requirements.lock 2>&1 | grep -i yanked

$(VENV)/bin/uv: $(VENV)/installed
	$(BIN)/pip install --quiet uv

$(VENV_PARITY)/installed: pyproject.toml constraints.txt
	test -d $(VENV_PARITY) || $(PYTHON) -m venv $(VENV_PARITY)
	$(VENV_PARITY)/bin/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(VENV_PARITY)/bin/pip install --quiet --constraint constraints.txt --editable . "trl==1.16.*" peft
	touch $@

clean:
	rm -rf $(VENV) $(VENV_PARITY) runs .site
