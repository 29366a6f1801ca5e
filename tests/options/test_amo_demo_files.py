"""AMO's demos: rivals differ by what the demo is about, and by nothing else."""

from prismsr.tools.reporting.demonstrations import METHODS
from prismsr.utils.options.files import load_options

import pytest


@pytest.fixture
def rivals(repository):
    """Return the options of a demo's rivals without their names."""

    def load(method):
        shown = METHODS[method]
        both = [load_options(repository / "options" / "demo" / shown.shown[name]) for name in shown.rivals]
        assert len({options.pop("name") for options in both}) == 2
        return both

    return load


def test_amo_and_its_rival_differ_by_the_choice(rivals):
    uniform, amo = rivals("amo")
    chosen = [options["datasets"]["train"] for options in (uniform, amo)]
    assert amo["scoring"] and "scores" not in chosen[1]
    assert chosen[1].pop("sampling") == "amo"
    assert chosen[0].pop("sampling") == "sma" and chosen[0].pop("tau") >= 1e6  # softmax of less than 1e-4: uniform
    assert uniform == amo


def test_lora_and_its_rival_differ_by_the_low_rank_part(rivals):
    full, lora = rivals("lora")
    assert lora.pop("lora")["rank"] > 0
    assert full == lora and "l_g_iqa" in full["train"]["losses"]
