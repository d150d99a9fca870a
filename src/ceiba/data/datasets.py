"""The public benchmark sets of XMC, in the archives that the examples of PECOS name.

https://github.com/amzn/pecos/tree/mainline/examples/pecos-xrlinear-jmlr22 and
https://github.com/amzn/pecos/tree/mainline/examples/xr-transformer-neurips21 give the address and the names:
raw texts (``X.trn.txt``), TF-IDF features (``tfidf-attnxml/X.trn.npz``), labels (``Y.trn.npz``), the same for the
test set (``tst``), and label texts (``output-items.txt``). The splits are those of AttentionXML (You et al., NeurIPS
2019, arXiv:1811.01727).
"""

from __future__ import annotations

import gzip
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ceiba.data.download import DownloadError, fetch
from ceiba.errors import CeibaError, DataFormatError, InputError

BASE_URL = "https://archive.org/download/pecos-dataset/xmc-base"
URL_VARIABLE = "CEIBA_DATASETS_URL"
FOLDER_VARIABLE = "CEIBA_DATASETS_DIR"


@dataclass(frozen=True)
class DatasetInfo:
    """A public benchmark set.

    Attributes
    ----------
    name : str
        The name in the literature, such as "Eurlex-4K".
    archive : str
        The file name of its archive.
    n_train, n_test, n_features, n_labels : int
        N of the training and the test split, D of the TF-IDF features, and L.
    sha256 : str or None
        The SHA-256 of the archive where it is known.
    """

    name: str
    archive: str
    n_train: int
    n_test: int
    n_features: int
    n_labels: int
    sha256: str | None = None


# sizes from Zhang et al., "Fast multi-resolution transformer fine-tuning for extreme multi-label text
# classification" (NeurIPS 2021, arXiv:2110.00685); checksums of the archives are not known to us
_DATASETS = (
    DatasetInfo("Eurlex-4K", "eurlex-4k.tar.gz", 15_449, 3_865, 186_104, 3_956),
    DatasetInfo("Wiki10-31K", "wiki10-31k.tar.gz", 14_146, 6_616, 101_938, 30_938),
    DatasetInfo("AmazonCat-13K", "amazoncat-13k.tar.gz", 1_186_239, 306_782, 203_882, 13_330),
    DatasetInfo("Wiki-500K", "wiki-500k.tar.gz", 1_779_881, 769_421, 2_381_304, 501_070),
    DatasetInfo("Amazon-670K", "amazon-670k.tar.gz", 490_449, 153_025, 135_909, 670_091),
    DatasetInfo("Amazon-3M", "amazon-3m.tar.gz", 1_717_899, 742_507, 337_067, 2_812_281),
)


def list_datasets() -> list[DatasetInfo]:
    """Return the benchmark sets that `get_dataset` can fetch, the smallest label set first.

    Examples
    --------
    >>> [info.name for info in list_datasets()][:2]
    ['Eurlex-4K', 'Wiki10-31K']
    """
    return list(_DATASETS)


def get_dataset(
    name: str,
    folder: str | Path | None = None,
    base_url: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Fetch a benchmark set and return its folder, which `ceiba.data.read` reads.

    A set that is there already is not fetched again. An interrupted download is continued by the next call.
    The archive is deleted after it is unpacked.

    No checksums of the archives are known to Ceiba. The SHA-256 of the first download is therefore written
    beside the set (``eurlex-4k.tar.gz.sha256``), and a later download, here or where this file was copied to,
    must match it: trust on first use. What protects the first download is HTTPS.

    Parameters
    ----------
    name : str
        A name from `list_datasets`; upper and lower case are the same.
    folder : str or Path, default None
        Where the sets go, each in a folder of its own. By default the environment variable
        CEIBA_DATASETS_DIR, or else ``ceiba/datasets`` in the user's cache folder.
    base_url : str, default None
        The address the archive's name is appended to. By default the environment variable CEIBA_DATASETS_URL,
        for a mirror, or else the Internet Archive.
    progress : callable, default None
        Called as ``progress(stage, done, total)``, in bytes; the stages are "download" and "unpack".

    Returns
    -------
    Path
        The folder with ``X.trn.txt``, ``Y.trn.npz``, ``tfidf-attnxml`` and so on.

    Raises
    ------
    InputError
        If there is no set of this name.
    DownloadError
        If the archive cannot be fetched.
    DataFormatError
        If the archive is not the one that was fetched before, is damaged, or is unsafe to unpack.
    """
    info = next((info for info in _DATASETS if info.name.lower() == str(name).lower()), None)
    if info is None:
        known = ", ".join(info.name for info in _DATASETS)
        raise InputError(f"There is no data set {name!r}. The data sets are: {known}.")
    home = Path(folder or os.environ.get(FOLDER_VARIABLE) or _cache() / "ceiba" / "datasets").expanduser()
    home.mkdir(parents=True, exist_ok=True)
    stem = info.archive.removesuffix(".tar.gz")
    final = home / stem
    if final.is_dir():
        return final
    url = f"{(base_url or os.environ.get(URL_VARIABLE) or BASE_URL).rstrip('/')}/{info.archive}"
    archive, record = home / info.archive, home / f"{info.archive}.sha256"
    recorded = _recorded(record)
    try:
        sha256 = fetch(url, archive, sha256=info.sha256 or recorded, progress=progress)
    except DataFormatError as error:
        if recorded is None:
            raise
        hint = f"The expected one is that of the first download, in {record}; delete it to trust another."
        raise DataFormatError(f"{error} {hint}") from None
    try:
        _unpack(archive, stem, final, progress)
    except DataFormatError:
        archive.unlink()  # the next call must not stumble over it again
        raise
    record.write_text(f"{sha256}  {info.archive}\n", encoding="utf-8")
    archive.unlink()
    return final


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()


def _recorded(record: Path) -> str | None:
    if not record.exists():
        return None
    words = record.read_text(encoding="utf-8", errors="replace").split()
    if not words or len(words[0]) != 64 or not set(words[0].lower()) <= set("0123456789abcdef"):
        raise DataFormatError(f"{record}: expected a SHA-256 and a file name.")
    return words[0]


def _unpack(archive: Path, stem: str, final: Path, progress: Callable[[str, int, int], None] | None) -> None:
    """Unpack the folder ``stem`` of an archive, wherever it is inside, and put it in place in one step."""
    if not hasattr(tarfile, "data_filter"):
        raise CeibaError("Unpacking archives safely needs Python 3.11.4 or newer.")
    total = archive.stat().st_size
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{stem}-") as temporary:
        try:
            with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:gz") as tar:
                for member in tar:
                    if not (member.isreg() or member.isdir()):
                        raise tarfile.SpecialFileError(member)  # data has no links or devices
                    tar.extract(member, temporary, filter="data")  # refuses paths that lead elsewhere
                    if progress is not None:
                        progress("unpack", file.tell(), total)
        except tarfile.FilterError as error:
            raise DataFormatError(f"{archive}: unsafe to unpack ({error}).") from None
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataFormatError(f"{archive}: the archive is damaged or cut short ({error}).") from None
        except OSError as error:
            raise DownloadError(f"{archive}: cannot unpack ({error.strerror or error}).") from None
        found = sorted(Path(temporary).rglob("Y.trn.npz"), key=lambda path: len(path.parts))
        if not found:
            raise DataFormatError(f"{archive}: holds no Y.trn.npz, so it is none of the known data sets.")
        os.rename(found[0].parent, final)
