from prismsr.metrics.correlation import correlate as correlate
from prismsr.metrics.fid import frechet_distance as frechet_distance
from prismsr.metrics.psnr_ssim import planes as planes
from prismsr.metrics.psnr_ssim import psnr as psnr
from prismsr.metrics.psnr_ssim import ssim as ssim
from prismsr.metrics.sfd_iqa import SFDIQA as SFDIQA
