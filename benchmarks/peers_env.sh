#!/usr/bin/env bash
# Makes a virtual environment of the systems Ceiba is compared with. usage: peers_env.sh [FOLDER]
# PECOS needs numpy < 2 and scipy < 1.14, hence an environment of its own; it declares torch, which its linear models
# import but do not use.
set -euo pipefail
env=${1:-.peers-env}
[ -x "$env/bin/python" ] || "${PYTHON:-python3}" -m venv "$env"
"$env/bin/pip" install -q "torch==2.13.0"
"$env/bin/pip" install -q "numpy<2" "scipy<1.14" scikit-learn omikuji napkinxc
"$env/bin/pip" install -q --no-deps "libpecos==1.2.8"
"$env/bin/python" -c "from pecos.xmc.xlinear.model import XLinearModel; import omikuji, napkinxc"
