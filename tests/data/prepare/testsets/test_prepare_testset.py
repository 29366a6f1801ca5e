"""Test sets from miniature archives in the published layouts: arranged, checked, resumed, degraded."""

import io
import json
import tarfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

from prismsr.data.degradation.bsrgan import draw_blur_kernel, draw_noise
from prismsr.data.prepare.testsets import arrange as testset_arrange
from prismsr.data.prepare.testsets.archive import read_files
from prismsr.data.prepare.testsets.arrange import arrange
from prismsr.data.prepare.testsets.degrade import SSL_BSRGAN, degrade, random_stream, read_recipe, write_degraded
from prismsr.data.test_sets.layouts import Sizes
from prismsr.data.test_sets.sets import TEST_SETS, find_test_set, list_missing
from prismsr.utils.errors import DataError, UserError
from prismsr.utils.resize import imresize_bicubic

import cv2
import numpy as np
import pytest
import torch

SET5 = {"baby": (512, 512), "bird": (288, 288), "butterfly": (256, 256), "head": (280, 280), "woman": (344, 228)}


def picture(height, width, seed=0):
    """A smooth colour image, BGR uint8, that no other seed gives."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def zipped(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, data in files.items():
            item = tarfile.TarInfo(name)
            item.size = len(data)
            archive.addfile(item, io.BytesIO(data))
    return path


@pytest.fixture
def places(tmp_path):
    return tmp_path / "downloads", tmp_path / "testsets"


@pytest.fixture
def set5():
    return {name: picture(*size, seed) for seed, (name, size) in enumerate(SET5.items())}


def tiny(name, count, **changes):
    """A test set of the registry with fewer and smaller images."""
    known = TEST_SETS[name]
    counts = {part: count * (known.counts[part] // known.count) for part in known.counts}
    return replace(known, count=count, counts=counts, names=(), sizes=Sizes(), lq_size=None, **changes)


def test_set5_by_the_command_line(prepare, places, set5, images, capsys):
    """From BasicSR's archive: cropped to multiples of 12, MATLAB's bicubic; a second run does nothing."""
    downloads, output = places
    files = {f"Set5/original/{name}.png": encoded(image) for name, image in set5.items()}
    zipped(downloads / "Set5.zip", {**files, "__MACOSX/Set5/original/._baby.png": b"x", "Set5/readme.txt": b""})
    command = ["testset", "set-5", "--downloads", downloads, "-o", output, "--scale", "2", "4"]
    assert prepare(*command, workers=1) == 0
    made = images(output / "Set5")
    for name, image in set5.items():
        height, width = (side // 12 * 12 for side in image.shape[:2])
        assert np.array_equal(made[f"GT/{name}.png"], image[:height, :width])
        for scale in (2, 4):
            assert np.array_equal(made[f"LRbicx{scale}/{name}.png"], imresize_bicubic(image[:height, :width], scale))
    assert len(made) == 15
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    (downloads / "Set5.zip").unlink()  # no longer needed
    assert prepare(*command, workers=1) == 0
    assert times == {path: path.stat().st_mtime_ns for path in output.rglob("*.png")}
    assert "GT: 5 images, 252x252 to 504x504" in capsys.readouterr().out
    assert prepare("testset", "--list", "-o", output) == 0
    told = capsys.readouterr().out
    assert f"Set5 (5 images, bicubic, x4): GT 5, LRbicx2 5, LRbicx4 5 in {output / 'Set5'}" in told
    assert all(name in told for name in TEST_SETS) and "Set14 (14 images, bicubic, x4): not there" in told


LAYOUTS = {
    "Set5.zip": "Set5/GTmod12/{}.png",
    "set5.tar": "./Set5/{}.bmp",
    "benchmark.tar.gz": "benchmark/Set5/HR/{}.png",
    "Set5_SR.zip": "Set5/image_SRF_4/{}_SRF_4_HR.png",
}


@pytest.mark.parametrize(("archive", "layout"), LAYOUTS.items())
def test_layouts_of_the_benchmarks(places, archive, layout):
    downloads, output = places
    make = zipped if archive.endswith("zip") else tarred
    pictures = {f"img_{number:03}": picture(24, 36, number) for number in range(3)}
    files = {layout.format(name): encoded(image, Path(layout).suffix) for name, image in pictures.items()}
    make(downloads / archive, {**files, "benchmark/Set14/HR/x.png": b"", "Set5/LRbicx4/x.png": b"", "Set5/x.txt": b""})
    assert arrange(tiny("Set5", 3), downloads, output) == []
    for name, image in pictures.items():
        assert np.array_equal(cv2.imread(str(output / f"Set5/GT/{name}.png")), image)


def pairs(names, hr, lr, size=(32, 48)):
    files = {}
    for seed, name in enumerate(names):
        files[hr.format(name)] = encoded(picture(*size, seed))
        files[lr.format(name)] = encoded(picture(size[0] // 4, size[1] // 4, seed))
    return files


PAIRED = {
    "DIV2K-Val": ("DIV2K_V2_val/gt/{}.png", "DIV2K_V2_val/lq/{}.png"),
    "RealSR": ("RealSRVal_crop128/test_HR/{}_HR.png", "RealSRVal_crop128/test_LR/{}_LR4.png"),
    "DRealSR": ("DrealSRVal_crop128/test_HR/{}_x4.png", "DrealSRVal_crop128/test_LR/{}_x1.png"),
}


def test_stablesr_sets_come_from_one_archive_as_they_are(places):
    downloads, output = places
    names = ["Canon_001", "Nikon_002"]
    files = {key: data for hr, lr in PAIRED.values() for key, data in pairs(names, hr, lr).items()}
    files["DPED_crop128/test_LR/10.png"] = encoded(picture(8, 8))
    zipped(downloads / "StableSR_testsets.zip", {f"StableSR_testsets/{name}": data for name, data in files.items()})
    for name, (hr, lr) in PAIRED.items():
        assert arrange(tiny(name, 2), downloads, output) == []
        for image in names:  # byte for byte, under one name
            assert (output / name / f"GT/{image}.png").read_bytes() == files[hr.format(image)]
            assert (output / name / f"LR/{image}.png").read_bytes() == files[lr.format(image)]
    assert arrange(tiny("DPED-iPhone", 1), downloads, output) == []
    assert [path.name for path in (output / "DPED-iPhone").iterdir() if path.is_dir()] == ["LR"]


def test_realsr_v3_from_an_extracted_folder(places):
    downloads, output = places
    for camera in ("Canon", "Nikon"):
        pattern = f"{camera}/Test/4/{{}}"
        for name, data in pairs([f"{camera}_001"], pattern + "_HR.png", pattern + "_LR4.png").items():
            path = downloads / "RealSR(V3)" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    assert arrange(tiny("RealSRv3", 2), downloads, output) == []
    assert sorted(path.name for path in (output / "RealSRv3/LR").glob("*.png")) == ["Canon_001.png", "Nikon_001.png"]


def hggt(names):
    """HGGT's Test-100 as its two downloads."""
    images, lq = {}, {}
    for seed, name in enumerate(names):
        for version in ("original", "01", "02", "03", "04"):
            suffix = "" if version == "original" else f"_{version}"
            path = f"Test/GT/Test-100/images/{version}/{name}{suffix}.png"
            images[path] = encoded(picture(32, 32, seed + 10 * len(images)))
        for person in "ABC":
            images[f"Test/GT/Test-100/labels/{person}/{name}.json"] = json.dumps({"Picture_1": None}).encode()
        lq[f"Blind_Degradation_Benchmark_LQ/Test-100/Blind_LR/{name}.png"] = encoded(picture(8, 8, seed))
    return images, lq


