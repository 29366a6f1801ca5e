"""A CLIP of random weights, as small as it can be, by the option `clip`."""

CLIP = {
    "pretrained": None,
    "config": {
        "embed_dim": 16,
        "vision_cfg": {"layers": [1, 1, 1, 1], "width": 8},
        "text_cfg": {"width": 16, "heads": 2, "layers": 1},
    },
}
