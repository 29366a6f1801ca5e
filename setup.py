"""Install PRISM-SR as the package `prismsr`.

src/prismsr holds the package's own files, and links to the rooms and to options/ at the top of the repository. No
folder on the top level is called `prismsr`, so nothing in the working directory can shadow what is installed.
"""

from pathlib import Path

from setuptools import find_packages, setup

SUFFIXES = (
    "yml",
    "csv",
    "md",
    "j2",
    "css",
    "js",
    "json",
    "pyi",
)  # of files beside the code: option files, tables, templates


def version() -> str:
    """Read the one version number from version.py without importing it."""
    text = Path(__file__).parent.joinpath("src", "prismsr", "version.py").read_text(encoding="utf8")
    return text.split('"')[-2]


setup(
    name="prismsr",
    version=version(),
    description="Perceptual super-resolution research (SSL, SFD, AMO, LGCAA) as a plug-in for BasicSR",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages("src"),
    package_dir={"": "src"},
    package_data={"prismsr": ["py.typed", *(f"**/*.{suffix}" for suffix in SUFFIXES)]},
    install_requires=[
        "basicsr>=1.4.2",
        "torch>=2.4",
        "torchvision>=0.19",
        "opencv-python",
        "pyyaml",
        "diffusers>=0.37",
        "huggingface_hub",
        "jinja2",
        "lmdb",
        "matplotlib",
        "numpy",
        "open_clip_torch>=3.0",
        "pillow",
        "pydantic>=2.7",
        "safetensors",
        "scikit-image",
        "scikit-learn",
        "scipy",
        "setuptools<81",
        "spandrel>=0.4",
        "stlpips_pytorch==0.0.2",
        "tifffile",
        "timm",
        "tqdm",
    ],
    extras_require={
        "onnx": ["onnx", "onnxscript"],
        "pyiqa": ["pyiqa>=0.1.14"],  # apart because of its licence: PolyForm Noncommercial
        "triton": ["triton>=3.3"],  # on Linux torch's CUDA builds bring it along
        "wandb": ["wandb"],
    },
)
