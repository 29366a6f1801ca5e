"""The public test sets that the papers' tables need, with what is known of their archives."""

from prismsr.data.test_sets.layouts import Layout, Sizes, TestSet, classic, stablesr

FOLDER = "datasets/testsets"


def _bicubic(name: str, count: int, archives: tuple[str, ...], layouts: tuple[Layout, ...], **more: object) -> TestSet:
    return TestSet(
        name=name,
        kind="bicubic",
        count=count,
        gt=f"{FOLDER}/{name}/GT",
        lq=f"{FOLDER}/{name}/LRbicx4",
        counts={"GT": count},
        archives=archives,
        layouts=layouts,
        multiple=12,
        **more,  # type: ignore[arg-type]
    )


def _stablesr(name: str, count: int, folder: str, gt: bool = True, **more: object) -> TestSet:
    return TestSet(
        name=name,
        count=count,
        gt=f"{FOLDER}/{name}/GT" if gt else None,
        lq=f"{FOLDER}/{name}/LR",
        counts={"GT": count, "LR": count} if gt else {"LR": count},
        source="https://huggingface.co/datasets/Iceclear/StableSR-TestSets (StableSR_testsets.zip, 3.06 GB)",
        licence="S-Lab License 1.0 (non-commercial)",
        layouts=stablesr(folder, gt),
        sizes=Sizes(among=((512, 512),)),
        lq_size=(128, 128),
        **more,  # type: ignore[arg-type]
    )


_BASICSR = "https://github.com/XPixelGroup/BasicSR/blob/master/docs/DatasetPreparation.md#Common-Image-SR-Datasets"
_EDSR = "https://cv.snu.ac.kr/research/EDSR/benchmark.tar"
_SELFEXSR = "https://github.com/jbhuang0604/SelfExSR"
_CAMERAS = r"(?:Canon|Nikon)/Test/4/(?P<name>[^/]+)"
_DIV2K = r"(?P<name>08(?!00)\d\d|0900)\.png$"
_STABLESR_FILES = ("StableSR_testsets*", "StableSR-TestSets*")

