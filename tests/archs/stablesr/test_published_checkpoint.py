"""A published checkpoint at a small size: converted by tools/weights.py, it predicts what the release predicts."""

from prismsr.tools.weights import add_arguments, run
from prismsr.utils.command_line import command
from prismsr.utils.options.files import load_options
from prismsr.utils.weights.files import network_weights

import stablesr_names as names
import torch
import yaml
from basicsr.archs import build_network
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from published_fill import assert_row, fill, wave
from safetensors.torch import save_file
from stablesr_case import VAE

STRUCT = {"channels": 32, "mult": [1, 1, 2], "res_blocks": 1}
UNET, ENCODER = "model.diffusion_model.", "structcond_stage_model."


@torch.no_grad()
def test_a_converted_checkpoint_predicts_what_the_release_predicts(tmp_path, capsys):
    published = {f"{UNET}{name}": value for name, value in fill(names.unet(32, [1, 2, 2], 1, 2, 24, 32)).items()}
    published |= {f"{ENCODER}{name}": value for name, value in fill(names.encoder(32, [1, 1, 2], 1)).items()}
    frozen = {"betas": torch.zeros(1000), "first_stage_model.quant_conv.bias": torch.zeros(8)}
    torch.save({"state_dict": {**published, **frozen}, "global_step": 3}, tmp_path / "stablesr_000117.ckpt")
    _write_base(tmp_path / "sd", published)
    save_file({"context": wave(7, 24, k=0.21)}, tmp_path / "prompt.safetensors")
    network = {"type": "StableSRNet", "base": {"path": str(tmp_path / "sd")}, "struct": STRUCT}
    network["context"] = str(tmp_path / "prompt.safetensors")
    (tmp_path / "net.yml").write_text(yaml.safe_dump({"name": "x", "network_g": network}))
    arguments = [
        "convert",
        tmp_path / "stablesr_000117.ckpt",
        "-o",
        tmp_path / "out.pth",
        "--network",
        tmp_path / "net.yml",
    ]
    assert command("weights.py", "", add_arguments, run, list(map(str, arguments))) == 0
    assert "S-Lab License 1.0: non-commercial" in capsys.readouterr().out
    net = build_network(load_options(tmp_path / "net.yml")["network_g"]).eval()
    net.load_state_dict(network_weights(tmp_path / "out.pth")[0])
    eps = net(wave(1, 4, 16, 16, k=0.3), torch.tensor(37), wave(1, 4, 16, 16, k=0.11))
    assert_row(eps, -0.058487, 0.969224, (-1.007079, -2.548041, -4.463349), -0.101127, -0.001698)


def _write_base(folder, published):
    """Write what is frozen in diffusers' layout: the UNet of the checkpoint, and any VAE."""
    build_network({"type": "ImageAutoencoder", "vae": VAE}).vae.save_pretrained(folder / "vae")
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64, 64), layers_per_block=1, attention_head_dim=(2, 4, 4), cross_attention_dim=24,
        use_linear_projection=True, down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    plain = {name: value for name, value in published.items() if ".spade." not in name}
    unet.load_state_dict(convert_ldm_unet_checkpoint(plain, unet.config))
    unet.save_pretrained(folder / "unet")
