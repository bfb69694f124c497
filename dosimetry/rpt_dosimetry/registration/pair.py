"""Register one scan to another: by their CTs where both have one, else by emission."""

from dataclasses import dataclass, replace
from typing import Any

from rpt_cohort import BadInput, Volume

from rpt_dosimetry.registration.deformable import Deformation, JacobianReport, deform
from rpt_dosimetry.registration.guides import Guide, Kind, check_emission, guide
from rpt_dosimetry.registration.itk_images import check_axes
from rpt_dosimetry.registration.mutual_information import find_rigid
from rpt_dosimetry.registration.residual import (
    Residual,
    agreement,
    check_residual,
    check_start,
    residual,
)
from rpt_dosimetry.registration.rigid import Rigid
from rpt_dosimetry.registration.start import Start, find_start

NEAR_MM = 0.5
"""Ours: a search that ends so near its start, and agrees less there, gives the start. Where one CT
serves two scans, interpolation alone makes every move look worse."""


@dataclass(frozen=True)
class Scan:
    """One time point; both images lie in one world, each on its own grid.

    Attributes:
        emission: Activity concentration, Bq/mL, or SUV, g/mL.
        ct: CT, HU; ``None`` where there is none.
    """

    emission: Volume
    ct: Volume | None = None


@dataclass(frozen=True)
class Registration:
    """A rigid registration that was not refused.

    Attributes:
        rigid: Position in the fixed world → position in the moving world.
        start: Where it began.
        residual: What it did.
        fixed: The image that steered, of the fixed scan.
        moving: The same of the moving scan.
        deformation: What the rigid transform leaves; ``None`` unless asked for.
        volumes: How the deformation changes them.
    """

    rigid: Rigid
    start: Rigid
    residual: Residual
    fixed: Guide
    moving: Guide
    deformation: Deformation | None = None
    volumes: JacobianReport | None = None

    def to_itk(self) -> Any:
        """Return the whole transform for SimpleITK, LPS mm."""
        if self.deformation is None:
            return self.rigid.to_itk()
        return self.deformation.to_itk(self.rigid)


def register(
    fixed: Scan, moving: Scan, *, mask: Volume | None = None, start: Start = "world"
) -> Registration:
    """Register a scan rigidly to another one.

    Args:
        fixed: What stays, such as the first SPECT/CT.
        moving: What is carried to it, such as a later SPECT/CT or the PET/CT.
        mask: Where to look, above 0, on the grid of the fixed CT, or of the fixed emission
            image where that steers; the body by default.
        start: Where to begin; see ``find_start``.

    Returns:
        The transform and its residual.

    Raises:
        BadInput: An image cannot be what it is said to be, one scan alone has a CT, the scans
            lie apart, or the registration failed.
    """
    for scan, name in ((fixed, "The fixed image"), (moving, "The moving image")):
        check_axes(scan.emission, name=name)
        check_emission(scan.emission, name=name)
    if (fixed.ct is None) != (moving.ct is None):
        lacks = "fixed" if fixed.ct is None else "moving"
        raise BadInput(
            f"Both scans must have a CT or none, and the {lacks} one has none. Give "
            f"--{lacks}-ct, or leave the other out to register by emission."
        )
    kind: Kind = "emission" if fixed.ct is None else "CT"
    steers = guide(fixed.ct or fixed.emission, kind=kind, name=f"The fixed {kind}", mask=mask)
    follows = guide(moving.ct or moving.emission, kind=kind, name=f"The moving {kind}")
    begin = find_start(steers, follows, start)
    check_start(agreement(steers, follows, begin))
    try:
        found = find_rigid(steers, follows, start=begin)
    except RuntimeError as error:
        raise BadInput(
            "Registration failed: the scans lost each other on the way. Check that both show the "
            "same region of one patient, or give a mask of what is to be matched."
        ) from error
    told = residual(steers, follows, start=begin, found=found)
    if told.corner_mm < NEAR_MM and told.agrees_less:
        found, told = begin, residual(steers, follows, start=begin, found=begin)
    check_residual(told)
    return Registration(found, begin, told, steers, follows)


def deformed(found: Registration) -> Registration:
    """Add a deformation to a rigid registration.

    Raises:
        BadInput: itk-elastix is not installed or fails, or space folds over itself.
    """
    deformation, volumes = deform(found.fixed, found.moving, found.rigid)
    return replace(found, deformation=deformation, volumes=volumes)
