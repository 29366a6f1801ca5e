"""What classes outside prismsr declare their options with; the option files themselves are in the folder options/.

docs/guide/options.md shows a dataset and a model that do.
"""

from prismsr.utils.options.problems import Problem
from prismsr.utils.options.schema import DatasetOptions, LossEntry, TopOptions, TrainOptions, ValOptions

__all__ = ["DatasetOptions", "LossEntry", "Problem", "TopOptions", "TrainOptions", "ValOptions"]
