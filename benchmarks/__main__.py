"""Command line of the benchmarks: ``python -m benchmarks COMMAND --help``, from the root of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)

Out = Annotated[Path, typer.Option("--json", help="JSON lines to append the rows to")]
Threads = Annotated[int, typer.Option(help="threads of every system")]
Limit = Annotated[float, typer.Option("--time-limit", help="seconds a process may take")]
Peers = Annotated[Path, typer.Option("--peers-python", help="interpreter with the peers, made by peers_env.sh")]
OtherFeatures = Annotated[
    str | None, typer.Option("--features", help="other features: TfidfVectorizer's parameters, as a JSON object")
]
LibMultiLabel = Annotated[Path, typer.Option(help="interpreter with LibMultiLabel, made by peers_env.sh")]


@app.command()
def run(
    data: Annotated[
        list[Path], typer.Option(help='folder with train.jsonl.gz and test.jsonl.gz, or "icd": the demo; repeatable')
    ],
    json: Out,
    systems: Annotated[
        str, typer.Option(help="name or name:setting=value+setting=value, separated by commas")
    ] = "ceiba,pecos",
    repeats: Annotated[int, typer.Option(help="times each system runs, in turn")] = 3,
    limit: Annotated[int, typer.Option(help="use the first N training texts and N/9 test texts; 0: all")] = 0,
    features: OtherFeatures = None,
    threads: Threads = 2,
    time_limit: Limit = 3600.0,
    peers_python: Peers = Path(".peers-env/bin/python"),
    libmultilabel_python: LibMultiLabel = Path(".libmultilabel-env/bin/python"),
) -> None:
    """Train, save, load and predict with every system on the same features."""
    from json import loads

    from benchmarks.runner import Environments, run_all

    environments = Environments(peers_python, libmultilabel_python)
    run_all(
        data,
        systems.split(","),
        json,
        environments,
        repeats=repeats,
        limit=limit,
        threads=threads,
        time_limit=time_limit,
        features=None if features is None else loads(features),
    )


@app.command()
def hybrid(
    data: Annotated[Path, typer.Option(help='folder with train, test and labels.jsonl.gz, or "icd": the demo')],
    json: Out,
    encoder: Annotated[str | None, typer.Option(help='"frozen:" and the folder of an encoder')] = None,
    train: Annotated[int, typer.Option(help="use the first N training texts; 0: all")] = 0,
    test: Annotated[int, typer.Option(help="use the first N test texts; 0: all")] = 0,
    label_texts: Annotated[bool, typer.Option(help="with the texts of labels")] = True,
    all_labels: Annotated[bool, typer.Option(help="labels without a training text are candidates too")] = True,
    base: Annotated[str | None, typer.Option(help="XRTransformer or XTransformer, tuned as one of the sources")] = None,
    base_settings: Annotated[str, typer.Option(help="its parameters as a JSON object")] = "{}",
    validation: Annotated[int, typer.Option(help="measure on N training texts held out, not on test texts")] = 0,
    preset: Annotated[str | None, typer.Option(help="a preset of HybridClassifier")] = None,
    settings: Annotated[str, typer.Option(help="parameters of HybridClassifier as a JSON object")] = "{}",
    features: OtherFeatures = None,
    beside: Annotated[
        str | None, typer.Option(help="a preset of XRLinear to measure too; with --no-label-texts")
    ] = None,
    sources: Annotated[bool, typer.Option(help="measure each source too")] = True,
    threads: Threads = 2,
) -> None:
    """Train a hybrid model; measure it and each of its sources."""
    from json import loads

    from benchmarks.hybrid import run_hybrid

    run_hybrid(
        data,
        json,
        encoder=encoder,
        train=train,
        test=test,
        label_texts=label_texts,
        all_labels=all_labels,
        base=base,
        base_settings=loads(base_settings),
        validation=validation,
        preset=preset,
        settings=loads(settings),
        features={} if features is None else loads(features),
        beside=beside,
        sources=sources,
        threads=threads,
    )


@app.command()
def hybrid_cost(
    data: Annotated[Path, typer.Option(help="folder with train, test and labels.jsonl.gz")],
    json: Out,
    train: Annotated[int, typer.Option(help="use the first N training texts; 0: all")] = 0,
    label_texts: Annotated[bool, typer.Option(help="with the texts of labels")] = False,
    settings: Annotated[
        str | None, typer.Option(help="parameters of HybridClassifier as a JSON object; trees and neighbors if none")
    ] = None,
    repeats: Annotated[int, typer.Option(help="times both models are trained, in turn")] = 1,
    model_dir: Annotated[
        Path | None, typer.Option(help="keep the hybrid model there; where there is one, only its answers are timed")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Training of a hybrid model beside that of its linear base, and its answer for one text."""
    from json import loads

    from benchmarks.hybrid_cost import SETTINGS, run_cost

    given = SETTINGS if settings is None else loads(settings)
    wanted = {"train": train, "label_texts": label_texts, "settings": given, "repeats": repeats}
    run_cost(data, json, **wanted, model_dir=model_dir, threads=threads)


