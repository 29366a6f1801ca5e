"""The nested sections: presets, what does not fit together, and problems with their key paths."""

from prismsr.archs.latent.options import parse_section
from prismsr.archs.lgcaa.options import BaseOptions, DinoOptions, LgcaaOptions
from prismsr.utils.errors import OptionError
from prismsr.utils.options.entries import check_entry

import pytest


def test_presets_are_what_other_keys_begin_from():
    default, literal = LgcaaOptions(), LgcaaOptions.model_validate({"preset": "paper_literal"})
    assert (default.temperature, default.residual) == ("learned", True)
    assert (literal.temperature, literal.residual) == ("printed", False)
    changed = LgcaaOptions.model_validate({"preset": "paper_literal", "residual": True, "clamp": None})
    assert (changed.temperature, changed.residual, changed.clamp) == ("printed", True, None)
    assert LgcaaOptions.model_validate(changed.model_dump()) == changed


@pytest.mark.parametrize(
    ("section", "data", "message"),
    [
        (LgcaaOptions, {"preset": ["x"]}, "x.preset: must be one of 'default', 'paper_literal'"),
        (LgcaaOptions, {"places": ["dwon"]}, "x.places.0: must be one of 'down', 'mid', 'up'"),
        (LgcaaOptions, {"local_window": 4, "combine": "stacked"}, "local_window needs a local attention of its own"),
        (LgcaaOptions, {"mode": "global", "combine": "stacked"}, "combine must be parallel"),
        (DinoOptions, {"size": "nativ"}, "x.size: must be 'native' or a whole number"),
        (DinoOptions, {"size": 0}, "x.size: must be 'native' or a whole number"),
        (BaseOptions, {"vae": {"layers_per_block": 1}}, "vae is for random weights"),
        (
            BaseOptions,
            {"frozen_dtype": "half", "pth": 1},
            "x.frozen_dtype: must be one of .*; x.pth: unknown key.*'path'",
        ),
    ],
)
def test_wrong_sections(section, data, message):
    with pytest.raises(OptionError, match=message):
        parse_section(section, data, "x")


def test_problems_of_an_entry_have_its_key_path():
    entry = {"type": "LGCAANet", "base": None, "dino": {"sise": 32}, "lgcaa": {"mode": "all", "clamp": -1}, "rgb": 3}
    keys = [problem.key for problem in check_entry("arch", entry, "network_g")]
    assert keys == ["network_g.dino.sise", "network_g.lgcaa.mode", "network_g.lgcaa.clamp", "network_g.rgb"]
    assert list(check_entry("arch", {"type": "LGCAANet", "lgcaa": {"mode": "none"}}, "network_g")) == []
