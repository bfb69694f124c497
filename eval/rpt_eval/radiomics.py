"""IBSI's co-occurrence (GLCM) and run-length (GLRLM) features of one region, by mirp."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from rpt_cohort import BadInput
from rpt_cohort.correlation import is_constant

from rpt_eval.regions import bounding_box
from rpt_eval.statistics import NAN

Aggregation = Literal["2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb"]
MERGED: Aggregation = "3D_comb"
"""One matrix of the whole volume, its 13 directions merged (our choice)."""
# IBSI's name → mirp's name, and how mirp's table shortens it.
METHODS: dict[Aggregation, tuple[str, str]] = {
    "2D_avg": ("2d_average", "2d_avg"),
    "2D_comb": ("2d_slice_merge", "2d_s_mrg"),
    "2_5D_avg": ("2.5d_direction_merge", "2.5d_d_mrg"),
    "2_5D_comb": ("2.5d_volume_merge", "2.5d_v_mrg"),
    "3D_avg": ("3d_average", "3d_avg"),
    "3D_comb": ("3d_volume_merge", "3d_v_mrg"),
}
GLCM = (
    *("cm_joint_max", "cm_joint_avg", "cm_joint_var", "cm_joint_entr", "cm_diff_avg"),
    *("cm_diff_var", "cm_diff_entr", "cm_sum_avg", "cm_sum_var", "cm_sum_entr", "cm_energy"),
    *("cm_contrast", "cm_dissimilarity", "cm_inv_diff", "cm_inv_diff_norm", "cm_inv_diff_mom"),
    *("cm_inv_diff_mom_norm", "cm_inv_var", "cm_corr", "cm_auto_corr", "cm_clust_tend"),
    *("cm_clust_shade", "cm_clust_prom", "cm_info_corr1", "cm_info_corr2"),
)
GLRLM = (
    *("rlm_sre", "rlm_lre", "rlm_lgre", "rlm_hgre", "rlm_srlge", "rlm_srhge", "rlm_lrlge"),
    *("rlm_lrhge", "rlm_glnu", "rlm_glnu_norm", "rlm_rlnu", "rlm_rlnu_norm", "rlm_r_perc"),
    *("rlm_gl_var", "rlm_rl_var", "rlm_rl_entr"),
)
FAMILY = dict.fromkeys(GLCM, "GLCM") | dict.fromkeys(GLRLM, "GLRLM")
"""Feature, by the tag of IBSI's table of reference values → family."""


def require_mirp() -> None:
    """Raise BadInput where mirp, an optional extra, is not installed."""
    try:
        import mirp  # noqa: F401
    except ImportError as error:
        raise BadInput(
            "mirp must be installed for the radiomic features, and it is not. "
            "Install rpt-eval[radiomics]."
        ) from error


def texture_features(
    image: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    *,
    bins: int,
    aggregation: Aggregation = MERGED,
) -> dict[str, float]:
    """Compute the 25 GLCM and 16 GLRLM features of IBSI.

    Nothing is resampled. Neighbours are one voxel apart along the grid, whatever its spacing,
    so only features from equal grids can be compared. Grey levels by a fixed bin number from
    the mask's lowest to its highest value; a linear rescaling of the image changes nothing.

    Args:
        image: In any unit.
        mask: Where.
        bins: Grey levels, at least 2.
        aggregation: How matrices of slices (along z) and directions are merged.

    Returns:
        Feature → value, for each of ``FAMILY``. NaN where it is not defined: all of an empty
        mask or a constant image, GLCM where no two voxels of the mask touch, GLRLM where the
        mask is a single line of voxels (or in 2D, where its slices are).

    Source: Zwanenburg et al., Radiology 295 (2020) 328 (IBSI 1), as computed by mirp.
    """
    box = bounding_box(mask)
    if box is None or is_constant(image[mask]):
        return dict.fromkeys(FAMILY, NAN)
    order = _axis_order(mask[box].shape, aggregation)
    region = mask[box].transpose(order)
    method, short = METHODS[aggregation]
    # A margin of one voxel: mirp takes an array of one slice for a part of a stack.
    found = _by_mirp(
        np.pad(image[box].astype(np.float64).transpose(order), 1),
        np.pad(region.astype(np.int64), 1),
        method=method,
        bins=bins,
    )
    ending = f"{short}_fbn_n{bins}"
    # mirp leaves out a direction of runs in a mask one voxel thick along rows or columns.
    runs = GLRLM if min(region.shape[1:]) > 1 else ()
    return (
        dict.fromkeys(FAMILY, NAN)
        | {name: float(found[f"{name}_d1_{ending}"]) for name in GLCM}
        | {name: float(found[f"{name}_{ending}"]) for name in runs}
    )


def _axis_order(shape: tuple[int, ...], aggregation: Aggregation) -> tuple[int, ...]:
    """Return the axes as mirp wants them: slices first.

    In 3D no axis is special, and the thinnest goes first, where mirp is right even for a mask
    one voxel thick.
    """
    if aggregation.startswith("3D"):
        return tuple(int(axis) for axis in np.argsort(shape, kind="stable"))
    return 2, 1, 0


def _by_mirp(
    image: Float[np.ndarray, "slice row column"],
    mask: Int[np.ndarray, "slice row column"],
    *,
    method: str,
    bins: int,
) -> dict[str, Any]:
    import mirp  # an optional extra, and slow to load

    with _root_logger_left_alone():
        tables = mirp.extract_features(
            image=image,
            mask=mask,
            sample_name="region",
            base_feature_families=["glcm", "rlm"],
            base_discretisation_method="fixed_bin_number",
            base_discretisation_n_bins=bins,
            glcm_spatial_method=method,
            glrlm_spatial_method=method,
        )
    row: dict[str, Any] = tables[0].iloc[0].to_dict()
    return row


@contextmanager
def _root_logger_left_alone() -> Iterator[None]:
    """Keep mirp from sending the root logger to stdout, which it does where it has no handler."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
