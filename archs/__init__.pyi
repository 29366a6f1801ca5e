from prismsr.archs.clip.clip_arch import Clip as Clip
from prismsr.archs.feat_d_arch import FeatD as FeatD
from prismsr.archs.lgcaa.lgcaa_arch import LGCAANet as LGCAANet
from prismsr.archs.nafnet_arch import NAFNet as NAFNet
from prismsr.archs.prompt_discriminator_arch import PromptDiscriminator as PromptDiscriminator
from prismsr.archs.vgg_features_arch import VGGFeatures as VGGFeatures