@app.command()
def dense(
    json: Out,
    rows: Annotated[str, typer.Option(help="numbers of rows, separated by commas")] = "100000,300000,1000000",
    data: Annotated[Path | None, typer.Option(help="folder with train and test.jsonl.gz; none: rows are made")] = None,
    encoder: Annotated[str | None, typer.Option(help='with a folder: "frozen:" and the folder of an encoder')] = None,
    threads: Threads = 2,
) -> None:
    """Nearest embeddings: a comparison with all rows, a graph of them, and faiss's graph where it is installed."""
    from benchmarks.dense import measure

    measure([int(number) for number in rows.split(",")], json, threads, data, encoder)


@app.command()
def sets() -> None:
    """Name the data sets of the tables: source, licence, what their builder needs."""
    from benchmarks.sets import SETS

    for info in SETS.values():
        print(f"{info.name}\n    source: {info.source}\n    licence: {info.licence}\n    files: {info.files or 'none'}")


@app.command()
def build(
    name: Annotated[str, typer.Argument(help="a name of `sets`")],
    files: Annotated[list[Path] | None, typer.Argument(help="the files of the source, where it needs any")] = None,
    to: Annotated[Path, typer.Option(help="folder to write train, test and labels.jsonl.gz to")] = Path("data"),
) -> None:
    """Build a data set of the tables from its source, and say whether it is the same."""
    from benchmarks.sets import SETS

    if name not in SETS:
        raise SystemExit(f"there is no set {name!r}; the sets are: {', '.join(SETS)}")
    missing = [str(path) for path in files or [] if not path.is_file()]
    if missing:
        raise SystemExit(f"no such file: {', '.join(missing)}")
    found = SETS[name].build(files or [], to)
    for part, digest in found.items():
        same = digest == SETS[name].digests[part]
        print(f"{part}: {digest} {'as in the tables' if same else 'differs: the source was of another day'}")


@app.command()
def public(
    json: Out,
    folder: Annotated[Path | None, typer.Option(help="folder with a folder for each set; default: ceiba's own")] = None,
    only: Annotated[str | None, typer.Option("--sets", help="names of folders, separated by commas")] = None,
    systems: Annotated[str, typer.Option(help="as for run")] = "ceiba",
    repeats: Annotated[int, typer.Option(help="times each system runs, in turn")] = 1,
    threads: Threads = 2,
    time_limit: Limit = 3600.0,
    peers_python: Peers = Path(".peers-env/bin/python"),
    libmultilabel_python: LibMultiLabel = Path(".libmultilabel-env/bin/python"),
) -> None:
    """Run systems on the field's public sets that were downloaded, on the features that come with them."""
    from benchmarks.public import run_public
    from benchmarks.runner import Environments

    environments = Environments(peers_python, libmultilabel_python)
    names = None if only is None else only.split(",")
    run_public(
        folder, names, systems.split(","), json, environments, repeats=repeats, threads=threads, time_limit=time_limit
    )


