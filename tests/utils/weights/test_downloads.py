"""Downloads from a server of this machine: whole, resumed, cut, refused, of another file, and without a network."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prismsr.utils.weights import downloads
from prismsr.utils.weights.downloads import DownloadError, download

import pytest

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path; notes the ranges asked for."""

    ranges = True
    cut = None  # bytes after which the first answer ends
    moved = None  # where the path /moved leads to
    length = None  # what is told in place of the right length
    part = None  # what is told in place of the range that is sent
    asked: list

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []

    def url(self, name="w.pth"):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if self.path == "/none":
            return self.send_error(404)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", self.server.moved)
            return self.end_headers()
        first = int(asked.split("=")[1].rstrip("-")) if asked and self.server.ranges else 0
        if first >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            return self.end_headers()
        body = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", self.server.length or str(len(body)))
        if first:
            part, self.server.part = self.server.part, None
            self.send_header("Content-Range", part or f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.end_headers()
        cut, self.server.cut = self.server.cut, None
        return self.wfile.write(body[:cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "w.pth"


def test_whole_file(server, target):
    digest = hashlib.sha256(CONTENT).hexdigest()
    download(server.url(), target, size=len(CONTENT), sha256=digest)
    assert target.read_bytes() == CONTENT and server.asked == [None]
    assert [path.name for path in target.parent.iterdir()] == ["w.pth"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_goes_on(server, target, ranges):
    """Where the server can; otherwise it starts anew."""
    server.cut, server.ranges = 1000, ranges
    with pytest.raises(DownloadError, match="1,000 of 102,400 bytes"):
        download(server.url(), target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert not target.exists()
    download(server.url(), target, sha256=hashlib.sha256(CONTENT).hexdigest())
    assert target.read_bytes() == CONTENT and server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("held", [len(CONTENT), len(CONTENT) + 5])
def test_a_partial_file_that_is_whole_or_too_long(server, target, held):
    target.parent.mkdir()
    target.with_name("w.pth.download").write_bytes((CONTENT + b"12345")[:held])
    download(server.url(), target, size=len(CONTENT))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("published", [{"sha256": "0123abcd"}, {"size": 5}])
def test_another_file_than_published_is_removed(server, target, published):
    with pytest.raises(DownloadError, match="102,400 bytes, SHA-256 "):
        download(server.url(), target, **published)
    assert list(target.parent.iterdir()) == []


def test_redirections(server, target, tmp_path):
    """Followed with the range that was asked for; not in a circle, and not to a file of this machine."""
    server.moved, server.cut = server.url(), 1000
    for _ in range(2):
        try:
            download(server.url("moved"), target, sha256=hashlib.sha256(CONTENT).hexdigest())
        except DownloadError as error:
            assert "was cut after 1,000" in str(error)
    assert target.read_bytes() == CONTENT and server.asked == [None, None, "bytes=1000-", "bytes=1000-"]
    (tmp_path / "secret").write_text("x")
    for place in (server.url("moved"), (tmp_path / "secret").as_uri()):
        server.moved = place
        with pytest.raises(DownloadError, match=r"the server answers 302"):
            download(server.url("moved"), target.with_name("other.pth"))
    assert [path.name for path in target.parent.iterdir()] == ["w.pth"]


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (str(len(CONTENT) - 1), "another file than published: 102,399 bytes"),
        (str(10**15), "was cut after 102,400 of 1,000,000,000,000,000"),
    ],
)
def test_lengths_that_are_not_so(server, target, length, message):
    server.length = length
    with pytest.raises(DownloadError, match=message):
        download(server.url(), target, size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
    assert not target.exists()


def test_a_length_that_is_no_number_is_not_believed(server, target):
    server.length = "many"
    download(server.url(), target, size=len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_no_more_is_taken_than_shows_that_it_is_another_file(server, target, monkeypatch):
    monkeypatch.setattr(downloads, "_BLOCK", 10)
    with pytest.raises(DownloadError, match="another file than published: 110 bytes"):
        download(server.url(), target, size=100)


def test_another_part_than_was_asked_for_begins_anew(server, target):
    server.cut = 1000
    with pytest.raises(DownloadError, match="run it again"):
        download(server.url(), target)
    server.part = f"bytes 500-{len(CONTENT) - 1}/{len(CONTENT)}"
    download(server.url(), target)
    assert target.read_bytes() == CONTENT and server.asked == [None, "bytes=1000-", None]


def test_what_the_server_says(server, target):
    with pytest.raises(DownloadError, match=r"404.*w\.pth"):
        download(server.url("none"), target)


def test_no_network(target):
    with pytest.raises(DownloadError, match="Fetch it"):
        download("http://127.0.0.1:9/w.pth", target, timeout=5)


def test_proxy_of_the_environment(server, target, monkeypatch):
    """A plain proxy is asked for the whole address."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "")
    download("http://weights.invalid/w.pth", target)
    assert target.read_bytes() == CONTENT


def test_file_address(tmp_path, target):
    source = tmp_path / "source.pth"
    source.write_bytes(CONTENT)
    target.parent.mkdir()
    target.with_name("w.pth.download").write_bytes(b"old")
    download(source.as_uri(), target)
    assert target.read_bytes() == CONTENT