def test_hggt_in_two_archives_with_labels(places):
    downloads, output = places
    images, lq = hggt(["0001-1-2", "0002-3-4"])
    zipped(downloads / "Test-20260101-001.zip", images)
    zipped(downloads / "Test-20260101-002.zip", lq)
    assert arrange(tiny("HGGT-Test100", 2), downloads, output) == []
    folder = output / "HGGT-Test100"
    assert len(list(folder.glob("GT/*/*.png"))) == 10 and (folder / "GT/03/0001-1-2_03.png").is_file()
    assert len(list(folder.glob("labels/?/*.json"))) == 6 and (folder / "LR/0001-1-2.png").is_file()
    zipped(downloads / "Test-20260101-001.zip", {**images, "Test/GT/Test-100/labels/A/0001-1-2.json": b"{"})
    with pytest.raises(DataError, match=r"labels/A/0001-1-2\.json: no JSON"):
        arrange(tiny("HGGT-Test100", 2), downloads, output, overwrite=True)
    assert (folder / "LR/0001-1-2.png").is_file()  # the old one stays until the new one is complete


def test_what_is_not_as_published_is_told_and_not_arranged(places, set5):
    downloads, output = places
    files = {f"Set5/HR/{name}.png": encoded(image) for name, image in set5.items()}
    zipped(downloads / "Set5.zip", dict(list(files.items())[1:]))
    with pytest.raises(DataError, match=r"Set5.*--force"):
        arrange(TEST_SETS["Set5"], downloads, output)
    files["Set5/HR/bird.png"] = encoded(picture(24, 36))
    zipped(downloads / "Set5.zip", files)
    with pytest.raises(DataError, match="GT: unexpected sizes 24x36; GT: missing sizes 288x288"):
        arrange(TEST_SETS["Set5"], downloads, output)
    assert not (output / "Set5").exists()
    told = arrange(TEST_SETS["Set5"], downloads, output, force=True)
    assert told == ["GT: unexpected sizes 24x36", "GT: missing sizes 288x288"]
    assert arrange(TEST_SETS["Set5"], downloads, output) == told  # kept in mind
    (output / "Set5/GT/woman.png").unlink()
    with pytest.raises(DataError, match="GT: 4 files"):
        arrange(TEST_SETS["Set5"], downloads, output)