@app.command()
def everyday(
    model: Annotated[
        Path | None, typer.Option(help="folder of a model of the demo; trained where none is given")
    ] = None,
    threads: Threads = 2,
) -> None:
    """Everyday sentences: does the demo's model find their categories?"""
    from benchmarks.everyday import measure

    measure(model, threads)


@app.command()
def annif(
    data: Annotated[Path, typer.Option(help="folder with train, test and labels.jsonl.gz")],
    json: Out,
    annif_env: Annotated[Path, typer.Option(help="environment with Annif, made by annif_env.sh")] = Path(".annif-env"),
    train: Annotated[int, typer.Option(help="use the first N training texts; 0: all")] = 0,
    test: Annotated[int, typer.Option(help="use the first N test texts; 0: all")] = 0,
    held_out: Annotated[int, typer.Option(help="training texts that the ensembles learn from")] = 700,
    neural: Annotated[bool, typer.Option(help="train the neural ensemble too; it needs TensorFlow")] = False,
    keep: Annotated[Path | None, typer.Option(help="folder for Annif's projects, to serve them")] = None,
    threads: Threads = 2,
) -> None:
    """Train Annif's backends and ensembles; measure them with the figures of hybrid."""
    from benchmarks.annif import run_annif

    run_annif(
        data, json, env=annif_env, train=train, test=test, held_out=held_out, neural=neural, threads=threads, keep=keep
    )


@app.command()
def figures(
    out: Annotated[Path, typer.Option(help="folder of the pictures")] = Path("docs/images"),
    data: Annotated[
        Path | None, typer.Option(help="data folder for the reliability diagram; none: it is left out")
    ] = None,
) -> None:
    """Draw the pictures of the documentation."""
    from benchmarks.figures import draw_all

    for path in draw_all(out, data):
        print(path)


@app.command()
def text(
    data: Annotated[list[Path], typer.Option(help="folder with train.jsonl.gz and test.jsonl.gz; may be repeated")],
    json: Out,
    systems: Annotated[str, typer.Option(help="ceiba, pecos and sklearn, separated by commas")] = "ceiba,pecos,sklearn",
    repeats: Annotated[int, typer.Option(help="times each system runs, in turn")] = 3,
    limit: Annotated[int, typer.Option(help="use the first N training texts and N/9 test texts; 0: all")] = 0,
    threads: Threads = 2,
    time_limit: Limit = 3600.0,
    peers_python: Peers = Path(".peers-env/bin/python"),
) -> None:
    """Texts to TF-IDF, and one text to ranked labels, each system with its own vectorizer."""
    from benchmarks.runner import Environments, run_text

    environments = Environments(peers_python, peers_python)
    run_text(
        data,
        systems.split(","),
        json,
        environments,
        repeats=repeats,
        limit=limit,
        threads=threads,
        time_limit=time_limit,
    )


@app.command()
def scale(
    json: Out,
    labels: Annotated[str, typer.Option(help="numbers of labels, separated by commas")] = "1000,10000,100000,1000000",
    systems: Annotated[str, typer.Option(help="as for run")] = "ceiba",
    repeats: Annotated[int, typer.Option(help="times each system runs, in turn")] = 1,
    threads: Threads = 2,
    time_limit: Limit = 3600.0,
    peers_python: Peers = Path(".peers-env/bin/python"),
    libmultilabel_python: LibMultiLabel = Path(".libmultilabel-env/bin/python"),
) -> None:
    """Train and predict on synthetic sets of as many documents as labels."""
    from benchmarks.runner import Environments, run_scale

    environments = Environments(peers_python, libmultilabel_python)
    numbers = [int(number) for number in labels.split(",")]
    run_scale(numbers, systems.split(","), json, environments, repeats=repeats, threads=threads, time_limit=time_limit)


@app.command()
def kernels(
    json: Out, data: Annotated[Path, typer.Option(help="folder with train.jsonl.gz and test.jsonl.gz")]
) -> None:
    """Work and time of the core's kernels, beside what the machine's memory and arithmetic allow."""
    from benchmarks.kernels import measure

    measure(data, json)


