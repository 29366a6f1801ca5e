"""Downloads from a server of this machine: whole, resumed, cut, refused, of another file, and without a network."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prismsr.utils.weights.downloads import DownloadError, download

import pytest

CONTENT = bytes(range(256)) * 400


class Server(ThreadingHTTPServer):
    """Serves CONTENT at any path; notes the ranges asked for."""

    ranges = True
    cut = None  # bytes after which the first answer ends
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
        first = int(asked.split("=")[1].rstrip("-")) if asked and self.server.ranges else 0
        if first >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            return self.end_headers()
        body = CONTENT[first:]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}")
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
    with pytest.raises(DownloadError, match=r"the connection was cut after 1,000 of 102,400 bytes; run it again"):
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
    with pytest.raises(DownloadError, match="gave another file than published: 102,400 bytes, SHA-256 "):
        download(server.url(), target, **published)
    assert list(target.parent.iterdir()) == []


def test_what_the_server_says(server, target):
    with pytest.raises(DownloadError, match=r"the server answers 404 \(Not Found\).*put it at .*w\.pth"):
        download(server.url("none"), target)


def test_no_network(target):
    with pytest.raises(DownloadError, match=r"cannot be fetched .*Fetch it on a machine with a network and put it at"):
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
