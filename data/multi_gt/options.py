"""The keys in an option file of the datasets with several ground truths for an image."""

from typing import Any, Literal

from prismsr.data.degradation.kernel_options import KernelOptions
from prismsr.data.multi_gt.labels import ORIGINAL
from prismsr.data.multi_gt.sampling_rules import LABELLED, SCORED, Rule, chooses_online
from prismsr.utils.options.schema import DatasetOptions

from pydantic import Field, ValidationInfo, field_validator

_ROOT = "folder or .lmdb whose first folders are the versions"
_LABELS = "labels: the annotators' folders of JSON files, or a CSV"


class _Versions(DatasetOptions):
    dataroot_gt: str = Field(description=_ROOT)
    original: str = Field(default=ORIGINAL, min_length=1, description="the version that LQ images are made from")
    versions: list[str] | None = Field(default=None, description="the other versions; ~: all there are, sorted")

    @field_validator("versions", mode="before")
    @classmethod
    def _in_quotes(cls, value: Any) -> Any:
        if isinstance(value, list) and any(isinstance(name, int) for name in value):
            raise ValueError("YAML reads 01 as a number; put the names in quotes, as in ['01', '03']")
        return value

    @field_validator("versions")
    @classmethod
    def _different(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        names = [info.data.get("original"), *(value or [])]
        if len(set(names)) < len(names):
            raise ValueError("must be different names, without the original's")
        return value


class MultiGTOptions(KernelOptions, _Versions):
    """Keys of MultiGTDataset."""

    sampling: Rule = Field(description="how the version is chosen that a sample is trained on")
    negatives: bool = Field(default=False, description="give a negative and a positive version for NegativeLoss")
    dataroot_labels: str | None = Field(default=None, validate_default=True, description=_LABELS)
    tau: float = Field(default=10.0, gt=0, description="temperature of sma and smp, on qualities of 0 to 100")
    scores: str | None = Field(
        default=None, validate_default=True, description="CSV of `tools/prepare.py score`; ~: scored on each crop"
    )

    @field_validator("dataroot_labels")
    @classmethod
    def _labels(cls, value: str | None, info: ValidationInfo) -> str | None:
        rule = info.data.get("sampling")
        if value is None and rule in LABELLED:
            raise ValueError(f"is required with sampling: {rule}")
        if value is None and info.data.get("negatives"):
            raise ValueError("is required with negatives: true")
        return value

    @field_validator("scores")
    @classmethod
    def _scores(cls, value: str | None, info: ValidationInfo) -> str | None:
        rule = info.data.get("sampling", "amo")
        if value is not None and rule not in SCORED:
            raise ValueError(f"is not read with sampling: {rule}; leave it out, or take it back with ~")
        return value

    @property
    def online(self) -> bool:
        """Return whether the version is chosen by scores of the crops, in the model."""
        return chooses_online({"sampling": self.sampling, "scores": self.scores})

    @property
    def labelled(self) -> bool:
        """Return whether the labels are read."""
        return self.negatives or self.sampling in LABELLED


class MultiGTTestOptions(_Versions):
    """Keys of MultiGTTestDataset."""

    dataroot_lq: str = Field(description="folder or .lmdb of LQ images, named as the originals")
    references: Literal["positives", "original", "all"] = Field(
        default="positives", description="what full-reference metrics compare with; they are means over these"
    )
    dataroot_labels: str | None = Field(default=None, validate_default=True, description=_LABELS)

    @field_validator("dataroot_labels")
    @classmethod
    def _labels(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("references") == "positives":
            raise ValueError("is required with references: positives")
        return value
