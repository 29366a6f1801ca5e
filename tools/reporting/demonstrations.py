"""What tools/demo.py can show: option files of options/demo that are trained in order, and those that are compared."""

from collections.abc import Mapping
from dataclasses import dataclass

METRICS = ("psnr_y", "ssim_y", "niqe", "lpips_st", "self_similarity", "grid")


@dataclass(frozen=True)
class Demonstration:
    """One demo.

    Attributes:
        title: of its report.
        about: sentences that begin the report: what was trained on what, from which start, and what it is measured on.
        look: what to look for in the pictures.
        stages: option files in the order of their training.
        shown: those whose results are compared, by a short name for folders; bicubic and GT come by themselves.
        titles: what each of them is called.
        rivals: short names of two that differ by the method alone, the one without it first. They start from the same,
            are trained side by side for as many iterations, and the report says what the second makes better and worse.
        metrics: names of `demo.SPECS`.
        prepare: arguments of tools/prepare.py, a step each, for data beyond the photographs.
        extras: "module.function" of tools/reporting: called with the folder of the results, the repository and this
            demo, it draws pictures there. It returns for each the title, the file and a sentence on what was found.
    """

    title: str
    about: tuple[str, ...]
    look: str
    stages: tuple[str, ...]
    shown: Mapping[str, str]
    titles: Mapping[str, str]
    rivals: tuple[str, str] | None = None
    metrics: tuple[str, ...] = METRICS
    prepare: tuple[tuple[str, ...], ...] = ()
    extras: tuple[str, ...] = ()

    def find_groups(self) -> list[tuple[str, ...]]:
        """Return the stages in order, those together that do not build on one another: the rivals."""
        rivals = tuple(self.shown[name] for name in self.rivals or ())
        groups = [rivals if file in rivals else (file,) for file in self.stages]
        return list(dict.fromkeys(groups))


def show_diffusion(name: str, stages: tuple[str, ...], base: str, ssl: str, start: str | None = None) -> Demonstration:
    """Return the demo of a diffusion method with and without the self-similarity loss.

    Args:
        name: of the method.
        stages: what is trained before the two.
        base, ssl: the two option files.
        start: the one of `stages` whose result both start from, if any; it is shown as well.
    """
    begun = "from one start" if start else "from one random start"
    about = (
        f"Two small networks of {name} were trained {begun} for as many iterations, on six photographs.",
        "They differ by the self-similarity loss alone.",
        "They are measured on three photographs that no training saw; nothing published is loaded.",
    )
    look = (
        "Edges and hair, which the loss compares; so small a network makes soft pictures, and the two are much alike."
    )
    shown = {**({"start": start} if start else {}), "base": base, "ssl": ssl}
    titles = {"start": f"{name}, its start", "base": name, "ssl": f"{name}-SSL"}
    return Demonstration(
        f"PRISM-SR demo: {name}", about, look, (*stages, base, ssl), shown, titles, rivals=("base", "ssl")
    )


