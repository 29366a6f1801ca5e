"""Count which version of each ground truth a quality metric finds the best, and draw it, for AMO's demo.

Paper: AMO, choice of ground truths.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from prismsr.data.multi_gt.multi_gt_dataset import MultiGTDataset
from prismsr.data.multi_gt.online_choice import GTChoice, build_gt_choice
from prismsr.data.prepare.versions.filters import CLASSICAL
from prismsr.tools.reporting.about import join_words
from prismsr.tools.reporting.demonstrations import Demonstration
from prismsr.utils.options.files import load_options

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

SIDE, GAP, HEIGHT = 128, 8, 120  # of a picture, between columns, of the tallest bar; pixels


def show_choices(out: Path, repository: Path, shown: Demonstration) -> list[tuple[str, Path, str]]:
    """Draw how often each version is the best, in all crops of the method's training patches; see `Demonstration`."""
    if shown.rivals is None:
        return []
    options = load_options(repository / "options" / "demo" / shown.shown[shown.rivals[1]])
    train = options["datasets"]["train"]
    dataset = MultiGTDataset({**train, "dataroot_gt": str(repository / train["dataroot_gt"])})
    choice = build_gt_choice(options, "cpu")
    assert choice is not None, "the method's option file chooses by scores of crops"
    patches = [dataset[number]["gt_versions"] for number in range(len(dataset))]
    counts = count_choices(patches, choice, options["degradation"]["gt_size"])
    names = ["original", *CLASSICAL]
    example = max(patches, key=lambda versions: versions.std(0).mean().item())
    draw_choices(example, counts, names).save(out / "chosen_versions.png", optimize=True)
    return [("Chosen versions", out / "chosen_versions.png", describe_choices(counts, names, choice.metric.name))]


def count_choices(patches: Iterable[Tensor], choice: GTChoice, side: int) -> list[int]:
    """Return how many crops each version is chosen for.

    Args:
        patches: the versions (V, 3, H, W) of each ground truth, RGB in [0, 1]; H and W multiples of `side`.
        choice: as in the training.
        side: of a crop; the crops lie side by side.
    """
    counts = torch.zeros(0, dtype=torch.long)
    for versions in patches:
        crops = versions.unfold(2, side, side).unfold(3, side, side).permute(2, 3, 0, 1, 4, 5).flatten(0, 1)
        chosen = choice(crops, torch.ones(crops.shape[:2], dtype=torch.bool))
        found = chosen.bincount(minlength=len(versions))
        counts = found if not len(counts) else counts + found
    return counts.tolist()


def describe_choices(counts: Sequence[int], names: Sequence[str], metric: str) -> str:
    """Return a sentence on the counts.

    Example:
        >>> describe_choices([30, 70], ["original", "unsharp"], "niqe")
        'Of 100 crops, niqe finds unsharp best in 70% and original in 30%; a uniform choice takes each in 50%.'
    """
    total = sum(counts)
    first, *others = sorted(zip(counts, names, strict=True), key=lambda one: -one[0])
    told = join_words(
        [f"{first[1]} best in {first[0] / total:.0%}", *(f"{name} in {n / total:.0%}" for n, name in others)]
    )
    return f"Of {total} crops, {metric} finds {told}; a uniform choice takes each in {1 / len(counts):.0%}."


def draw_choices(versions: Tensor, counts: Sequence[int], names: Sequence[str]) -> Image.Image:
    """Draw an example of each version (V, 3, H, W) over its name and a bar of its share."""
    line = 18
    picture = Image.new("RGB", (GAP + (SIDE + GAP) * len(counts), 2 * GAP + SIDE + 2 * line + HEIGHT), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    floor = picture.height - GAP
    for number, (count, name) in enumerate(zip(counts, names, strict=True)):
        left = GAP + (SIDE + GAP) * number
        pixels = (versions[number, :, :SIDE, :SIDE].clamp(0, 1) * 255).round().byte()
        picture.paste(Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())), (left, GAP))
        draw.text((left, GAP + SIDE), name, "black", font)
        top = floor - round(HEIGHT * count / max(counts))
        draw.rectangle((left, top, left + SIDE - 1, floor), "#4878a8")
        draw.text((left, top - line), f"{count} of {sum(counts)}: {count / sum(counts):.0%}", "black", font)
    return picture