def test_pairs_and_sizes_that_do_not_fit(places):
    downloads, output = places
    hr, lr = ("benchmark_realsr/test_HR/{}.png", "benchmark_realsr/test_LR/{}.png")
    files = pairs(["a", "b"], hr, lr)
    zipped(downloads / "OSEDiff.zip", {**files, lr.format("b"): encoded(picture(9, 12))})
    with pytest.raises(DataError, match=r"GT is not 4 times LR: b \(GT 32x48, LR 9x12\)"):
        arrange(tiny("RealSR", 2), downloads, output)
    files[lr.format("c")] = files.pop(lr.format("b"))
    zipped(downloads / "OSEDiff.zip", files)
    with pytest.raises(DataError, match="LR against GT: missing b; LR against GT: unexpected c"):
        arrange(tiny("RealSR", 2), downloads, output)
    whole = replace(tiny("RealSR", 2), lq_size=(128, 128))
    zipped(downloads / "OSEDiff.zip", pairs(["a", "b"], hr, lr))
    with pytest.raises(DataError, match="LR: sizes should be 128x128: a 8x12, b 8x12"):
        arrange(whole, downloads, output)


def test_names_of_div2k_are_known(places):
    downloads, output = places
    known = replace(TEST_SETS["DIV2K100"], count=2, counts={"GT": 2}, names=("0801", "0802"), sizes=Sizes(longer=48))
    files = {f"DIV2K_valid_HR/{name}.png": encoded(picture(24, 48)) for name in ("0801", "0803")}
    zipped(downloads / "DIV2K_valid_HR.zip", files)
    with pytest.raises(DataError, match="GT: missing 0802; GT: unexpected 0803"):
        arrange(known, downloads, output)
    sizes = {"0800": (24, 48), "0801": (24, 48), "0802": (60, 48)}  # EDSR's archive has the training images, too
    files = {f"DIV2K/DIV2K_train_HR/{name}.png": encoded(picture(*size)) for name, size in sizes.items()}
    (downloads / "DIV2K_valid_HR.zip").unlink()
    tarred(downloads / "DIV2K.tar", files)
    with pytest.raises(DataError, match="GT: the longer side should be 48: 0802 60x48"):
        arrange(known, downloads, output)


def test_nothing_is_written_outside_and_links_are_ignored(places, tmp_path):
    downloads, output = places
    good = {f"Set5/GT/{name}.png": encoded(picture(24, 24, seed)) for seed, name in enumerate("abc")}
    bad = {"../Set5/GT/x.png": b"x", "/Set5/GT/y.png": b"y", "Set5/GT/../../z.png": b"z"}
    path = tarred(downloads / "Set5.tar", {**good, **bad})
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("Set5/GT/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert arrange(tiny("Set5", 3), downloads, output) == []
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"testsets/Set5/GT/{name}.png" for name in "abc"}
    assert written == {"downloads/Set5.tar", "testsets/Set5/.prepare.json", *expected}


