"""How well two scans agree after a registration, and when it is called failed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from rpt_cohort import BadInput

from rpt_dosimetry.registration.guides import TOP, Guide
from rpt_dosimetry.registration.itk_images import itk_values, simpleitk
from rpt_dosimetry.registration.rigid import Rigid

BINS = 32
LARGEST_MM = 60.0
"""Ours: of the body's centre, from the start. A patient on a couch lies within some cm."""
LARGEST_DEG = 20.0
"""Ours: a patient cannot lie turned by more."""
LEAST_NMI = 1.08
"""Ours: unrelated noise has 1.00; two emission scans of one patient had 1.05 while 35 mm apart
and 1.14 together. It does not tell one patient from another: two virtual ones reach 1.26."""
LARGEST_FALL = 0.05
"""Ours: of what the normalised mutual information is above 1. Scans that lay well lose a
little: on the grid's own points nothing is interpolated, between them it is."""
LEAST_OVERLAP = 0.5
"""Ours: share of the fixed body that the moving image covers. With less, wrong places of two
trunks can agree as well as the right one."""

LIMITS = {
    "largest_displacement_of_centre_mm": LARGEST_MM,
    "largest_rotation_deg": LARGEST_DEG,
    "least_normalised_mutual_information": LEAST_NMI,
    "largest_relative_fall_of_normalised_mutual_information_above_1": LARGEST_FALL,
    "least_overlap": LEAST_OVERLAP,
}


@dataclass(frozen=True)
class Agreement:
    """How far two smoothed images tell of each other, where both are.

    Attributes:
        mutual_information_nats: Of a histogram of 32 × 32 bins, nats.
        normalised_mutual_information: (H_fixed + H_moving) / H_joint: 1 for images that know
            nothing of each other, 2 for one and the same.
        overlap: Share of the fixed body that the moving image covers.
    """

    mutual_information_nats: float
    normalised_mutual_information: float
    overlap: float


@dataclass(frozen=True)
class Residual:
    """What a registration did.

    Attributes:
        before: Agreement at the start.
        after: Agreement at the end.
        centre_mm: Displacement of the body's centre from the start, mm.
        corner_mm: Largest displacement of a corner of the body's box from the start, mm.
        rotation_deg: Angle of the rotation, degrees.
    """

    before: Agreement
    after: Agreement
    centre_mm: float
    corner_mm: float
    rotation_deg: float

    @property
    def agrees_less(self) -> bool:
        """Whether the images agree less at the end than at the start."""
        before, after = self.before, self.after
        return after.normalised_mutual_information < before.normalised_mutual_information


def agreement(fixed: Guide, moving: Guide, rigid: Rigid) -> Agreement:
    """Compare two images under a transform.

    Source: Studholme, Hill & Hawkes, Pattern Recognition 32 (1999) 71, for the normalised
    mutual information, which a change of overlap changes little.
    """
    sitk = simpleitk()
    nothing = -1.0
    carried = itk_values(
        sitk.Resample(
            moving.smooth, fixed.smooth, rigid.to_itk(), sitk.sitkLinear, nothing, sitk.sitkFloat32
        )
    )
    both: Bool[np.ndarray, "x y z"] = fixed.near & (carried >= 0)
    overlap = float(both.sum() / fixed.near.sum())
    if not both.any():
        return Agreement(0.0, 1.0, 0.0)
    joint, _, _ = np.histogram2d(
        itk_values(fixed.smooth)[both], carried[both], bins=BINS, range=((0, TOP), (0, TOP))
    )
    share = joint / joint.sum()
    fixed_nats, moving_nats = _entropy(share.sum(axis=1)), _entropy(share.sum(axis=0))
    joint_nats = _entropy(share.ravel())
    if not joint_nats > 0:  # one bin holds all
        return Agreement(0.0, 1.0, overlap)
    nats = fixed_nats + moving_nats
    return Agreement(max(nats - joint_nats, 0.0), nats / joint_nats, overlap)


def residual(fixed: Guide, moving: Guide, *, start: Rigid, found: Rigid) -> Residual:
    """Tell what a registration did, from its start."""
    box_mm = fixed.box_mm()
    moved_mm = np.linalg.norm(found.moved_mm(box_mm) - start.moved_mm(box_mm), axis=1)
    return Residual(
        before=agreement(fixed, moving, start),
        after=agreement(fixed, moving, found),
        centre_mm=float(moved_mm[0]),
        corner_mm=float(moved_mm[1:].max()),
        rotation_deg=found.rotation_deg,
    )


def check_start(at_start: Agreement) -> None:
    """Refuse scans that do not lie over each other.

    Raises:
        BadInput: They share too little of the body.
    """
    if at_start.overlap < LEAST_OVERLAP:
        raise BadInput(
            f"The moving scan must cover {LEAST_OVERLAP:.0%} of the fixed scan's body before "
            f"registration, and it covers {at_start.overlap:.0%}: they lie apart in space. Check "
            "that both show the same region, or let --start search look for it."
        )


def check_residual(found: Residual) -> None:
    """Refuse a registration that cannot be right.

    Raises:
        BadInput: It moved the patient too far, or the scans do not agree.
    """
    after = found.after.normalised_mutual_information
    before = found.before.normalised_mutual_information
    faults = {
        f"it moves the body's centre by {found.centre_mm:.1f} mm, more than {LARGEST_MM:g} mm": (
            not found.centre_mm <= LARGEST_MM
        ),
        f"it turns the patient by {found.rotation_deg:.1f}°, more than {LARGEST_DEG:g}°": (
            not found.rotation_deg <= LARGEST_DEG
        ),
        f"the moving scan covers {found.after.overlap:.0%} of the body, less than "
        f"{LEAST_OVERLAP:.0%}": found.after.overlap < LEAST_OVERLAP,
        f"the scans agree less than before, {after:.4f} after {before:.4f} of normalised mutual "
        "information": after - 1.0 < (1.0 - LARGEST_FALL) * (before - 1.0),
        f"the scans hardly agree, {after:.4f} of normalised mutual information, less than "
        f"{LEAST_NMI:g}": after < LEAST_NMI,
    }
    for fault, there in faults.items():
        if there:
            raise BadInput(
                f"Registration failed: {fault}. Check that both scans show the same region of "
                "one patient, or give a mask of what is to be matched."
            )


def _entropy(share: Float[np.ndarray, " bins"]) -> float:
    filled = share[share > 0]
    return float(-(filled * np.log(filled)).sum())
