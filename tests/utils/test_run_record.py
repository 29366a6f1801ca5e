"""The record of what a folder was made with."""

from prismsr.utils.errors import OptionError
from prismsr.utils.run_record import PREPARED, describe_differences, read_record, simplify_settings, write_record

import pytest


def test_a_record_comes_back_as_it_is_compared(tmp_path):
    settings = {"size": (2, 3), "scale": 4}
    assert read_record(tmp_path / PREPARED) is None
    write_record(tmp_path / PREPARED, settings)
    assert read_record(tmp_path / PREPARED) == simplify_settings(settings) == {"size": [2, 3], "scale": 4}
    assert describe_differences(simplify_settings(settings), simplify_settings(settings)) == ""
    assert describe_differences({"a": 1, "b": 2}, {"b": 2, "c": 3}) == "a: 1 then, None now, c: None then, 3 now"


@pytest.mark.parametrize("text", ["", "[1]", "no JSON"])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / PREPARED).write_text(text)
    with pytest.raises(OptionError, match=PREPARED):
        read_record(tmp_path / PREPARED)
