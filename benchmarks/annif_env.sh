#!/usr/bin/env bash
# Makes an environment with Annif, its Omikuji backend and its service. usage: annif_env.sh [FOLDER] [nn]
# With "nn" it gets the neural ensemble too, which needs TensorFlow (1.4 GB). Annif pins its libraries, hence an
# environment of its own. NLTK would download its sentence tokenizer at the first run; here "punkt_tab" comes from a
# package that ships it as it is, and lies where NLTK looks for it.
set -euo pipefail
env=${1:-.annif-env}
[ -x "$env/bin/python" ] || "${PYTHON:-python3}" -m venv "$env"
"$env/bin/pip" install -q "annif[omikuji${2:+,$2}]==1.4.3"
if [ ! -d "$env/nltk_data/tokenizers/punkt_tab" ]; then
    shipped=$(mktemp -d)
    trap 'rm -rf "$shipped"' EXIT
    "$env/bin/pip" install -q --no-deps --no-compile --target "$shipped" "llama-index-core==0.14.25"
    mkdir -p "$env/nltk_data/tokenizers"
    cp -r "$shipped/llama_index/core/_static/nltk_cache/tokenizers/punkt_tab" "$env/nltk_data/tokenizers/"
fi
"$env/bin/python" -c "import annif.backend.omikuji, annif.backend.mllm, nltk; nltk.word_tokenize('Two words. And more.')"