@app.command()
def heads(
    json: Out,
    labels: Annotated[
        str, typer.Option(help="numbers of labels, separated by commas")
    ] = "1000,10000,20000,200000,1000000,3000000",
    dim: Annotated[int, typer.Option(help="width of the embeddings")] = 384,
    threads: Threads = 2,
) -> None:
    """A step's time in the head alone: over all clusters, over a shortlist of them, over a draw of labels as means."""
    from benchmarks.heads import measure

    measure([int(number) for number in labels.split(",")], json, dim=dim, threads=threads)


@app.command()
def transformer(
    data: Annotated[Path, typer.Option(help="folder with train.jsonl.gz and test.jsonl.gz")],
    json: Out,
    encoder: Annotated[str, typer.Option(help="folder of the encoder, or its name on the hub")],
    systems: Annotated[
        str, typer.Option(help="xr-linear, xr-linear-3, frozen, xr-transformer, x-transformer, pecos-xr-transformer")
    ] = "xr-linear,xr-linear-3,frozen,xr-transformer,x-transformer",
    train: Annotated[int, typer.Option(help="use the first N training texts")] = 10_000,
    test: Annotated[int, typer.Option(help="use the first N test texts")] = 2_000,
    max_length: Annotated[int, typer.Option(help="tokens read of a text")] = 128,
    settings: Annotated[str, typer.Option(help="parameters of the Transformer models, as a JSON object")] = "{}",
    pecos: Annotated[str, typer.Option(help="settings of PECOS's XR-Transformer, as a JSON object")] = "{}",
    label_texts: Annotated[bool, typer.Option(help="give Ceiba's systems the labels' texts")] = False,
    labels: Annotated[int, typer.Option(help="keep the N most frequent labels and texts that have any; 0: all")] = 0,
    validation: Annotated[
        bool, typer.Option(help="measure on the training texts that follow, not on test texts")
    ] = False,
    seed: Annotated[int, typer.Option(help="seed of every system")] = 0,
    threads: Threads = 2,
    peers_python: Peers = Path(".peers-env/bin/python"),
) -> None:
    """Transformer matchers beside linear models on the same texts."""
    from json import loads

    from benchmarks.transformer import run as run_systems

    run_systems(
        data,
        systems.split(","),
        json,
        encoder=encoder,
        train=train,
        test=test,
        max_length=max_length,
        threads=threads,
        settings=loads(settings),
        pecos=loads(pecos),
        peers=peers_python.absolute(),
        label_texts=label_texts,
        labels=labels,
        validation=validation,
        seed=seed,
    )


Settings = Annotated[str, typer.Option(help="parameters of the model, as a JSON object")]
OverlapData = Annotated[Path, typer.Option(help='folder with train.jsonl.gz and test.jsonl.gz, or "icd": the demo')]


@app.command()
def overlap(
    data: OverlapData,
    json: Out,
    overlaps: Annotated[str, typer.Option(help="numbers of clusters per label, separated by commas")] = "1,2,3,4,5,6",
    limit: Annotated[int, typer.Option(help="use the first N training texts and N/9 test texts; 0: all")] = 0,
    validation: Annotated[bool, typer.Option("--validation", help="hold out training texts, leave the test's")] = False,
    seeds: Annotated[int, typer.Option(help="seeds to train with")] = 1,
    settings: Settings = "{}",
    features: OtherFeatures = None,
    threads: Threads = 2,
) -> None:
    """Labels in one to six clusters on the same features; with --overlaps 1, any settings on a validation split."""
    from json import loads

    from benchmarks.overlap import run as run_overlaps

    numbers = [int(number) for number in overlaps.split(",")]
    run_overlaps(
        data, numbers, json, limit=limit, validation=validation, seeds=seeds, threads=threads,
        settings=loads(settings), features=None if features is None else loads(features),
    )  # fmt: skip


