import json
import shutil
from types import SimpleNamespace

from prismsr.data.images.source import close_lmdb, open_source
from prismsr.data.prepare import make_lmdb
from prismsr.data.prepare.lmdb_store import COMMIT_BYTES, LmdbStore, hash_value
from prismsr.data.prepare.make_lmdb import count_stored_bytes
from prismsr.utils.files import list_images
from prismsr.utils.images import decode_image, encode_png

import cv2
import lmdb
import numpy as np
import pytest
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils import FileClient, imfrombytes


def _images(root):
    source = open_source(root)
    keys = source.keys()
    decoded = {key: decode_image(source.read(key), key) for key in keys}
    if root.suffix == ".lmdb":
        close_lmdb(root)
    return decoded


def _same(one, other):
    assert one.keys() == other.keys()
    for key in one:
        assert one[key].dtype == other[key].dtype and np.array_equal(one[key], other[key]), key


def test_folder_and_lmdb_read_the_same(prepare, hr, tmp_path, photograph):
    cv2.imwrite(str(hr / "Zoë 1.5.png"), photograph[:20, :30, 0])  # grey; dot, blank and non-ASCII in the name
    cv2.imwrite(str(hr / "deep.tiff"), photograph[:20, :30].astype(np.uint16) * 257)
    cv2.imwrite(str(hr / "alpha.png"), np.dstack([photograph[:20, :30]] * 2)[..., :4])
    out = tmp_path / "x.lmdb"
    assert prepare("lmdb", "-i", hr, "-o", out, "--compress-level", 5) == 0
    assert sorted(path.name for path in out.iterdir()) == ["data.mdb", "lock.mdb", "manifest.json", "meta_info.txt"]
    _same(_images(out), _images(hr))
    lines = (out / "meta_info.txt").read_text().splitlines()
    assert lines[0] == "Zo%C3%AB%201%2E5.png (20,30,1) 5"
    assert "sub/d.png (72,96,3) 5" in lines and "alpha.png (20,30,4) 5" in lines
    manifest = json.loads((out / "manifest.json").read_text())
    client = FileClient("lmdb", db_paths=str(out), client_keys="gt")
    for line in lines:
        key = line.split(".")[0]  # as BasicSR cuts it
        value = client.get(key, "gt")
        assert manifest["images"][key]["sha256"] == hash_value(value) and manifest["images"][key]["bytes"] == len(value)
    client.client._client["gt"].close()


def test_basicsr_dataset_reads_the_lmdb(prepare, hr, tmp_path, images):
    lr = tmp_path / "LR"
    assert prepare("downsample", "-i", hr, "-o", lr) == 0
    for folder in (hr, lr):
        assert prepare("lmdb", "-i", folder, "-o", tmp_path / f"{folder.name}.lmdb") == 0
    roots = {"dataroot_gt": str(tmp_path / "HR.lmdb"), "dataroot_lq": str(tmp_path / "LR.lmdb")}
    dataset = PairedImageDataset({**roots, "io_backend": {"type": "lmdb"}, "scale": 4, "phase": "val"})
    assert len(dataset) == 4
    for sample in (dataset[index] for index in range(4)):
        for kind, folder in (("gt", hr), ("lq", lr)):
            expected = images(folder)[f"{sample[f'{kind}_path']}.png"][..., ::-1]
            assert np.array_equal((sample[kind] * 255).round().numpy().transpose(1, 2, 0), expected)
    for environment in dataset.file_client.client._client.values():
        environment.close()


def test_uncompressed_lmdb_reads_the_same(prepare, hr, tmp_path, photograph, capsys):
    """Images of 8 bits are BMP files, which BasicSR reads too; deep ones and those with alpha stay PNG."""
    cv2.imwrite(str(hr / "grey.png"), photograph[:20, :31, 0])
    cv2.imwrite(str(hr / "deep.png"), photograph[:20, :30].astype(np.uint16) * 257)
    cv2.imwrite(str(hr / "alpha.png"), np.dstack([photograph[:20, :30]] * 2)[..., :4])
    out = tmp_path / "x.lmdb"
    assert prepare("lmdb", "-i", hr, "-o", out, "--store", "raw") == 0
    assert "7 images take 0.00 GB uncompressed; " in capsys.readouterr().out
    _same(_images(out), _images(hr))
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["store"] == "raw"
    assert prepare("verify", hr, "--mask", out, "--lq", out, "--scale", 1) == 1  # photographs are no masks
    printed = capsys.readouterr().out
    assert "7 checksums compared, 0 problems" in printed and "alpha" in printed
    lines = (out / "meta_info.txt").read_text().splitlines()
    assert "grey.bmp (20,31,1) 1" in lines
    client = FileClient("lmdb", db_paths=str(out), client_keys="gt")
    for line in lines:
        value = client.get(key := line.split(".")[0], "gt")
        assert value[:2] == (b"\x89P" if key in ("deep", "alpha") else b"BM")
        assert np.array_equal((imfrombytes(value, float32=True) * 255).round(), cv2.imread(str(hr / f"{key}.png")))
    client.client._client["gt"].close()


