"""Build networks of the package pyiqa; what they lack is told in one message."""

import contextlib
import importlib
import io
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO
from urllib.error import URLError
from urllib.parse import urlparse
from urllib.request import getproxies

from prismsr.utils.errors import OptionError, UserError, shorten_error
from prismsr.utils.weights.files import WeightsError, network_weights, read_file, require_fit
from prismsr.utils.weights.tensors_only import tensors_only

import torch

PYIQA_HINT = (
    "metrics of pyiqa need that package, which cannot be imported here: `pip install pyiqa`. Mind its licence, "
    "PolyForm Noncommercial 1.0.0: no commercial use"
)
_PACKAGES = {"clip": "openai-clip", "cv2": "opencv-python-headless", "sklearn": "scikit-learn"}  # module -> pip name
_ARRAYS = (".mat", ".npz")  # read by scipy and numpy, which run nothing
_PATTERN = re.compile(r'Downloading: "(?P<url>[^"]+)" to (?P<path>.+)')
_OUTPUTS = {"musiq-ava": {"num_class": 10}}  # what pyiqa otherwise sets only when it fetches the weights itself


def import_pyiqa() -> ModuleType:
    """Return the package pyiqa; OptionError, saying how to install it, where it is not installed."""
    try:
        return importlib.import_module("pyiqa")
    except ImportError as error:
        raise OptionError(f"{PYIQA_HINT} ({error})") from error


def parse_range(text: str | None) -> tuple[float | None, float | None]:
    """Return (low, high) of pyiqa's "0, 1", "~0, ~100" (about) or "~0, ~" (open); None for an end that is not told.

    Example:
        >>> parse_range("~0, ~100"), parse_range("~0, ~")
        ((0.0, 100.0), (0.0, None))
    """
    ends = [end.strip().lstrip("~") for end in (text or ",").split(",")]
    low, high = (float(end) if end else None for end in ends)
    return low, high


def create_pyiqa(name: str, options: Mapping[str, Any], weights: str | None = None) -> Any:
    """Return pyiqa's own object for a metric of any kind, on the CPU; its attribute `net` is the network.

    Options are the network's arguments; `pretrained: false` gives random weights where it has that argument. Weights
    are a local file; None for pyiqa's own, from its cache or downloaded into it.

    Raises:
        OptionError: pyiqa is not installed, or an option does not suit the network.
        WeightsError: weights are not at hand and cannot be fetched; the message says what to put where.
        UserError: the network needs a package that is not installed.
    """
    _read_named_files(options)
    with tensors_only(), _hold_output() as said, _stop_vain_retries():
        return _create(import_pyiqa(), name, dict(options), weights, said)


def _read_named_files(options: Mapping[str, Any]) -> None:
    """Refuse files that an option names and that hold more than tensors."""
    for key, value in options.items():
        local = isinstance(value, str) and "://" not in value and Path(value).suffix not in _ARRAYS
        if local and (key == "pretrained_model_path" or Path(value).is_file()):
            read_file(value)


def _create(pyiqa: ModuleType, name: str, options: dict[str, Any], weights: str | None, said: "_Echo") -> Any:
    try:
        return _create_with_weights(pyiqa, name, options, weights)
    except ModuleNotFoundError as error:
        raise _explain_lack(name, error.name) from error
    except (URLError, OSError) as error:  # urllib's, requests' and huggingface_hub's errors are all OSErrors
        raise _explain_unreachable(name, said.getvalue(), error) from error
    except (TypeError, ValueError, AssertionError, KeyError, NotImplementedError) as error:
        if "found in 'arch' registry" in str(error):
            raise _explain_lack(name, _find_missing_module(pyiqa, name)) from error
        raise OptionError(f"pyiqa:{name} does not take the options {options or 'given'}: {error}") from error


def _create_with_weights(pyiqa: ModuleType, name: str, options: dict[str, Any], weights: str | None) -> Any:
    device = torch.device("cpu")
    if weights is None:
        return pyiqa.create_metric(name, device=device, **options)
    if Path(weights).suffix not in _ARRAYS:
        read_file(weights)  # refuses what holds more than tensors; pyiqa would run it
    elif not Path(weights).is_file():
        raise WeightsError(f"No file at {weights}.")
    try:
        metric = pyiqa.create_metric(name, device=device, **{"pretrained": False, **_OUTPUTS.get(name, {}), **options})
    except (TypeError, KeyError):  # a network without that argument, or with names of data sets alone
        return pyiqa.create_metric(name, device=device, pretrained_model_path=weights, **options)
    state = network_weights(weights)[0]
    require_fit(metric.net, state, weights)
    metric.net.load_state_dict(state)
    return metric


def _explain_lack(name: str, module: str | None) -> UserError:
    if module is None:
        return UserError(f"pyiqa:{name}: a part of pyiqa cannot be imported here; install pyiqa with all it depends on")
    package = _PACKAGES.get(module.split(".")[0], module.split(".")[0])
    return UserError(f"pyiqa:{name} needs the package {package}, which is not installed: `pip install {package}`")


def _find_missing_module(pyiqa: ModuleType, name: str) -> str | None:
    """Name of the package for want of which pyiqa does not know a network; pyiqa passes over that in silence."""
    configs = importlib.import_module("pyiqa.default_model_configs").DEFAULT_CONFIGS
    wanted = f"class {configs[name]['metric_opts']['type']}("
    for file in Path(str(pyiqa.__file__)).parent.glob("archs/*_arch.py"):
        if wanted in file.read_text(encoding="utf8"):
            try:
                importlib.import_module(f"pyiqa.archs.{file.stem}")
            except ModuleNotFoundError as error:
                return error.name
    return None


def _explain_unreachable(name: str, said: str, error: Exception) -> WeightsError:
    found = list(_PATTERN.finditer(said))
    if found:
        what = f"Fetch {found[-1]['url']} on a machine with a network and put it at {found[-1]['path'].strip()}"
    else:
        hub = re.search(r"https?://\S*?/([\w.-]+/[\w.-]+)/resolve/\S*?/([\w.-]+)", f"{error} {error.__cause__} {said}")
        where = f"{hub[2]} of {hub[1]}" if hub else "the network's backbone"
        what = f"It comes from a model hub: fetch {where} into the cache of huggingface_hub (HF_HOME) if there is one"
    return WeightsError(
        f"Weights of pyiqa:{name} are not on this machine and could not be downloaded ({shorten_error(error)}). "
        f"{what}; where only the metric's own weights are missing, the option `weights` may name a local file instead."
    )


class _Echo(io.StringIO):
    """Keeps what is written to a stream, and passes it on."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(text)
        return super().write(text)

    def flush(self) -> None:
        self.stream.flush()


@contextlib.contextmanager
def _hold_output() -> Iterator[_Echo]:
    """Hold what pyiqa and torch.hub print while a network is built: what they fetch, which their errors do not say."""
    echo = _Echo(sys.stderr)
    with contextlib.redirect_stdout(echo), contextlib.redirect_stderr(echo):
        yield echo


@contextlib.contextmanager
def _stop_vain_retries() -> Iterator[None]:
    """Let huggingface_hub use its cache alone where its host has no address: it would retry for 25 s per file."""
    try:
        constants: Any = importlib.import_module("huggingface_hub.constants")
    except ImportError:
        yield
        return
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _has_address(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _has_address(url: str) -> bool:
    if getproxies():  # the proxy knows the addresses
        return True
    try:
        socket.getaddrinfo(urlparse(url).hostname, 443)
    except OSError:
        return False
    return True
