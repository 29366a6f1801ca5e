from prismsr.archs.clip.build import build_clip
from prismsr.archs.clip.clip_arch import Clip
from prismsr.utils.weights.files import WeightsError

import pytest
import torch
from safetensors.torch import save_file


def _other_weights(tiny_config):
    return {name: value.clone() for name, value in build_clip(None, config=tiny_config, seed=5).state_dict().items()}


def _assert_loaded(clip, state):
    for name, value in clip.image.visual.state_dict().items():
        assert torch.equal(value, state[f"visual.{name}"].to(value.dtype)), name
    assert torch.equal(clip.text.token_embedding.weight, state["token_embedding.weight"])
    assert torch.equal(clip.text.text_projection, state["text_projection"])


def test_random_weights_depend_on_the_seed_alone(tiny_config):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_clip(None, config=tiny_config)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second, third = build_clip(None, config=tiny_config), build_clip(None, config=tiny_config, seed=1)
    weight = "visual.layer3.0.conv2.weight"
    assert torch.equal(first.state_dict()[weight], second.state_dict()[weight])
    assert not torch.equal(first.state_dict()[weight], third.state_dict()[weight])


def test_a_local_file_is_read(tiny_config, tmp_path):
    state = _other_weights(tiny_config)
    save_file(state, tmp_path / "clip.safetensors")
    _assert_loaded(Clip(str(tmp_path / "clip.safetensors"), config=tiny_config), state)
    # OpenAI's own file: numbers among the weights, and half precision
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save({**half, "vocab_size": torch.tensor(49408)}, tmp_path / "clip.pt")
    clip = Clip(str(tmp_path / "clip.pt"), config=tiny_config)
    weight = "layer2.1.conv1.weight"
    assert torch.equal(clip.image.visual.state_dict()[weight], half[f"visual.{weight}"].float())


def test_a_tag_is_found_in_the_hub_s_cache(tiny_config, hub):
    state = _other_weights(tiny_config)
    repository = hub / "models--timm--resnet50_clip.openai"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / "open_clip_model.safetensors")
    _assert_loaded(Clip("openai", config=tiny_config), state)


def test_missing_weights_say_what_to_do(hub, tiny_config, tmp_path):
    expected = r"hf download timm/resnet50_clip\.openai open_clip_model\.safetensors.*HF_HOME.*`pretrained`"
    with pytest.raises(WeightsError, match=expected):
        Clip("openai", config=tiny_config)
    with pytest.raises(WeightsError, match=r"No file at .*nothing\.pt; .*openai"):
        Clip(str(tmp_path / "nothing.pt"))
    with pytest.raises(ValueError, match=r"pretrained is 'opnai'.*openai, yfcc15m, cc12m"):
        Clip("opnai")


def test_weights_of_another_architecture_are_refused(tiny_config, tmp_path):
    save_file(_other_weights(tiny_config), tmp_path / "clip.safetensors")
    with pytest.raises(WeightsError, match=r"visual\.conv1\.weight"):
        Clip(str(tmp_path / "clip.safetensors"), config={**tiny_config, "vision_cfg": {"width": 16}})


def test_text_tower_is_optional_and_nothing_is_trained(tiny_config):
    clip = Clip(None, config=tiny_config, text=False)
    assert clip.text is None and list(clip.parameters())
    assert not any(parameter.requires_grad for parameter in Clip(None, config=tiny_config).parameters())
