"""``ceiba demo``: train, measure and ask a model of real data, without a download."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options

_SHOWN_METRICS = ("P", "R", "nDCG", "PSP")


def demo(
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Ask the saved model for codes, a text per line; trains it where there is none."),
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Open the saved model's page; trains it where there is none.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The page's port.")] = 8400,
    model_dir: Annotated[
        Path | None, typer.Option(parser=options.path, help="Folder of the model.", show_default="ceiba-icd10cm")
    ] = None,
    threads: options.Threads = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; the same one gives the same model.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model in --model-dir.")] = False,
    json: options.Json = False,
) -> None:
    """Show what it does on 98 thousand medical codes.

    Which codes of ICD-10-CM belong to a diagnosis, an injury or its cause, as people word it? Trains the hybrid model
    on the descriptions of all codes and most of their other wordings, measures it on the wordings it has not seen,
    codes a few everyday sentences, and saves the model. Needs the extra ceiba[demo]; --serve needs ceiba[serve] too.
    """
    from ceiba.cli import folders, icd_demo
    from ceiba.errors import InputError

    folder = model_dir or icd_demo.DEFAULT_FOLDER
    if serve:
        if ask or json:
            raise InputError("--serve goes with neither --ask nor --json.")
        _serve(folder, port=port, seed=seed, threads=threads)
        return
    if ask:
        if json:
            raise InputError("--ask and --json do not go together; `ceiba predict` answers in JSON lines.")
        _ask(folder, seed=seed, threads=threads)
        return
    # The default folder is the demo's own; a model in any other is someone's work.
    folders.check_target(folder, overwrite=overwrite or model_dir is None)
    _train(folder, seed=seed, threads=threads, json=json)


def _train(folder: Path, *, seed: int | None, threads: int | None, json: bool) -> None:
    from ceiba.cli import folders, icd_demo, output
    from ceiba.cli.progress import Stages

    with Stages(quiet=json) as stages:
        stages("reading the classification", 0, 0)
        coding = _load()
        model, seconds = icd_demo.train(coding, seed=seed, threads=threads, progress=stages)
        stages("predicting", 0, 0)
        figures, asked = icd_demo.evaluate(model, coding)
        stages("saving", 0, 0)
        saved, error = folders.save(model, folder)
    if error is not None:
        folders.report_rescue(folder, saved, error)
        raise typer.Exit(1)
    found = icd_demo.answer(model, icd_demo.QUESTIONS, coding.descriptions)
    answers = dict(zip(icd_demo.QUESTIONS, found, strict=True))
    if json:
        output.emit_json(
            {
                "model_dir": str(folder),
                "train": model.n_train_,
                "test": len(coding.test_texts),
                "labels": len(model.classes_),
                "seconds": {"training": round(seconds, 3), "predicting": round(asked, 3)},
                "metrics": figures,
                "answers": {text: [vars(answer) for answer in best] for text, best in answers.items()},
            }
        )
        return
    n_train, n_test = model.n_train_, len(coding.test_texts)
    print(f"Trained on {n_train:,} texts with {len(model.classes_):,} codes in {seconds:.1f} s.")
    print(f"Tested on {n_test:,} wordings that are not among them, in {asked:.2f} s:")
    shown = {name: value for name, value in figures.items() if name.split("@")[0] in _SHOWN_METRICS}
    output.print_table(*output.metric_rows(shown), text=["metric (%)"])
    for text, best in answers.items():
        print(text)
        _show(best)
    print(f"The model is in {folder}. Ask it yourself:")
    where = "" if folder == icd_demo.DEFAULT_FOLDER else f" --model-dir {folder}"
    print(f"  ceiba demo --ask{where}")
    print(f"  ceiba demo --serve{where}")
    print(f"  echo 'bitten by a cat' | ceiba predict {folder} -")


def _show(best: list[Any]) -> None:
    for answer in best:
        print(f"  {answer.score:5.3f}  {answer.code:<8}  {answer.description}")
    print()


def _load() -> Any:
    from ceiba.data.icd import load_icd10cm

    return load_icd10cm()


def _train_where_none(folder: Path, *, seed: int | None, threads: int | None) -> None:
    from ceiba.cli import folders, output
    from ceiba.io import holds_model

    if not holds_model(folder):
        folders.check_target(folder, overwrite=False)
        output.say(f"There is no model in {folder} yet: training one.")
        _train(folder, seed=seed, threads=threads, json=False)


def _serve(folder: Path, *, port: int, seed: int | None, threads: int | None) -> None:
    """Serve the model and its page on this machine."""
    from ceiba.cli.serve import check_extra, serve_models

    check_extra("ceiba demo --serve")
    _train_where_none(folder, seed=seed, threads=threads)
    serve_models([folder], port=port)


def _ask(folder: Path, *, seed: int | None, threads: int | None) -> None:
    """Answer texts as they are typed, or piped, until the end of input."""
    import sys

    from ceiba.cli import icd_demo, inputs, output

    _train_where_none(folder, seed=seed, threads=threads)
    model = inputs.open_model(folder, threads)
    descriptions = _load().descriptions
    typed = sys.stdin.isatty()
    if typed:
        with suppress(ImportError):
            import readline  # noqa: F401, for arrows and a history at the prompt
        output.say("Describe a diagnosis, an injury or how it happened; Ctrl-D ends.")
    while True:
        try:
            text = input("> " if typed else "").strip()
        except EOFError:
            if typed:
                print()
            return
        if text:
            (best,) = icd_demo.answer(model, [text], descriptions)
            if not typed:
                print(text)
            _show(best)
            sys.stdout.flush()
