"""Measure what is left of the differences between tokens inside the LGCAA module.

    python tools/studies/measure_lgcaa.py

The paper's module, read to the letter, makes all tokens of an image equal; docs/papers/lgcaa.md quotes this table.

Paper: LGCAA, sec. III-B.
"""

import argparse
import math
from functools import partial
from typing import Any

import prismsr  # noqa: F401  (before basicsr)
from prismsr.archs.lgcaa.branch import LGCAABranch, LocalAttention, normalise, split_heads, token_variation
from prismsr.archs.lgcaa.options import LgcaaOptions
from prismsr.utils.command_line import command, run_main
from prismsr.utils.tables import markdown_table

import torch
from torch import Tensor

ROWS: dict[str, dict[str, Any]] = {
    "paper_literal": {"preset": "paper_literal"},
    "paper_literal, Q and K by their RMS": {"preset": "paper_literal", "qk_norm": "rms"},
    "paper_literal, Q and K not normalised": {"preset": "paper_literal", "qk_norm": "none"},
    "default without residuals": {"residual": False},
    "default without the temperature": {"temperature": "printed"},
    "default": {},
}


def sample_tokens(count: int, channels: int, seed: int = 0) -> Tensor:
    """Draw tokens (1, N, C) as a layer norm gives them, which share a fifth of their energy."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(1, count, channels, generator=generator)
    shared = torch.randn(1, 1, channels, generator=generator)
    return torch.nn.functional.layer_norm(tokens + 0.5 * shared, (channels,))


@torch.no_grad()
def measure(options: dict[str, Any], tokens: Tensor, heads: int, seed: int = 0) -> tuple[float, float, float]:
    """Measure a randomly initialised module, in float64, since float32's rounding alone leaves about 1e-14.

    Args:
        options: section `lgcaa`.
        tokens: (B, N, C).
        heads: of both attentions.
        seed: of the weights.

    Returns:
        Entropy of the local attention's weights over that of equal weights; token_variation after the local attention
        (u of the paper, after LN2), and in front of the MLP (after LN3).
    """
    torch.manual_seed(seed)
    branch = LGCAABranch(tokens.shape[-1], heads, LgcaaOptions.model_validate(options)).double()
    seen: list[Tensor] = []
    assert branch.norm2 is not None and branch.local is not None
    branch.norm2.register_forward_hook(lambda module, args, output: seen.append(output))
    merged = branch.normalise_for_mlp(tokens.double())
    return measure_entropy(branch.local, tokens.double()), token_variation(seen[0]), token_variation(merged)


def measure_entropy(local: LocalAttention, tokens: Tensor) -> float:
    """Return the mean entropy of softmax(s * norm(Q) norm(K)^T)'s rows over log N: 1 where all weigh the same."""
    q, k = (normalise(split_heads(project(tokens), local.heads), local.kind) for project in (local.to_q, local.to_k))
    temperature = local.temperature()
    scale = q.shape[-1] ** -0.5 if temperature is None else temperature.view(-1, 1, 1)
    weights = (scale * q @ k.transpose(-1, -2)).softmax(-1)
    return float(torch.special.entr(weights).sum(-1).mean() / math.log(tokens.shape[1]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--tokens", type=int, default=1024, help="tokens of an image (default: 1024)")
    parser.add_argument("--channels", type=int, default=320, help="their length (default: 320)")
    parser.add_argument("--heads", type=int, default=5, help="heads of both attentions (default: 5)")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    tokens = sample_tokens(args.tokens, args.channels)
    print(f"{args.tokens} tokens, {args.channels} channels, {args.heads} heads, random weights\n")
    rows = []
    for name, options in ROWS.items():
        entropy, local, merged = measure(options, tokens, args.heads)
        rows.append([name, f"{entropy:.4f}", f"{token_variation(tokens):.2f}", f"{local:.1e}", f"{merged:.1e}"])
    header = ["module", "entropy", "tokens' variation: input", "after local attention", "before the MLP"]
    print(markdown_table(header, rows))


main = partial(command, "measure_lgcaa.py", __doc__, add_arguments, run, stopped="stopped")

if __name__ == "__main__":
    run_main(main)
