"""Fetching the benchmark sets, against a server of this process that cuts, refuses and lies on demand."""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from scipy import sparse

from ceiba.data import DownloadError, datasets, download, get_dataset, list_datasets, read
from ceiba.errors import CeibaError, DataFormatError, InputError


def member(tar, name, raw=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(raw)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(raw))


def matrix(n, d, seed):
    out = io.BytesIO()
    rng = np.random.default_rng(seed)
    sparse.save_npz(out, sparse.random_array((n, d), density=0.4, rng=rng, format="csr", dtype=np.float32))
    return out.getvalue()


def make_archive(top="xmc-base/eurlex-4k", extra=None, labels=True):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member(tar, top, type=tarfile.DIRTYPE, mode=0o755)
        for split, n in (("trn", 6), ("tst", 3)):
            member(tar, f"{top}/X.{split}.txt", "".join(f"text {i}\n" for i in range(n)).encode())
            member(tar, f"{top}/tfidf-attnxml/X.{split}.npz", matrix(n, 9, n))
            if labels:
                member(tar, f"{top}/Y.{split}.npz", matrix(n, 4, n + 1))
        member(tar, f"{top}/output-items.txt", b"a\nb\nc\nd\n")
        member(tar, f"{top}/noise.bin", np.random.default_rng(0).bytes(300_000))
        if extra is not None:
            extra(tar)
    return out.getvalue()


ARCHIVE = make_archive()


