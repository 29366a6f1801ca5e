import json

from prismsr.utils.images import encode_png

import cv2
import numpy as np
import pytest


@pytest.fixture
def sets(prepare, hr, tmp_path, capsys):
    """HR, LR and mask folders and LMDBs that fit together."""
    assert prepare("downsample", "-i", hr, "-o", tmp_path / "LR") == 0
    assert prepare("edges", "-i", hr, "-o", tmp_path / "mask") == 0
    for name in ("HR", "LR", "mask"):
        assert prepare("lmdb", "-i", tmp_path / name, "-o", tmp_path / f"{name}.lmdb") == 0
    capsys.readouterr()
    return tmp_path


@pytest.mark.parametrize("suffixes", [("", "", ""), (".lmdb", ".lmdb", ".lmdb"), (".lmdb", "", ".lmdb")])
def test_good_sets(prepare, sets, capsys, suffixes):
    roots = [sets / f"{name}{suffix}" for name, suffix in zip(("HR", "LR", "mask"), suffixes, strict=True)]
    assert prepare("verify", roots[0], "--lq", roots[1], "--mask", roots[2]) == 0
    printed = capsys.readouterr().out
    assert "no problem found, the sets fit together" in printed
    assert f"{4 * bool(suffixes[0])} checksums compared" in printed


def test_flipped_bit_in_an_lmdb(prepare, sets, capsys):
    data = bytearray((sets / "HR.lmdb/data.mdb").read_bytes())
    stored = encode_png(cv2.imread(str(sets / "HR/b.png")), 1)
    position = data.find(stored)
    assert position > 0
    data[position + len(stored) - 14] ^= 1  # in the CRC of the pixels or behind it, where a lenient decoder looks away
    (sets / "HR.lmdb/data.mdb").write_bytes(data)
    assert prepare("verify", sets / "HR.lmdb", "--lq", sets / "LR.lmdb") == 1
    printed = capsys.readouterr().out
    assert "verify: 1 problem:" in printed and "HR.lmdb, key b: the stored bytes differ" in printed


def test_damaged_file_and_bad_mask_in_folders(prepare, sets, capsys):
    (sets / "HR/c.png").write_bytes((sets / "HR/c.png").read_bytes()[:-100])
    cv2.imwrite(str(sets / "mask/a.png"), np.dstack([np.eye(48, 60) * 255, np.zeros((48, 60, 2))]))
    assert prepare("verify", sets / "HR", "--mask", sets / "mask") == 1
    printed = capsys.readouterr().out
    assert "2 problems" in printed and "c.png: cannot be decoded" in printed and "a mask is one channel" in printed


def test_keys_and_sizes_that_do_not_fit(prepare, sets, capsys):
    (sets / "LR/a.png").rename(sets / "LR/e.png")
    lr = cv2.imread(str(sets / "LR/b.png"))
    cv2.imwrite(str(sets / "LR/b.png"), lr[:-1])
    cv2.imwrite(str(sets / "mask/c.png"), cv2.imread(str(sets / "mask/c.png"), -1)[:, :-2])
    assert prepare("verify", sets / "HR.lmdb", "--lq", sets / "LR", "--mask", sets / "mask") == 1
    printed = capsys.readouterr().out
    for message in (
        "4 problems",
        "a: in X, but not in the LQ set",
        "e: in the LQ set, but not in X",
        "b: X is 56 x 72, LQ is 13 x 18 times 4",
        "c: X is 64 x 84, mask is 64 x 82",
    ):
        assert message in printed
    assert prepare("verify", sets / "HR", "--lq", sets / "LR.lmdb", "--scale", 2) == 1
    assert "times 2" in capsys.readouterr().out


def test_lists_that_disagree_with_the_lmdb(prepare, sets, capsys):
    meta_info = sets / "HR.lmdb/meta_info.txt"
    lines = meta_info.read_text().splitlines()
    meta_info.write_text("\n".join(lines[1:]) + "\nghost.png (4,4,3) 1\n")
    manifest = json.loads((sets / "HR.lmdb/manifest.json").read_text())
    del manifest["images"]["c"]
    (sets / "HR.lmdb/manifest.json").write_text(json.dumps(manifest))
    assert prepare("verify", sets / "HR.lmdb") == 1
    printed = capsys.readouterr().out
    assert "3 problems" in printed and "key ghost: listed in the meta_info.txt, but not stored" in printed
    assert "key a: stored, but not listed in the meta_info.txt" in printed
    assert "key c: stored, but not listed in the manifest" in printed
    meta_info.unlink()
    assert prepare("verify", sets / "HR.lmdb") == 1
    assert "meta_info.txt: missing" in capsys.readouterr().out


def test_long_lists_are_cut(prepare, tmp_path, capsys):
    for number in range(23):
        (tmp_path / f"{number:02d}.png").write_text("text")
    assert prepare("verify", tmp_path) == 1
    printed = capsys.readouterr().out
    assert "19.png" in printed and "20.png" not in printed and "and 3 more" in printed


def test_missing_or_damaged_set(prepare, tmp_path, capsys):
    assert prepare("verify", tmp_path / "none") == 2
    assert "none: no such folder" in capsys.readouterr().err
    (tmp_path / "x.lmdb").mkdir()
    (tmp_path / "x.lmdb/data.mdb").write_bytes(b"garbage" * 2000)
    assert prepare("verify", tmp_path / "x.lmdb") == 1
    assert "x.lmdb" in (error := capsys.readouterr().err) and "Traceback" not in error


@pytest.mark.parametrize("lq", ["LR", "LR.lmdb"])
def test_names_of_lq_images_by_a_template(prepare, sets, capsys, lq):
    for path in [*(sets / "LR").rglob("*.png")]:
        path.rename(path.with_stem(f"{path.stem}x4"))
    assert prepare("lmdb", "-i", sets / "LR", "-o", sets / "LR.lmdb", "--overwrite") == 0
    capsys.readouterr()
    assert prepare("verify", sets / "HR", "--lq", sets / lq) == 1
    told = capsys.readouterr().out
    assert "1 problem:" in told and "a has no partner, but there is ax4: add --filename-tmpl '{}x4'" in told
    assert prepare("verify", sets / "HR", "--lq", sets / lq, "--filename-tmpl", "{}x4") == 0
    assert prepare("verify", sets / "HR", "--lq", sets / lq, "--filename-tmpl", "x4") == 2