def test_hostile_members_of_a_zip(places, tmp_path):
    """Names that lead out, and links, are left out; bombs, and sizes that are not so, are refused by name."""
    downloads, output = places
    good = {f"Set5/GT/{name}.png": encoded(picture(24, 24, seed)) for seed, name in enumerate("abc")}
    bad = {"../Set5/GT/x.png": b"x", "/Set5/GT/y.png": b"y", "Set5/GT/../../z.png": b"z", "Set5\\GT\\w.png": b"w"}
    link = zipfile.ZipInfo("Set5/GT/link.png")
    link.external_attr = 0o120777 << 16
    path = zipped(downloads / "Set5.zip", {**good, **bad})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert arrange(tiny("Set5", 3), downloads, output) == []
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"testsets/Set5/GT/{name}.png" for name in "abc"}
    assert written == {"downloads/Set5.zip", "testsets/Set5/.prepare.json", *expected}

    bomb = bytearray(good["Set5/GT/c.png"])
    bomb[16:24] = (50_000).to_bytes(4) * 2  # 2.5e9 pixels in 200 bytes
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4)
    zipped(path, {**good, "Set5/GT/c.png": bytes(bomb)})
    with pytest.raises(DataError, match=r"Set5/GT/c\.png: .*pixels"):
        arrange(tiny("Set5", 3), downloads, output, overwrite=True)

    zipped(path, {**good, "Set5/GT/c.png": encoded(picture(24, 24, 2)) + bytes(50)})
    size = path.read_bytes()
    true = len(good["Set5/GT/c.png"]) + 50
    for told, message in ((true - 50, "damaged"), (2**31, "2,147,483,648 bytes")):
        path.write_bytes(size.replace(true.to_bytes(4, "little"), told.to_bytes(4, "little")))
        with pytest.raises(DataError, match=message):
            arrange(tiny("Set5", 3), downloads, output, overwrite=True)
    assert {path.name for path in (output / "Set5/GT").iterdir()} == {"a.png", "b.png", "c.png"}  # those of the first


def test_labels_nested_too_deep_are_refused_by_name():
    with pytest.raises(DataError, match=r"labels/x\.json: no JSON"):
        testset_arrange._content(b"[" * 100_000, "labels/x.json", 1)


def test_an_interrupted_run_goes_on(places, monkeypatch):
    downloads, output = places
    files = {f"Set5/GT/{name}.png": encoded(picture(24, 24, seed)) for seed, name in enumerate("abc")}
    zipped(downloads / "Set5.zip", files)
    checked = testset_arrange._content
    stopped = []

    def stop_at_c(data, where, multiple):
        if where.endswith("c.png") and not stopped:
            stopped.append(where)
            raise KeyboardInterrupt
        assert not stopped or where.endswith("c.png"), "a and b are there"
        return checked(data, where, multiple)

    monkeypatch.setattr(testset_arrange, "_content", stop_at_c)
    with pytest.raises(KeyboardInterrupt):
        arrange(tiny("Set5", 3), downloads, output)
    assert not (output / "Set5").exists() and (output / "Set5.partial/GT/a.png").is_file()
    assert arrange(tiny("Set5", 3), downloads, output) == []
    assert len(list((output / "Set5/GT").glob("*.png"))) == 3 and not (output / "Set5.partial").exists()


def test_what_a_run_on_another_download_left_is_not_used(places):
    downloads, output = places
    files = {f"Set5/GT/{name}.png": encoded(picture(24, 24, seed)) for seed, name in enumerate("abc")}
    zipped(downloads / "Set5.zip", {**files, "Set5/GT/c.png": files["Set5/GT/c.png"][:40]})
    with pytest.raises(DataError, match=r"Set5/GT/c\.png: cannot be decoded"):
        arrange(tiny("Set5", 3), downloads, output)
    files["Set5/GT/a.png"] = encoded(picture(24, 24, 7))
    zipped(downloads / "Set5.zip", files)
    assert arrange(tiny("Set5", 3), downloads, output) == []
    assert (output / "Set5/GT/a.png").read_bytes() == files["Set5/GT/a.png"]


def test_damaged_archives_and_what_is_not_there(places, prepare, capsys):
    downloads, output = places
    assert prepare("testset", "Set5", "--downloads", downloads, "-o", output) == 2
    assert "has no Set5*, benchmark* (zip, tar or folder); it comes from https://" in capsys.readouterr().err
    path = zipped(downloads / "Set5.zip", {"Set5/GT/a.png": encoded(picture(24, 24))})
    path.write_bytes(path.read_bytes()[:-30])
    assert prepare("testset", "Set5", "--downloads", downloads, "-o", output) == 1
    assert "Set5.zip: damaged, incomplete or no archive" in capsys.readouterr().err
    zipped(path, {"Set5/readme.txt": b""})
    assert prepare("testset", "Set5", "--downloads", downloads, "-o", output) == 2
    assert "none of its files in" in capsys.readouterr().err
    assert prepare("testset", "Sett5", "--downloads", downloads, "-o", output) == 2
    assert "did you mean 'Set5'" in capsys.readouterr().err
    assert prepare("testset", "RealD2K", "--downloads", downloads, "-o", output) == 2
    assert "RealD2K is made from" in capsys.readouterr().err
    (output / "Set14").mkdir(parents=True)
    assert prepare("testset", "Set14", "--downloads", downloads, "-o", output) == 2
    assert "was not made by tools/prepare.py" in capsys.readouterr().err