@app.command()
def homonyms(
    data: OverlapData,
    json: Out,
    pairs: Annotated[int, typer.Option(help="pairs of labels to merge")] = 200,
    least: Annotated[int, typer.Option(help="fewest positives of a label to merge")] = 20,
    overlaps: Annotated[str, typer.Option(help="numbers of clusters per label, separated by commas")] = "2,3",
    limit: Annotated[int, typer.Option(help="use the first N training texts; 0: all")] = 0,
    settings: Settings = "{}",
    threads: Threads = 2,
) -> None:
    """Merge pairs of labels that have nothing in common: do their clusters part them again?"""
    from json import loads

    from benchmarks.overlap import run_homonyms

    numbers = [int(number) for number in overlaps.split(",")]
    run_homonyms(
        data, json, limit=limit, pairs=pairs, least=least, overlaps=numbers, threads=threads, settings=loads(settings)
    )


@app.command()
def overlap_report(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of overlap")],
    to: Annotated[Path, typer.Option(help="folder for overlap.md and overlap.svg")] = Path("benchmarks/results"),
) -> None:
    """Write a table per data set, and gains against the number of clusters."""
    from benchmarks.overlap_report import write as write_overlaps

    write_overlaps(files, to)


@app.command()
def ray(
    json: Out,
    data: Annotated[Path | None, typer.Option(help="folder with train.jsonl.gz: threads and Ray side by side")] = None,
    limit: Annotated[int, typer.Option(help="use the first N training texts; 0: all")] = 50_000,
    trees: Annotated[int, typer.Option(help="trees of the ensemble")] = 5,
    workers: Annotated[int, typer.Option(help="workers of one thread each, and threads")] = 2,
    repeats: Annotated[int, typer.Option(help="times each way runs, in turn")] = 3,
    megabytes: Annotated[int, typer.Option(help="instead: the driver's memory for a made-up set of that size")] = 0,
    share: Annotated[str, typer.Option(help='how the set reaches workers: "objects" or "files"')] = "files",
) -> None:
    """Measure the Ray path on one node: its time beside threads, or the memory of its driver."""
    from benchmarks.ray_overhead import driver_memory, side_by_side

    if data is not None:
        side_by_side(data, json, limit=limit, n_trees=trees, workers=workers, repeats=repeats)
    if megabytes:
        driver_memory(json, megabytes=megabytes, share=share)


@app.command()
def distributed(
    data: Annotated[Path, typer.Option(help="folder with train.jsonl.gz and test.jsonl.gz")],
    json: Out,
    limit: Annotated[int, typer.Option(help="use the first N training texts and N/9 test texts; 0: all")] = 50_000,
    workers: Annotated[int, typer.Option(help="workers of Ray and processes of MPI, of one thread each")] = 2,
    repeats: Annotated[int, typer.Option(help="times each way runs, in turn")] = 3,
    time_limit: Limit = 3600.0,
    peers_python: Peers = Path(".peers-env/bin/python"),
) -> None:
    """Train with Ceiba on Ray and with PECOS on MPI, on the same features of one machine."""
    from benchmarks.distributed import side_by_side
    from benchmarks.runner import Environments

    environments = Environments(peers_python, peers_python)
    side_by_side(data, json, environments, limit=limit, workers=workers, repeats=repeats, time_limit=time_limit)


@app.command()
def growth_report(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of transformer, of several steps and --labels")],
    to: Annotated[Path, typer.Option(help="folder for a .md and a .svg, named after the first file")] = Path(
        "benchmarks/results"
    ),
) -> None:
    """Write accuracy against training time of XR- and X-Transformer as the number of labels grows."""
    from benchmarks.growth_report import write as write_growth

    write_growth(files, to)


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of run, text and scale")],
    to: Annotated[Path, typer.Option(help="folder for report.md and the plots")] = Path("benchmarks/results"),
    base: Annotated[str, typer.Option(help="system that ratios are taken to")] = "pecos",
) -> None:
    """Write a table per data set and the plots."""
    from benchmarks.report import write

    write(files, to, base)


@app.command()
def accuracy_report(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of run")],
    to: Annotated[Path, typer.Option(help="folder for accuracy.md")] = Path("benchmarks/results"),
) -> None:
    """Write a table per data set with the best of each figure, and in how many Ceiba is first."""
    from benchmarks.accuracy_report import write as write_accuracy

    write_accuracy(files, to)


if __name__ == "__main__":
    app()
