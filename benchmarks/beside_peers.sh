#!/usr/bin/env bash
# Ceiba beside its peers on the same matrices, the same two threads, in turn: the rows of the README's table.
# usage: [PEERS="pecos omikuji"] benchmarks/beside_peers.sh SHARED OUT.jsonl [REPEATS]
#   SHARED   the folder with data/ and tools/ (featurize.py, peers.py); PEERS_PYTHON and PYTHON choose the environments
# Every run is a process of its own under GNU time, whose peak memory is added to the row as "process_mb".
set -euo pipefail
shared=$1 out=$2 repeats=${3:-3}
peers=${PEERS_PYTHON:-.peers-env/bin/python} python=${PYTHON:-.venv/bin/python}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
command -v /usr/bin/time >/dev/null || { echo "GNU time is needed (Debian: apt-get install time)" >&2; exit 1; }

for data in debian yso-en; do
    "$python" "$shared/tools/featurize.py" "$shared/data/$data" "$work/$data" >&2
done

row() { # row ARGUMENTS...: run, add the peak memory of the process, append
    /usr/bin/time -v -o "$work/time" "$@" > "$work/row" 2> "$work/err" || { cat "$work/err" >&2; exit 1; }
    peak=$(awk '/Maximum resident/ {printf "%d", $6 / 1024}' "$work/time")
    tail -n 1 "$work/row" | sed "s/}\$/, \"process_mb\": $peak}/" | tee -a "$out"
}

for repeat in $(seq 1 "$repeats"); do
    for data in debian yso-en; do
        for peer in ${PEERS-pecos omikuji}; do
            row "$peers" "$shared/tools/peers.py" "$peer" "$work/$data" threads=2
        done
        row "$python" "$here/linear.py" "$work/$data" threads=2 random_state="$((repeat - 1))"
        row "$python" "$here/linear.py" "$work/$data" threads=2 random_state="$((repeat - 1))" n_trees=3
    done
done
