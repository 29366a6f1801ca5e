import multiprocessing
import os
import pickle

from prismsr.data.images.source import (
    _OPEN,
    MANIFEST,
    FolderSource,
    ImageSourceError,
    LmdbSource,
    close_lmdb,
    decode_key,
    encode_key,
    open_source,
)
from prismsr.utils.images import ImageReadError, decode_image

import cv2
import lmdb
import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path, photograph):
    root = tmp_path / "HR"
    for number, name in enumerate(["b.png", "a/x.y.png", "a/z.JPG", "Zoë 1.png", "c_.png", "c.png"]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), photograph[number : number + 16, :20])
    (root / "notes.txt").write_text("text")
    (root / ".hidden.png").write_text("hidden")
    return root


@pytest.fixture
def plain_lmdb(tmp_path, photograph):
    """An LMDB as BasicSR's script makes it: no manifest, keys as they are."""
    root = tmp_path / "plain.lmdb"
    with lmdb.open(str(root), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for key in ("0002", "50%25", "0001"):
            transaction.put(key.encode(), cv2.imencode(".png", photograph[:8, :8])[1].tobytes())
    yield root
    close_lmdb(root)


def test_folder_keys_are_sorted_paths_without_extension(folder):
    source = open_source(folder)
    assert source.keys() == ["Zoë 1", "a/x.y", "a/z", "b", "c", "c_"]
    assert source.read("a/x.y") == (folder / "a/x.y.png").read_bytes()
    assert source.describe("a/z") == str(folder / "a" / "z.JPG")


def test_same_stem_twice_is_an_error(folder):
    (folder / "b.jpg").write_bytes((folder / "b.png").read_bytes())
    with pytest.raises(ImageSourceError, match=r"b\.png and b\.jpg"):
        open_source(folder)


def test_unusable_roots(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.lmdb").mkdir()
    for name, message in (("none", "no such folder"), ("empty", "no image.*png"), ("x.lmdb", r"no data\.mdb")):
        with pytest.raises(ImageSourceError, match=f"{name}.*{message}"):
            open_source(tmp_path / name)


def test_missing_image_is_named(folder, plain_lmdb):
    for root, where in ((folder, "HR/none"), (plain_lmdb, r"plain\.lmdb, key none")):
        with pytest.raises(ImageReadError, match=where):
            open_source(root).read("none")
    source = open_source(folder)
    (folder / "b.png").unlink()
    with pytest.raises(ImageReadError, match=r"b\.png.*No such file"):
        source.read("b")


def test_mat_files_are_masks_but_not_images(tmp_path):
    (tmp_path / "m.mat").write_bytes(b"MATLAB")
    assert open_source(tmp_path).keys() == ["m"]
    with pytest.raises(ImageSourceError, match="no image"):
        FolderSource(tmp_path, (".png",))


def test_foreign_lmdb_keeps_its_keys(plain_lmdb):
    source = open_source(plain_lmdb)
    assert source.keys() == ["0001", "0002", "50%25"]
    assert decode_image(source.read("50%25"), "x").shape == (8, 8, 3)
    assert source.describe("0001") == f"{plain_lmdb}, key 0001"


def _shape_of_first(source, queue):
    shape = decode_image(source.read(source.keys()[0]), "first").shape
    queue.put((shape, _OPEN[source.root.resolve()][0] == os.getpid()))


@pytest.mark.parametrize(("method", "count"), [("fork", 3), ("spawn", 1)])
def test_lmdb_opened_before_a_fork_or_spawn(plain_lmdb, method, count):
    source = LmdbSource(plain_lmdb)
    source.read("0001")
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=_shape_of_first, args=(source, queue)) for _ in range(count)]
    for child in children:
        child.start()
    assert [queue.get(timeout=60) for _ in children] == [((8, 8, 3), True)] * count  # read by an opening of its own
    for child in children:
        child.join()
    assert source.read("0002")  # the parent's own opening still works


def test_two_sources_of_one_lmdb_and_pickles(plain_lmdb):
    first, second = open_source(plain_lmdb), pickle.loads(pickle.dumps(open_source(plain_lmdb)))
    assert first.read("0001") == second.read("0001")


def test_damaged_manifest_is_named(plain_lmdb):
    (plain_lmdb / MANIFEST).write_text("{")
    with pytest.raises(ImageSourceError, match=r"manifest\.json is damaged"):
        LmdbSource(plain_lmdb).manifest()


def test_key_encoding_is_injective_and_leaves_plain_names():
    names = [
        "0001_s001",
        "DIV2K/0801x4",
        "a.b",
        "a%2Eb",
        "a%252Eb",
        "Zoë",
        "Zo%C3%AB",
        "a b",
        "a\tb",
        "\udcff",
        "写真",
        "~x+1(2)",
    ]
    encoded = [encode_key(name) for name in names]
    assert encoded[:2] == names[:2] and encoded[-1] == names[-1]
    assert len(set(encoded)) == len(names)
    assert [decode_key(key) for key in encoded] == names
    for key in encoded:
        assert key.isascii() and not set(key) & set(". \t")


def test_all_ascii_marks_survive_the_encoding():
    name = "".join(map(chr, range(1, 128)))
    assert decode_key(encode_key(name)) == name
    assert np.all([ord(mark) > 32 for mark in encode_key(name)])


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.8])
def test_truncated_lmdb_is_named_instead_of_killing_the_process(tmp_path, kept):
    root = tmp_path / "x.lmdb"
    with lmdb.open(str(root), map_size=1 << 20) as environment, environment.begin(write=True) as transaction:
        for number in range(30):
            transaction.put(f"{number:04}".encode(), os.urandom(9000))
    os.truncate(root / "data.mdb", int(kept * (root / "data.mdb").stat().st_size))
    with pytest.raises(ImageSourceError, match=r"x\.lmdb.*(truncated: it has|cannot be opened)"):
        LmdbSource(root).keys()
