import os

from prismsr.models.training.log import write_log
from prismsr.tools import report
from prismsr.tools.reporting import watch

import pytest


def write_losses(folder, *values):
    write_log(folder / "losses.csv", [{"iter": str(n), "l_pix": value} for n, value in enumerate(values, start=1)])


def test_the_page_is_drawn_when_the_run_has_gone_on(tmp_path, monkeypatch, capsys):
    run = tmp_path / "run"
    run.mkdir()
    page, seen = run / "report.html", []

    def sleep(seconds):
        """What happens between the looks: nothing yet, a first row, nothing new, a second row, Ctrl-C."""
        assert seconds == 3
        seen.append((page.stat().st_ino, page.read_text()) if page.exists() else None)
        if len(seen) in (1, 3):
            write_losses(run, *["0.5", "0.25"][: len(seen)])
            os.utime(run / "losses.csv", ns=(len(seen), len(seen)))
        elif len(seen) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(watch.time, "sleep", sleep)
    assert report.main(["--watch", str(run), "--every", "3"]) == 0
    waited, first, same, second = seen
    assert waited is None and first == same and first[0] != second[0]
    assert first[1] != second[1] and all('http-equiv="refresh" content="3"' in one[1] for one in (first, second))
    assert "l_pix" in page.read_text() and 'http-equiv="refresh"' not in page.read_text()
    printed = capsys.readouterr()
    assert printed.out.count("written: ") == 3 and printed.err.count("waiting: ") == 1


def test_a_folder_that_is_not_there_is_told(tmp_path):
    assert report.main(["--watch", str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("flags", [[], ["--experiments", "{}"]])
def test_an_experiment_shows_its_curves_by_itself(tmp_path, flags):
    write_losses(tmp_path, "0.5")
    assert report.main([str(tmp_path), *(flag.format(tmp_path) for flag in flags)]) == 0
    assert (tmp_path / "report.html").read_text().count(">l_pix") == 1
