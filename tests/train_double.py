"""train.py in float64: python train_double.py ROOT ARGUMENTS...

Trainings that add in different orders then differ by far less than any fault would make.
"""

import sys
from pathlib import Path
from typing import Any

from prismsr.models.prism_sr_model import PrismSRModel
from prismsr.models.training.launch import main

import torch

torch.set_default_dtype(torch.float64)
_feed_data = PrismSRModel.feed_data


def _feed_double(self: PrismSRModel, data: dict[str, Any]) -> None:
    floats = {
        name: value.double() for name, value in data.items() if torch.is_tensor(value) and value.is_floating_point()
    }
    _feed_data(self, {**data, **floats})


PrismSRModel.feed_data = _feed_double

if __name__ == "__main__":
    sys.exit(main(is_train=True, root=Path(sys.argv[1]), argv=sys.argv[2:]))
