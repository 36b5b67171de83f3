"""Downloads from a local server that misbehaves on demand."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from models.checkpoints import (
    CheckpointError,
    PublishedCheckpoint,
    download,
    fetch_checkpoint,
    load_network,
)
from models.checkpoints.progress import ProgressLine
from models.checkpoints.registry import PUBLISHED
from models.tapir import CONFIGS, TapirConfig

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    content: bytes = CONTENT
    etag: str | None = '"v1"'
    ranges: bool = True
    careless: bool = False  # answers a range without looking at the version asked for
    cuts: list[int] = field(default_factory=list)  # bytes sent by the next answers before a cut
    statuses: list[int] = field(default_factory=list)  # of the next answers, instead of content
    shift: int = 0  # a range is served from so many bytes later
    length: bool = True
    md5: bytes | None = None
    seen: list[str | None] = field(default_factory=list)  # the Range header of every request


@dataclass
class Server:
    url: str
    behaviour: Behaviour


@pytest.fixture
def server() -> Iterator[Server]:
    behaviour = Behaviour()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            behaviour.seen.append(wanted)
            if behaviour.statuses:
                self.send_error(behaviour.statuses.pop(0))
                return
            start, content = 0, behaviour.content
            match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
            unchanged = self.headers.get("If-Range") == behaviour.etag or behaviour.careless
            if match and behaviour.ranges and unchanged:
                start = int(match[1]) + behaviour.shift
                if start >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"
                )
            else:
                self.send_response(200)
            body = content[start:]
            if behaviour.etag is not None:
                self.send_header("ETag", behaviour.etag)
            if behaviour.length:
                self.send_header("Content-Length", str(len(body)))
            if behaviour.md5 is not None:
                value = base64.b64encode(behaviour.md5).decode()
                self.send_header("x-goog-hash", "crc32c=AAAAAA==")
                self.send_header("x-goog-hash", f"md5={value}")
            self.end_headers()
            if behaviour.cuts:
                body = body[: behaviour.cuts.pop(0)]
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(f"http://127.0.0.1:{httpd.server_port}/weights.pt", behaviour)
        httpd.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "weights.pt"


def leftovers(target: Path) -> set[str]:
    return {p.name for p in target.parent.iterdir()} - {target.name, f"{target.name}.lock"}


def test_plain(server: Server, target: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    digest = download(server.url, target, progress=lambda *step: seen.append(step))
    assert digest == SHA256
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == {"weights.pt.sha256"}
    assert (target.parent / "weights.pt.sha256").read_text() == f"{SHA256}  weights.pt\n"
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_resumes_after_a_cut(server: Server, target: Path) -> None:
    server.behaviour.cuts = [300_000, 200_000]
    assert download(server.url, target, backoff=0) == SHA256
    assert server.behaviour.seen == [None, "bytes=300000-", "bytes=500000-"]
    assert leftovers(target) == {"weights.pt.sha256"}


def test_resumes_in_another_call(server: Server, target: Path) -> None:
    server.behaviour.cuts = [300_000]
    with pytest.raises(CheckpointError, match="only 300000 of 1048576 bytes") as raised:
        download(server.url, target, attempts=1)
    assert f"put it at {target}, or pass --checkpoint FILE" in str(raised.value)
    assert not target.exists()
    seen: list[int] = []
    assert download(server.url, target, progress=lambda done, _: seen.append(done)) == SHA256
    assert server.behaviour.seen == [None, "bytes=300000-"]
    assert seen[0] == 300_000


def test_server_without_ranges(server: Server, target: Path) -> None:
    server.behaviour.ranges = False
    server.behaviour.cuts = [300_000]
    assert download(server.url, target, backoff=0) == SHA256
    assert target.read_bytes() == CONTENT


def test_server_without_versions_is_not_resumed(server: Server, target: Path) -> None:
    for etag in (None, 'W/"weak"'):
        server.behaviour.etag = etag
        server.behaviour.cuts = [300_000]
        path = target.with_name(f"{etag is None}.pt")
        assert download(server.url, path, backoff=0) == SHA256
    assert server.behaviour.seen == [None] * 4


@pytest.mark.parametrize("careless", [False, True])
def test_changed_file_is_not_patched_together(server: Server, target: Path, careless: bool) -> None:
    server.behaviour.careless = careless
    server.behaviour.cuts = [300_000]
    with pytest.raises(CheckpointError):
        download(server.url, target, attempts=1)
    server.behaviour.content = CONTENT[::-1]
    server.behaviour.etag = '"v2"'
    download(server.url, target, backoff=0)
    assert target.read_bytes() == CONTENT[::-1]
    # A careful server sends the new version whole in the same answer.
    assert server.behaviour.seen == [None, "bytes=300000-"] + [None] * careless


def test_continued_from_another_place(server: Server, target: Path) -> None:
    server.behaviour.cuts = [300_000]
    server.behaviour.shift = 7
    assert download(server.url, target, backoff=0) == SHA256
    assert server.behaviour.seen == [None, "bytes=300000-", None]


def test_part_as_long_as_the_file(server: Server, target: Path) -> None:
    """A process killed just before the rename: the server has nothing to add."""
    target.parent.mkdir()
    target.with_name("weights.pt.part").write_bytes(b"\0" * len(CONTENT))
    target.with_name("weights.pt.part.etag").write_text('"v1"')
    assert download(server.url, target, backoff=0) == SHA256


def test_unknown_length(server: Server, target: Path) -> None:
    server.behaviour.length = False
    seen: list[int | None] = []
    assert download(server.url, target, progress=lambda _, total: seen.append(total)) == SHA256
    assert set(seen) == {None}


def test_stated_digest(server: Server, target: Path) -> None:
    server.behaviour.md5 = hashlib.md5(CONTENT).digest()
    assert download(server.url, target) == SHA256
    server.behaviour.md5 = hashlib.md5(b"other").digest()
    with pytest.raises(CheckpointError, match="arrived damaged"):
        download(server.url, target.with_name("other.pt"), backoff=0, attempts=2)
    assert leftovers(target) == {"weights.pt.sha256", "other.pt.lock"}


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusal_is_not_repeated(server: Server, target: Path, status: int) -> None:
    server.behaviour.statuses = [status] * 9
    with pytest.raises(CheckpointError, match=f"the server says {status}"):
        download(server.url, target, backoff=0)
    assert len(server.behaviour.seen) == 1


def test_passing_trouble_is_waited_out(server: Server, target: Path) -> None:
    server.behaviour.statuses = [503, 429, 500]
    assert download(server.url, target, backoff=0) == SHA256
    server.behaviour.statuses = [503] * 9
    with pytest.raises(CheckpointError, match="the server says 503"):
        download(server.url, target.with_name("other.pt"), backoff=0, attempts=3)
    assert len(server.behaviour.seen) == 4 + 3


def test_too_short_for_weights(server: Server, target: Path) -> None:
    server.behaviour.content = b"<html>sign in</html>"
    with pytest.raises(CheckpointError, match="login page"):
        download(server.url, target, min_bytes=1000)
    assert not target.exists()
    assert leftovers(target) == set()


def test_offline(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/weights.pt"  # nobody listens there
        with pytest.raises(CheckpointError, match=r"cannot reach 127\.0\.0\.1 ") as raised:
            download(url, target, backoff=0)
    assert f"download {url} by hand and put it at {target}" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot write"):
        download(server.url, tmp_path / "file" / "weights.pt")


def test_two_at_once_fetch_once(server: Server, target: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(lambda _: download(server.url, target), range(4)))
    assert set(digests) == {SHA256}
    assert len(server.behaviour.seen) == 1


def test_by_name(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small: TapirConfig,
    small_state: dict[str, torch.Tensor],
) -> None:
    """Fetched once, told on stderr, then taken from the cache."""
    torch.save(small_state, tmp_path / "source.pt")
    server.behaviour.content = (tmp_path / "source.pt").read_bytes()
    sha256 = hashlib.sha256(server.behaviour.content).hexdigest()
    monkeypatch.setenv("TAPIRUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(CONFIGS, "bootstapir", small)
    entry = PublishedCheckpoint("bootstapir", (server.url,), 1000)
    monkeypatch.setitem(PUBLISHED, "bootstapir", entry)

    network, digest = load_network("bootstapir")
    assert digest == sha256[:16]
    assert torch.equal(
        network.resnet_torch.initial_conv.weight.cpu(),
        small_state["resnet_torch.initial_conv.weight"],
    )
    told = capsys.readouterr().err
    assert server.url in told
    assert sha256 in told
    assert fetch_checkpoint("bootstapir") == (tmp_path / "cache" / "weights.pt", sha256)
    assert len(server.behaviour.seen) == 1


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_line() -> None:
    stream, silent = Terminal(), io.StringIO()
    for line in (ProgressLine("tapir", stream), ProgressLine("tapir", silent)):
        for done in range(0, 2_000_001, 1000):
            line(done, 2_000_000)
    shown = stream.getvalue()
    assert shown.startswith("\rtapir [........................]   0 % 0.0 MB of 2.0 MB")
    assert shown.endswith("\rtapir [########################] 100 % 2.0 MB of 2.0 MB\n")
    assert shown.count("\r") < 20  # a few times a second
    assert silent.getvalue() == ""

    stream = Terminal()
    ProgressLine("tapir", stream)(500_000, None)
    assert stream.getvalue() == "\rtapir 0.5 MB of unknown size"
