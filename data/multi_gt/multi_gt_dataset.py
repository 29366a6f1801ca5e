"""Several ground truths for each image, one of them chosen for each sample, for the degradation in the model.

Paper: AMO, choice of ground truths.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from prismsr.data.degradation.kernels import ItemKernels, global_generators_from
from prismsr.data.images.augmentation import Patch, random_patch
from prismsr.data.images.source import open_source
from prismsr.data.loading.sampler import sample_rng
from prismsr.data.multi_gt.draws import Judgements, Taken, VersionDraws, choose_groups, judge_versions, list_candidates
from prismsr.data.multi_gt.ground_truths import GroundTruths
from prismsr.data.multi_gt.group_images import GroupImages
from prismsr.data.multi_gt.groups import SHOWN, Groups, group_keys
from prismsr.data.multi_gt.labels import read_labels
from prismsr.data.multi_gt.online_choice import build_gt_choice
from prismsr.data.multi_gt.options import MultiGTOptions
from prismsr.data.multi_gt.sampling_rules import chooses_online, weigh_choices
from prismsr.data.multi_gt.score_file import ScoreFileError, read_scores
from prismsr.utils.errors import DataError
from prismsr.utils.loss_inputs import input_names
from prismsr.utils.options.named import model_schema, named_losses
from prismsr.utils.options.problems import Problem, join
from prismsr.utils.options.sections import Opt

import numpy as np
import torch
from basicsr.utils import get_root_logger
from basicsr.utils.registry import DATASET_REGISTRY
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset


@DATASET_REGISTRY.register()
class MultiGTDataset(Dataset):
    """Groups of an original and enhanced versions, e.g. HGGT's; `sampling` says which of them is the ground truth.

    The rules stand in prismsr.data.multi_gt.sampling_rules. LQ images are always made from the original. All draws of
    an item (flips, crop, kernels, versions) come from the sample's own random stream, whatever the number of workers.
    Flips and crop are the same for all versions. Whatever the sampling, gt and kernels are those that
    RealESRGANMaskDataset gives of the originals.

    Args:
        opt: the option file's section (see MultiGTOptions), and what the trainer adds (manual_seed).

    Returns of an item: gt (3, H, W) RGB in [0, 1], the original; gt_versions (V, 3, H, W), the chosen version alone, or
    all with the original first and gt_candidates (V,) bool where the model chooses by scores of the crops; with
    negatives also gt_negative and gt_positive (3, H, W), the original where the group has none, and negative_votes
    (2,), the shares of three annotators who judged these two so, 0 where there is none; kernel1, and with kernel_list2
    also kernel2 and sinc_kernel, (k, k); gt_path (the group's name).

    Raises:
        ImageSourceError: the images do not form groups.
        DataError: labels or scores are missing, no group is left, an image cannot be decoded, or the versions of a
            group differ in size.
    """

    OPTIONS: ClassVar = MultiGTOptions
    NEGATIVES: ClassVar = ("gt_negative", "negative_map")
    GIVES: ClassVar[Mapping[str, str]] = {"gt": "", **dict.fromkeys(NEGATIVES, "negatives")}
    """What the degradation makes of a batch."""

    @classmethod
    def check_options(cls, entry: Opt, key: str, opt: Opt, is_train: bool) -> Iterator[Problem]:
        """Check that the model makes LQ images and scores where it has to, and that negatives are used."""
        model = model_schema(opt)
        if key != "datasets.train" or model is None:
            return
        if "degradation" not in model.TOP.model_fields:
            text = f"must be a model with the section degradation, which makes LQ images of {cls.__name__}'s"
            yield Problem("model_type", text)
        if chooses_online(entry) and opt.get("scoring") is None:
            text = f"is required, since {key}.sampling is {entry['sampling']} and there is no score file (scores)"
            yield Problem("scoring", f"{text}; scoring: {{metric: musiq}} is the paper's")
        used = {name for loss, *_ in named_losses(opt) for name in input_names(loss)}
        if entry.get("negatives") is True and used.isdisjoint(cls.NEGATIVES):
            yield Problem(join(key, "negatives"), "no loss uses them (NegativeLoss does)", "note")

    def __init__(self, opt: dict[str, Any]) -> None:
        self.opt = opt
        self.settings = settings = MultiGTOptions.read(opt)
        self.images = open_source(settings.dataroot_gt)
        groups = group_keys(self.images.keys(), settings.dataroot_gt, settings.original, settings.versions)
        labels = _labels(settings, groups)
        rows = _choose_rows(settings, labels)
        self.groups = Groups(groups.versions, [groups.names[row] for row in rows], [groups.keys[row] for row in rows])
        self.labels = Judgements(labels.codes[rows], labels.votes[rows])
        self.draws = self._draws()
        self.kernels = ItemKernels.read(settings.model_dump())

    @classmethod
    def build_pairing(cls, opt: Mapping[str, Any], device: torch.device | str) -> GroundTruths:
        """Build what the degradation of an option file needs for the versions, see build_degradation."""
        return GroundTruths(build_gt_choice(opt, device))

    def _draws(self) -> VersionDraws:
        settings, codes = self.settings, self.labels.codes
        allowed = list_candidates(settings.sampling, codes)
        weights = None
        if not settings.online:
            quality = _quality(settings.scores, self.groups, allowed) if settings.scores else None
            weights = weigh_choices(settings.sampling, quality, allowed, settings.tau)
        return VersionDraws(allowed, weights, codes if settings.negatives else None)

    def __len__(self) -> int:
        return len(self.groups.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(index)
        rng = sample_rng(self.opt.get("manual_seed") or 0, index)
        with global_generators_from(rng):
            taken = self.draws.of(row, rng.random(3).tolist())
            images = GroupImages(self.images, self.groups, row)
            patch = random_patch(images.open(0).size, **self.settings.augmentation())
            kernels = self.kernels.draw()
        return {
            "gt": images.tensor(0, patch),
            **self._targets(images, patch, row, taken),
            **kernels,
            "gt_path": f"{self.groups.names[row]}.png",
        }

    def _targets(self, images: GroupImages, patch: Patch, row: int, taken: Taken) -> dict[str, Tensor]:
        of = partial(images.tensor, patch=patch)
        if taken.target is not None:
            item = {"gt_versions": of(taken.target)[None]}
        else:
            item = {
                "gt_versions": torch.stack([of(version) for version in range(len(self.groups.versions))]),
                "gt_candidates": torch.from_numpy(self.draws.candidates[row].copy()),
            }
        if self.settings.negatives:
            item["gt_negative"], item["gt_positive"] = of(taken.negative or 0), of(taken.positive or 0)
            # the original, which stands for the one that is not there, has no votes
            item["negative_votes"] = torch.from_numpy(
                self.labels.votes[row, [taken.negative or 0, taken.positive or 0]]
            )
        return item


def _labels(settings: MultiGTOptions, groups: Groups) -> Judgements:
    root = settings.dataroot_labels
    if root is None or not settings.labelled:
        shape = len(groups.names), len(groups.versions)
        return Judgements(np.zeros(shape, np.int8), np.zeros(shape, np.float32))
    if Path(root).is_dir():
        get_root_logger().info(f"Reading the label files of {root}; `tools/prepare.py labels` makes one CSV of them.")
    return judge_versions(read_labels(root), groups, root)


def _choose_rows(settings: MultiGTOptions, labels: Judgements) -> NDArray[np.intp]:
    rows = choose_groups(settings.sampling, settings.negatives, labels.codes)
    count, what = len(labels.codes), "label but Similar" if settings.negatives else "positive version"
    if len(rows) == 0:
        raise DataError(f"{settings.dataroot_labels}: none of {count} groups has a {what}.")
    if len(rows) < count:
        get_root_logger().info(f"{count - len(rows)} of {count} groups are left out: they have no {what}.")
    return rows


def _quality(path: str, groups: Groups, allowed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (groups, V) from a score file; not a number where no score is needed."""
    table, problems = read_scores(Path(path)), []
    quality = np.full(allowed.shape, np.nan)
    for row, name in enumerate(groups.names):
        versions = [groups.versions[column] for column in np.flatnonzero(allowed[row])]
        try:
            quality[row, allowed[row]] = table.find_quality(name, versions)
        except ScoreFileError as error:
            problems.append(str(error))
    if problems:
        raise DataError(f"{path}: {len(problems)} groups lack scores:\n" + "\n".join(problems[:SHOWN]))
    return quality
