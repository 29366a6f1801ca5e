import os
import signal
import time

from prismsr.models.training import signals

import pytest


@pytest.mark.parametrize(("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")])
def test_before_there_is_something_to_save_a_signal_ends_the_run(number, code, name):
    before = signal.getsignal(number)
    with pytest.raises(signals.Interrupted) as stop, signals.handle_signals():
        signal.raise_signal(number)
    assert (stop.value.exit_code, str(stop.value)) == (code, name)
    assert signal.getsignal(number) is before


def test_later_the_first_is_noted_and_its_echo_ignored(capfd):
    with signals.handle_signals():
        signals.defer()
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.stop_requested() == signal.SIGTERM
    assert signals.stop_requested() is None
    assert "SIGTERM: ending after this step with a checkpoint" in capfd.readouterr().err


def test_second_signal_ends_at_once():
    process = os.fork()
    if process == 0:
        with signals.handle_signals():
            signals.defer()
            signal.raise_signal(signal.SIGINT)
            time.sleep(signals.ECHO + 0.1)
            signal.raise_signal(signal.SIGTERM)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 143
