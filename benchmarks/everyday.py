"""Thirty everyday sentences and the ICD-10-CM category of each: does the demo's model find it?

    python -m benchmarks everyday [--model FOLDER]

The sentences were written before the model was tuned, and no setting is chosen by them. A sentence counts as found
where its category is among the first five, after codes are merged to their three-character categories.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = (
    ("burned hand on hot stove", "T23"),
    ("broken wrist", "S62"),
    ("high blood pressure", "I10"),
    ("had a heart attack last night", "I21"),
    ("stroke from a blood clot in the brain", "I63"),
    ("hay fever every spring", "J30"),
    ("high blood sugar, type 2 diabetes", "E11"),
    ("my son has chickenpox", "B01"),
    ("bitten by the neighbour's dog", "W54"),
    ("fell off a ladder while painting", "W11"),
    ("stung by a bee", "T63"),
    ("twisted and sprained my ankle", "S93"),
    ("kidney stones", "N20"),
    ("pink eye", "H10"),
    ("middle ear infection with pus", "H66"),
    ("migraine with flashing lights", "G43"),
    ("cannot sleep at night", "G47"),
    ("old woman broke her hip, neck of the thigh bone", "S72"),
    ("burst appendix", "K35"),
    ("acid reflux from the stomach", "K21"),
    ("gallstones", "K80"),
    ("asthma attack", "J45"),
    ("anemia because of too little iron", "D50"),
    ("underactive thyroid", "E03"),
    ("swallowed a coin", "T18"),
    ("nearly drowned in the swimming pool", "W67"),
    ("holes in the teeth, tooth decay", "K02"),
    ("sunburn on the back", "L55"),
    ("head lice at school", "B85"),
    ("knee worn out by arthritis", "M17"),
)
N_FIRST = 5
_DEPTH = 50  # codes that are merged to categories


def categories(codes: list[Any], n: int = N_FIRST) -> list[str]:
    """Return the first n three-character categories of ranked codes."""
    return list(dict.fromkeys(str(code)[:3] for code in codes if code is not None))[:n]


def first_categories(model: Any) -> list[list[str]]:
    """Return the first categories that a model gives each sentence."""
    codes, _ = model.predict_topk([text for text, _ in SENTENCES], _DEPTH)
    return [categories(row) for row in codes.tolist()]


def measure(folder: Path | None, threads: int) -> int:
    """Print the categories found for each sentence, and return how many sentences have theirs."""
    from ceiba import load
    from ceiba.cli import icd_demo
    from ceiba.data.icd import load_icd10cm

    if folder is None:
        model, seconds = icd_demo.train(load_icd10cm(), seed=None, threads=threads, progress=lambda *_: None)
        print(f"trained in {seconds:.1f} s")
    else:
        model = load(folder)
    n_found = 0
    for (text, category), found in zip(SENTENCES, first_categories(model), strict=True):
        n_found += category in found
        print(f"{'found' if category in found else 'MISSED':7s}{category}  {text:50s} {' '.join(found)}")
    print(f"{n_found} of {len(SENTENCES)}")
    return n_found
