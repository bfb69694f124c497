"""Deformable registration by itk-elastix, an extra that follows a rigid one."""

from dataclasses import dataclass
from importlib import import_module
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float64
from rpt_cohort import BadInput

from rpt_dosimetry.registration.guides import Guide
from rpt_dosimetry.registration.transform import (
    LPS,
    GridMm,
    Rigid,
    itk_affine,
    itk_values,
    simpleitk,
    to_itk,
)

CONTROL_SPACING_MM = 40.0
"""Ours: between control points; an organ moves, a lesion in it is not reshaped."""
RESOLUTIONS = 3
SAMPLES = 4096
"""Ours: twice elastix's own; on a virtual CT with 4.4 mm of deformation (RMS) 1.5 mm are left."""
SETTINGS = {
    "deformation": "B-spline, Mattes mutual information with bending energy",
    "control_spacing_mm": CONTROL_SPACING_MM,
    "resolutions": RESOLUTIONS,
    "samples": SAMPLES,
}


@dataclass(frozen=True)
class JacobianReport:
    """How a deformation changes volumes in the body.

    Attributes:
        least: Smallest volume ratio; 1 where nothing changes, below 0 where space folds over
            itself.
        folded_share: Share of the voxels at or below 0.
    """

    least: float
    largest: float
    folded_share: float


@dataclass(frozen=True)
class Deformation:
    """What a rigid registration leaves, on a grid.

    Attributes:
        displacement_mm: The point x of the fixed world lies at rigid(x + displacement) in the
            moving one; RAS+.
        ratio: Volume in the moving world over volume in the fixed one, at the same voxels.
        affine: Voxel index → position of both, mm, RAS+.
    """

    displacement_mm: Float[np.ndarray, "x y z 3"]
    ratio: Float64[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]

    def to_itk(self, rigid: Rigid) -> Any:
        """Return the transform of both for SimpleITK, LPS mm; beyond the grid it is rigid."""
        sitk = simpleitk()
        like = to_itk(self.ratio, self.affine)
        in_lps = self.displacement_mm * np.array([-1.0, -1.0, 1.0])
        field = sitk.GetImageFromArray(np.ascontiguousarray(in_lps.transpose(2, 1, 0, 3)), True)
        field.CopyInformation(like)
        # The one that is added last is applied first.
        both = sitk.CompositeTransform(3)
        both.AddTransform(rigid.to_itk())
        both.AddTransform(sitk.DisplacementFieldTransform(field))
        return both

    def ratio_on(self, grid: GridMm) -> Float[np.ndarray, "x y z"]:
        """Return the volume ratio on another grid; 1 where there is no deformation."""
        sitk = simpleitk()
        like = to_itk(np.zeros(grid.shape), grid.affine)
        ratio = to_itk(self.ratio, self.affine)
        there: Float[np.ndarray, "x y z"] = itk_values(
            sitk.Resample(ratio, like, sitk.Transform(), sitk.sitkLinear, 1.0)
        )
        return there


def deform(fixed: Guide, moving: Guide, rigid: Rigid) -> tuple[Deformation, JacobianReport]:
    """Find what a rigid registration leaves, and refuse what no body does.

    Raises:
        BadInput: itk-elastix is not installed or fails, or space folds over itself in the body.
    """
    displacement_mm = find_displacement_mm(fixed, moving, rigid)
    ratio = jacobian(displacement_mm, itk_affine(fixed.image))
    volumes = jacobian_report(ratio, fixed.body)
    if not volumes.least > 0:
        raise BadInput(
            "Deformable registration failed: the Jacobian must be above 0 in the whole body, and "
            f"it is not in {volumes.folded_share:.2%} of it: space folds over itself. Register "
            "rigidly, or check that both scans show the same region."
        )
    return Deformation(displacement_mm, ratio, fixed.affine), volumes


def find_displacement_mm(fixed: Guide, moving: Guide, rigid: Rigid) -> Float[np.ndarray, "x y z 3"]:
    """Find what a rigid registration leaves at the voxels of ``fixed``; see ``Deformation``.

    Raises:
        BadInput: itk-elastix is not installed, or it fails.

    Source: Klein et al., IEEE Trans Med Imaging 29 (2010) 196 (elastix).
    """
    itk = _elastix()
    sitk = simpleitk()
    carried = sitk.Resample(moving.image, fixed.image, rigid.to_itk(), sitk.sitkLinear, 0.0)
    ours, theirs = (_plain(itk, image) for image in (fixed.image, carried))
    parameters = itk.ParameterObject.New()
    chosen = parameters.GetDefaultParameterMap("bspline", RESOLUTIONS, CONTROL_SPACING_MM)
    chosen["RandomSeed"], chosen["NumberOfSpatialSamples"] = ["1"], [str(SAMPLES)]
    parameters.AddParameterMap(chosen)
    try:
        _, result = itk.elastix_registration_method(
            ours, theirs, parameter_object=parameters, log_to_console=False, number_of_threads=1
        )
        with TemporaryDirectory() as folder:  # transformix writes the field, asked or not
            field = itk.transformix_deformation_field(theirs, result, output_directory=folder)
            along = np.moveaxis(itk.array_from_image(field), (0, 1, 2), (2, 1, 0))
    except RuntimeError as error:
        raise BadInput(
            "Deformable registration failed in itk-elastix. Register rigidly, or check that both "
            "scans show the same region."
        ) from error
    # The field is along the plain image's axes: turn it as the fixed image's axes are.
    turn = LPS[:3, :3] @ np.reshape(fixed.image.GetDirection(), (3, 3))
    displacement_mm: Float[np.ndarray, "x y z 3"] = along @ turn.T
    return displacement_mm


def jacobian(
    displacement_mm: Float[np.ndarray, "x y z 3"], affine: Float[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "x y z"]:
    """Return the volume ratio of x → x + displacement at each voxel, by central differences."""
    along: list[np.ndarray] = [
        np.gradient(displacement_mm.astype(np.float64), axis=axis) for axis in (0, 1, 2)
    ]
    per_voxel = np.stack(along, axis=-1)
    per_mm = per_voxel @ np.linalg.inv(affine[:3, :3])
    ratio: Float64[np.ndarray, "x y z"] = np.linalg.det(np.eye(3) + per_mm)
    return ratio


def jacobian_report(
    ratio: Float[np.ndarray, "x y z"], body: Bool[np.ndarray, "x y z"]
) -> JacobianReport:
    """Tell the range of the volume ratio in the body, and the share that is folded."""
    inside = ratio[body]
    return JacobianReport(
        float(inside.min()), float(inside.max()), float((inside <= 0).sum() / inside.size)
    )


def _elastix() -> Any:
    try:
        itk: Any = import_module("itk")  # which has no types, and loads its parts when asked
        _ = itk.elastix_registration_method
    except (ImportError, AttributeError) as error:
        raise BadInput(
            "Deformable registration needs itk-elastix, and it is not installed. Run: pip "
            "install itk-elastix."
        ) from error
    return itk


def _plain(itk: Any, image: Any) -> Any:
    """Return an image for itk on axes of its own: the two libraries share no type."""
    plain = itk.image_from_array(simpleitk().GetArrayFromImage(image))
    plain.SetSpacing(image.GetSpacing())
    return plain
