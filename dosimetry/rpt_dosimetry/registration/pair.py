"""Register one scan to another: by their CTs where both have one, else by emission.

A registration begins in the shared world, or at a place found along the patient; how well two
scans agree after it tells whether it failed, and a picture lets a person judge.

Source: mutual information, Mattes et al., IEEE Trans Med Imaging 22 (2003) 120, as SimpleITK has
it. Levels, sampling and steps are ours: they bring back shifts of 20 mm with 10° of a virtual CT
within some tenths of a millimetre, where full sampling stays behind on the grid's own pattern.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Shaped
from rpt_cohort import BadInput, Volume
from rpt_cohort.command import tell_done
from rpt_cohort.figures import Plane, draw_plane, fullest_plane, png_bytes

from rpt_dosimetry.registration.deformable import Deformation, JacobianReport, deform
from rpt_dosimetry.registration.guides import TOP, Guide, Kind, check_emission, guide
from rpt_dosimetry.registration.resampling import Resampled
from rpt_dosimetry.registration.transform import (
    LPS,
    GridMm,
    Rigid,
    check_axes,
    from_euler,
    itk_values,
    one_thread,
    shifted,
    simpleitk,
    to_itk,
)

BINS = 50
SHRINK = (4, 2, 2, 1)
SMOOTH_MM = (6.0, 3.0, 3.0, 2.0)
SAMPLED = (0.5, 0.3, 0.3, 0.2)
"""Share of the voxels, on a lattice with a random part: off the grid's points, for linear
interpolation is sharp on them and blurred between, which pulls a transform onto the grid."""
SEED = 1
FIRST_STEP_MM, LAST_STEP_MM, RELAXATION = 2.0, 0.003, 0.7
ITERATIONS = 300

SETTINGS = {
    "metric": "Mattes mutual information",
    "bins": BINS,
    "shrink": list(SHRINK),
    "smooth_mm": list(SMOOTH_MM),
    "sampled_share": list(SAMPLED),
    "first_step_mm": FIRST_STEP_MM,
    "last_step_mm": LAST_STEP_MM,
    "relaxation": RELAXATION,
    "iterations": ITERATIONS,
}


def find_rigid(fixed: Guide, moving: Guide, *, start: Rigid) -> Rigid:
    """Find the rigid transform of most mutual information near a start, a pure shift.

    The same on every run. It may be wrong: see ``Residual``.

    Raises:
        RuntimeError: SimpleITK gives up, as where the images lose each other.
    """
    sitk = simpleitk()
    with one_thread():
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetMetricFixedMask(_mask(fixed))
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentagePerLevel(list(SAMPLED), SEED)
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=FIRST_STEP_MM,
            minStep=LAST_STEP_MM,
            numberOfIterations=ITERATIONS,
            relaxationFactor=RELAXATION,
            gradientMagnitudeTolerance=1e-10,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel(list(SHRINK))
        method.SetSmoothingSigmasPerLevel(list(SMOOTH_MM))
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        euler = _start(fixed, start)
        method.SetInitialTransform(euler, inPlace=True)
        levels = len(SHRINK)

        def tell() -> None:
            within = min(method.GetOptimizerIteration() / ITERATIONS, 1.0)
            tell_done((method.GetCurrentLevel() + within) / levels)

        method.AddCommand(sitk.sitkIterationEvent, tell)
        method.Execute(fixed.image, moving.image)
    return from_euler(euler)


def _start(fixed: Guide, start: Rigid) -> Any:
    """Turn about the body's centre: a turn about a far origin shifts the patient as well."""
    euler = simpleitk().Euler3DTransform()
    euler.SetCenter((LPS[:3, :3] @ fixed.box_mm()[0]).tolist())
    euler.SetTranslation((LPS[:3, :3] @ start.fixed_to_moving[:3, 3]).tolist())
    return euler


def _mask(fixed: Guide) -> Any:
    return simpleitk().Cast(to_itk(fixed.near, fixed.affine), simpleitk().sitkUInt8)


AGREEMENT_BINS = 32
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
        normalised_mutual_information: (H_fixed + H_moving) / H_joint: 1 for images that know
            nothing of each other, 2 for one and the same.
        overlap: Share of the fixed body that the moving image covers.
    """

    mutual_information_nats: float
    normalised_mutual_information: float
    overlap: float


@dataclass(frozen=True)
class Residual:
    """What a registration did, from its start.

    Attributes:
        centre_mm: Displacement of the body's centre.
        corner_mm: Largest displacement of a corner of the body's box.
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
        itk_values(fixed.smooth)[both],
        carried[both],
        bins=AGREEMENT_BINS,
        range=((0, TOP), (0, TOP)),
    )
    share = joint / joint.sum()
    fixed_nats, moving_nats = _entropy(share.sum(axis=1)), _entropy(share.sum(axis=0))
    joint_nats = _entropy(share.ravel())
    if not joint_nats > 0:  # one bin holds all
        return Agreement(0.0, 1.0, overlap)
    nats = fixed_nats + moving_nats
    return Agreement(max(nats - joint_nats, 0.0), nats / joint_nats, overlap)


