#!/usr/bin/env bash
# Makes the environments of the systems Ceiba is compared with. usage: peers_env.sh [FOLDER] [LIBMULTILABEL_FOLDER]
# PECOS needs numpy < 2 and scipy < 1.14, hence an environment of its own; it declares torch, which its linear models
# import but do not use, and its Transformer matchers do. LibMultiLabel's linear part needs little of what the package
# declares; with a second folder it gets an environment too.
set -euo pipefail
env=${1:-.peers-env}
[ -x "$env/bin/python" ] || "${PYTHON:-python3}" -m venv "$env"
"$env/bin/pip" install -q "torch==2.13.0"
# PECOS's XR-Transformer imports names that transformers 4.50 no longer has
"$env/bin/pip" install -q "numpy<2" "scipy<1.14" scikit-learn omikuji napkinxc "transformers==4.46.3" sentencepiece
"$env/bin/pip" install -q --no-deps "libpecos==1.2.8"
# for `python -m benchmarks distributed`, which also needs an MPI, Debian's openmpi-bin for one
"$env/bin/pip" install -q "mpi4py>=4,<5"
"$env/bin/python" -c "from pecos.xmc.xlinear.model import XLinearModel; import omikuji, napkinxc, pecos.xmc.xtransformer.model"
if [ $# -ge 2 ]; then
    [ -x "$2/bin/python" ] || "${PYTHON:-python3}" -m venv "$2"
    "$2/bin/pip" install -q --no-deps libmultilabel
    "$2/bin/pip" install -q liblinear-multicore sparsekmeans scikit-learn scipy pandas psutil tqdm
    "$2/bin/python" -c "import libmultilabel.linear"
fi
