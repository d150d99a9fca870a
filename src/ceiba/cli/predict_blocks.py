"""``ceiba predict --engine ray``: a file's answers in a folder of Parquet files, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceiba.errors import InputError

if TYPE_CHECKING:
    from ceiba.executors import Piece


def predict_to_folder(
    model_dir: Path,
    data: str,
    out: str | None,
    *,
    k: int,
    beam_size: int | None,
    with_text: bool,
    allowed: Path | None,
    denied: Path | None,
    given: dict[str, Any],
    engine: str,
    workers: int | None,
    cluster: list[str] | None,
    threads: int | None,
    rows_per_file: int,
    resume: bool,
    overwrite: bool,
    json: bool,
) -> None:
    """Predict by an executor; every row is answered exactly once, also where the command is run again after a stop."""
    from ceiba.cli import blocks, inputs, output
    from ceiba.cli.engines import open_engine
    from ceiba.cli.prediction_folder import PredictionFolder
    from ceiba.cli.progress import Stages

    if data == "-" or out in (None, "-"):
        raise InputError("--engine ray reads a file and writes a folder: give both INPUT and -o FOLDER.")
    assert out is not None
    path = Path(data)
    with (
        open_engine(engine, workers=workers, threads=threads, cluster=cluster) as executor,
        Stages(quiet=json) as stages,
    ):
        model = inputs.open_model(model_dir)
        filters = inputs.label_lists(model.classes_, allowed, denied)
        place = blocks.ModelPlace.of(model_dir)
        dataset = inputs.open_rows(path, model, labels=False, given=given, progress=stages)
        plan = {
            "input": str(path.absolute()),
            "bytes": path.stat().st_size if path.is_file() else None,
            "rows": dataset.n,
            "rows_per_file": rows_per_file,
            "model": place.digest,
            "k": k,
            "beam_size": beam_size,
            "with_text": with_text,
            "reader": {name: str(value) for name, value in given.items()},
            "filters": filters,
        }
        folder = PredictionFolder(Path(out), plan, resume=resume, overwrite=overwrite)
        rows = blocks.fixed_blocks(inputs.batches(dataset, rows_per_file), rows_per_file)
        numbers: deque[int] = deque()  # of the shards that are asked for, in order

        def missing() -> Iterator[Piece]:
            for number, piece in folder.missing(blocks.pieces_of(rows, path)):
                numbers.append(number)
                yield piece

        shared = {
            "model": place, "source": str(path), "k": k, "beam_size": beam_size, "filters": filters,
            "with_text": with_text and model.reads_texts,
        }  # fmt: skip
        answered, n_files = 0, -(-dataset.n // rows_per_file)
        gpu = bool(model.encoder_devices)
        with inputs.naming_place(dataset):
            for found in executor.map(blocks.answer_block, missing(), shared=shared, stage="predicting", gpu=gpu):
                folder.write(numbers.popleft(), found["file"].data)
                answered += int(found["rows"][0])
                stages("predicting", answered, dataset.n)
        folder.finish()
    report = {"rows": dataset.n, "answered": answered, "files": n_files, "folder": str(folder.folder)}
    if json:
        output.emit_json(report)
    else:
        output.print_facts(report)
