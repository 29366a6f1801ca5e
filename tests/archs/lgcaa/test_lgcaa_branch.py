"""The module's maths against loops over images, heads and tokens, as section III-B writes it."""

import math

from prismsr.archs.lgcaa import branch as lgcaa_branch
from prismsr.archs.lgcaa.branch import (
    LGCAABranch,
    cosine_attention,
    from_windows,
    normalise,
    split_heads,
    to_windows,
    token_variation,
)
from prismsr.archs.lgcaa.options import LgcaaOptions

import pytest
import torch
from torch.nn import functional as F

CHANNELS, HEADS, SIZE = 12, 3, (3, 4)
WIDTH = CHANNELS // HEADS


def options(**given):
    return LgcaaOptions.model_validate(given)


def branch_of(seed=0, **given):
    """A module in float64 whose last layer is not zero."""
    torch.manual_seed(seed)
    branch = LGCAABranch(CHANNELS, HEADS, options(**given)).double()
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return branch


@pytest.fixture
def tokens():
    return torch.randn(2, math.prod(SIZE), CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def loop_attention(module, x, scales, unit, allowed=lambda query, key: True):
    """softmax(scale * q . k) v, one query of one head of one image at a time."""
    joined = torch.zeros_like(x)
    for image in range(len(x)):
        for head in range(HEADS):
            part = slice(head * WIDTH, (head + 1) * WIDTH)
            q, k, v = ((x[image] @ project.weight.T)[:, part] for project in (module.to_q, module.to_k, module.to_v))
            for query in range(x.shape[1]):
                keys = [key for key in range(x.shape[1]) if allowed(query, key)]
                powers = [math.exp(scales[head] * float(unit(q[query]) @ unit(k[key]))) for key in keys]
                row = sum(power / sum(powers) * v[key] for power, key in zip(powers, keys, strict=True))
                joined[image, query, part] = row
    return joined @ module.to_out.weight.T + module.to_out.bias


def loop_norm(norm, x):
    rows = [(row - row.mean()) / (row.var(correction=0) + norm.eps).sqrt() for row in x.flatten(0, 1)]
    return torch.stack(rows).view_as(x) * norm.weight + norm.bias


def unit_l2(vector):
    return vector / max(float(vector.square().sum().sqrt()), 1e-6)


def unit_rms(vector):
    return vector / float((vector.square().mean() + 1e-6).sqrt())


def plain(vector):
    return vector


def printed_scale(module):
    return [WIDTH**-0.5] * HEADS


def learned_scale(module):
    return [min(math.exp(float(value)), 100.0) for value in module.log_temperature]


@pytest.mark.parametrize(
    ("given", "unit", "scales"),
    [
        ({"preset": "paper_literal"}, unit_l2, printed_scale),
        ({"preset": "default"}, unit_l2, learned_scale),
        ({"preset": "paper_literal", "qk_norm": "rms"}, unit_rms, printed_scale),
        ({"preset": "default", "qk_norm": "none"}, plain, learned_scale),
    ],
)
@pytest.mark.parametrize("mode", ["local", "global", "full", "merged"])
@torch.no_grad()
def test_every_formula_equals_its_loop(tokens, given, unit, scales, mode):
    settings = {**given, "mode": "full", "merge_norm": False} if mode == "merged" else {**given, "mode": mode}
    module = branch_of(**settings)
    residual = options(**settings).residual
    u = tokens
    if mode != "global":
        local = loop_attention(module.local, tokens, scales(module.local), unit)
        u = loop_norm(module.norm2, local + tokens if residual else local)
    if mode != "local":
        spread = loop_attention(module.globally, u, [WIDTH**-0.5] * HEADS, plain).clamp(-1, 1)
        u = spread + u if residual else spread
    merged = u if mode == "merged" else loop_norm(module.norm3, u)
    first, last = module.mlp[0], module.mlp[2]
    hidden = merged @ first.weight.T + first.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(module(tokens), hidden @ last.weight.T + last.bias)


def test_rms_with_a_learned_temperature_is_l2(tokens):
    outputs, slopes = [], []
    for kind in ("l2", "rms"):
        torch.manual_seed(0)
        module = LGCAABranch(CHANNELS, HEADS, options(qk_norm=kind)).double().local
        outputs.append(module(tokens))
        outputs[-1].square().sum().backward()
        slopes.append(module.log_temperature.grad)
    torch.testing.assert_close(
        *outputs, rtol=1e-4, atol=1e-5
    )  # eps is within the root of one, beside that of the other
    torch.testing.assert_close(*slopes, rtol=1e-3, atol=1e-5)


def test_windows_attend_within_themselves(tokens):
    module = branch_of(local_window=2).local
    with pytest.raises(ValueError, match="rows and columns"):
        module(tokens)
    module.size = SIZE

    def window(token):
        return token // SIZE[1] // 2, token % SIZE[1] // 2

    expected = loop_attention(module, tokens, learned_scale(module), unit_l2, lambda a, b: window(a) == window(b))
    torch.testing.assert_close(module(tokens), expected)


@pytest.mark.parametrize("size", [(4, 6), (3, 5), (1, 7)])
def test_windows_are_put_together_again(size):
    x = torch.randn(2, math.prod(size), 3)
    windows, real = to_windows(x, size, 2)
    assert windows.shape[1:] == (4, 3) and int(real.sum()) == math.prod(size)
    assert bool((windows.view(2, -1, 4, 3)[:, ~real] == 0).all())
    assert torch.equal(from_windows(windows, size, 2), x)


def test_printed_logits_are_bound_and_learned_ones_start_at_the_square_root():
    q, k = torch.randn(2, 1, 1, 50, 64).unbind()
    logits = normalise(q, "l2") @ normalise(k, "l2").transpose(-1, -2) / 8
    assert float(logits.abs().max()) <= 1 / 8 + 1e-6  # so that no weight exceeds another by more than e^(1/4)
    module = LGCAABranch(128, 2, options()).local
    torch.testing.assert_close(module.temperature(), torch.full((2,), 8.0))
    with torch.no_grad():
        module.log_temperature.fill_(9.0)
    assert module.temperature().tolist() == [100.0, 100.0]


def test_elementwise_bars_would_leave_no_gradient(tokens):
    # why the bars are read as a vector's length
    q = tokens.clone().requires_grad_()
    (q / q.abs().clamp(min=1e-6)).square().mean().backward()
    assert float(q.grad.abs().max()) < 1e-12
    q = split_heads(tokens, HEADS).clone().requires_grad_()
    probe = torch.randn_like(q)
    (normalise(q, "l2") * probe).sum().backward()
    assert float(q.grad.abs().max()) > 1e-2


def test_a_zero_query_is_finite():
    q = torch.zeros(1, 1, 4, 8, requires_grad=True)
    cosine_attention(q, q, torch.randn(1, 1, 4, 8), "l2").sum().backward()
    assert bool(q.grad.isfinite().all())


@pytest.mark.parametrize("given", [{}, {"preset": "paper_literal"}, {"clamp": 0.05}, {"clamp": None}])
def test_gradcheck(tokens, given):
    module = branch_of(**given)
    torch.autograd.gradcheck(module, tokens[:1, :5].clone().requires_grad_())


def test_clamp_bounds_the_global_attention(tokens):
    module = branch_of(preset="paper_literal", merge_norm=False, clamp=0.05)
    assert float(module.normalise_for_mlp(tokens).abs().max()) == pytest.approx(0.05)
    assert (
        float(branch_of(preset="paper_literal", merge_norm=False, clamp=None).normalise_for_mlp(tokens).abs().max()) > 1
    )


def test_last_layer_starts_at_zero_unless_it_replaces_attn1(tokens):
    assert not LGCAABranch(CHANNELS, HEADS, options()).double()(tokens).any()
    assert LGCAABranch(CHANNELS, HEADS, options(combine="replace")).double()(tokens).any()


def test_stacked_takes_the_output_of_attn1(tokens):
    module = branch_of(combine="stacked")
    assert module.local is None
    attended = tokens.flip(1)
    expected = module.norm2(attended + tokens)
    expected = module.norm3(module.globally(expected).clamp(-1, 1) + expected)
    torch.testing.assert_close(module.normalise_for_mlp(tokens, attended), expected)


def test_no_matrix_of_all_pairs_is_kept_for_the_gradient():
    count = 96
    module, x = LGCAABranch(CHANNELS, HEADS, options()), torch.randn(1, count, CHANNELS, requires_grad=True)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
        module.normalise_for_mlp(x)
    assert max(sizes) < count**2


def test_half_precision_normalises_in_full(monkeypatch):
    seen = []
    known = lgcaa_branch.attention
    monkeypatch.setattr(lgcaa_branch, "attention", lambda q, k, v, *rest: seen.append(q.dtype) or known(q, k, v, *rest))
    module = LGCAABranch(CHANNELS, HEADS, options())
    with torch.autocast("cpu", torch.bfloat16):
        assert bool(module(torch.randn(1, 9, CHANNELS)).isfinite().all())
    assert seen == [torch.bfloat16] * 2
    q = torch.randn(1, 1, 200, 64, dtype=torch.bfloat16)
    assert normalise(q, "l2").dtype == torch.float32
    torch.testing.assert_close(normalise(q, "l2"), F.normalize(q.float(), dim=-1, eps=1e-6))


def test_literal_module_makes_all_tokens_equal_and_the_default_does_not():
    torch.manual_seed(0)
    x = F.layer_norm(torch.randn(1, 256, 64) + 0.5 * torch.randn(1, 1, 64), (64,)).double()
    assert token_variation(x) > 0.7
    literal, default = (LGCAABranch(64, 2, options(preset=name)).double() for name in ("paper_literal", "default"))
    assert token_variation(literal.normalise_for_mlp(x)) < 1e-12
    assert token_variation(default.normalise_for_mlp(x)) > 0.5
    assert token_variation(torch.ones(1, 5, 3)) == 0
