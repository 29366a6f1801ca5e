from prismsr.metrics.tensors import make_metric_tensor

import numpy as np
import torch


def test_grey_images_come_to_metrics_as_three_equal_channels():
    """As tensor2img gives what a network of one channel makes."""
    grey = np.arange(20, dtype=np.uint8).reshape(4, 5)
    tensor = make_metric_tensor(grey, crop_border=1)
    assert torch.equal(tensor, make_metric_tensor(np.dstack([grey] * 3), crop_border=1)) and tensor.shape == (
        1,
        3,
        2,
        3,
    )
