"""A folder of Parquet files that a long prediction fills, and that one which was stopped goes on with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ceiba.errors import InputError, StorageError
from ceiba.executors import Piece

PLAN, DONE = "_plan.json", "_SUCCESS"  # readers of Parquet pass over names that begin like this
_SHARD = re.compile(r"part-\d{5,}\.parquet")


class PredictionFolder:
    """The answers for a file in ``part-00000.parquet``, ``part-00001.parquet`` and so on, in the order of the rows.

    A shard is written whole or not at all. ``_plan.json`` says what the shards are answers to, and ``_SUCCESS`` is
    there once all are.

    Parameters
    ----------
    folder : Path
    plan : mapping
        All that the answers depend on.
    resume, overwrite : bool
        Whether to go on with the shards of the same plan, or to replace those of any.

    Raises
    ------
    InputError
        When the folder holds something else, or answers of another plan.
    StorageError
        When it cannot be written to.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any], *, resume: bool, overwrite: bool):
        self.folder = folder.expanduser()
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"-o {folder} is a file; with --engine ray the answers go to a folder.")
        try:
            self._begin(dict(plan), resume, overwrite)
        except InputError:
            raise
        except OSError as error:
            raise StorageError(f"-o {folder} cannot be written to", error) from error

    def _begin(self, plan: dict[str, Any], resume: bool, overwrite: bool) -> None:
        from ceiba.io.durable import replace_file

        self.folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(self.folder.iterdir()):
            own = path.name in (PLAN, DONE) or _SHARD.fullmatch(path.name) or path.name.startswith(".part-")
            if not own:
                raise InputError(f"-o {self.folder} holds other files, {path.name!r} for one; give another folder.")
        path = self.folder / PLAN
        if path.exists():
            self._check(path, plan, resume, overwrite)
        elif not overwrite and any(_SHARD.fullmatch(each.name) for each in self.folder.iterdir()):
            raise InputError(
                f"-o {self.folder} holds Parquet files of another program; give another folder, or --overwrite."
            )
        for stale in self.folder.glob(".part-*"):
            stale.unlink()
        if not (path.exists() and resume):
            for shard in (self.folder / DONE, *self.folder.glob("part-*.parquet")):
                shard.unlink(missing_ok=True)
            replace_file(path, lambda temporary: temporary.write_text(json.dumps(plan, indent=1), "utf-8"))

    def _check(self, path: Path, plan: dict[str, Any], resume: bool, overwrite: bool) -> None:
        if overwrite and not resume:
            return
        if not resume:
            raise InputError(f"-o {self.folder} holds answers already; --resume goes on, --overwrite begins anew.")
        try:
            former = json.loads(path.read_text("utf-8"))
            other = [name for name in plan if former.get(name) != plan[name]]
        except (ValueError, AttributeError):
            raise InputError(f"{path} is damaged; --overwrite begins anew.") from None
        if other:
            raise InputError(
                f"-o {self.folder} holds the answers of another prediction ({', '.join(other)} differ); "
                "--overwrite begins anew."
            )

    def shard(self, number: int) -> Path:
        """Return the path of a shard."""
        return self.folder / f"part-{number:05}.parquet"

    def missing(self, pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
        """Yield the pieces of work whose shards are not there, with their numbers."""
        for number, piece in enumerate(pieces):
            if not self.shard(number).exists():
                yield number, piece

    def write(self, number: int, content: memoryview) -> None:
        """Write a shard, whole or not at all."""
        from ceiba.io.durable import replace_file

        path = self.shard(number)
        try:
            replace_file(path, lambda temporary: temporary.write_bytes(content))
        except OSError as error:
            raise StorageError(f"{path} cannot be written", error, "--resume goes on.") from error

    def finish(self) -> None:
        """Say that all shards are there."""
        (self.folder / DONE).touch()
