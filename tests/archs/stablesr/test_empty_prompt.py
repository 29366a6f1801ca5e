"""The empty prompt's context against OpenCLIP's own text tower, whose last layer is left out."""

import json

from prismsr.archs.stablesr.empty_prompt import encode_empty_prompt, read_context
from prismsr.utils.weights.files import WeightsError

import open_clip
import pytest
import torch
from open_clip.transformer import TextTransformer
from safetensors.torch import save_file

WIDTH, LAYERS = 16, 2
NAMES = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}


@pytest.fixture(scope="module")
def tower():
    torch.manual_seed(0)
    tower = TextTransformer(width=WIDTH, heads=2, layers=LAYERS + 1, output_dim=8).eval()
    for parameter in tower.parameters():  # so that no part is small
        torch.nn.init.normal_(parameter, std=0.3)
    return tower


@pytest.fixture
def folder(tower, tmp_path):
    """The folder as transformers would write it."""
    state = {
        "embeddings.token_embedding.weight": tower.token_embedding.weight,
        "embeddings.position_embedding.weight": tower.positional_embedding,
        "embeddings.position_ids": torch.arange(77)[None],
        "final_layer_norm.weight": tower.ln_final.weight,
        "final_layer_norm.bias": tower.ln_final.bias,
    }
    for number, block in enumerate(tower.transformer.resblocks[:LAYERS]):
        place = f"encoder.layers.{number}"
        for kind in ("weight", "bias"):
            joined = getattr(block.attn, f"in_proj_{kind}").chunk(3)
            state |= {f"{place}.self_attn.{n}_proj.{kind}": x for n, x in zip("qkv", joined, strict=True)}
            state[f"{place}.self_attn.out_proj.{kind}"] = getattr(block.attn.out_proj, kind)
            for theirs, name in NAMES.items():
                state[f"{place}.{name}.{kind}"] = getattr(block.get_submodule(theirs), kind)
    inner = tmp_path / "sd" / "text_encoder"
    inner.mkdir(parents=True)
    save_file({f"text_model.{k}": v.detach().clone() for k, v in state.items()}, inner / "model.safetensors")
    config = {
        "hidden_act": "gelu", "hidden_size": WIDTH, "intermediate_size": 4 * WIDTH,
        "max_position_embeddings": 77, "num_attention_heads": 2, "num_hidden_layers": LAYERS,
    }  # fmt: skip
    (inner / "config.json").write_text(json.dumps(config))
    return inner


@torch.no_grad()
def test_it_is_openclip_s_last_layer_but_one(tower, folder, tmp_path, prepare_tool):
    x, mask = tower._embeds(open_clip.tokenize(""))
    for block in tower.transformer.resblocks[:LAYERS]:
        x = block(x, attn_mask=mask)
    wanted = tower.ln_final(x)[0]
    assert torch.allclose(encode_empty_prompt(folder), wanted, atol=1e-5)
    file = tmp_path / "out" / "prompt.safetensors"
    assert prepare_tool.main(["prompt", "-i", str(folder.parent), "-o", str(file)]) == 0
    assert torch.allclose(read_context(str(file), WIDTH), wanted, atol=1e-5)
    file.write_bytes(b"mine")
    again = ["prompt", "-i", str(folder.parent), "-o", str(file)]
    assert prepare_tool.main(again) == 2 and file.read_bytes() == b"mine"
    assert prepare_tool.main([*again, "--overwrite"]) == 0 and len(file.read_bytes()) > 1000


def test_what_is_wrong_is_told(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"none\.safetensors.*tools/prepare\.py prompt"):
        read_context(str(tmp_path / "none.safetensors"), WIDTH)
    save_file({"context": torch.zeros(77, 8)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"other\.safetensors.*\(77, 8\)"):
        read_context(str(tmp_path / "other.safetensors"), WIDTH)
    with pytest.raises(WeightsError, match=r"config\.json"):
        encode_empty_prompt(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for change, told in (
        ({**config, "hidden_act": "quick_gelu"}, "hidden_act"),
        ({**config, "num_hidden_layers": 3}, r"layers\.2"),
        ({**config, "num_hidden_layers": "two"}, "text_encoder"),
        ({**config, "num_attention_heads": 5}, "text_encoder"),
        ([1], r"config\.json"),
    ):
        (folder / "config.json").write_text(json.dumps(change))
        with pytest.raises(WeightsError, match=told):
            encode_empty_prompt(folder)
