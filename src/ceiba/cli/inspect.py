"""``ceiba inspect``: what is in a model folder, and where a label stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options

_SHOWN = 20  # neighbours, or labels
_TEXT = 160  # characters of an example


def inspect(
    model_dir: options.ModelFolder,
    label: Annotated[str | None, typer.Option(help="Show this label's place in every tree and its neighbours.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the trees.")] = False,
    depth: Annotated[int, typer.Option(min=1, help="Levels to draw.")] = 2,
    texts: Annotated[
        Path | None,
        typer.Option(
            parser=options.path, help="With --label: a file with labels; its rows with this label are examples."
        ),
    ] = None,
    most_overlapped: Annotated[
        bool, typer.Option("--most-overlapped", help="List the labels whose clusters are farthest apart.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show a model's sizes, parameters and trees, and what its labels mean where."""
    from ceiba import load
    from ceiba.cli import output
    from ceiba.errors import InputError

    if texts is not None and label is None:
        raise InputError("--texts gives examples of a label: give --label too.")
    model = load(model_dir)
    if (tree or most_overlapped) and not model.partitions_:
        raise InputError(
            f"{model_dir} holds a {type(model).__name__}, which has no label tree of all labels to show: leave out "
            f"{'--tree' if tree else '--most-overlapped'}, or inspect a model trained with --model xr-linear."
        )
    content: dict[str, Any] = {}
    if label is None and not tree and not most_overlapped:
        content = facts(model, model_dir)
    if label is not None:
        content["label"] = place(model, label, texts)
    if most_overlapped:
        content["most_overlapped"] = spreads(model)
    if tree:
        names = shown_labels(model)
        content["trees"] = [draw(each, names, depth) for each in model.trees_]
    if json:
        output.emit_json(content)
        return
    if label is not None:
        _print_place(content["label"])
    if most_overlapped:
        _print_spreads(content["most_overlapped"])
    elif label is None and not tree:
        _print_facts(content, model_dir)
    for number, lines in enumerate(content["trees"] if tree else (), start=1):
        print(f"tree {number}")
        print("\n".join(map(output.printable, lines)))


def facts(model: Any, folder: Path) -> dict[str, Any]:
    """Return what a model is made of, as JSON values."""
    from ceiba.cli.folders import folder_size

    params = model.get_params(deep=False)
    for name, part in (("vectorizer", model.vectorizer_), ("ranker", getattr(model, "ranker_", None))):
        if part is not None:
            params[name] = {"class": type(part).__name__, **part.get_params(deep=False)}
    return {
        "model": type(model).__name__,
        "labels": len(model.classes_),
        "features": model.n_features_in_,
        "rows_in_training": model.n_train_,
        "label_texts": model.label_texts_ is not None,
        "calibration": None if model.calibrator_ is None else model.calibrator_.method,
        "threshold": None if model.thresholds_ is None else model.thresholds_.threshold,
        "allowed_labels": None if model.allowed_labels_ is None else len(model.allowed_labels_),
        "denied_labels": None if model.denied_labels_ is None else len(model.denied_labels_),
        "bytes": folder_size(folder),
        "trees": [_tree_facts(partition) for partition in model.partitions_],
        **model.fitted_facts(),
        "parameters": {name: _plain(value) for name, value in params.items()},
    }


def _tree_facts(partition: Any) -> dict[str, Any]:
    import numpy as np

    tree = partition.tree
    sizes = np.diff(tree.child_ptrs[-1])
    return {
        "depth": tree.depth,
        "level_sizes": tree.level_sizes,
        "cluster_sizes": {"min": int(sizes.min()), "mean": round(float(sizes.mean()), 1), "max": int(sizes.max())},
        "slots_per_label": tree.overlap,
        "weights": [layer.n_weights for layer in partition.layers],
    }


def _plain(value: Any) -> Any:
    """Return a parameter as JSON has it; objects by what they print as."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (str, int, float)) else repr(value)


def find_label(model: Any, name: str) -> tuple[int, Any]:
    """Return a label's column and itself; InputError names similar ones where it is unknown."""
    from ceiba.errors import InputError

    names = model.classes_.tolist()
    wanted: Any = name
    if isinstance(names[0], int) and (model.label_texts_ is None or name.isdecimal()):
        try:
            wanted = int(name)
        except ValueError:
            raise InputError(f"The labels of the model are numbers. Got --label {name!r}.") from None
    columns = [column for column, known in enumerate(names) if known == wanted]
    if columns:
        return columns[0], wanted
    part = name.casefold()
    shown = shown_labels(model)
    similar = [known for known in map(str, shown) if part in known.casefold()][:5]
    hint = f" Similar: {', '.join(map(repr, similar))}." if similar else ""
    raise InputError(f"The model has no label {name!r}.{hint}")


def shown_labels(model: Any) -> Any:
    """Return the labels as people see them, with their texts where the model knows any."""
    import numpy as np

    if model.label_texts_ is None:
        return model.classes_
    names = np.empty(len(model.classes_), object)
    names[:] = [f"{label} ({text})" for label, text in zip(model.classes_, model.label_texts_, strict=True)]
    return names


