"""Groups of small images laid out like HGGT's, whose colours tell group and version, with labels and scores."""

import json

import cv2
import numpy as np

VERSIONS = ("original", "01", "02", "03", "04")
LABELS = {
    # name: effective labels of 01..04 and how many of three annotators gave them
    "0001-288-0": ["Positive 3", "Positive 2", "Similar 3", "Negative 2"],
    "0002.5-0-16": ["Similar 3", "Similar 1", "Similar 2", "Similar 3"],
    "a b-1-1": ["Negative 3", "Negative 2", "Similar 2", "Similar 3"],
    "ü%20-1-1": ["Positive 2", "Positive 3", "Positive 2", "Positive 3"],
}
NAMES = sorted(LABELS)
SCORES = {name: [60.0 + 7 * row, 65.0, 70.0 - row, 68.0, 62.0] for row, name in enumerate(NAMES)}
KERNELS = {
    "blur_kernel_size": 3,
    "kernel_range": [3, 3],
    "kernel_list": ["iso"],
    "kernel_prob": [1.0],
    "sinc_prob": 0.0,
    "blur_sigma": [0.1, 1.0],
}
OTHERS = {"Positive": "Similar", "Similar": "Positive", "Negative": "Similar"}


def file_name(name, version):
    return f"{version}/{name}.png" if version == "original" else f"{version}/{name}_{version}.png"


def colour(name, version):
    """BGR of a version; no two are alike."""
    return 40 * NAMES.index(name) + 20, 50 * VERSIONS.index(version), 7


def write_images(root, side=12):
    """Images of one colour each, brighter from left to right and top to bottom in the red channel."""
    ramp = np.add.outer(np.arange(side) * side, np.arange(side)).astype(np.uint8)
    for name in NAMES:
        for version in VERSIONS:
            path = root / file_name(name, version)
            path.parent.mkdir(parents=True, exist_ok=True)
            image = np.empty((side, side, 3), np.uint8)
            image[:] = colour(name, version)
            image[..., 2] = ramp
            cv2.imencode(".png", image)[1].tofile(path)


def _votes(text):
    """Three votes with this effective label."""
    label, count = text.split()
    if count == "1":
        return ["Positive", "Similar", "Negative"]
    return [label] * int(count) + [OTHERS[label]] * (3 - int(count))


def write_labels(root, names=NAMES):
    for name in names:
        votes = [_votes(text) for text in LABELS[name]]
        for number, annotator in enumerate("ABC"):
            content = {"Picture_1": {"Name": f"{name}.png", "File": "", "Label": None}}
            for version, given in zip(VERSIONS[1:], votes, strict=True):
                entry = {"Name": f"{name}_{version}.png", "File": "", "Label": given[number]}
                content[f"Picture_{int(version) + 1}"] = entry
            path = root / annotator / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))


def write_scores(path, scores=SCORES):
    lines = ["# metric=made_up version=1 weights= lower_better=false score_range=0,100", "name,version,score"]
    lines += [
        f"{name},{version},{score!r}" for name in scores for version, score in zip(VERSIONS, scores[name], strict=True)
    ]
    path.write_text("\n".join(lines) + "\n")


def version_of(image, name):
    """Which version of the group a (3, h, w) RGB image is."""
    value = round(float(image[1, 0, 0]) * 255)
    version = VERSIONS[value // 50]
    assert round(float(image[2, 0, 0]) * 255) == colour(name, version)[0]
    return version
