"""Names and shapes of the tensors in StableSR's published files, written out block by block."""

from collections.abc import Sequence
from typing import Any


def unet(model: int, mult: Sequence[int], layers: int, attended: int, context: int, maps: int) -> dict[str, Any]:
    """Of the UNet with its modulated norms; attention is on the first `attended` levels."""
    found = {**_layer("time_embed.0", 4 * model, model), **_layer("time_embed.2", 4 * model, 4 * model)}
    found |= _conv("input_blocks.0.0", model, 4)

    def block(place: str, before: int, after: int, transforms: bool) -> None:
        found.update(_residual(f"{place}.0", before, after, 4 * model))
        found.update(_modulation(f"{place}.0.spade", after, maps))
        if transforms:
            found.update(_transformer(f"{place}.1", after, context))

    width, number, kept = model, 1, [model]
    for level, factor in enumerate(mult):
        for _ in range(layers):
            block(f"input_blocks.{number}", width, factor * model, level < attended)
            width, number = factor * model, number + 1
            kept.append(width)
        if level < len(mult) - 1:
            found |= _conv(f"input_blocks.{number}.0.op", width, width)
            kept.append(width)
            number += 1
    for place in ("0", "2"):
        found |= _residual(f"middle_block.{place}", width, width, 4 * model)
        found |= _modulation(f"middle_block.{place}.spade", width, maps)
    found |= _transformer("middle_block.1", width, context)
    number = 0
    for level, factor in reversed(list(enumerate(mult))):
        for layer in range(layers + 1):
            block(f"output_blocks.{number}", width + kept.pop(), factor * model, level < attended)
            width = factor * model
            if level and layer == layers:
                found |= _conv(f"output_blocks.{number}.{1 + (level < attended)}.conv", width, width)
            number += 1
    return {**found, **_norm("out.0", width), **_conv("out.2", 4, width)}


def encoder(model: int, mult: Sequence[int], layers: int) -> dict[str, Any]:
    """Of the time-aware encoder."""
    time, width, number = 4 * model, model, 1
    found = {**_layer("time_embed.0", time, model), **_layer("time_embed.2", time, time)}
    found |= _conv("input_blocks.0.0", model, 4)
    for level, factor in enumerate(mult):
        for _ in range(layers):
            found |= _residual(f"input_blocks.{number}.0", width, factor * model, time)
            width = factor * model
            if level < len(mult) - 1:
                found |= _joined_attention(f"input_blocks.{number}.1", width)
            number += 1
        if level < len(mult) - 1:
            found |= _conv(f"input_blocks.{number}.0.op", width, width)
            number += 1
        found |= _residual(f"fea_tran.{level}", width, model, time)
    found |= _residual("middle_block.0", width, width, time) | _residual("middle_block.2", width, width, time)
    return found | _joined_attention("middle_block.1", width)


def autoencoder(model: int, mult: Sequence[int], layers: int, latents: int = 4) -> dict[str, Any]:
    """Of the autoencoder with feature wrapping."""
    widths = [factor * model for factor in mult]
    found = _conv("encoder.conv_in", model, 3) | _conv("decoder.conv_in", widths[-1], latents)
    before = model
    for level, width in enumerate(widths):
        for layer in range(layers):
            found |= _plain(f"encoder.down.{level}.block.{layer}", before if layer == 0 else width, width)
        if level < len(widths) - 1:
            found |= _conv(f"encoder.down.{level}.downsample.conv", width, width)
        before = width
    before = widths[-1]
    for level, width in reversed(list(enumerate(widths))):
        for layer in range(layers + 1):
            found |= _plain(f"decoder.up.{level}.block.{layer}", before if layer == 0 else width, width)
        if level:
            found |= _conv(f"decoder.up.{level}.upsample.conv", width, width)
        before = width
    for part, last, out in (("encoder", widths[-1], 2 * latents), ("decoder", widths[0], 3)):
        for block in ("block_1", "block_2"):
            found |= _plain(f"{part}.mid.{block}", widths[-1], widths[-1])
        found |= _norm(f"{part}.mid.attn_1.norm", widths[-1])
        for name in ("q", "k", "v", "proj_out"):
            found |= _conv(f"{part}.mid.attn_1.{name}", widths[-1], widths[-1], 1)
        found |= _norm(f"{part}.norm_out", last) | _conv(f"{part}.conv_out", out, last)
    found |= _conv("quant_conv", 2 * latents, 2 * latents, 1) | _conv("post_quant_conv", latents, latents, 1)
    for level in (2, 1):
        found |= _fusion(f"decoder.fusion_layer_{level}", widths[level])
    return found


