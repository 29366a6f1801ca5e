import math
from copy import deepcopy

from prismsr.archs.clip.clip_arch import Clip
from prismsr.archs.clip.features import ClipFeatures
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator, similarity_logit, similarity_score

import open_clip
import pytest
import torch
from basicsr.archs import build_network

X, START, END = 343, 49406, 49407


@pytest.fixture
def net(clip):
    return PromptDiscriminator(width=16).attach(clip.text)


def test_text_encoder_equals_open_clip(clip, tiny_net):
    texts = ["Good photo.", "a rather bad photo of a cat", ""]
    whole = open_clip.get_tokenizer("RN50-quickgelu")(texts)
    clip, expected = clip.double(), deepcopy(tiny_net).double().encode_text(whole)
    torch.testing.assert_close(clip.text(whole), expected)
    ids = clip.text.tokenize(texts)
    assert torch.equal(ids, whole[:, : ids.shape[1]]) and not whole[:, ids.shape[1] :].any()
    torch.testing.assert_close(clip.text(ids), expected)  # nothing looks behind the end mark
    replaced = clip.text(ids, clip.text.token_embedding(ids[:, 1:2]))
    torch.testing.assert_close(replaced, expected)


def test_replaced_rows_count_and_only_they(clip):
    ids = clip.text.tokenize(["one two three four"])
    other = clip.text.tokenize(["five six three four"])
    torch.testing.assert_close(clip.text(ids, clip.text.token_embedding(other[:, 1:3])), clip.text(other))


def test_rn50_s_prompts(rn50):
    text = deepcopy(rn50.text).double()
    net = PromptDiscriminator().double().attach(text)
    assert sum(parameter.numel() for parameter in net.parameters()) == 16_384
    prompts = [[START, *[X] * 16, word, 1125, 269, END] for word in (886, 2103)]
    assert net.ids.tolist() == prompts
    # what starts from X is, before any training, the plain sentence
    sentences = open_clip.get_tokenizer("RN50-quickgelu")(["X " * 16 + "good photo.", "X " * 16 + "bad photo."])
    torch.testing.assert_close(net.text_features(), text(sentences))


def test_kinds_of_prompts(clip):
    whole = PromptDiscriminator(8, learning="whole", width=16).attach(clip.text)
    assert whole.ids.tolist() == [[START, *[X] * 8, END]] * 2
    assert torch.equal(whole.context, clip.text.token_embedding.weight[X].expand(2, 8, 16))
    noise = PromptDiscriminator(8, learning="whole", init="noise", width=16)
    before = noise.context.clone()
    assert torch.equal(noise.attach(clip.text).context, before) and not torch.equal(before[0], before[1])


def test_state_is_the_prompts_alone_and_survives_any_order(clip, net):
    with torch.no_grad():
        net.context.normal_()
    state = net.state_dict()
    assert list(state) == ["context"] and [name for name, _ in net.named_parameters()] == ["context"]
    assert not [module for module in net.modules() if module is not net]
    attached_first = PromptDiscriminator(width=16).attach(clip.text)
    attached_first.load_state_dict(state)
    loaded_first = PromptDiscriminator(width=16)
    loaded_first.load_state_dict(state)
    loaded_first.attach(clip.text)
    assert torch.equal(attached_first.context, net.context) and torch.equal(loaded_first.context, net.context)
    torch.testing.assert_close(loaded_first.text_features(), net.text_features())


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_logit_is_equation_4(clip, images, scale):
    net, clip, images = PromptDiscriminator(logit_scale=scale, width=16).double(), clip.double(), images.double()
    net.attach(clip.text)
    with torch.no_grad():
        net.context.normal_()
        features = clip.image(images)
        positive, negative = net.text_features()
        logits = net(features)
    scores = similarity_score(features.final, positive, negative, scale)
    assert logits.shape == scores.shape == (3,)
    for image, logit, score in zip(features.final.tolist(), logits, scores, strict=True):
        best, worst = _cosine(image, positive.tolist()), _cosine(image, negative.tolist())
        expected = math.exp(scale * best) / (math.exp(scale * best) + math.exp(scale * worst))
        assert score.item() == pytest.approx(expected, rel=1e-10)
        assert torch.sigmoid(logit).item() == pytest.approx(expected, rel=1e-10)


def test_the_temperature_is_clips_own():
    image, best, worst = torch.eye(3)[[0]], torch.tensor([0.8, 0.6, 0.0]), torch.tensor([0.6, 0.8, 0.0])
    assert similarity_logit(image, best, worst).tolist() == pytest.approx([20.0])
    assert similarity_score(image, best, worst).tolist() == pytest.approx([1 / (1 + math.exp(-20))])
    assert PromptDiscriminator(width=16).logit_scale == 100


def _cosine(one, other):
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))


def test_gradients_of_prompts_and_features_are_right(tiny_config):
    clip = Clip(None, config=tiny_config).double()
    net = PromptDiscriminator(3, logit_scale=1.0, width=16).double().attach(clip.text)
    context = torch.randn(2, 3, 16, dtype=torch.float64, requires_grad=True)
    final = torch.randn(2, 24, dtype=torch.float64, requires_grad=True)

    def logits(prompts, vectors):
        net._known = None  # gradcheck changes the prompts behind the back of their version
        return torch.func.functional_call(net, {"context": prompts}, (vectors,))

    assert torch.autograd.gradcheck(logits, (context, final))


def test_kept_text_features_follow_the_prompts(net, clip, images):
    features = clip.image(images).detach()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1, foreach=True)
    passes = []
    hook = clip.text.register_forward_hook(lambda *args: passes.append(1))
    for step in range(3):
        net.requires_grad_(False)
        kept = net.text_features()
        assert torch.equal(net.text_features(), kept) and not kept.requires_grad
        net.requires_grad_(True)
        torch.testing.assert_close(net.text_features(), kept)
        net(features).sum().backward()
        assert len(passes) == (step == 0)  # one for all uses in a step; the later ones were made below
        optimizer.step()
        with torch.no_grad():
            assert not torch.allclose(net.text_features(), kept)
            assert len(passes) == (1 if step else 2)
            torch.testing.assert_close(net.text_features(), clip.text(net.ids, net.context))
        passes.clear()
    hook.remove()
    state = {"context": torch.randn(2, 16, 16)}
    net.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(net.text_features(), clip.text(net.ids, state["context"]))


def test_two_losses_may_be_backpropagated_one_after_the_other(net, clip, images):
    net.double()
    features = clip.double().image(images.double())
    real, fake = features.split([1, 2])
    net(real).sum().backward()
    net(fake).sum().backward()
    separate = net.context.grad.clone()
    net.zero_grad()
    net(ClipFeatures.cat([real, fake])).sum().backward()
    torch.testing.assert_close(net.context.grad, separate)


def test_logits_are_full_precision_under_autocast(net, clip, images):
    features = clip.image(images).detach()
    expected = net(features)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected)


def test_mistakes_are_named(clip, images, tiny_config):
    net = build_network({"type": "PromptDiscriminator", "width": 16})
    with pytest.raises(RuntimeError, match=r"attach\(clip\.text\)"):
        net(clip.image(images))
    with pytest.raises(ValueError, match="width"):
        PromptDiscriminator().attach(clip.text)
    with pytest.raises(ValueError, match="text=True"):
        PromptDiscriminator().attach(Clip(None, config=tiny_config, text=False).text)
    with pytest.raises(ValueError, match="82 tokens"):
        PromptDiscriminator(77, width=16).attach(clip.text)
    with pytest.raises(ValueError, match="final=True"):
        net.attach(clip.text)(clip.image(images, final=False))
