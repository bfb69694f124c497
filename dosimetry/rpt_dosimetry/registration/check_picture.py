"""The picture by which a person judges a registration."""

import io
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped
from rpt_cohort import Volume
from rpt_cohort.figures import Plane, draw_plane, fullest_plane

from rpt_dosimetry.registration.guides import TOP
from rpt_dosimetry.registration.itk_images import itk_values, simpleitk
from rpt_dosimetry.registration.one_grid import GridMm
from rpt_dosimetry.registration.pair import Registration

SQUARE_MM = 40.0
PLANES: tuple[Plane, ...] = ("coronal", "axial")
HOTTEST_PERCENTILE = 99.5
CONTOUR_SHARE = 0.2
"""Ours: of the hottest value; where the moving emission's line runs."""
WORDS = {"CT": "CT (soft-tissue scale)", "emission": "emission (root scale)"}


def check_picture(
    found: Registration,
    *,
    fixed_emission: Float32[np.ndarray, "x y z"],
    moving_emission: Float32[np.ndarray, "x y z"],
    grid: GridMm,
) -> bytes:
    """Draw a registration in coronal and axial planes, before and after.

    The upper row has squares of the fixed and the moving image in turn, at the start and at the
    end: an edge that steps at a square's border is off. The lower row lays the moving emission's
    outline over the fixed emission.

    Args:
        found: The registration.
        fixed_emission: On the common grid.
        moving_emission: Registered, on the common grid, in the same unit or another.
        grid: The common grid.

    Returns:
        A PNG; the same images give the same bytes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16.0, 8.0), layout="constrained")
    axes = figure.subplots(2, 4)
    steers, affine = found.fixed.values, found.fixed.affine
    body = Volume(found.fixed.body, affine)
    times = (("before", found.start.to_itk()), ("after", found.to_itk()))
    for pair, (when, transform) in enumerate(times):
        both = Volume(_checkered(steers, _carried(found, transform), body.spacing_mm), affine)
        for ax, plane in zip(axes[0][2 * pair :], PLANES, strict=False):
            at = fullest_plane(body, plane)
            draw_plane(ax, both, plane, at=at, cmap="gray", vmin=0.0, vmax=TOP)
            ax.set_title(f"{when}: squares of both, {plane}")
    _emissions(axes[1], fixed_emission, moving_emission, grid=grid)
    told = found.residual
    kind = "Rigid" if found.volumes is None else "Deformable"
    figure.suptitle(
        f"{kind} registration by {WORDS[found.fixed.kind]}: centre moved {told.centre_mm:.1f} mm, "
        f"turned {told.rotation_deg:.1f}°; normalised mutual information "
        f"{told.before.normalised_mutual_information:.3f} → "
        f"{told.after.normalised_mutual_information:.3f}; research only"
    )
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=80, metadata={"Software": None})
    return stream.getvalue()


def _emissions(
    axes: Any,
    fixed: Float32[np.ndarray, "x y z"],
    moving: Float32[np.ndarray, "x y z"],
    *,
    grid: GridMm,
) -> None:
    """Draw planes through the fixed image's hot part, and the largest values along them."""
    share, other = (Volume(_share(image), grid.affine) for image in (fixed, moving))
    hot = Volume(share.data > CONTOUR_SHARE, grid.affine)
    columns: list[tuple[Plane, int | None]] = [(plane, None) for plane in PLANES]
    columns += [(plane, fullest_plane(hot, plane)) for plane in PLANES]
    for ax, (plane, at) in zip(axes, columns, strict=True):
        draw_plane(ax, share, plane, at=at, cmap="gray_r", vmin=0.0, vmax=1.0)
        line: dict[str, Any] = {"colors": "#D55E00", "linewidths": 1.2}
        draw_plane(ax, other, plane, at=at, levels=(CONTOUR_SHARE,), **line)
        what = f"{plane}, maximum projection" if at is None else f"{plane} plane"
        ax.set_title(f"after: {what}")
    axes[0].figure.colorbar(
        axes[0].images[0],
        ax=list(axes),
        label="Fixed emission (1 = its 99.5th percentile);\norange: moving emission at "
        f"{CONTOUR_SHARE:g} of its own",
    )


def _share(image: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    filled = image[image > 0]
    top = np.percentile(filled, HOTTEST_PERCENTILE) if filled.size else 1.0
    share: Float32[np.ndarray, "x y z"] = np.clip(image / np.float32(top), 0, 1)
    return share


def _carried(found: Registration, transform: Any) -> Shaped[np.ndarray, "x y z"]:
    sitk = simpleitk()
    return itk_values(
        sitk.Resample(found.moving.image, found.fixed.image, transform, sitk.sitkLinear, 0.0)
    )


def _checkered(
    fixed: Shaped[np.ndarray, "x y z"],
    moving: Shaped[np.ndarray, "x y z"],
    spacing_mm: tuple[float, float, float],
) -> Shaped[np.ndarray, "x y z"]:
    sides = np.maximum(SQUARE_MM / np.array(spacing_mm), 1.0)
    x, y, z = (np.arange(n) // side for n, side in zip(fixed.shape, sides, strict=True))
    odd = (x[:, None, None] + y[None, :, None] + z[None, None, :]) % 2 == 1
    return np.where(odd, moving, fixed)
