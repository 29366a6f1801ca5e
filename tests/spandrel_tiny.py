"""Each of spandrel's networks that can be trained, as small as spandrel still knows it."""

from typing import Any

TINY: dict[str, dict[str, Any]] = {
    "ATD": {
        **{"embed_dim": 8, "depths": [1], "num_heads": [1], "window_size": 4, "category_size": 16, "num_tokens": 4},
        **{"reducted_dim": 2, "mlp_ratio": 1, "upscale": 4, "upsampler": "pixelshuffle"},
    },
    "CRAFT": {"embed_dim": 12, "depths": [1], "num_heads": [2], "mlp_ratio": 1, "upscale": 4},
    "Compact": {"num_feat": 4, "num_conv": 1},
    "DAT": {"embed_dim": 16, "split_size": [2, 4], "depth": [1], "num_heads": [2], "expansion_factor": 1, "upscale": 4},
    "DCTLSA": {"nf": 10, "num_head": 1},
    "DITN": {"dim": 6, "ITL_blocks": 1, "SAL_blocks": 1},
    "DRCT": {
        **{"embed_dim": 8, "depths": [1], "num_heads": [1], "window_size": 4, "mlp_ratio": 1, "gc": 4},
        **{"upscale": 4, "upsampler": "pixelshuffle"},
    },
    "DnCNN": {"in_nc": 3, "out_nc": 3, "nc": 4, "nb": 3},
    "ESRGAN": {"num_filters": 4, "num_blocks": 1},
    "FBCNN": {"nc": [4, 4, 4, 512], "nb": 2},
    "FDAT": {
        **{"embed_dim": 8, "num_groups": 1, "depth_per_group": 1, "num_heads": 2, "window_size": 4},
        **{"aim_reduction_ratio": 4, "mid_dim": 8},
    },
    "FFTformer": {"dim": 4, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1},
    "GRL": {
        **{"embed_dim": 8, "depths": [1], "num_heads_window": [1], "num_heads_stripe": [1], "window_size": 4},
        **{"stripe_size": [4, 4], "mlp_ratio": 1, "upscale": 4, "upsampler": "pixelshuffle"},
    },
    "HAT": {
        **{"embed_dim": 6, "depths": [1], "num_heads": [1], "window_size": 4, "squeeze_factor": 3, "mlp_ratio": 1},
        **{"upscale": 4, "num_feat": 4},
    },
    "HVICIDNet": {"channels": [4, 4, 8, 16], "heads": [1, 1, 2, 4]},
    "KBNet_l": {"dim": 12, "num_blocks": [1] * 4, "num_refinement_blocks": 1, "heads": [1] * 4},
    "KBNet_s": {"width": 4, "middle_blk_num": 1, "enc_blk_nums": [1] * 4, "dec_blk_nums": [1] * 4},
    "MMRealSR": {
        **{"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4},
        **{"num_feats": [4] * 4, "num_blocks": [1] * 4},
    },
    "MixDehazeNet": {"embed_dims": [8, 16, 32, 16, 8], "depths": [1] * 5},
    "MoESR": {"dim": 8, "n_blocks": 1, "n_block": 1, "upsample_dim": 8},
    "MoSR": {"n_block": 1, "dim": 8},
    "NAFNet_spandrel": {"width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
    "OmniSR": {"num_feat": 8, "up_scale": 4, "window_size": 4},
    "PLKSR": {"dim": 8, "n_blocks": 1},
    "RCAN_spandrel": {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 8, "reduction": 4},
    "RGT": {"embed_dim": 8, "depth": [1], "num_heads": [2], "mlp_ratio": 1, "upscale": 4, "split_size": [4, 4]},
    "RealPLKSR": {"dim": 8, "n_blocks": 1},
    "RetinexFormer": {"n_feat": 8, "stage": 1},
    "SAFMN": {"dim": 8, "n_blocks": 1},
    "SAFMNBCIE": {"dim": 8, "n_blocks": 1, "num_layers": 1},
    "SCUNet": {"config": [1] * 7},
    "SPAN": {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 4},
    "SeemoRe": {"num_experts": 3, "num_layers": 1, "embedding_dim": 8},
    "SwiftSRGAN": {"num_channels": 4, "num_blocks": 1},
    "Swin2SR": {
        **{"embed_dim": 6, "depths": [1], "num_heads": [1], "window_size": 4, "mlp_ratio": 1},
        **{"upscale": 4, "upsampler": "pixelshuffledirect"},
    },
    "SwinIR_spandrel": {
        **{"embed_dim": 6, "depths": [1], "num_heads": [1], "window_size": 4, "mlp_ratio": 1},
        **{"upscale": 4, "upsampler": "pixelshuffledirect"},
    },
    "Uformer": {"img_size": 128, "embed_dim": 4, "depths": [1] * 9, "num_heads": [1] * 9, "mlp_ratio": 1},
    "UpCunet2x": {},
    "UpCunet2x_fast": {},
    "UpCunet3x": {},
    "UpCunet4x": {},
}
"""Arguments by the name that an option file gives as `type`."""
