import argparse
import csv
from decimal import ROUND_HALF_UP, Decimal

from prismsr.tools.evaluation.command import add_arguments
from prismsr.tools.evaluation.protocols import (
    PROTOCOLS,
    choose_protocol,
    find_protocol,
    make_protocol,
    narrow,
    override,
)
from prismsr.tools.paper_tables import find_protocols, read_mapping
from prismsr.utils.errors import OptionError

import pytest


def choose(*line):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return choose_protocol(parser.parse_args(line))


def columns(protocol):
    return {spec.column for spec in protocol.metrics}


PRINTED = [table for table in find_protocols() if "csv" in read_mapping(table.partition("-")[0])[table]]


@pytest.mark.parametrize("table", [*PRINTED, "sfd-5"])
def test_protocols_have_the_columns_of_their_tables(table, repository):
    paper, number = table.split("-")
    with (repository / "tools" / "paper_tables" / f"{paper}_table{number}.csv").open(newline="") as file:
        printed = {row["metric"] for row in csv.DictReader(file)}
    protocols = [find_protocol(name) for name in (["sfd-gopro", "sfd-rain100l"] if table == "sfd-5" else [table])]
    for protocol in protocols:
        missing = printed - columns(protocol)
        assert not missing
        assert table == "lgcaa-2" or columns(protocol) == printed


def settings(name, metric):
    return next(spec.fill_settings() for spec in find_protocol(name).metrics if spec.metric == metric)


def test_settings_of_the_papers():
    assert settings("ssl", "psnr") == {"y_channel": True, "crop_border": 4, "variant": "basicsr"}
    assert settings("sfd-1", "lpips") == settings("ssl", "lpips") == {"net": "alex", "crop_border": 4}
    assert settings("sfd-1", "dists") == settings("ssl", "dists") == {"crop_border": 4}
    assert settings("sfd-1", "psnr") == settings("ssl", "psnr") and settings("sfd-1", "ssim") == settings("ssl", "ssim")
    assert settings("ssl-2", "niqe") == {"crop_border": 4}
    assert settings("ssl-2", "fid") == {"mode": "legacy_pytorch", "patches": None}
    for metric in ("psnr", "ssim"):
        assert settings("sfd", metric) == {"y_channel": True, "crop_border": 4, "variant": "basicsr"}
        assert settings("sfd-real", metric) == {"y_channel": True, "crop_border": 0, "variant": "pyiqa"}
    assert settings("sfd-gopro", "psnr") == {"y_channel": False, "crop_border": 0, "variant": "basicsr"}
    assert settings("sfd-rain100l", "psnr") == {"y_channel": True, "crop_border": 0, "variant": "basicsr"}
    assert settings("lgcaa", "ssim") == {"y_channel": True, "crop_border": 0, "variant": "pyiqa"}
    assert settings("lgcaa", "fid") == {"mode": "clean", "patches": None}
    assert settings("lgcaa", "maniqa-pipal") == {"crop_border": 0}
    assert settings("amo-7", "psnr") == {"y_channel": False, "crop_border": 4, "variant": "basicsr"}
    assert settings("amo", "lpips") == {"net": "alex", "crop_border": 4}
    assert find_protocol("amo").references == "positives"
    assert find_protocol("ssl-degraded").several
    assert find_protocol("amo-8").align == "crop"


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_setting_says_where_it_comes_from(protocol):
    lines = protocol.explain()
    for spec, line in zip(protocol.metrics, lines[1:], strict=False):
        assert line.startswith(f"  {spec.column}: ")
        assert line.endswith("]")
        assert any(word in line for word in ("paper", "release", "script", "reconstruction"))


def test_sfd_s_baselines_are_ssl_s(repository):
    """What the protocol of SFD's table 1 rests on: three methods have SSL's figures, rounded, in all their cells."""

    def read(name):
        rows = csv.DictReader((repository / "tools/paper_tables" / name).read_text().splitlines())
        return {(row["method"], row["dataset"], row["metric"]): Decimal(row["value"]) for row in rows}

    sfd, ssl = read("sfd_table1.csv"), read("ssl_table1.csv")
    equal = {"RankSRGAN": "RankSRGAN", "ESRGAN": "ESRGAN", "SwinIR+L_GAN": "SwinIRGAN"}
    cells = [key for key in sfd if key[0] in equal]
    assert len(cells) == 3 * 16
    for method, dataset, metric in cells:
        printed, finer = sfd[method, dataset, metric], ssl[equal[method], dataset, metric]
        assert finer.quantize(printed, ROUND_HALF_UP) == printed


def test_changes_are_told():
    protocol = choose("--protocol", "ssl-diffusion", "--crop-border", "0", "--rgb")
    text = "\n".join(protocol.explain())
    assert (
        "PSNR: RGB, crop_border 0 [the SSL release's scripts, border 4 by default; changed by you: crop_border 0; "
        in text
    )
    assert "FID: whole images, mode legacy_pytorch [the SSL release: BasicSR's Inception, no border cut]" in text
    assert choose("--protocol", "ssl", "--crop-border", "4", "--y") == find_protocol("ssl")


def test_a_part_of_a_protocol():
    protocol = narrow(find_protocol("lgcaa"), ["pyiqa:niqe", "psnr", "lpips_st"])
    assert [spec.known.name for spec in protocol.metrics] == ["niqe-pyiqa", "psnr", "lpips-st"]
    assert protocol.metrics[1].settings["variant"] == "pyiqa"
    with pytest.raises(OptionError, match=r"--metrics niqe: .*niqe-pyiqa"):
        narrow(find_protocol("lgcaa"), ["niqe"])
    assert "LPIPS-ST: crop_border 0 [not in the protocol]" in "\n".join(protocol.explain())


def test_unknown_names():
    with pytest.raises(OptionError, match="'lgca'; did you mean 'lgcaa'"):
        find_protocol("lgca")
    with pytest.raises(OptionError, match="fid"):
        override(make_protocol(["psnr"]), {"fid": {"patches": 64}})
