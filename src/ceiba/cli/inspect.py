"""``ceiba inspect``: what is in a model folder, and where a label stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ceiba.cli import options

_SHOWN = 20


def inspect(
    model_dir: options.ModelFolder,
    label: Annotated[str | None, typer.Option(help="Show this label's place in every tree and its neighbours.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Draw the trees.")] = False,
    depth: Annotated[int, typer.Option(min=1, help="Levels to draw.")] = 2,
    json: options.Json = False,
) -> None:
    """Show a model's sizes, parameters and trees."""
    from ceiba import load
    from ceiba.cli import output

    model = load(model_dir)
    content: dict[str, Any] = {}
    if label is None and not tree:
        content = facts(model, model_dir)
    if label is not None:
        content["label"] = place(model, label)
    if tree:
        content["trees"] = [draw(each, model.classes_, depth) for each in model.trees_]
    if json:
        output.emit_json(content)
        return
    if label is not None:
        _print_place(content["label"])
    elif not tree:
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
        "bytes": folder_size(folder),
        "trees": [_tree_facts(partition) for partition in model.partitions_],
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
    if isinstance(names[0], int):
        try:
            wanted = int(name)
        except ValueError:
            raise InputError(f"The labels of the model are numbers. Got --label {name!r}.") from None
    columns = [column for column, known in enumerate(names) if known == wanted]
    if columns:
        return columns[0], wanted
    part = name.casefold()
    similar = [known for known in names if isinstance(known, str) and part in known.casefold()][:5]
    hint = f" Similar: {', '.join(map(repr, similar))}." if similar else ""
    raise InputError(f"The model has no label {name!r}.{hint}")


def place(model: Any, name: str) -> dict[str, Any]:
    """Return a label's rows in training and, for each of its slots, the path there and the labels beside it."""
    column, label = find_label(model, name)
    places = []
    for number, tree in enumerate(model.trees_, start=1):
        for index in range(len(tree.slots(column))):
            path = tree.path(column, index)
            mates = tree.labels_under(len(path), path[-1] if path else 0)
            neighbours = [model.classes_[mate] for mate in mates.tolist() if mate != column]
            places.append({"tree": number, "path": path, "neighbours": [_plain_label(mate) for mate in neighbours]})
    return {"name": label, "positives_in_training": int(model.label_counts_[column]), "places": places}


def _plain_label(label: Any) -> Any:
    return label if isinstance(label, str) else int(label)


def draw(tree: Any, names: Any, depth: int) -> list[str]:
    """Return the lines of a drawing of a tree."""
    return tree.to_text(names, max_depth=depth).split("\n")


def _print_facts(content: dict[str, Any], folder: Path) -> None:
    from ceiba.cli import output

    parameters, trees = content.pop("parameters"), content.pop("trees")
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


def _print_place(content: dict[str, Any]) -> None:
    from ceiba.cli.output import printable

    print(f"{printable(str(content['name']))}: {content['positives_in_training']:,} positives in training")
    for where in content["places"]:
        path = " > ".join(["root", *map(str, where["path"])])
        neighbours = where["neighbours"]
        more = f" and {len(neighbours) - _SHOWN:,} more" if len(neighbours) > _SHOWN else ""
        print(f"tree {where['tree']}: {path}, beside {len(neighbours):,} labels")
        if neighbours:
            print(f"  {', '.join(printable(str(name)) for name in neighbours[:_SHOWN])}{more}")
