"""ResShift's published files at a small size: the UNet's is converted, the autoencoder's read as it is."""

from prismsr.archs.latent.sampling.sampler import Sampler
from prismsr.archs.resshift.options import ResShiftSampling
from prismsr.tools import infer, weights
from prismsr.tools.inference import command
from prismsr.utils.images import read_image
from prismsr.utils.rng import derive_seed

import resshift_case as case
import torch
import yaml
from generator_cases import write_images


def _read(path):
    return torch.from_numpy(read_image(path)[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255


def test_published_files_are_converted_and_sampled(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "ROOT", tmp_path)
    net = case.make_net()
    torch.save(case.published_vq(net.vae, case.VQOptions.model_validate(case.VQ)), tmp_path / "vq.pth")
    buffers = {"input_blocks.1.1.blocks.1.attn_mask": torch.zeros(4, 64, 64)}
    published = {f"module.{name}": value for name, value in {**case.published_unet(net), **buffers}.items()}
    torch.save({"state_dict": published}, tmp_path / "published.pth")
    network = {"type": "ResShiftNet", **case.TINY, "vq": {**case.VQ, "path": str(tmp_path / "vq.pth")}}
    options = {"name": "tiny", "model_type": "ResShiftModel", "scale": 2, "manual_seed": 5, "network_g": network}
    file, converted = tmp_path / "tiny.yml", tmp_path / "ours.pth"
    file.write_text(yaml.safe_dump({**options, "val": {"sampling": {"tile": 32, "tile_overlap": 16}}}))
    assert weights.main(["convert", str(tmp_path / "published.pth"), "-o", str(converted), "--network", str(file)]) == 0
    write_images(tmp_path / "in", "a.png", "b.png", side=12)
    done = ["--model", str(file), "--weights", str(converted), "-i", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    assert infer.main([*done, "--device", "cpu"]) == 0
    for name in ("a.png", "b.png"):  # each with the noise that is its own, whatever came before
        lq, found = (_read(tmp_path / folder / name) for folder in ("in", "out"))
        sampler = Sampler(ResShiftSampling(tile=32, tile_overlap=16), 2)
        wanted = sampler(net, lq, torch.Generator().manual_seed(derive_seed(lq, 5)))
        assert found.shape == wanted.shape and (found - wanted).abs().max() < 0.6 / 255
    file.write_text(yaml.safe_dump({**options, "val": {"sampling": {"tile": 18}}}))  # not of whole windows
    capsys.readouterr()
    assert infer.main([*done, "--device", "cpu", "--overwrite"]) == 2
    assert "val.sampling.tile" in capsys.readouterr().err