def residual(fixed: Guide, moving: Guide, *, start: Rigid, end: Rigid) -> Residual:
    """Tell what a registration did, from its start."""
    box_mm = fixed.box_mm()
    moved_mm = np.linalg.norm(end.moved_mm(box_mm) - start.moved_mm(box_mm), axis=1)
    return Residual(
        before=agreement(fixed, moving, start),
        after=agreement(fixed, moving, end),
        centre_mm=float(moved_mm[0]),
        corner_mm=float(moved_mm[1:].max()),
        rotation_deg=end.rotation_deg,
    )


def check_start(at_start: Agreement) -> None:
    """Refuse scans that do not lie over each other."""
    if at_start.overlap < LEAST_OVERLAP:
        raise BadInput(
            f"The moving scan must cover {LEAST_OVERLAP:.0%} of the fixed scan's body before "
            f"registration, and it covers {at_start.overlap:.0%}: they lie apart in space. Check "
            "that both show the same region, or let --start search look for it."
        )


def check_residual(change: Residual) -> None:
    """Refuse a registration that cannot be right."""
    after = change.after.normalised_mutual_information
    before = change.before.normalised_mutual_information
    faults = {
        f"it moves the body's centre by {change.centre_mm:.1f} mm, more than {LARGEST_MM:g} mm": (
            not change.centre_mm <= LARGEST_MM
        ),
        f"it turns the patient by {change.rotation_deg:.1f}°, more than {LARGEST_DEG:g}°": (
            not change.rotation_deg <= LARGEST_DEG
        ),
        f"the moving scan covers {change.after.overlap:.0%} of the body, less than "
        f"{LEAST_OVERLAP:.0%}": change.after.overlap < LEAST_OVERLAP,
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


Start = Literal["world", "search"]
STEP_MM = 12.0
"""Ours: well within the reach of the coarsest level."""
OF_LARGEST_OVERLAP = 0.9
"""Ours: the wider scan is taken to cover the narrower one; where it covers it in part only, a
wrong place can agree as well."""


def find_start(fixed: Guide, moving: Guide, start: Start) -> Rigid:
    """Return the shift from which a registration begins.

    Args:
        start: ``world``: positions in mm mean the same in both scans, as on one scanner.
            ``search``: they do not, as on two scanners. The bodies' middles are laid over each
            other across the patient, and along the patient (z) the shift of most normalised
            mutual information is taken. This search is ours.
    """
    if start == "world":
        return shifted(np.zeros(3))
    offsets_mm = _across(fixed, moving)
    agreements = [agreement(fixed, moving, shifted(offset_mm)) for offset_mm in offsets_mm]
    least = OF_LARGEST_OVERLAP * max(one.overlap for one in agreements)
    scores = [
        one.normalised_mutual_information if one.overlap >= least else 0.0 for one in agreements
    ]
    return shifted(offsets_mm[int(np.argmax(scores))])


def _across(fixed: Guide, moving: Guide) -> Float[np.ndarray, "places 3"]:
    """Return shifts with bodies' middles together in x and y, and every overlap in z."""
    ours_mm, theirs_mm = fixed.box_mm(), moving.box_mm()
    low = theirs_mm[:, 2].min() - ours_mm[:, 2].max()
    high = theirs_mm[:, 2].max() - ours_mm[:, 2].min()
    along_mm = np.arange(low, high, STEP_MM)
    offsets_mm = np.tile(theirs_mm[0] - ours_mm[0], (len(along_mm), 1))
    offsets_mm[:, 2] = along_mm
    return offsets_mm


NEAR_MM = 0.5
"""Ours: a search that ends so near its start, and agrees less there, gives the start. Where one CT
serves two scans, interpolation alone makes every move look worse."""


@dataclass(frozen=True)
class Scan:
    """One time point; both images lie in one world, each on its own grid."""

    emission: Volume
    ct: Volume | None = None


@dataclass(frozen=True)
class Registration:
    """A rigid registration that was not refused.

    Attributes:
        rigid: Position in the fixed world → position in the moving world.
        fixed: The image that steered, of the fixed scan.
        deformation: What the rigid transform leaves; ``None`` unless asked for.
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
    """Register a scan, such as a later SPECT/CT or the PET/CT, rigidly to another one.

    Args:
        mask: Where to look, above 0, on the grid of the fixed CT, or of the fixed emission
            image where that steers; the body by default.

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
        rigid = find_rigid(steers, follows, start=begin)
    except RuntimeError as error:
        raise BadInput(
            "Registration failed: the scans lost each other on the way. Check that both show the "
            "same region of one patient, or give a mask of what is to be matched."
        ) from error
    change = residual(steers, follows, start=begin, end=rigid)
    if change.corner_mm < NEAR_MM and change.agrees_less:
        rigid, change = begin, residual(steers, follows, start=begin, end=begin)
    check_residual(change)
    return Registration(rigid, begin, change, steers, follows)


def deformed(registration: Registration) -> Registration:
    """Add a deformation to a rigid registration.

    Raises:
        BadInput: itk-elastix is not installed or fails, or space folds over itself.
    """
    deformation, volumes = deform(registration.fixed, registration.moving, registration.rigid)
    return replace(registration, deformation=deformation, volumes=volumes)


SQUARE_MM = 40.0
PLANES: tuple[Plane, ...] = ("coronal", "axial")
HOTTEST_PERCENTILE = 99.5
CONTOUR_SHARE = 0.2
"""Ours: of the hottest value; where the moving emission's line runs."""
WORDS = {"CT": "CT (soft-tissue scale)", "emission": "emission (root scale)"}


def check_picture(
    registration: Registration,
    *,
    fixed_emission: Float32[np.ndarray, "x y z"],
    moving_emission: Float32[np.ndarray, "x y z"],
    grid: GridMm,
) -> bytes:
    """Draw a registration in coronal and axial planes, before and after, as a PNG.

    The upper row has squares of the fixed and the moving image in turn, at the start and at the
    end: an edge that steps at a square's border is off. The lower row lays the moving emission's
    outline over the fixed emission, both on the common grid. The same images give the same bytes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16.0, 8.0), layout="constrained")
    axes = figure.subplots(2, 4)
    steers, affine = registration.fixed.values, registration.fixed.affine
    body = Volume(registration.fixed.body, affine)
    times = (("before", registration.start.to_itk()), ("after", registration.to_itk()))
    for pair, (when, transform) in enumerate(times):
        both = Volume(
            _checkered(steers, _carried(registration, transform), body.spacing_mm), affine
        )
        for ax, plane in zip(axes[0][2 * pair :], PLANES, strict=False):
            at = fullest_plane(body, plane)
            draw_plane(ax, both, plane, at=at, cmap="gray", vmin=0.0, vmax=TOP)
            ax.set_title(f"{when}: squares of both, {plane}")
    _emissions(axes[1], fixed_emission, moving_emission, grid=grid)
    change = registration.residual
    kind = "Rigid" if registration.volumes is None else "Deformable"
    figure.suptitle(
        f"{kind} registration by {WORDS[registration.fixed.kind]}: centre moved "
        f"{change.centre_mm:.1f} mm, turned {change.rotation_deg:.1f}°; normalised mutual "
        f"information {change.before.normalised_mutual_information:.3f} → "
        f"{change.after.normalised_mutual_information:.3f}; research only"
    )
    return png_bytes(figure, dots_per_inch=80)


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


def _carried(registration: Registration, transform: Any) -> Shaped[np.ndarray, "x y z"]:
    sitk = simpleitk()
    return itk_values(
        sitk.Resample(
            registration.moving.image, registration.fixed.image, transform, sitk.sitkLinear, 0.0
        )
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


def story(
    registration: Registration, still: Resampled, carried: Resampled, grid: GridMm
) -> dict[str, Any]:
    """Tell what a registration did, for its JSON."""
    return {
        "quantity": "emission images on one grid, in the unit they came in",
        "registered_by": registration.fixed.kind,
        "fixed_to_moving_ras_mm": registration.rigid.fixed_to_moving.tolist(),
        "start_ras_mm": registration.start.fixed_to_moving.tolist(),
        "residual": asdict(registration.residual),
        **(
            {}
            if registration.volumes is None
            else {"jacobian_in_body": asdict(registration.volumes)}
        ),
        "limits": LIMITS,
        "activity": {"fixed": _activity(still), "moving": _activity(carried)},
        "activity_unit": "the image's unit times mL: Bq of Bq/mL, g of a SUV in g/mL",
        "shape": list(grid.shape),
        "affine_ras_mm": grid.affine.tolist(),
    }


def _activity(one: Resampled) -> dict[str, float]:
    return {
        "integral_before": one.integral_before,
        "integral_on_grid": one.integral_on_grid,
        "outside_grid_pct": 100.0 * one.left_share,
        "change_by_interpolation_pct": 100.0 * one.change_share,
    }
