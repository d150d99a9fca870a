"""The folder that ``ceiba predict --engine ray`` fills: nothing that is there already is lost."""

import pytest

from ceiba.cli.prediction_folder import PredictionFolder
from ceiba.errors import InputError


@pytest.mark.parametrize("resume", [False, True])
def test_parquet_files_of_another_program_stay_where_nothing_allows_to_replace_them(tmp_path, resume):
    shard = tmp_path / "part-00000.parquet"
    shard.write_bytes(b"theirs")
    (tmp_path / "_SUCCESS").touch()
    with pytest.raises(InputError, match="--overwrite"):
        PredictionFolder(tmp_path, {"rows": 1}, resume=resume, overwrite=False)
    assert shard.read_bytes() == b"theirs"
    PredictionFolder(tmp_path, {"rows": 1}, resume=False, overwrite=True)
    assert not shard.exists()


def test_an_empty_folder_and_one_without_shards_begin_anew(tmp_path):
    PredictionFolder(tmp_path / "new", {"rows": 1}, resume=True, overwrite=False)
    folder = PredictionFolder(tmp_path / "new", {"rows": 1}, resume=True, overwrite=False)
    folder.write(0, memoryview(b"own"))
    PredictionFolder(tmp_path / "new", {"rows": 1}, resume=True, overwrite=False)
    assert folder.shard(0).read_bytes() == b"own"
