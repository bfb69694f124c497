"""The picture by which a person judges a registration."""

import io
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from rpt_cohort import Volume

from rpt_dosimetry.registration.guides import TOP
from rpt_dosimetry.registration.itk_images import itk_values, simpleitk
from rpt_dosimetry.registration.one_grid import GridMm
from rpt_dosimetry.registration.pair import Registration

SQUARE_MM = 40.0
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
    steers = found.fixed.values
    spacing_mm = np.linalg.norm(found.fixed.affine[:3, :3], axis=0)
    at = _through(found.fixed.body)
    columns = ((1, "coronal"), (2, "axial"))
    times = (("before", found.start.to_itk()), ("after", found.to_itk()))
    for pair, (when, transform) in enumerate(times):
        shown = _checkered(steers, _carried(found, transform), spacing_mm)
        for column, (axis, plane) in enumerate(columns):
            ax = axes[0][2 * pair + column]
            _plane(
                ax,
                shown,
                axis=axis,
                at=at,
                spacing_mm=spacing_mm,
                codes=_codes(found.fixed.affine),
                cmap="gray",
                top=TOP,
            )
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
    share, other = (_share(image) for image in (fixed, moving))
    at = _through(share > CONTOUR_SHARE)
    spacing_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    for column, (axis, largest) in enumerate(((1, True), (2, True), (1, False), (2, False))):
        ax = axes[column]
        under, over = (
            (one.max(axis=axis, keepdims=True), 0) if largest else (one, at[axis])
            for one in (share, other)
        )
        planes = {axis: under[1]}
        _plane(
            ax,
            under[0],
            axis=axis,
            at=planes,
            spacing_mm=spacing_mm,
            codes=_codes(grid.affine),
            cmap="gray_r",
            top=1.0,
        )
        line = np.take(over[0], over[1], axis=axis).T
        extent = _extent(share.shape, axis, spacing_mm)
        ax.contour(line, [CONTOUR_SHARE], colors="#D55E00", linewidths=1.2, extent=extent)
        name = "coronal" if axis == 1 else "axial"
        what = f"{name}, maximum projection" if largest else f"{name} plane"
        ax.set_title(f"after: {what}")
    axes[0].figure.colorbar(
        axes[0].images[0],
        ax=list(axes),
        label="Fixed emission (1 = its 99.5th percentile);\norange: moving emission at "
        f"{CONTOUR_SHARE:g} of its own",
    )


def _plane(
    ax: Any,
    values: Shaped[np.ndarray, "x y z"],
    *,
    axis: int,
    at: dict[int, int],
    spacing_mm: Float[np.ndarray, "3"],
    codes: str,
    cmap: str,
    top: float,
) -> None:
    ax.imshow(
        np.take(values, at[axis], axis=axis).T,
        origin="lower",
        extent=_extent(values.shape, axis, spacing_mm),
        cmap=cmap,
        vmin=0.0,
        vmax=top,
    )
    across, up = (f"to {code} (mm)" for n, code in enumerate(codes) if n != axis)
    ax.set_xlabel(across)
    ax.set_ylabel(up)


def _codes(affine: Float[np.ndarray, "4 4"]) -> str:
    return Volume(np.zeros((1, 1, 1), dtype=np.int8), affine).axis_codes


def _extent(
    shape: tuple[int, ...], axis: int, spacing_mm: Float[np.ndarray, "3"]
) -> tuple[float, float, float, float]:
    across, up = (one for one in range(3) if one != axis)
    return 0.0, float(shape[across] * spacing_mm[across]), 0.0, float(shape[up] * spacing_mm[up])


def _share(image: Float32[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    filled = image[image > 0]
    top = np.percentile(filled, HOTTEST_PERCENTILE) if filled.size else 1.0
    share: Float32[np.ndarray, "x y z"] = np.clip(image / np.float32(top), 0, 1)
    return share


def _through(region: Bool[np.ndarray, "x y z"]) -> dict[int, int]:
    """Return the planes that hold most of a region, by axis."""
    return {
        axis: int(np.argmax(region.sum(axis=tuple(o for o in range(3) if o != axis))))
        for axis in (1, 2)
    }


def _carried(found: Registration, transform: Any) -> Shaped[np.ndarray, "x y z"]:
    sitk = simpleitk()
    return itk_values(
        sitk.Resample(found.moving.image, found.fixed.image, transform, sitk.sitkLinear, 0.0)
    )


def _checkered(
    fixed: Shaped[np.ndarray, "x y z"],
    moving: Shaped[np.ndarray, "x y z"],
    spacing_mm: Float[np.ndarray, "3"],
) -> Shaped[np.ndarray, "x y z"]:
    sides = np.maximum(SQUARE_MM / spacing_mm, 1.0)
    x, y, z = (np.arange(n) // side for n, side in zip(fixed.shape, sides, strict=True))
    odd = (x[:, None, None] + y[None, :, None] + z[None, None, :]) % 2 == 1
    return np.where(odd, moving, fixed)
