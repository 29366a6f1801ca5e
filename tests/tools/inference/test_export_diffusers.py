"""tools/export.py diffusers: what was trained as a folder of diffusers; files of another module are refused."""

from prismsr.tools.export import main
from prismsr.tools.inference.diffusers_export import load_exported

import pytest
import torch
import yaml
from basicsr.archs import build_network
from lgcaa_tiny import NETWORK


@pytest.fixture
def export(tmp_path):
    net = build_network(NETWORK)
    average = {name: value + 0.05 for name, value in net.state_dict().items()}
    torch.save({"params": net.state_dict(), "params_ema": average, "lgcaa": net.sections}, tmp_path / "net_g.pth")

    def run(what="net", **changes):
        (tmp_path / "x.yml").write_text(yaml.safe_dump({"network_g": {**NETWORK, **changes}}))
        line = ["-opt", tmp_path / "x.yml", "-i", tmp_path / "net_g.pth", "-o", tmp_path / "out"]
        return main(["diffusers", what, *(str(part) for part in line)])

    return run


def test_the_folder_holds_the_moving_average(export, tmp_path, capsys):
    assert export() == 0, capsys.readouterr().err
    exported = load_exported(tmp_path / "out").state_dict()
    average = torch.load(tmp_path / "net_g.pth", weights_only=True)["params_ema"]
    assert exported.keys() == average.keys()
    assert all(torch.equal(exported[name], value) for name, value in average.items())


def test_another_module_or_network_is_refused(export, tmp_path, capsys):
    assert export(lgcaa={"clamp": None}) == 2  # no tensor differs
    assert "clamp: 1.0 then" in capsys.readouterr().err
    assert export("vae") == 2
    assert "ImageAutoencoder is wanted" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