class Server(ThreadingHTTPServer):
    """Serves one archive; what it does wrong is set by its attributes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = ARCHIVE
        self.etag = '"v1"'
        self.modified = None
        self.ranges = True
        self.tell_size = True
        self.cuts = []  # after how many bytes to cut the next responses
        self.errors = []  # status codes of the next responses
        self.wrong_range = False
        self.seen = []  # (path, Range) of each request

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/mirror"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.seen.append((self.path, asked))
        if server.errors:
            return self.send_error(server.errors.pop(0))
        if not self.path.startswith("/mirror/") or not self.path.endswith("eurlex-4k.tar.gz"):
            return self.send_error(404)
        start, content = 0, server.content
        same = self.headers.get("If-Range") in (server.etag, server.modified)
        if asked and server.ranges and same:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206)
            shown = start + 7 if server.wrong_range else start
            self.send_header("Content-Range", f"bytes {shown}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.etag:
            self.send_header("ETag", server.etag)
        if server.modified:
            self.send_header("Last-Modified", server.modified)
        body = content[start:]
        if server.tell_size:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if server.cuts:
            body = body[: server.cuts.pop(0)]
            self.close_connection = True
        self.wfile.write(body)
        return None


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(download, "PAUSE", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_the_list_names_the_six_sets():
    names = [info.name for info in list_datasets()]
    assert names == ["Eurlex-4K", "Wiki10-31K", "AmazonCat-13K", "Wiki-500K", "Amazon-670K", "Amazon-3M"]
    assert all(info.archive == f"{info.name.lower()}.tar.gz" for info in list_datasets())
    assert [info.n_labels for info in list_datasets()] == [3956, 30938, 13330, 501070, 670091, 2812281]


def test_a_set_is_fetched_unpacked_and_readable(server, tmp_path):
    calls = []
    folder = get_dataset("eurlex-4K", tmp_path, server.url, lambda *call: calls.append(call))
    assert folder == tmp_path / "eurlex-4k"
    assert server.seen == [("/mirror/eurlex-4k.tar.gz", None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eurlex-4k", "eurlex-4k.tar.gz.sha256"]
    record = (tmp_path / "eurlex-4k.tar.gz.sha256").read_text()
    assert record == f"{hashlib.sha256(ARCHIVE).hexdigest()}  eurlex-4k.tar.gz\n"
    stages = dict.fromkeys(stage for stage, _, _ in calls)
    assert list(stages) == ["download", "unpack"]
    assert ("download", len(ARCHIVE), len(ARCHIVE)) in calls
    data = read(folder, split="test")
    assert list(data.texts) == ["text 0", "text 1", "text 2"]
    assert data.Y.shape == (3, 4)
    assert read(folder / "tfidf-attnxml").X.shape == (6, 9)
    assert get_dataset("Eurlex-4K", tmp_path, server.url) == folder
    assert len(server.seen) == 1  # what is there is not fetched again


def test_folder_and_mirror_come_from_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("CEIBA_DATASETS_URL", server.url + "/")
    monkeypatch.setenv("CEIBA_DATASETS_DIR", str(tmp_path / "sets"))
    assert get_dataset("Eurlex-4K") == tmp_path / "sets" / "eurlex-4k"
    monkeypatch.delenv("CEIBA_DATASETS_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert get_dataset("Eurlex-4K") == tmp_path / "cache" / "ceiba" / "datasets" / "eurlex-4k"
    assert datasets.BASE_URL == "https://archive.org/download/pecos-dataset/xmc-base"


def test_a_cut_connection_is_resumed(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_resumes(server, tmp_path):
    server.cuts = [40_000] * download.ATTEMPTS
    with pytest.raises(
        DownloadError, match=r"the connection broke .* 200000 bytes are kept in .*eurlex-4k.tar.gz.part"
    ):
        get_dataset("Eurlex-4K", tmp_path, server.url)
    assert not (tmp_path / "eurlex-4k").exists()
    assert not (tmp_path / "eurlex-4k.tar.gz").exists()
    server.seen.clear()
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert server.seen == [("/mirror/eurlex-4k.tar.gz", "bytes=200000-")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["eurlex-4k", "eurlex-4k.tar.gz.sha256"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.cuts = [100_000]
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-"]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_firm_mark_of_the_version_nothing_is_resumed(server, tmp_path, etag):
    server.etag = etag
    server.cuts = [100_000]
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked for _, asked in server.seen] == [None, None]


def test_the_date_serves_as_mark(server, tmp_path):
    server.etag, server.modified = None, "Tue, 01 Mar 2022 10:00:00 GMT"
    server.cuts = [100_000]
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-"]


def test_a_file_that_changed_on_the_server_is_fetched_whole(server, tmp_path):
    server.content = os.urandom(len(ARCHIVE))
    server.cuts = [60_000] * download.ATTEMPTS
    with pytest.raises(DownloadError):
        get_dataset("Eurlex-4K", tmp_path, server.url)
    server.content, server.etag = ARCHIVE, '"v2"'
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()


def test_another_mirror_does_not_continue_a_part(server, tmp_path):
    server.cuts = [60_000] * download.ATTEMPTS
    with pytest.raises(DownloadError):
        get_dataset("Eurlex-4K", tmp_path, server.url)
    server.seen.clear()
    get_dataset("Eurlex-4K", tmp_path, server.url + "/other")
    assert server.seen == [("/mirror/other/eurlex-4k.tar.gz", None)]


def test_a_wrong_range_is_not_stitched_in(server, tmp_path):
    server.cuts = [100_000]
    server.wrong_range = True
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked for _, asked in server.seen] == [None, "bytes=100000-", None]


def test_a_refused_range_starts_again(server, tmp_path):
    server.cuts = [100_000]
    server.errors = []
    part = tmp_path / "eurlex-4k.tar.gz.part"
    part.write_bytes(ARCHIVE + b"more than there is")
    state = f'{{"url": "{server.url}/eurlex-4k.tar.gz", "version": "\\"v1\\"", "size": 0}}'
    (tmp_path / "eurlex-4k.tar.gz.part.json").write_text(state)
    server.cuts = []
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    assert [asked is None for _, asked in server.seen] == [False, True]


def test_a_complete_part_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "a.part").write_bytes(ARCHIVE)  # as left by a kill just before the renaming
    state = f'{{"url": "{server.url}/eurlex-4k.tar.gz", "version": "\\"v1\\"", "size": {len(ARCHIVE)}}}'
    (tmp_path / "a.part.json").write_text(state)
    download.fetch(f"{server.url}/eurlex-4k.tar.gz", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == ARCHIVE
    assert server.seen == []
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_server_that_does_not_tell_the_size(server, tmp_path):
    server.tell_size = False
    calls = []
    assert get_dataset("Eurlex-4K", tmp_path, server.url, lambda *call: calls.append(call)).is_dir()
    assert calls[0][0] == "download"
    assert calls[0][2] == 0
    (tmp_path / "b").mkdir()
    server.cuts = [1000]  # not noticed in transfer, but in the archive
    with pytest.raises(DataFormatError, match="damaged or cut short"):
        get_dataset("Eurlex-4K", tmp_path / "b", server.url)
    assert list((tmp_path / "b").iterdir()) == []


def test_a_busy_server_is_asked_again_but_not_for_what_it_lacks(server, tmp_path):
    server.errors = [503, 429]
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()
    server.seen.clear()
    with pytest.raises(DownloadError, match=r"wiki10-31k.tar.gz.*404"):
        get_dataset("Wiki10-31K", tmp_path, server.url)
    assert len(server.seen) == 1
    server.errors = [500] * 9
    with pytest.raises(DownloadError, match=f"500 .*{download.ATTEMPTS} attempts"):
        get_dataset("Wiki-500K", tmp_path, server.url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://no-such-host.invalid/x", "cannot connect"),
        ("http://127.0.0.1:1/x", "cannot connect"),
        ("nonsense", "unknown url type"),
    ],
)
def test_no_connection_is_told_at_once(tmp_path, monkeypatch, url, message):
    monkeypatch.setattr(download, "PAUSE", 1e6)  # a second attempt would hang
    with pytest.raises(DownloadError, match=f"{url}/eurlex-4k.tar.gz: {message}") as caught:
        get_dataset("Eurlex-4K", tmp_path, url)
    assert isinstance(caught.value, CeibaError)


def test_the_first_checksum_is_trusted_and_kept(server, tmp_path):
    folder = get_dataset("Eurlex-4K", tmp_path, server.url)
    folder.rename(tmp_path / "old")
    server.content = make_archive(extra=lambda tar: member(tar, "xmc-base/eurlex-4k/more.txt", b"x"))
    with pytest.raises(
        DataFormatError, match=r"the SHA-256 is \w{64}, expected \w{64}; .*eurlex-4k.tar.gz.sha256; delete"
    ):
        get_dataset("Eurlex-4K", tmp_path, server.url)
    assert not (tmp_path / "eurlex-4k").exists()
    assert not list(tmp_path.glob("*.part*"))
    (tmp_path / "eurlex-4k.tar.gz.sha256").unlink()
    assert (get_dataset("Eurlex-4K", tmp_path, server.url) / "more.txt").exists()


def test_a_damaged_checksum_record_is_an_error(server, tmp_path):
    (tmp_path / "eurlex-4k.tar.gz.sha256").write_text("hello")
    with pytest.raises(DataFormatError, match=r"sha256: expected a SHA-256"):
        get_dataset("Eurlex-4K", tmp_path, server.url)


def test_a_known_checksum_must_match(server, tmp_path):
    wrong = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(DataFormatError, match=f"{wrong}.*deleted"):
        download.fetch(f"{server.url}/eurlex-4k.tar.gz", tmp_path / "a", sha256=wrong)
    assert list(tmp_path.iterdir()) == []
    right = hashlib.sha256(ARCHIVE).hexdigest()
    assert download.fetch(f"{server.url}/eurlex-4k.tar.gz", tmp_path / "a", sha256=right.upper()) == right
    server.seen.clear()
    assert download.fetch(f"{server.url}/eurlex-4k.tar.gz", tmp_path / "a", sha256=right) == right
    assert server.seen == []


UNSAFE = {
    "parent": lambda tar: member(tar, "../../escaped", b"x"),
    "absolute": lambda tar: member(tar, "/../escaped", b"x"),
    "link": lambda tar: member(tar, "xmc-base/eurlex-4k/link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "hard link": lambda tar: member(tar, "xmc-base/eurlex-4k/link", type=tarfile.LNKTYPE, linkname="../../../x"),
    "device": lambda tar: member(tar, "xmc-base/eurlex-4k/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    "pipe": lambda tar: member(tar, "xmc-base/eurlex-4k/pipe", type=tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", UNSAFE)
def test_unsafe_members_are_refused(server, tmp_path, kind):
    server.content = make_archive(extra=UNSAFE[kind])
    home = tmp_path / "a" / "b"
    with pytest.raises(DataFormatError, match="unsafe to unpack"):
        get_dataset("Eurlex-4K", home, server.url)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ARCHIVE[:5000], "damaged or cut short"),
        (b"no archive at all", "damaged or cut short"),
        (make_archive(labels=False), "holds no Y.trn.npz"),
    ],
)
def test_damaged_archives_leave_nothing_behind(server, tmp_path, content, message):
    server.content = content
    with pytest.raises(DataFormatError, match=message):
        get_dataset("Eurlex-4K", tmp_path, server.url)
    assert list(tmp_path.iterdir()) == []
    server.content = ARCHIVE
    assert get_dataset("Eurlex-4K", tmp_path, server.url).is_dir()


def test_an_archive_without_the_outer_folder(server, tmp_path):
    server.content = make_archive(top="eurlex")
    assert (get_dataset("Eurlex-4K", tmp_path, server.url) / "X.trn.txt").exists()


def test_unknown_names_list_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"'Eurlex'.*Eurlex-4K, Wiki10-31K"):
        get_dataset("Eurlex", tmp_path)


def test_a_full_disk_is_no_broken_connection(server, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, _):
            raise OSError(28, "No space left on device")

    whole_open = type(tmp_path).open
    monkeypatch.setattr(
        type(tmp_path),
        "open",
        lambda path, mode="r", *rest, **more: Full() if mode == "wb" else whole_open(path, mode, *rest, **more),
    )
    with pytest.raises(DownloadError, match=r"cannot write \(No space left"):
        download.fetch(f"{server.url}/eurlex-4k.tar.gz", tmp_path / "a")
    assert len(server.seen) == 1


def test_reading_files_loads_no_http_client():
    code = "import sys, ceiba.data; print([m for m in ('ceiba.data.download', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