FIRST = Demonstration(
    title="PRISM-SR demo",
    about=(
        "A small network was trained on six photographs with an L1 loss.",
        "From there it went on twice, side by side, for as many iterations: with GAN losses, and with the "
        "self-similarity loss (SSL) beside them. Its layers that enlarge stayed as they were.",
        "All are measured on three photographs that no training saw.",
    ),
    look="L1 is clean and soft. The two GANs draw edges and hair harder, and may invent some. Compare them with GT, "
    "and with each other where something repeats: wrinkles, fur, wood.",
    stages=("l1_x4.yml", "gan_x4.yml", "gan_ssl_x4.yml"),
    shown={"l1": "l1_x4.yml", "gan": "gan_x4.yml", "gan_ssl": "gan_ssl_x4.yml"},
    titles={"l1": "L1", "gan": "GAN", "gan_ssl": "GAN + SSL"},
    rivals=("gan", "gan_ssl"),
    extras=("self_similarity.draw_graph_errors",),
)
JUDGES = ("piqe", "natural_scene", "niqe", "lpips_st", "psnr_y", "ssim_y", "grid")
"""What AMO's demos measure: the metric that chooses or is optimised, then others."""
VERSIONS = (
    ("multi-gt", "-i", "datasets/demo/train/HR", "-o", "datasets/demo/multi_gt", "--crop", "192", "--step", "96"),
)
METHODS = {
    "amo": Demonstration(
        title="PRISM-SR demo: AMO, ground truth chosen by a quality metric",
        about=(
            "Each patch of six photographs has five versions: itself, and four that filters sharpened.",
            "Two networks went on from one L1 start for as many iterations: one on versions drawn at random, the other "
            "on those that the metric PIQE finds best.",
            "They are measured on three photographs that no training saw. PIQE chose; natural_scene, NIQE, LPIPS-ST, "
            "PSNR and SSIM had no say.",
        ),
        look="Sharpened versions make both crisper than their start, and give them halos, stronger ones where the "
        "choice prefers strong sharpening: compare rims and hair with GT.",
        stages=("l1_x4.yml", "amo_uniform_tiny.yml", "amo_tiny.yml"),
        shown={"l1": "l1_x4.yml", "uniform": "amo_uniform_tiny.yml", "amo": "amo_tiny.yml"},
        titles={"l1": "L1, the start", "uniform": "uniform choice", "amo": "AMO's choice"},
        rivals=("uniform", "amo"),
        extras=("chosen_versions.show_choices",),
        metrics=JUDGES,
        prepare=VERSIONS,
    ),
    "lora": Demonstration(
        title="PRISM-SR demo: fine-tuning on a quality metric, in all weights and in LoRA's",
        about=(
            "A network that was trained on ground truths chosen by PIQE is fine-tuned to score well by natural_scene.",
            "One rival trains all weights, the other low-rank updates of the body's convolutions, from the same start "
            "for as many iterations.",
            "They are measured on three photographs that no training saw. natural_scene is what both optimise; PIQE, "
            "LPIPS-ST, PSNR and SSIM are not.",
        ),
        look="Stripes of 4 pixels on skin and along edges. Metrics that judge single images take them for texture.",
        stages=("l1_x4.yml", "amo_tiny.yml", "amo_full_tiny.yml", "amo_lora_tiny.yml"),
        shown={"start": "amo_tiny.yml", "full": "amo_full_tiny.yml", "lora": "amo_lora_tiny.yml"},
        titles={"start": "the start", "full": "all weights", "lora": "LoRA"},
        rivals=("full", "lora"),
        metrics=JUDGES,
        prepare=VERSIONS,
    ),
    "diffir": show_diffusion(
        "DiffIR",
        ("diffir_tiny_s1.yml", "diffir_tiny_prior.yml"),
        "diffir_tiny.yml",
        "diffir_tiny_ssl.yml",
        start="diffir_tiny_prior.yml",
    ),
    "stablesr": show_diffusion("StableSR", ("lgcaa_vae_tiny.yml",), "stablesr_tiny.yml", "stablesr_tiny_ssl.yml"),
    "resshift": show_diffusion("ResShift", ("resshift_vq_tiny.yml",), "resshift_tiny.yml", "resshift_ssl_tiny.yml"),
    "sfd": Demonstration(
        title="PRISM-SR demo: SFD",
        about=(
            "A small network, trained on six photographs with an L1 loss, went on twice, side by side, for as many "
            "iterations: beside a discriminator that sees images, and beside SFD's Feat-D.",
            "Feat-D sees the features of a network that knows ImageNet. It stands in for CLIP, whose weights need a "
            "download, and SFD's second discriminator is missing, which needs CLIP's text.",
            "All are measured on three photographs that no training saw.",
        ),
        look="Compare both discriminators with GT in hair, fur and wood. Feat-D's map below shows where it takes an "
        "image for real.",
        stages=("l1_x4.yml", "sfd_image_tiny.yml", "sfd_feature_tiny.yml"),
        shown={"l1": "l1_x4.yml", "image": "sfd_image_tiny.yml", "feature": "sfd_feature_tiny.yml"},
        titles={"l1": "L1, the start", "image": "image discriminator", "feature": "SFD (Feat-D)"},
        rivals=("image", "feature"),
        extras=("feature_map.draw_feature_maps",),
    ),
    "lgcaa": Demonstration(
        title="PRISM-SR demo: LGCAA",
        about=(
            "A small latent diffusion network with ControlNet was trained on six photographs, from random weights: "
            "it stands in for Stable Diffusion.",
            "From there it went on twice, side by side, for as many iterations: as it is, and with LGCAA's attention "
            "in it.",
            "All are measured on three photographs that no training saw; the settings were chosen on others.",
        ),
        look="Edges are sharper than bicubic's, flat parts have a fine grain. Look whether LGCAA keeps the one "
        "without the other.",
        stages=("lgcaa_vae_tiny.yml", "lgcaa_start_tiny.yml", "lgcaa_none_tiny.yml", "lgcaa_tiny.yml"),
        shown={"start": "lgcaa_start_tiny.yml", "none": "lgcaa_none_tiny.yml", "lgcaa": "lgcaa_tiny.yml"},
        titles={"start": "the start", "none": "without LGCAA", "lgcaa": "LGCAA"},
        rivals=("none", "lgcaa"),
    ),
}
"""Demos by the argument of tools/demo.py; without one it is FIRST."""
