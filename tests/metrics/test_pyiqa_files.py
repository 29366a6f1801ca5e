"""No metric of pyiqa runs what is in a file that an option names, or in its cache."""

import os

from prismsr.metrics.catalog import find_metric, list_metrics
from prismsr.metrics.no_reference import build_nr_metric
from prismsr.metrics.pyiqa_networks import create_pyiqa
from prismsr.utils.errors import UserError

import pytest
import torch

pytest.importorskip("pyiqa")
NAMES = sorted({find_metric(name).pyiqa for name in list_metrics()} - {""})


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("hacked",)


@pytest.fixture(autouse=True)
def _watched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(_Evil(), "evil.pth")
    torch.save({"params": _Evil()}, "evil.mat")  # as a file of arrays it is left to the package
    yield
    assert not (tmp_path / "hacked").exists()


def test_files_of_options():
    assert len(NAMES) > 50
    for name in NAMES:
        for option in ("pretrained_model_path", "backbone"):
            with pytest.raises(UserError, match=r"evil\.pth was not read"):
                create_pyiqa(name, {option: "evil.pth"})
        with pytest.raises(UserError, match=r"evil\.pth was not read"):
            create_pyiqa(name, {}, "evil.pth")


def test_what_pyiqa_reads_itself(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"evil\.mat was not read"):
        build_nr_metric("pyiqa:cnniqa", pretrained_model_path="evil.mat")
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    from pyiqa.archs.cnniqa_arch import default_model_urls

    cached = default_model_urls["koniq10k"].rpartition("/")[2]
    (tmp_path / "evil.pth").rename(tmp_path / cached)
    with pytest.raises(UserError, match=f"{cached} was not read"):
        build_nr_metric("pyiqa:cnniqa")