def test_too_small_a_disk_is_told_before_anything_is_written(prepare, hr, tmp_path, monkeypatch, capsys):
    paths = list_images(hr, [".png"])
    needed = sum(map(count_stored_bytes, paths))
    out = tmp_path / "x.lmdb"
    for free, code in ((needed - 1, 1), (needed, 0)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: SimpleNamespace(free=free))
        assert prepare("lmdb", "-i", hr, "-o", out, "--store", "raw") == code
        assert out.exists() == (code == 0)
        if code:
            assert "x.lmdb: 4 images take" in (error := capsys.readouterr().err) and "Traceback" not in error
            assert sorted(path.name for path in tmp_path.iterdir()) == ["HR"]
    assert needed <= (out / "data.mdb").stat().st_size < needed + (1 << 15)


def test_an_image_that_cannot_be_read_takes_no_room(tmp_path):
    (tmp_path / "a.png").write_bytes(b"broken")
    assert count_stored_bytes(tmp_path / "a.png") == 0


def test_another_store_is_refused(prepare, hr, tmp_path, monkeypatch, capsys):
    out = tmp_path / "x.lmdb"
    _stored_by_interrupted_run(prepare, monkeypatch, hr, out)
    assert prepare("lmdb", "-i", hr, "-o", out, "--store", "raw") == 2
    assert "store: " in capsys.readouterr().err
    assert prepare("lmdb", "-i", hr, "-o", out, "--store", "raw", "--overwrite") == 0
    assert "4 stored by this run" in capsys.readouterr().out


def test_several_folders_with_equal_names(prepare, hr, tmp_path, capsys):
    other = tmp_path / "more" / "set2" / "HR"
    shutil.copytree(hr, other)
    cv2.imwrite(str(other / "a.png"), cv2.imread(str(hr / "a.png"))[::-1])
    first = tmp_path / "more" / "set1" / "HR"
    shutil.copytree(hr, first)
    out = tmp_path / "x.lmdb"
    assert prepare("lmdb", "-i", first, other, "-o", out) == 0
    assert f"keys of {first} begin with set1/" in capsys.readouterr().out
    images = _images(out)
    assert len(images) == 8 and np.array_equal(images["set1/a"], images["set2/a"][::-1])


def test_prefixes(prepare, hr, tmp_path, capsys):
    (tmp_path / "b").mkdir()
    shutil.copy(hr / "a.png", tmp_path / "b/a.png")
    line = ("lmdb", "-i", hr, tmp_path / "b", "-o", tmp_path / "x.lmdb")
    assert prepare(*line, "--prefix", "one") == 2
    assert "got 1 for 2 folders" in capsys.readouterr().err
    assert prepare(*line, "--prefix", "same", "same") == 2
    assert "have the same key 'same/a'" in capsys.readouterr().err
    assert prepare(*line, "--prefix", "one", "two") == 0
    assert {"one/a", "two/a"} <= _images(tmp_path / "x.lmdb").keys()
    assert prepare("lmdb", "-i", hr, hr / "sub", "-o", tmp_path / "y.lmdb") == 2
    assert "lies in another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("d/DIV2K/HR", "d/Flickr2K/HR"), ["DIV2K", "Flickr2K"]),
        (("d/DIV2K/x4/LR", "d/Flickr2K/x4/LR"), ["DIV2K", "Flickr2K"]),
        (("d/DIV2K/HR", "d/OST"), ["DIV2K/HR", "OST"]),
        (("HR", "d/HR"), ["HR", "d/HR"]),
        (("DIV2K_a", "DIV2K_b", "c"), ["DIV2K_a", "DIV2K_b", "c"]),
    ],
)
def test_distinguishing_parts(tmp_path, folders, parts):
    assert make_lmdb.distinguishing_parts([tmp_path / folder for folder in folders]) == parts


def test_map_grows(prepare, hr, tmp_path):
    assert prepare("lmdb", "-i", hr, "-o", tmp_path / "x.lmdb", "--map-size", 1 << 14) == 0
    assert (tmp_path / "x.lmdb/data.mdb").stat().st_size > 1 << 15
    _same(_images(tmp_path / "x.lmdb"), _images(hr))


def _stored_by_interrupted_run(prepare, monkeypatch, hr, out, after=2):
    """Run until `after` images are stored, then press Ctrl-C."""
    add = LmdbStore.add

    def add_then_stop(self, *arguments):
        add(self, *arguments)
        if len(self.waiting) == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LmdbStore, "add", add_then_stop)
        assert prepare("lmdb", "-i", hr, "-o", out) == 130


