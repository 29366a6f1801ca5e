"""Readers of image-quality sets on miniature sets in the published layouts."""

from pathlib import Path

from prismsr.tools.iqa.sets import SOURCES, IqaSetError, load_iqa_set

import cv2
import numpy as np
import pytest
from scipy.io import savemat


def write_images(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((4, 6, 3), 90, np.uint8))


def cells(*names: str) -> np.ndarray:
    array = np.empty((len(names), 1), object)
    array[:, 0] = names
    return array


@pytest.mark.parametrize(
    "text",
    [
        "file,mos,type\nb/x.png,3.5,blur\ny.png,-1,noise\n",
        "type;Image_Name;MOS;SD\nblur;b/x.png;3.5;1\nnoise;y.png;-1;1\n",
        "b/x.png\t3.5\tblur\ny.png\t-1\tnoise\n",
        "\ufeff/b/x.png 3.5 blur\r\n\r\n/y.png -1 noise\r\n",
        'filename|"score"|set\nb\\x.png|3.5|blur\ny.png|-1e0|noise',
    ],
)
def test_csv_with_any_delimiter_and_header(tmp_path: Path, text: str) -> None:
    write_images(tmp_path, "b/x.png", "y.png")
    (tmp_path / "labels.csv").write_text(text, encoding="utf8")
    found = load_iqa_set("csv", tmp_path)
    assert [(r.name, r.mos, r.kind) for r in found.records] == [("b/x.png", 3.5, "blur"), ("y.png", -1.0, "noise")]
    assert [r.path for r in found.records] == [tmp_path / "b" / "x.png", tmp_path / "y.png"]
    assert {name: len(group) for name, group in found.split_groups().items()} == {"all": 2, "blur": 1, "noise": 1}
    assert found.notes == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mine.txt"),
        ("picture,opinion\nx.png,3\n", "picture, opinion"),
        ("file,mos\nx.png,good\n", "row 2: .*good"),
        ("file,mos\nx.png,nan\n", "row 2: .*nan"),
        ("file,mos\nx.png\n", "row 2"),
        ("file,mos\nx,3\n", "row 2: 'x'"),
        ("x.png,3\nx.png,4\n", "x.png"),
        ("x.png,3\ngone.png,4\nlost.png,4\n", r"gone.png: .* 1 more of 3"),
    ],
)
def test_what_is_wrong_with_a_csv_is_told(tmp_path: Path, text: str, message: str) -> None:
    write_images(tmp_path, "x.png")
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(IqaSetError, match=message):
        load_iqa_set("csv", tmp_path, tmp_path / "mine.txt")


def test_koniq_with_splits_and_either_mos(tmp_path: Path) -> None:
    names = ["1.jpg", "2.jpg", "3.jpg"]
    write_images(tmp_path / "1024x768", *names)
    rows = [f'"{name}",0,0,.5,.5,0,104,{3 + index / 10},0.8,{60 + index}' for index, name in enumerate(names)]
    header = '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"'
    (tmp_path / "koniq10k_scores_and_distributions.csv").write_text("\n".join([header, *rows]))
    without = load_iqa_set("koniq10k", tmp_path)
    assert [record.mos for record in without.records] == [3.0, 3.1, 3.2]
    assert list(without.split_groups()) == ["all"]
    assert any("koniq10k_distributions_sets.csv" in note for note in without.notes)
    assert "3 images, published are 10073" in without.notes

    sets = ["image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set"]
    parts = zip(names, ("training", "test", "validation"), strict=True)
    sets += [f"{name},0,0,0,1,0,104,77,0.8,{part}" for name, part in parts]
    (tmp_path / "koniq10k_distributions_sets.csv").write_text("\n".join(sets))
    found = load_iqa_set("koniq10k", tmp_path, mos_column="MOS_zscore")
    assert [(r.mos, r.kind) for r in found.records] == [(60, "Train"), (61, "Test"), (62, "Val")]
    assert "1 images of Train, published are 7058" in found.notes
    (tmp_path / "koniq10k_scores_and_distributions.csv").unlink()
    only = load_iqa_set("koniq10k", tmp_path)
    assert [(r.mos, r.kind) for r in only.records] == [(77, "Train"), (77, "Test"), (77, "Val")]
    assert any("rescaled" in note for note in only.notes)