def test_a_file_that_is_too_large(places, monkeypatch):
    downloads, _ = places
    path = zipped(downloads / "Set5.zip", {"Set5/GT/a.png": bytes(1000)})
    monkeypatch.setattr("prismsr.data.prepare.testsets.archive.MAX_BYTES", 999)
    with pytest.raises(DataError, match=r"a\.png has 1,000 bytes"):
        list(read_files(path, ["Set5/Set5/GT/a.png"]))


def test_degraded_images_depend_on_seed_name_and_number_alone(places, images):
    """In any order, alone or together, and whatever the global generators say."""
    _, output = places
    paths = {}
    for seed, name in enumerate("ab"):
        paths[name] = output / f"{name}.png"
        paths[name].parent.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(paths[name]), picture(48, 64, seed))
    options = {"scale": 4, "recipe": "hggt", "seed": 3}
    torch.manual_seed(1)
    for name in "ab":
        assert write_degraded(paths[name], name, output / "one", number=3, **options) == 3
    expected = torch.rand(1)
    torch.manual_seed(2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    for name in "ba":
        for number in (2, 3):  # the third is added to the first two
            write_degraded(paths[name], name, output / "two", number=number, **options)
    during = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert during == 2  # put back
    one, two = images(output / "one"), images(output / "two")
    assert sorted(one) == [f"{name}+{number:02}.png" for name in "ab" for number in range(3)]
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert one["a+00.png"].shape == (12, 16, 3) and not np.array_equal(one["a+00.png"], one["a+01.png"])
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), expected)  # the global generator is as it was
    write_degraded(paths["a"], "a", output / "other", number=3, **{**options, "seed": 4})
    assert not np.array_equal(images(output / "other")["a+00.png"], one["a+00.png"])
    assert write_degraded(paths["a"], "a", output / "one", number=3, **options) == 0


def test_degraded_looks_like_the_bicubic_image():
    """These degradations are mild: nearer to the downsampled image than its mean is, colours in their places."""
    image = picture(64, 96, 5)
    gt, plain = (
        torch.from_numpy(array[..., ::-1].copy()).permute(2, 0, 1).float() / 255
        for array in (image, imresize_bicubic(image, 4))
    )
    kinds = [read_recipe(name, 4) for name in ("ssl", "hggt", "hggt-one-order")]
    for recipe in (*kinds, kinds[0]._replace(bsrgan=1.0)):
        for number in range(3):
            lr = degrade(gt[None], recipe, random_stream(0, "x", number))
            assert lr.shape == (1, 3, 16, 24) and torch.allclose((lr * 255).round() / 255, lr)
            assert (lr[0] - plain).square().mean() < 0.1 * (plain - plain.mean()).square().mean()


def test_what_is_written_has_its_colours_in_place(tmp_path):
    image = picture(64, 96, 5)
    cv2.imwrite(str(tmp_path / "x.png"), image)
    write_degraded(tmp_path / "x.png", "x", tmp_path / "LR", 4, "ssl", 1, 0)
    lr = cv2.imread(str(tmp_path / "LR/x.png")).astype(float)
    assert (
        np.square(lr - imresize_bicubic(image, 4)).mean()
        < np.square(lr[..., ::-1] - imresize_bicubic(image, 4)).mean() / 4
    )


def test_shares_of_the_ssl_recipe():
    """0.4 by BSRGAN; of the others a fifth with the second order. Standard deviations are 8.5 and 5."""
    ran = []

    class Net:
        def __init__(self, name):
            self.name = name

        def degrade(self, gt, kernels):
            ran.append(self.name)
            return gt

    recipe = read_recipe("ssl", 4)._replace(one=Net("one"), two=Net("two"))
    for number in range(300):
        degrade(torch.rand(1, 3, 4, 4), recipe, random_stream(0, "x", number))
    assert 145 <= len(ran) <= 215 and 16 <= ran.count("two") <= 56


