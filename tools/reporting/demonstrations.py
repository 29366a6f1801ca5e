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
        "self-similarity loss (SSL) beside them.",
        "All are measured on three photographs that no training saw.",
    ),
    look="L1 is clean and soft. GAN brings hair and edges back, and may invent some. Compare both with GT, and GAN "
    "with GAN + SSL along edges that repeat.",
    stages=("l1_x4.yml", "gan_x4.yml", "gan_ssl_x4.yml"),
    shown={"l1": "l1_x4.yml", "gan": "gan_x4.yml", "gan_ssl": "gan_ssl_x4.yml"},
    titles={"l1": "L1", "gan": "GAN", "gan_ssl": "GAN + SSL"},
    rivals=("gan", "gan_ssl"),
    extras=("self_similarity.draw_graph_errors",),
)
METHODS = {
    "diffir": show_diffusion(
        "DiffIR",
        ("diffir_tiny_s1.yml", "diffir_tiny_prior.yml"),
        "diffir_tiny.yml",
        "diffir_tiny_ssl.yml",
        start="diffir_tiny_prior.yml",
    ),
    "stablesr": show_diffusion("StableSR", ("lgcaa_vae_tiny.yml",), "stablesr_tiny.yml", "stablesr_tiny_ssl.yml"),
    "resshift": show_diffusion("ResShift", ("resshift_vq_tiny.yml",), "resshift_tiny.yml", "resshift_ssl_tiny.yml"),
}
"""Demos by the argument of tools/demo.py; without one it is FIRST."""
