"""``ceiba push``: a model to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options


def push(
    model_dir: options.ModelFolder,
    repo: Annotated[str, typer.Argument(help="Owner and name of the repository, such as user/name.")],
    test: Annotated[
        Path | None,
        typer.Option(parser=options.path, help="A file with labels: its figures go on the card.", show_default=False),
    ] = None,
    data: Annotated[str | None, typer.Option(help="What the model was trained on, in words.")] = None,
    language: Annotated[list[str] | None, typer.Option(help="Language of the texts, such as en; repeatable.")] = None,
    license: Annotated[str | None, typer.Option(help="Licence of the model, such as cc-by-4.0.")] = None,
    include_training_texts: Annotated[
        bool | None,
        typer.Option(
            "--include-training-texts/--leave-out-training-texts",
            help="What to do with the training texts of a model that keeps them.",
            show_default="an error, if it keeps them",
        ),
    ] = None,
    private: Annotated[
        bool | None,
        typer.Option("--private/--public", help="Who may read a new repository.", show_default="the owner's setting"),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch to push to.", show_default="main")] = None,
    message: Annotated[str, typer.Option(help="Message of the commit.")] = "Upload a model of Ceiba",
    threads: options.Threads = None,
    text_column: options.TextColumn = None,
    label_column: options.LabelColumn = None,
    label_separator: options.LabelSeparator = None,
    format: options.Format = None,
    zero_based: options.ZeroBased = None,
    json: options.Json = False,
) -> None:
    """Upload a model, with a card, to the Hugging Face Hub.

    The card says what the model is, what it was trained on and how well it does. The token is that of `hf auth login`
    or of the environment variable HF_TOKEN; HF_ENDPOINT names another hub. `ceiba.from_pretrained` loads the model.
    Needs the extra ceiba[hub].
    """
    from ceiba.cli import inputs, output
    from ceiba.cli.evaluate import figures_of, ranked_rows
    from ceiba.cli.progress import Stages

    ks = (1, 3, 5)
    figures: dict[str, Any] | None = None
    with Stages(quiet=json) as stages:
        model = inputs.open_model(model_dir, threads)
        if test is not None:
            given = options.read_options(text_column, label_column, label_separator, format, zero_based)
            dataset = inputs.open_rows(test, model, labels=True, given=given, progress=stages)
            answers = ranked_rows(model, dataset, max(ks), progress=stages)
            figures = figures_of(model, answers, ks, propensity=options.PROPENSITY)
            del figures["seconds"]
        stages("uploading", 0, 0)
        url = model.push_to_hub(
            repo,
            data=data,
            figures=figures,
            language=language or None,
            license=license,
            include_training_texts=include_training_texts,
            private=private,
            revision=revision,
            commit_message=message,
        )
    if json:
        output.emit_json({"repo": repo, "url": url})
    else:
        print(url)
