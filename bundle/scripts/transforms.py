"""Training transforms that MONAI lacks; inference uses none of these."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.transforms import MapTransform


class LabelWhereKnownd(MapTransform):
    """Make ``label`` NaN where it does not count: outside the body or the field of view.

    Body = organs > 0 and known = fov > 0; without such a file every voxel counts. Loss,
    metrics and discriminator look only where the label is a number.
    """

    def __init__(self) -> None:
        super().__init__(keys=["label"])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case without ``fov``, and with ``organs`` all 0 where it had none."""
        case = dict(data)
        for key in ("fov", "organs"):
            if key in case:
                case["label"] = torch.where(case[key] > 0, case["label"], torch.nan)
        case.pop("fov", None)
        case.setdefault("organs", torch.zeros_like(case["label"]))
        return case


class SamplingWeightd(MapTransform):
    """Add ``sampling``: where patches are centred, more often at high uptake.

    The weight is 1 + SUV, limited, where the label counts, and 0 elsewhere: liver,
    kidneys and lesions are seen often and the background is not forgotten.

    Args:
        max_suv: SUV above which the weight grows no more, g/mL.
    """

    def __init__(self, max_suv: float) -> None:
        super().__init__(keys=["image"])
        self.max_suv = max_suv

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the case with ``sampling`` added."""
        case = dict(data)
        case["sampling"] = case["label"].isfinite() * (1.0 + case["image"].clamp(max=self.max_suv))
        return case
