from prismsr.models.training.basicsr_patches import patch_basicsr as patch_basicsr
from prismsr.tools.evaluation.folder import evaluate_folder as evaluate_folder
from prismsr.tools.evaluation.protocols import find_protocol as find_protocol
from prismsr.tools.inference.folder import infer_folder as infer_folder
from prismsr.tools.inference.generator import load_generator as load_generator
from prismsr.utils.options.check import check_options as check_options
from prismsr.utils.options.files import load_options as load_options
from prismsr.version import __version__ as __version__

from . import archs as archs
from . import data as data
from . import functional as functional
from . import losses as losses
from . import metrics as metrics
from . import models as models
from . import options as options