def _fusion(place: str, width: int) -> dict[str, Any]:
    found = _plain(f"{place}.encode_enc_1", 2 * width, width) | _plain(f"{place}.encode_enc_3", width, width)
    for block in range(2):
        for dense in (1, 2, 3):
            for number in range(1, 6):
                out = 32 if number < 5 else width
                name = f"{place}.encode_enc_2.{block}.rdb{dense}.conv{number}"
                found |= _conv(name, out, width + 32 * (number - 1))
    return found


def _layer(name: str, out: int, *inner: int, bias: bool = True) -> dict[str, Any]:
    return {f"{name}.weight": (out, *inner), **({f"{name}.bias": (out,)} if bias else {})}


def _conv(name: str, out: int, before: int, side: int = 3) -> dict[str, Any]:
    return _layer(name, out, before, side, side)


def _norm(name: str, width: int) -> dict[str, Any]:
    return _layer(name, width)


def _plain(name: str, before: int, after: int) -> dict[str, Any]:
    found = _norm(f"{name}.norm1", before) | _conv(f"{name}.conv1", after, before)
    found |= _norm(f"{name}.norm2", after) | _conv(f"{name}.conv2", after, after)
    return found if before == after else found | _conv(f"{name}.nin_shortcut", after, before, 1)


def _residual(name: str, before: int, after: int, time: int) -> dict[str, Any]:
    found = _norm(f"{name}.in_layers.0", before) | _conv(f"{name}.in_layers.2", after, before)
    found |= _layer(f"{name}.emb_layers.1", after, time)
    found |= _norm(f"{name}.out_layers.0", after) | _conv(f"{name}.out_layers.3", after, after)
    return found if before == after else found | _conv(f"{name}.skip_connection", after, before, 1)


def _modulation(name: str, width: int, maps: int) -> dict[str, Any]:
    found = _norm(f"{name}.param_free_norm", width) | _conv(f"{name}.mlp_shared.0", 128, maps)
    return found | _conv(f"{name}.mlp_gamma", width, 128) | _conv(f"{name}.mlp_beta", width, 128)


def _joined_attention(name: str, width: int) -> dict[str, Any]:
    found = _norm(f"{name}.norm", width) | _layer(f"{name}.qkv", 3 * width, width, 1)
    return found | _layer(f"{name}.proj_out", width, width, 1)


def _transformer(name: str, width: int, context: int) -> dict[str, Any]:
    inner, found = f"{name}.transformer_blocks.0", _norm(f"{name}.norm", width)
    for place in (f"{name}.proj_in", f"{name}.proj_out", f"{inner}.attn1.to_out.0", f"{inner}.attn2.to_out.0"):
        found |= _layer(place, width, width)
    for attention, seen in (("attn1", width), ("attn2", context)):
        for kind in ("to_q", "to_k", "to_v"):
            found |= _layer(f"{inner}.{attention}.{kind}", width, width if kind == "to_q" else seen, bias=False)
    for number in (1, 2, 3):
        found |= _norm(f"{inner}.norm{number}", width)
    return found | _layer(f"{inner}.ff.net.0.proj", 8 * width, width) | _layer(f"{inner}.ff.net.2", width, 4 * width)
