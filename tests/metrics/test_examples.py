"""The examples in the docstrings of metrics/ are true, and each public function of them has one."""

import doctest
import importlib
import inspect
import pkgutil

from prismsr import metrics

import pytest

MODULES = [module.name for module in pkgutil.iter_modules(metrics.__path__, "prismsr.metrics.")]
WITHOUT = {
    *("read_bgr", "read_pair", "read_tensor", "extract_features", "convolve_exactly"),  # of files, networks and GPUs
    *("build_inception", "create_pyiqa", "import_pyiqa", "load_sfd_iqa", "calculate_sfd_iqa"),  # need weights
    *("keep_metric", "load_metrics", "build_image_function", "hash_loose"),  # inner parts
    *("normalise_contrast", "fit_aggd", "describe_blocks", "describe_images"),
}


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, raise_on_error=False).failed == 0
    own = {key: value for key, value in vars(module).items() if getattr(value, "__module__", "") == name}
    public = {key: value for key, value in own.items() if inspect.isfunction(value) and key[0] != "_"}
    assert [key for key, value in public.items() if ">>>" not in (value.__doc__ or "")] == [
        key for key in public if key in WITHOUT
    ]