def test_bsrgan_kernels_and_noise():
    """Sum 1, odd sides of 3 to 11, a deviation of 1 at most; noise of 1 to 10 levels, grey in two fifths."""
    rng = np.random.default_rng(0)
    kernels = [draw_blur_kernel(rng, 4, SSL_BSRGAN) for _ in range(200)]
    assert {len(kernel) for kernel in kernels} == {3, 5, 7, 9, 11}
    for kernel in kernels:
        axis = np.arange(len(kernel)) - len(kernel) // 2
        assert kernel.sum() == pytest.approx(1) and kernel.sum(0) @ axis == pytest.approx(0, abs=1e-9)
        assert kernel.sum(0) @ axis**2 <= 1.0001 and kernel.sum(1) @ axis**2 <= 1.0001
    added = [draw_noise((32, 32, 3), rng, SSL_BSRGAN.noise_levels) * 255 for _ in range(200)]
    assert all(0.2 < part.std() < 11 for part in added)
    assert 55 <= sum(np.array_equal(part[..., 0], part[..., 1]) for part in added) <= 105


def test_degraded_by_the_command_line(prepare, places, images, capsys):
    downloads, output = places
    size = replace(TEST_SETS["DIV2K100"], count=2, counts={"GT": 2}, names=(), sizes=Sizes())
    zipped(
        downloads / "DIV2K_valid_HR.zip", {f"DIV2K_valid_HR/080{n}.png": encoded(picture(48, 60, n)) for n in (1, 2)}
    )
    arrange(size, downloads, output)
    assert prepare("testset", "RealD2K", "-o", output, workers=2) == 0
    assert "RealD2K/LR: 2 images, 15x12" in capsys.readouterr().out
    assert sorted(images(output / "RealD2K")) == ["LR/0801.png", "LR/0802.png"]
    assert prepare("testset", "RealD2K", "-o", output, "--seed", 1) == 2
    assert "seed: 0 then, 1 now" in capsys.readouterr().err


def test_a_recipe_that_there_is_not():
    with pytest.raises(ValueError, match="--recipe wild: allowed are ssl, hggt"):
        read_recipe("wild", 4)
    with pytest.raises(ValueError, match="has no degradation"):
        read_recipe(str(Path(__file__).parents[4] / "options/ssl/esrgan_x4.yml"), 4)


def test_registry():
    """Folders agree with names, layouts give what is counted, and the papers' names are found."""
    for name, test_set in TEST_SETS.items():
        assert test_set.lq.startswith(f"datasets/testsets/{name}/") and test_set.source and test_set.licence
        assert test_set.tables and all(set(layout.files) == set(test_set.counts) for layout in test_set.layouts)
        assert sum(test_set.counts.values()) > 0 or test_set.kind == "degraded"
        assert not test_set.names or len(set(test_set.names)) == test_set.count
        assert not test_set.sizes.all or len(test_set.sizes.all) == test_set.count
    for printed, name in {"HGGT Test-100": "HGGT-Test100", "RealSR v3": "RealSRv3", "BSD100": "BSDS100"}.items():
        assert find_test_set(printed).name == name
    with pytest.raises(UserError, match=r"known: .*Urban100"):
        find_test_set("Urban10")


def test_missing_says_what_to_do(tmp_path):
    told = list_missing(TEST_SETS["RealSR"], tmp_path)
    assert "RealSR/GT is not there; put StableSR_testsets, from https://" in told
    for part in ("GT", "LR"):
        folder = tmp_path / "datasets/testsets/RealSR" / part
        folder.mkdir(parents=True)
        for number in range(100):
            (folder / f"{number}.png").touch()
    assert list_missing(TEST_SETS["RealSR"], tmp_path) is None
    (folder / "7.png").unlink()
    assert "RealSR/LR holds 99 of 100 images" in list_missing(TEST_SETS["RealSR"], tmp_path)


def test_labels_of_fewer_people_are_missing(tmp_path):
    test_set = replace(TEST_SETS["HGGT-Test100"], count=1, counts={"GT": 2, "LR": 1, "labels": 3})
    place = tmp_path / "datasets/testsets/HGGT-Test100"
    for file in ("GT/original/a.png", "GT/01/a_01.png", "LR/a.png", "labels/A/a.json", "labels/B/a.json"):
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).touch()
    assert "HGGT-Test100/labels holds 2 of 3 labels" in list_missing(test_set, tmp_path)
    (place / "labels/C").mkdir()
    (place / "labels/C/a.json").touch()
    assert list_missing(test_set, tmp_path) is None