def test_livec_takes_the_seven_training_images_from_their_folder(tmp_path: Path) -> None:
    names = [*(f"t{index}.bmp" for index in range(1, 8)), "100.bmp", "533.JPG"]
    write_images(tmp_path / "Images" / "trainingImages", *names[:7])
    write_images(tmp_path / "Images", *names[7:])
    (tmp_path / "Data").mkdir()
    savemat(tmp_path / "Data" / "AllImages_release.mat", {"AllImages_release": cells(*names)})
    savemat(tmp_path / "Data" / "AllMOS_release.mat", {"AllMOS_release": np.arange(9.0)[None] + 60})
    found = load_iqa_set("livec", tmp_path)
    assert found.records[0].name == "Images/trainingImages/t1.bmp"
    assert [(r.name, r.mos) for r in found.split_groups()["main"]] == [("Images/100.bmp", 67), ("Images/533.JPG", 68)]
    assert "2 images of main, published are 1162" in found.notes
    (tmp_path / "Data" / "AllMOS_release.mat").unlink()
    with pytest.raises(IqaSetError, match=r"AllMOS_release.mat"):
        load_iqa_set("livec", tmp_path)


def test_pipal_kinds_come_from_the_number_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "Train_Label").mkdir()
    for folder, reference in (("Distortion_1", "A0001"), ("Distortion_4", "A0200")):
        names = [f"{reference}_{kind:02d}_00.bmp" for kind in range(7)]
        write_images(tmp_path / folder, *names)
        lines = [f"{name},{1400 + index}.25" for index, name in enumerate(names)]
        (tmp_path / "Train_Label" / f"{reference}.txt").write_text("\n".join(lines) + "\n")
    found = load_iqa_set("pipal", tmp_path)
    groups = found.split_groups()
    assert [r.name for r in groups["GAN.SR"]] == ["Distortion_1/A0001_03_00.bmp", "Distortion_4/A0200_03_00.bmp"]
    assert [r.mos for r in groups["PSNR.SR"]] == [1401.25, 1401.25]
    assert len(groups["all"]) == 14
    assert len(groups["all SR"]) == 10
    assert {"Trad.SR", "kernel mismatch SR", "SR and denoising", "type 04", "type 06"} < groups.keys()
    assert "2 images of GAN.SR, published are 4800" in found.notes
    (tmp_path / "Distortion_1" / "A0001_03_00.bmp").unlink()
    with pytest.raises(IqaSetError, match=r"A0001_03_00\.bmp"):
        load_iqa_set("pipal", tmp_path)


def test_ma_by_list_and_by_mat(tmp_path: Path) -> None:
    names = ["BP/sf2/sigma0.8/29030.png", "Shan08/sf4/sigma1.2/29030.png"]
    write_images(tmp_path, *names)
    (tmp_path / "scores.txt").write_text(f"/{names[0]},7.65\n/{names[1]},4\n")
    expected = [(names[0], 7.65, "sf2"), (names[1], 4.0, "sf4")]
    found = load_iqa_set("ma", tmp_path)
    assert [(r.name, r.mos, r.kind) for r in found.records] == expected
    assert found.notes == ["2 images, published are 1620"]
    (tmp_path / "scores.txt").unlink()
    savemat(tmp_path / "scores.mat", {"names": cells(*names), "subject": np.array([[7.65], [4.0]])})
    assert [(r.name, r.mos, r.kind) for r in load_iqa_set("ma", tmp_path).records] == expected
    savemat(tmp_path / "scores.mat", {"subject": np.arange(2.0)})
    with pytest.raises(IqaSetError, match="--labels"):
        load_iqa_set("ma", tmp_path)


@pytest.mark.parametrize("name", list(SOURCES))
def test_an_absent_or_empty_folder_says_where_to_get_the_set(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(IqaSetError) as caught:
            load_iqa_set(name, folder)
        assert str(folder) in str(caught.value)
        assert SOURCES[name] in str(caught.value)
