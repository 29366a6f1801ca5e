"""Install PRISM-SR: each folder of the repository becomes the package prismsr.<folder>.

`prismsr` itself is `package/`, whose import repairs BasicSR for a modern stack and registers every part with it.
No folder is called `prismsr`, so nothing in the working directory can shadow what is installed.
"""

from pathlib import Path

from setuptools import setup

ROOMS = ["archs", "data", "losses", "metrics", "models", "utils"]
NESTED = ["data/prepare"]


def version() -> str:
    """The one version number, read from package/version.py without importing it."""
    text = Path(__file__).with_name("package").joinpath("version.py").read_text(encoding="utf8")
    return text.split('"')[-2]


setup(
    name="prismsr",
    version=version(),
    description="Perceptual super-resolution research (SSL, SFD, AMO, LGCAA) as a plug-in for BasicSR",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=["prismsr", *(f"prismsr.{room.replace('/', '.')}" for room in ROOMS + NESTED)],
    package_dir={"prismsr": "package"} | {f"prismsr.{room.replace('/', '.')}": room for room in ROOMS + NESTED},
    install_requires=[
        "basicsr>=1.4.2",
        "torch>=2.4",
        "torchvision>=0.19",
        "opencv-python",
        "pyyaml",
        "diffusers>=0.37",
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
        "timm",
        "tqdm",
    ],
    extras_require={
        "onnx": ["onnx", "onnxscript"],
        "pyiqa": ["pyiqa>=0.1.14"],  # apart because of its licence: PolyForm Noncommercial
    },
)
