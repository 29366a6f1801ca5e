"""What tools/demo.py can show: option files of options/demo that are trained in order, and those that are compared."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Demonstration:
    """One demo.

    Attributes:
        title: of its report.
        stages: option files in the order of their training.
        shown: those whose results are compared, by a short name for folders; bicubic and GT come by themselves.
        titles: what each of them is called.
        twins: short names of two that differ by the self-similarity loss alone, the one without it first.
    """

    title: str
    stages: tuple[str, ...]
    shown: Mapping[str, str]
    titles: Mapping[str, str]
    twins: tuple[str, str] | None = None

    def find_groups(self) -> list[tuple[str, ...]]:
        """Return the stages in order, those together that do not build on one another: the twins."""
        twins = tuple(self.shown[name] for name in self.twins or ())
        return [(file,) for file in self.stages if file not in twins] + ([twins] if twins else [])


def show_twins(name: str, stages: tuple[str, ...], base: str, ssl: str, start: str | None = None) -> Demonstration:
    """Return the demo of a method with and without the self-similarity loss, and of what both start from, if anything.

    Args:
        name: of the method.
        stages: what is trained before the two.
        base, ssl: the two option files.
        start: the one of `stages` whose result both start from.
    """
    shown = {**({"start": start} if start else {}), "base": base, "ssl": ssl}
    titles = {"start": f"{name}, its start", "base": name, "ssl": f"{name}-SSL"}
    return Demonstration(f"PRISM-SR demo: {name}", (*stages, base, ssl), shown, titles, ("base", "ssl"))


FIRST = Demonstration(
    "PRISM-SR demo",
    ("compact_l1_x4.yml", "compact_gan_ssl_x4.yml"),
    {"l1": "compact_l1_x4.yml", "gan_ssl": "compact_gan_ssl_x4.yml"},
    {"l1": "L1", "gan_ssl": "GAN + SSL"},
)
METHODS = {
    "diffir": show_twins(
        "DiffIR",
        ("diffir_tiny_s1.yml", "diffir_tiny_prior.yml"),
        "diffir_tiny.yml",
        "diffir_tiny_ssl.yml",
        start="diffir_tiny_prior.yml",
    ),
    "stablesr": show_twins("StableSR", ("lgcaa_vae_tiny.yml",), "stablesr_tiny.yml", "stablesr_tiny_ssl.yml"),
    "resshift": show_twins("ResShift", ("resshift_vq_tiny.yml",), "resshift_tiny.yml", "resshift_ssl_tiny.yml"),
}
"""Demos by the argument of tools/demo.py; without one it is FIRST."""
