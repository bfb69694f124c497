"""Transforms that MONAI lacks: two of training, and the averaging of a fine PET."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.networks.layers import separable_filtering
from monai.transforms import MapTransform
from nibabel.affines import voxel_sizes
from torch import Tensor

from scripts.checks import loaded_as

SAMPLED_MM = 3.0  # ours: linear interpolation from here on leaves out no voxel that matters


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


def averaged(suv: nib.Nifti1Image, path: str, spacing_mm: Sequence[float]) -> MetaTensor:
    """Return a PET as MONAI's ``LoadImage`` gives it, on its own grid.

    Along an axis of voxels below ``SAMPLED_MM`` it is the running mean over one voxel of
    ``spacing_mm``: what is then sampled on that grid is the mean of the voxels that lie there.

    Args:
        suv: SUV, g/mL.
        path: Its file.
        spacing_mm: Voxel size to the right, front and head.
    """
    values = torch.as_tensor(np.asarray(suv.dataobj, dtype=np.float32))
    axes = nib.io_orientation(suv.affine)[:, 0].astype(int)
    pairs = list(zip(voxel_sizes(suv.affine), axes, strict=True))
    widths = [spacing_mm[axis] / mm if mm < SAMPLED_MM else 1.0 for mm, axis in pairs]
    if max(widths) > 1.0:
        kernels = [_box(width) for width in widths]
        values = separable_filtering(values[None, None], kernels, mode="replicate")[0, 0]
    meta = {
        "filename_or_obj": loaded_as(path),
        "original_affine": suv.affine,
        "original_channel_dim": math.nan,  # none, as MONAI writes it
    }
    return MetaTensor(values, affine=torch.as_tensor(suv.affine), meta=meta)


def _box(width_voxels: float) -> Tensor:
    """Running mean over so many voxels, 1 or more; the outermost count in part."""
    radius = math.ceil((width_voxels - 1.0) / 2.0)
    box = torch.ones(2 * radius + 1)
    box[[0, -1]] -= radius - (width_voxels - 1.0) / 2.0
    return box / box.sum()
