from prismsr.data.images.source import ImageSourceError
from prismsr.data.multi_gt.groups import group_keys

import pytest

HGGT = ["original/0001-1-2", "original/0002.5-1-2", "01/0001-1-2_01", "01/0002.5-1-2_01", "02/0001-1-2_02"]
HGGT.append("02/0002.5-1-2_02")


def test_names_with_the_version_and_without():
    groups = group_keys(reversed(HGGT), "x")
    assert groups.versions == ("original", "01", "02")
    assert groups.names == ["0001-1-2", "0002.5-1-2"]
    assert groups.keys[1] == ("original/0002.5-1-2", "01/0002.5-1-2_01", "02/0002.5-1-2_02")
    plain = ["original/s/a", "sharp/s/a", "01/s/a_01"]
    assert group_keys(plain, "x").keys == [("original/s/a", "01/s/a_01", "sharp/s/a")]


def test_versions_are_chosen_and_ordered():
    assert group_keys(HGGT, "x", versions=["02"]).versions == ("original", "02")
    assert group_keys(HGGT, "x", versions=["02", "01"]).keys[0][1] == "02/0001-1-2_02"
    assert group_keys(HGGT[:2], "x").versions == ("original",)
    assert group_keys(["a/x", "b/x"], "x", original="b").keys == [("b/x", "a/x")]


def test_originals_whose_names_look_like_versions():
    """a_01 is an original of its own; the folder 01 has names of one kind, and so tells whose a_01 is."""
    plain = ["original/a", "original/a_01", "01/a", "01/a_01"]
    assert [keys[1] for keys in group_keys(plain, "x").keys] == ["01/a", "01/a_01"]
    suffixed = ["original/a", "original/a_01", "01/a_01", "01/a_01_01"]
    assert [keys[1] for keys in group_keys(suffixed, "x").keys] == ["01/a_01", "01/a_01_01"]


@pytest.mark.parametrize(
    ("keys", "options", "message"),
    [
        (HGGT[:-1], {}, r"set: 1 groups lack their image in 02, first 0002\.5-1-2"),
        ([*HGGT, "02/z_02"], {}, r"set: 1 images in 02 belong to no original, first z_02"),
        (HGGT, {"versions": ["sharp"]}, r"no folder of the version 'sharp' .*known: 01, 02, original"),
        (["Original/a", "01/a"], {}, r"no folder of the version 'original' .*did you mean 'Original'"),
        ([f"0-20193/{key}" for key in HGGT], {}, r"version 'original' .*there is one in set/0-20193"),
        ([*HGGT, "a"], {}, r"1 images lie outside of the versions' folders, first a;.*original/NAME\.png"),
    ],
)
def test_what_forms_no_groups_is_told(keys, options, message):
    with pytest.raises(ImageSourceError, match=message):
        group_keys(keys, "set", **options)