SETS = (
    _bicubic(
        "Set5",
        5,
        ("Set5*", "benchmark*"),
        classic("Set5", "png|bmp"),
        source=f"{_BASICSR} (Set5); {_EDSR}; {_SELFEXSR}",
        tables=("ssl-1", "sfd-1"),
        sizes=Sizes(all=((504, 504), (288, 288), (252, 252), (276, 276), (336, 228))),
    ),
    _bicubic(
        "Set14",
        14,
        ("Set14*", "benchmark*"),
        classic("Set14", "png|bmp"),
        note="some images are grey",
        source=f"{_BASICSR} (Set14); {_EDSR}; {_SELFEXSR}",
        tables=("ssl-1", "sfd-1"),
        sizes=Sizes(
            all=(
                *((480, 492), (576, 720), (504, 504), (288, 348), (360, 240), (276, 276), (360, 492)),
                *((288, 348), (504, 504), (504, 504), (504, 768), (504, 504), (648, 528), (384, 576)),
            )
        ),
    ),
    _bicubic(
        "BSDS100",
        100,
        ("BSDS100*", "BSD100*", "B100*", "benchmark*"),
        classic("(?:BSDS100|BSD100|B100)", "png|jpg|bmp"),
        note="the 100 test images of BSDS300",
        source=f"{_BASICSR} (BSDS100); {_EDSR} (B100); {_SELFEXSR} (BSD100)",
        licence="non-commercial research and education (Berkeley segmentation data set)",
        tables=("ssl-1",),
        sizes=Sizes(among=((312, 480), (480, 312))),
    ),
    _bicubic(
        "Urban100",
        100,
        ("Urban100*", "benchmark*"),
        classic("Urban100", "png"),
        source=f"{_SELFEXSR}; {_EDSR}; {_BASICSR} (urban100)",
        tables=("ssl-1", "sfd-1"),
    ),
    _bicubic(
        "Manga109",
        109,
        ("Manga109*",),
        classic("Manga109", "png|bmp|jpg"),
        note="the 109 pages that super-resolution papers use, one of each volume, not the volumes",
        source=f"{_BASICSR} (manga109); http://www.manga109.org/en/",
        licence="academic use only, on application to the Manga109 authors",
        tables=("ssl-1",),
    ),
    _bicubic(
        "General100",
        100,
        ("General100*", "General-100*"),
        classic("General-?100", "png|bmp"),
        source=f"http://mmlab.ie.cuhk.edu.hk/projects/FSRCNN.html; {_BASICSR} (General100)",
        tables=("ssl-1",),
    ),
    _bicubic(
        "DIV2K100",
        100,
        ("DIV2K_valid_HR*", "DIV2K100*", "DIV2K", "DIV2K.*"),
        (
            Layout("official", {"GT": f"DIV2K_valid_HR/{_DIV2K}"}),
            Layout("EDSR, images 0801 to 0900 of DIV2K.tar", {"GT": f"DIV2K_train_HR/{_DIV2K}"}),
            *classic("DIV2K100", "png"),
        ),
        note="DIV2K's validation images",
        source="https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip (page: .../cvl/DIV2K/)",
        licence="academic research only",
        tables=("ssl-1", "sfd-1"),
        names=tuple(f"{number:04}" for number in range(801, 901)),
        sizes=Sizes(longer=2040),
    ),
    _stablesr(
        "DIV2K-Val",
        3000,
        "DIV2K_V2_val",
        kind="crops",
        archives=(*_STABLESR_FILES, "DIV2K_V2_val*"),
        note="crops of DIV2K's validation images, degraded as StableSR was trained. LGCAA's column of this name has "
        "numbers that fit SeeSR's harder set, which is not published",
        tables=("ssl-2 (its column DIV2K100)", "lgcaa-1"),
    ),
    _stablesr(
        "RealSR",
        100,
        "(?:RealSRVal_crop128|benchmark_realsr)",
        kind="real",
        archives=(*_STABLESR_FILES, "RealSRVal_crop128*", "benchmark_realsr*", "OSEDiff*"),
        note="centre crops of RealSR v3's x4 test images",
        tables=("ssl-2", "sfd-2", "lgcaa-1", "lgcaa-2", "lgcaa-3"),
    ),
    _stablesr(
        "DRealSR",
        93,
        "(?:DrealSRVal_crop128|benchmark_drealsr)",
        kind="real",
        archives=(*_STABLESR_FILES, "DrealSRVal_crop128*", "benchmark_drealsr*", "OSEDiff*"),
        note="centre crops of DRealSR's x4 test images",
        tables=("ssl-2", "sfd-2", "lgcaa-1"),
    ),
    _stablesr(
        "DPED-iPhone",
        113,
        r"[^/]*DPED[^/]*",
        gt=False,
        kind="real",
        archives=(*_STABLESR_FILES, "DPED*"),
        note="no ground truth. The name of its folder in the archive is not documented: any with DPED in it is taken",
        tables=("ssl-2",),
    ),
    TestSet(
        name="RealSRv3",
        kind="real",
        count=100,
        gt=f"{FOLDER}/RealSRv3/GT",
        lq=f"{FOLDER}/RealSRv3/LR",
        counts={"GT": 100, "LR": 100},
        note="whole test images of two cameras, Canon 5D3 and Nikon D810",
        source="https://github.com/csjcai/RealSR (Version 3)",
        tables=("amo-8",),
        archives=("RealSR(V3)*", "RealSR*V3*", "RealSR (ICCV2019)*"),
        layouts=(Layout("official", {"GT": rf"{_CAMERAS}_HR\.png$", "LR": rf"{_CAMERAS}_LR4\.png$"}),),
        names=tuple(f"{camera}_{number:03}" for camera in ("Canon", "Nikon") for number in range(1, 51)),
    ),
    TestSet(
        name="HGGT-Test100",
        kind="multi_gt",
        count=100,
        gt=f"{FOLDER}/HGGT-Test100/GT",
        lq=f"{FOLDER}/HGGT-Test100/LR",
        counts={"GT": 500, "LR": 100, "labels": 300},
        note="5 GT images each (original, 01 to 04) and the labels of 3 people, in labels/A, B and C",
        source="https://github.com/ChrisDud0257/HGGT (Google Drive, see its PosNegGTSR/datasets/README.md)",
        licence="non-commercial research only",
        tables=("amo-7",),
        archives=("Test*", "HGGT*", "PosNegGT*", "Blind_Degradation_Benchmark_LQ*"),
        layouts=(
            Layout(
                "official",
                {
                    "GT": r"Test-100/images/(?P<folder>original|0[1-4])/(?P<name>[^/]+)\.png$",
                    "LR": r"Test-100/Blind_LR/(?P<name>[^/]+)\.png$",
                    "labels": r"Test-100/labels/(?P<folder>[ABC])/(?P<name>[^/]+)\.json$",
                },
            ),
        ),
        sizes=Sizes(among=((512, 512),)),
        lq_size=(128, 128),
    ),
    TestSet(
        name="RealD2K",
        kind="degraded",
        count=100,
        gt=f"{FOLDER}/DIV2K100/GT",
        lq=f"{FOLDER}/RealD2K/LR",
        counts={},
        note="a reconstruction: SFD degrades DIV2K's validation images as in its training, but names neither crop nor "
        "seed. Here they are whole, seed 0, by the settings of options/sfd/rrdb_sfd_real_x4.yml",
        source="made from DIV2K100",
        licence="as DIV2K100",
        tables=("sfd-2",),
        multiple=12,
    ),
)
