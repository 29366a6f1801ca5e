"""Make the pictures of the documentation: `python docs/site/pictures.py NAME`; they go to docs/pictures.

Some show results of trainings, which have to be there: `demo`, `sfd`, `lgcaa`, `amo_choices` and `amo_lora` those of
the demos, `own_photographs` and `gan_fails` those of the pages' commands.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path

from prismsr.functional import edge_mask, self_similarity_graph
from prismsr.models.training.log import read_log
from prismsr.tools.reporting.demonstrations import METHODS

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
Pixels = NDArray[np.uint8]
CROP = np.s_[50:220, 100:270]  # an eye of the cat chelsea


def read(path: str) -> Image.Image:
    """Read an image by its path in the repository."""
    return Image.open(ROOT / path).convert("RGB")


def enlarge(image: Image.Image) -> Image.Image:
    """Enlarge four times by bicubic."""
    return image.resize((4 * image.width, 4 * image.height), Image.Resampling.BICUBIC)


def save(figure: Figure, name: str) -> None:
    """Write docs/pictures/NAME.png with 128 colours, which takes a third of the bytes."""
    figure.savefig(PICTURES / f"{name}.png", dpi=100)
    picture = Image.open(PICTURES / f"{name}.png").convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(PICTURES / f"{name}.png", optimize=True)


def draw_crops(images: dict[str, Image.Image], name: str) -> None:
    """Write crops side by side with their titles."""
    figure = Figure(figsize=(2 * len(images), 2.3), layout="constrained")
    for axes, (title, image) in zip(figure.subplots(1, len(images)), images.items(), strict=True):
        axes.imshow(np.asarray(image)[CROP])
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    save(figure, name)


def copy_result(file: str, name: str) -> None:
    """Take a picture that a demo has drawn; a strip shows a face and an eye."""
    shutil.copyfile(ROOT / "results" / file, PICTURES / f"{name}.png")


def draw_demo(name: str) -> None:
    """Show a crop of chelsea by all that a method's demo compares."""
    titles = {"bicubic": "bicubic", **METHODS[name].titles, "truth": "ground truth"}
    folder = f"results/demo_{name}/sr"
    draw_crops({title: read(f"{folder}/{method}/chelsea.png") for method, title in titles.items()}, name)


def make_own_photographs() -> None:
    """Show a crop of chelsea: bicubic, both stages, ground truth."""
    folders = {"L1": "results/mine/l1", "GAN + SSL": "results/mine/gan", "ground truth": "datasets/mine/val/HR"}
    images = {"bicubic": enlarge(read("datasets/mine/val/LR/chelsea.png"))}
    images |= {title: read(f"{folder}/chelsea.png") for title, folder in folders.items()}
    draw_crops(images, "own_photographs")


def make_self_similarity() -> None:
    """Show edge pixels of a photograph, and one pixel's similarity to its surroundings, sharp and enlarged."""
    from sklearn.datasets import load_sample_image

    gt = load_sample_image("china.jpg")[96:192, 250:346]
    small = Image.fromarray(gt).resize((24, 24), Image.Resampling.BICUBIC)
    panels = {"photograph": gt, "its edge pixels": gt.copy(), "enlarged by bicubic": np.asarray(enlarge(small))}
    sharp, soft = (torch.tensor(panels[name].copy()).permute(2, 0, 1)[None] / 255 for name in list(panels)[::2])
    mask = edge_mask(sharp)
    panels["its edge pixels"][mask[0, 0].numpy()] = (255, 60, 60)
    inside = torch.zeros_like(mask)
    inside[:, :, 16:-16, 16:-16] = mask[:, :, 16:-16, 16:-16]
    graphs = [self_similarity_graph(image, inside)[0] for image in (sharp, soft)]
    place = int((graphs[0] > graphs[0].amax(1, keepdim=True) / 4).sum(1).argmax())  # the one with most likenesses
    row, column = inside[0, 0].nonzero()[place].tolist()
    figure = Figure(figsize=(10, 2.3), layout="constrained")
    axes = figure.subplots(1, 5)
    for one, image in zip(axes, panels.values(), strict=False):
        one.imshow(image)
        one.add_patch(Rectangle((column - 12.5, row - 12.5), 25, 25, fill=False, edgecolor="cyan"))
    for one, graph in zip(axes[3:], graphs, strict=True):
        one.imshow((graph[place] / graph[place].max()).reshape(25, 25), cmap="magma", vmin=0, vmax=1)
    for one, title in zip(axes, [*panels, "similarity, photograph", "similarity, enlarged"], strict=True):
        one.set_title(title, fontsize=9)
        one.set_axis_off()
    save(figure, "self_similarity")


def make_gan_fails() -> None:
    """Show the discriminator's losses of a GAN that works and of one that fails, and a crop of each."""
    runs = {"works": ("my_gan", "gan"), "fails": ("gan_fails", "gan_fails")}
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes = figure.subplots(1, 5, width_ratios=[1.4, 1.4, 1, 1, 1])
    for curve, crop, (title, (experiment, folder)) in zip(axes, axes[2:], runs.items(), strict=False):
        rows = read_log(ROOT / "experiments" / experiment / "losses.csv")
        for name in ("l_d_real", "l_d_fake"):
            curve.plot([int(row["iter"]) for row in rows], [float(row[name]) for row in rows], label=name)
        curve.axhline(np.log(2), color="grey", linewidth=0.5)
        curve.set_ylim(0, 1.2)
        curve.set_xlabel("iteration", fontsize=8)
        curve.tick_params(labelsize=8)
        curve.legend(fontsize=7)
        crop.imshow(np.asarray(read(f"results/mine/{folder}/chelsea.png"))[CROP])
        curve.set_title(title, fontsize=9)
        crop.set_title(title, fontsize=9)
    axes[4].imshow(np.asarray(read("datasets/mine/val/HR/chelsea.png"))[CROP])
    axes[4].set_title("ground truth", fontsize=9)
    for one in axes[2:]:
        one.set_axis_off()
    save(figure, "gan_fails")


MAKERS = {
    "demo": partial(copy_result, "demo/strip.png", "demo"),
    "own_photographs": make_own_photographs,
    "self_similarity": make_self_similarity,
    "gan_fails": make_gan_fails,
    "sfd": partial(draw_demo, "sfd"),
    "lgcaa": partial(draw_demo, "lgcaa"),
    "amo_choices": partial(copy_result, "demo_amo/chosen_versions.png", "amo_choices"),
    "amo_lora": partial(copy_result, "demo_lora/strip.png", "amo_lora"),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=MAKERS)
    MAKERS[parser.parse_args().name]()
