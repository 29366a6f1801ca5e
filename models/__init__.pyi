from prismsr.models.diffir_model import DiffIRModel as DiffIRModel
from prismsr.models.lgcaa_model import LGCAAModel as LGCAAModel
from prismsr.models.prism_sr_model import PrismSRModel as PrismSRModel
from prismsr.models.resshift_model import ResShiftModel as ResShiftModel
from prismsr.models.stablesr_model import StableSRModel as StableSRModel
from prismsr.models.step.loss_terms import StepInputs as StepInputs
