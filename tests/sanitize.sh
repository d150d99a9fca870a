#!/usr/bin/env bash
# The tests of the native core under AddressSanitizer and UBSan, on a copy of the package with an instrumented core.
# usage: tests/sanitize.sh [PYTEST ARGUMENTS...]; PYTHON names an environment with ceiba[dev]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
case $(uname -m) in x86_64 | amd64) isa=v3 ;; *) isa=base ;; esac

"$python" -m pip install --quiet --disable-pip-version-check --target "$work/tools" nanobind
export PYTHONPATH="$work/tools"
cmake -S "$root" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DCEIBA_SANITIZE=address,undefined -DCEIBA_ISAS=v3 -DPython_EXECUTABLE="$python" > "$work/log"
cmake --build "$work/build" --parallel 2 >> "$work/log" || { tail -40 "$work/log"; exit 1; }
cp -r "$root/src/ceiba" "$work/ceiba"
rm -f "$work"/ceiba/_native/*.so
cp "$work"/build/*.so "$work/ceiba/_native/"

# Python itself is not instrumented: the runtimes are loaded first, and its own allocations at exit are no leaks.
preload=$(for name in asan ubsan stdc++; do printf '%s ' "$(c++ -print-file-name=lib$name.so)"; done)
cd "$root"
CEIBA_ISA=$isa PYTHONPATH="$work" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 LD_PRELOAD="$preload" \
    "$python" -m pytest -m "not slow and not peers" -p no:cacheprovider tests/tree tests/linear tests/retrieval tests/features tests/fusion "$@"