def test_interrupted_run_is_continued(prepare, hr, tmp_path, monkeypatch, capsys):
    out, building = tmp_path / "x.lmdb", tmp_path / "x.lmdb.partial"
    _stored_by_interrupted_run(prepare, monkeypatch, hr, out)
    assert building.exists() and not out.exists()
    assert "the same command goes on" in (error := capsys.readouterr().err) and "Traceback" not in error
    with (building / ".journal.jsonl").open("a") as journal:
        journal.write('{"key": "c", "byt')  # a line that a killed run was writing
    assert prepare("lmdb", "-i", hr, "-o", out) == 0
    assert "4 images in" in (printed := capsys.readouterr().out) and "2 stored by this run" in printed
    assert not building.exists()
    _same(_images(out), _images(hr))
    assert prepare("verify", out) == 0


def test_what_is_not_valid_is_made_again(prepare, hr, tmp_path, monkeypatch, capsys):
    out, building = tmp_path / "x.lmdb", tmp_path / "x.lmdb.partial"
    _stored_by_interrupted_run(prepare, monkeypatch, hr, out, after=3)
    with lmdb.open(str(building), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        transaction.put(b"a", b"damaged")
        transaction.put(b"c", b"without a line in the journal")
        transaction.put(b"removed", encode_png(np.zeros((4, 4), np.uint8)))
    (hr / "b.png").unlink()
    assert prepare("lmdb", "-i", hr, "-o", out) == 0
    assert "3 images in" in (printed := capsys.readouterr().out) and "3 stored by this run" in printed
    _same(_images(out), _images(hr))


def test_other_parameters_are_refused(prepare, hr, tmp_path, monkeypatch, capsys):
    out = tmp_path / "x.lmdb"
    _stored_by_interrupted_run(prepare, monkeypatch, hr, out)
    assert prepare("lmdb", "-i", hr, "-o", out, "--compress-level", 9) == 2
    assert "compress_level: 1 then, 9 now" in capsys.readouterr().err
    assert prepare("lmdb", "-i", hr, "-o", out, "--compress-level", 9, "--overwrite") == 0
    assert "4 stored by this run" in capsys.readouterr().out


def test_existing_lmdb_is_replaced_only_on_request(prepare, hr, tmp_path, capsys):
    out = tmp_path / "x.lmdb"
    assert prepare("lmdb", "-i", hr, "-o", out) == 0
    before = (out / "data.mdb").read_bytes()
    (hr / "b.png").unlink()
    assert prepare("lmdb", "-i", hr, "-o", out) == 2
    assert "x.lmdb exists; add --overwrite" in capsys.readouterr().err
    assert (out / "data.mdb").read_bytes() == before
    (hr / "c.png").write_bytes(b"broken")
    assert prepare("lmdb", "-i", hr, "-o", out, "--overwrite") == 1
    assert (out / "data.mdb").read_bytes() == before  # the old one stays until the new one is complete
    assert prepare("lmdb", "-i", hr, "-o", out, "--overwrite", "--on-error", "skip") == 0
    assert _images(out).keys() == {"a", "sub/d"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["HR", "x.lmdb"]


def test_unreadable_image(prepare, hr, tmp_path, capsys):
    (hr / "b.png").write_bytes((hr / "b.png").read_bytes()[:500])
    out = tmp_path / "x.lmdb"
    assert prepare("lmdb", "-i", hr, "-o", out) == 1
    assert "b.png: cannot be decoded" in capsys.readouterr().err and not out.exists()
    assert prepare("lmdb", "-i", hr, "-o", out, "--on-error", "skip") == 0
    assert "1 skipped" in (printed := capsys.readouterr().out) and "b.png" in printed
    assert _images(out).keys() == {"a", "c", "sub/d"}


def test_no_usable_image(prepare, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_text("text")
    assert prepare("lmdb", "-i", tmp_path / "bad", "-o", tmp_path / "x.lmdb", "--on-error", "skip") == 1
    assert "none of the images can be used" in capsys.readouterr().err


def test_names_lmdb_cannot_hold(prepare, hr, tmp_path, capsys):
    assert prepare("lmdb", "-i", hr, "-o", tmp_path / "x") == 2
    assert "has to end in .lmdb" in capsys.readouterr().err
    (hr / f"{'ü' * 100}.png").write_bytes((hr / "a.png").read_bytes())
    assert prepare("lmdb", "-i", hr, "-o", tmp_path / "x.lmdb") == 2
    assert "key has 600 bytes, 511 are allowed" in capsys.readouterr().err


def test_large_values_are_committed_on_the_way(tmp_path):
    value = bytes(COMMIT_BYTES // 4 + 1)
    with LmdbStore(tmp_path, ["a", "b", "c", "d", "e"]) as store:
        for key in "abcde":
            store.add(key, value, (1, 1, 1))
        assert list(store.entries) == ["a", "b", "c", "d"] and list(store.waiting) == ["e"]
    assert "e" in store.entries