def place(model: Any, name: str, texts: Path | None = None) -> dict[str, Any]:
    """Return a label's rows in training and, for each of its slots, the path there, the labels beside it and its words.

    With a file of texts, also those of the label's rows that the matcher leads to each place.
    """
    from ceiba.cli.inputs import label_texts
    from ceiba.models.label_senses import senses

    column, label = find_label(model, name)
    known = label_texts(model)
    positives = () if texts is None else _positives(model, texts, label)
    places = []
    for sense in senses(model, column, n_neighbors=len(model.classes_), texts=positives):
        where: dict[str, Any] = {
            "tree": sense.tree + 1,
            "path": sense.path,
            "neighbours": [_plain_label(mate) for mate in sense.neighbors],
            "features": {str(feature): round(weight, 4) for feature, weight in sense.features},
        }
        if known is not None:
            where["neighbour_texts"] = [known[mate] for mate in where["neighbours"]]
        places.append(where | ({} if texts is None else {"examples": sense.examples}))
    text = {} if known is None else {"text": known[label]}
    return {"name": label, **text, "positives_in_training": int(model.label_counts_[column]), "places": places}


def _positives(model: Any, path: Path, label: Any) -> Any:
    """Return the texts (or features) of a file's rows that have a label."""
    import numpy as np

    from ceiba.cli import inputs
    from ceiba.data.labels import encode_with

    dataset = inputs.open_rows(path, model, labels=True, given={}, progress=None)
    rows = [row for batch in inputs.batches(dataset) for row in batch] if dataset.texts is not None else None
    truth, _ = encode_with(dataset.Y, model.classes_, names=dataset.classes)
    own = np.flatnonzero(truth.tocsc()[:, [model.classes_.tolist().index(label)]].toarray())
    return dataset.X[own] if rows is None else [rows[row] for row in own.tolist()]


def spreads(model: Any) -> list[dict[str, Any]]:
    """Return the labels whose clusters are farthest apart, as JSON values."""
    from ceiba.cli.inputs import label_texts
    from ceiba.models.label_senses import most_overlapped

    known = label_texts(model)
    return [
        {
            "name": _plain_label(spread.label),
            **({} if known is None else {"text": known[spread.label]}),
            "tree": spread.tree + 1,
            "clusters": list(spread.clusters),
            "distance": round(spread.distance, 4),
            "levels": spread.levels,
        }
        for spread in most_overlapped(model, _SHOWN)
    ]


def _plain_label(label: Any) -> Any:
    return label if isinstance(label, str) else int(label)


def draw(tree: Any, names: Any, depth: int) -> list[str]:
    """Return the lines of a drawing of a tree."""
    return tree.to_text(names, max_depth=depth).split("\n")


def _print_facts(content: dict[str, Any], folder: Path) -> None:
    from ceiba.cli import output

    parameters, trees = content.pop("parameters"), content.pop("trees")
    content = {name: value for name, value in content.items() if value is not None}
    output.print_facts({"folder": folder, **content, "bytes": output.size(content["bytes"]), "trees": len(trees)})
    for number, tree in enumerate(trees, start=1):
        sizes, weights = tree["cluster_sizes"], tree["weights"]
        print(f"\ntree {number}: {tree['depth']} levels")
        rows = [
            [str(t), f"{n:,}", f"{w:,}"] for t, (n, w) in enumerate(zip(tree["level_sizes"], weights, strict=True), 1)
        ]
        output.print_table(["level", "nodes", "weights"], rows)
        print(f"labels per bottom cluster: {sizes['min']} to {sizes['max']}, mean {sizes['mean']}")
    print("\nparameters")
    for part in ("vectorizer", "ranker"):
        nested = parameters.get(part)
        if isinstance(nested, dict):
            parameters[part] = nested.pop("class")
            parameters.update({f"{part}__{name}": value for name, value in nested.items()})
    output.print_facts({f"  {name}": value for name, value in parameters.items()})


def _with_text(label: Any, text: str | None) -> str:
    from ceiba.cli.output import printable

    return printable(str(label) if text is None else f"{label} ({text})")


def _print_place(content: dict[str, Any]) -> None:
    from ceiba.cli.output import printable

    name = _with_text(content["name"], content.get("text"))
    print(f"{name}: {content['positives_in_training']:,} positives in training")
    for where in content["places"]:
        path = " > ".join(["root", *map(str, where["path"])])
        neighbours = where["neighbours"]
        more = f" and {len(neighbours) - _SHOWN:,} more" if len(neighbours) > _SHOWN else ""
        print(f"tree {where['tree']}: {path}, beside {len(neighbours):,} labels")
        if neighbours:
            texts = where.get("neighbour_texts", [None] * len(neighbours))
            print(f"  {', '.join(map(_with_text, neighbours[:_SHOWN], texts))}{more}")
        if where["features"]:
            print(f"  features: {', '.join(printable(name) for name in where['features'])}")
        for text in where.get("examples", ()):
            print(f"  example: {printable(text)[:_TEXT]}")


def _print_spreads(found: list[dict[str, Any]]) -> None:
    from ceiba.cli import output

    if not found:
        print("no label stands in several clusters of a tree")
        return
    rows = [
        [
            _with_text(row["name"], row.get("text")),
            str(row["tree"]),
            " and ".join(map(str, row["clusters"])),
            f"{row['distance']:.3f}",
            str(row["levels"]),
        ]
        for row in found
    ]
    output.print_table(["label", "tree", "clusters", "distance", "levels apart"], rows, text=("label",))
