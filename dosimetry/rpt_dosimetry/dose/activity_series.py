"""The activity images of one cycle, and what was given: checked for time, nuclide, grid and unit.

What the JSON beside each image tells is held against what the user typed.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Shaped
from rpt_cohort import BadInput, Volume, grid_fault, read_volume
from rpt_cohort.command import naming

from rpt_dosimetry.dicom.decay import IMPOSSIBLE_EXCESS, warn_of_too_little
from rpt_dosimetry.dose.anatomy import WHOLE_IMAGE, Region
from rpt_dosimetry.nifti import (
    ACTIVITY,
    FRAME_SHA256,
    Nifti,
    check_beside,
    nifti_and_beside,
    role_named,
)
from rpt_dosimetry.radiation.nuclide import (
    LARGEST_DEVIATION,
    Nuclide,
    find_nuclide,
    nuclide_in_text,
)

LARGEST_MBQ = 1e5
"""Ours: ten times the activity of a therapy; a number above is in kBq or Bq."""
MBQ_PER_GBQ = 1000.0
LATEST_HALF_LIVES = 10.0
"""Ours: a thousandth is left after as many; a time beyond is in minutes or seconds."""


@dataclass(frozen=True)
class Therapy:
    """An administration and its scans.

    Attributes:
        administered_mbq: Activity at the start of the infusion.
        residual_mbq: What stayed in syringe, line and vial, decayed to the same moment.
        infusion_h: Duration of the infusion; 0 for a bolus.
        time_h: Of each scan, from the start of the infusion to mid-scan.
    """

    nuclide: Nuclide
    administered_mbq: float
    residual_mbq: float
    infusion_h: float
    time_h: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot be; the order of the times is for ``check_times``.

        Raises:
            BadInput: An activity is not finite, not above 0 MBq or absurdly large, the residual
                is not below it, or a scan is later than ``LATEST_HALF_LIVES``.
        """
        administered = self.administered_mbq
        if not (math.isfinite(administered) and 0 < administered <= LARGEST_MBQ):
            raise BadInput(
                f"--administered-mbq must be above 0 and at most {LARGEST_MBQ:g} MBq, got "
                f"{administered:.6g} MBq. Give it in MBq, not in kBq or Bq."
            )
        if not (math.isfinite(self.residual_mbq) and 0 <= self.residual_mbq < administered):
            raise BadInput(
                f"--residual-mbq must be 0 or above and below the {administered:.6g} MBq "
                f"administered, got {self.residual_mbq:.6g} MBq."
            )
        latest_h = LATEST_HALF_LIVES * self.nuclide.half_life_h
        if max(self.time_h) > latest_h:
            raise BadInput(
                f"--time-h must be at most {LATEST_HALF_LIVES:g} physical half-lives, "
                f"{latest_h:.6g} h, got {max(self.time_h):g}. --time-h is in h, not in min or s."
            )

    @property
    def net_mbq(self) -> float:
        """Activity that reached the patient, MBq at the start of the infusion."""
        return self.administered_mbq - self.residual_mbq

    @property
    def net_gbq(self) -> float:
        """Activity that reached the patient, GBq."""
        return self.net_mbq / MBQ_PER_GBQ

    @property
    def most_tia_mbq_h(self) -> float:
        """Net activity × mean physical life, MBq h: nothing can decay more often."""
        return self.net_mbq / self.nuclide.decay_per_h

    def decayed_mbq(self, time_h: float) -> float:
        """Return the net activity after physical decay alone, MBq: the most that can be left."""
        return self.net_mbq * math.exp(-self.nuclide.decay_per_h * time_h)


BQ_PER_MBQ = 1e6
MM3_PER_ML = 1000.0
LEAST_MM, MOST_MM = 0.1, 50.0
"""Bounds of a voxel's size, ours; as for the series that ``suv`` reads."""
SKEW = 1e-3
"""Largest cosine between two axes; beyond, voxels are no boxes."""
IMPOSSIBLE_SHARE = 1e-5
"""Ours: less of the decayed net activity is no patient, and 1e-6 of the unit is MBq/mL."""
ROUNDING = 1e-5
"""Ours: relative, of sums over voxels of 32 bits and of what is fitted to them; all that was given
may be in the image."""
RISEN = 1.05
"""Ours: of the share before. Excretion lowers the share of the decayed net activity; early
uptake into the field of view, or noise, may raise it some percent."""


@dataclass(frozen=True)
class CycleImages:
    """The images of a cycle on one grid.

    Attributes:
        bq_per_ml: One a scan, shape (t, x, y, z), Bq/mL at its own time.
        affine: Voxel index → position, mm, RAS+.
        organs: Organ numbers, 0 where none is.
        lesions: Lesion numbers; ``None`` where no file of them is named.
        known: Where every scan is.
        ct_hu: CT of the first scan, HU; ``None`` for soft tissue everywhere.
        paths: Of the activities, as typed, for a refusal; none where nobody typed them.
    """

    bq_per_ml: Float32[np.ndarray, "t x y z"]
    affine: Float[np.ndarray, "4 4"]
    organs: Shaped[np.ndarray, "x y z"]
    lesions: Shaped[np.ndarray, "x y z"] | None
    known: Bool[np.ndarray, "x y z"]
    ct_hu: Shaped[np.ndarray, "x y z"] | None
    paths: Sequence[Path] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along each axis, mm."""
        return Volume(self.bq_per_ml[0], self.affine).spacing_mm

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel, mL."""
        return float(np.prod(self.spacing_mm)) / MM3_PER_ML

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        x, y, z = self.organs.shape
        return x, y, z

    def total_mbq(self) -> Float64[np.ndarray, " t"]:
        """Return the activity in each whole image, MBq."""
        per_image = [image.sum(dtype=np.float64) for image in self.bq_per_ml]
        return np.array(per_image) * self.voxel_ml / BQ_PER_MBQ

    def region_mbq(self, region: Region) -> Float64[np.ndarray, " t"]:
        """Return a region's activity in each image, MBq."""
        if region.name == WHOLE_IMAGE:
            return self.total_mbq()
        within = [one.ravel()[region.voxels].sum(dtype=np.float64) for one in self.bq_per_ml]
        return np.array(within) * self.voxel_ml / BQ_PER_MBQ


def read_activities(paths: Sequence[Path]) -> tuple[Float32[np.ndarray, "t x y z"], Volume]:
    """Read activity images, Bq/mL.

    Args:
        paths: One NIfTI file a time point, in the order of the times.

    Returns:
        All of them, and the first one for its grid.

    Raises:
        BadInput: A file is broken, on another grid or not the one that the JSON beside it tells
            of, its voxels are no boxes of a possible size, or a value is negative or not finite.
    """
    with naming(paths[0]):
        grid = read_volume(paths[0], name=_name(0))
        _check_geometry(grid)
    stack = np.empty((len(paths), *grid.data.shape), dtype=np.float32)
    for number, path in enumerate(paths):
        with naming(path):
            volume = grid if number == 0 else read_volume(path, name=_name(number))
            check_beside(path, volume, name=_name(number), quantity=ACTIVITY)
            fault = grid_fault(volume, grid, name=_name(number), like_name=_name(0))
            if fault is not None:
                raise BadInput(fault)
            with np.errstate(over="ignore", invalid="ignore"):
                stack[number] = volume.data
            _check_values(stack[number], name=_name(number))
    return stack, grid


def check_totals(
    total_mbq: Float64[np.ndarray, " t"], therapy: Therapy, *, paths: Sequence[Path] = ()
) -> list[str]:
    """Refuse totals that show a wrong unit; warn of those that make one doubt.

    Args:
        paths: Of the images, as typed, for a refusal; none where nobody typed them.

    Returns:
        Warnings, each a sentence.

    Raises:
        BadInput: A total is above the net administered activity, far above what decay leaves
            of it, next to none of it, or 0.
    """
    warnings, shares = [], []
    for number, (total, time_h) in enumerate(zip(total_mbq.tolist(), therapy.time_h, strict=True)):
        most = therapy.decayed_mbq(time_h)
        shares.append(total / most)
        with naming(paths[number]) if paths else nullcontext():
            _refuse_total(total, therapy, number=number, time_h=time_h)
        if shares[-1] > 1 + ROUNDING:
            warnings.append(
                f"{_name(number)} holds {total:.6g} MBq, more than the {most:.6g} MBq that decay "
                f"leaves of the net activity at {time_h:g} h: check the calibration, the "
                "residual, and that the image is not corrected for decay."
            )
    for number, (before, share) in enumerate(pairwise(shares), start=1):
        if share > RISEN * before:
            warnings.append(
                f"{_name(number)} holds {share:.3g} of the activity that decay leaves, the one "
                f"before {before:.3g}: images may be corrected for decay, or the calibration or "
                "the field of view changed."
            )
    fullest = int(np.argmax(shares))
    most_mbq = therapy.decayed_mbq(therapy.time_h[fullest])
    told = (
        f"{_name(fullest)}, which holds most, holds {total_mbq[fullest]:.4g} MBq of the "
        f"{most_mbq:.6g} MBq that decay leaves"
    )
    warn_of_too_little(shares[fullest], told, warnings)
    return warnings


def _refuse_total(total_mbq: float, therapy: Therapy, *, number: int, time_h: float) -> None:
    most, name = therapy.decayed_mbq(time_h), _name(number)
    if total_mbq == 0:
        raise BadInput(f"{name} must hold activity, and is 0 everywhere. Check how it was written.")
    if total_mbq > therapy.net_mbq * (1 + ROUNDING):
        raise BadInput(
            f"{name} must hold no more than the net administered {therapy.net_mbq:.6g} MBq, got "
            f"{total_mbq:.6g} MBq. Activities must be in Bq/mL, --administered-mbq in MBq and not "
            "in GBq."
        )
    if total_mbq > IMPOSSIBLE_EXCESS * most:
        raise BadInput(
            f"{name} must hold no more than the {most:.6g} MBq that decay leaves of the net "
            f"activity at {time_h:g} h, got {total_mbq:.6g} MBq. Check --time-h, in h, the "
            "calibration, and that the image is not corrected for decay."
        )
    if total_mbq < IMPOSSIBLE_SHARE * most:
        raise BadInput(
            f"{name} must hold a part of the {most:.6g} MBq that decay leaves at {time_h:g} h, got "
            f"{total_mbq:.3g} MBq. Activities must be in Bq/mL, not in kBq/mL or MBq/mL."
        )


def _name(number: int) -> str:
    return f"Activity {number + 1} (--activity)"


def _check_geometry(grid: Volume) -> None:
    if not all(LEAST_MM <= size_mm <= MOST_MM for size_mm in grid.spacing_mm):
        sizes = " × ".join(f"{size_mm:.4g}" for size_mm in grid.spacing_mm)
        raise BadInput(
            f"Voxels of the activity must be {LEAST_MM:g} to {MOST_MM:g} mm along each axis, "
            f"got {sizes} mm. The affine must be in mm."
        )
    axes = grid.affine[:3, :3] / np.array(grid.spacing_mm)
    if np.abs(axes.T @ axes - np.eye(3)).max() > SKEW:
        raise BadInput(
            "The axes of the activity must be at right angles, and they are not. "
            "Resample it to such a grid."
        )


def _check_values(values: Float32[np.ndarray, "x y z"], *, name: str) -> None:
    if not np.isfinite(values).all():
        raise BadInput(f"{name} must be finite everywhere, and it is not. Write it anew.")
    negative = int(np.count_nonzero(values < 0))
    if negative:
        raise BadInput(
            f"{name} must be 0 Bq/mL or above, and {negative} voxels are below, down to "
            f"{values.min():.6g}. Set them to 0 if you know that the reconstruction made them."
        )


SAME_TIME_H = 0.1
"""Ours: by which a typed time may differ from the JSON's, which is taken: it is rounded."""
LARGEST_RATIO, LARGEST_DIFFERENCE = 2.0, 0.05
"""Ours: of administered activities; beyond the ratio refused, beyond the difference told."""
USUAL_NUCLIDE = "Lu-177"
USUAL_CALIBRATION_SD_PCT = 5.0
"""Ours, where neither the user nor a JSON tells the calibration's standard uncertainty, %."""
TOTAL_SD_PCT = "total_relative_sd_pct"


@dataclass(frozen=True)
class ToldScans:
    """The activity images of a cycle, and what is known of them.

    Attributes:
        activities: In the order of time where no time was typed, else as given.
        time_h: Of each, start of infusion to mid-scan.
        calibration_sd_pct: Standard uncertainty of the calibration, %; ``None`` where a JSON says
            that it is not known.
    """

    activities: list[Path]
    time_h: list[float]
    nuclide: str
    calibration_sd_pct: float | None
    warnings: list[str]


def told_scans(
    activities: Sequence[Path],
    *,
    time_h: Sequence[float] | None,
    nuclide: str | None,
    administered_mbq: float,
    calibration_sd_pct: float | None,
) -> ToldScans:
    """Take times and nuclide from the JSONs beside the images, or from what was typed.

    Args:
        time_h: As typed, one an image; ``None`` where the JSONs are to tell them. So for
            ``nuclide`` (or it is Lu-177) and ``calibration_sd_pct`` (or it is usual).

    Raises:
        BadInput: A JSON is broken, tells of something else than activity, or contradicts what was
            typed or another one; or a time is told by neither.
    """
    if time_h is not None and len(activities) != len(time_h):
        raise BadInput(
            f"--activity and --time-h must be as many, got {len(activities)} and {len(time_h)}. "
            "Give each image its time."
        )
    names = [f"activity {number} (--activity)" for number in range(1, len(activities) + 1)]
    images: list[Nifti] = []
    found_h: list[float] = []
    warnings: list[str] = []
    for index, (path, name) in enumerate(zip(activities, names, strict=True)):
        with naming(path), role_named(name.capitalize()):
            images.append(image := nifti_and_beside(path))
            if "quantity" in image.told:  # before the time of another kind of image is read
                image.quantity(ACTIVITY)
            found_h.append(_time_h(image, None if time_h is None else time_h[index]))
            warnings += _compare_activity(image, administered_mbq, name)
    nuclide = _nuclide(images, names, nuclide)
    frames = {image.told[FRAME_SHA256] for image in images if image.told.get(FRAME_SHA256)}
    if len(frames) > 1:
        warnings.append(
            f"The JSONs beside the images tell of {len(frames)} frames of reference: that they lie "
            "in one world is not known. Register them first, unless the patient lay alike."
        )
    order = list(range(len(images)))
    if time_h is None and found_h != sorted(found_h):
        order.sort(key=lambda index: found_h[index])
        listed = ", ".join(str(index + 1) for index in order)
        warnings.append(f"The images were put in the order of their times: as typed, {listed}.")
    return ToldScans(
        [activities[index] for index in order],
        [found_h[index] for index in order],
        nuclide,
        _calibration_sd_pct(images, calibration_sd_pct, warnings),
        warnings,
    )


def _calibration_sd_pct(
    images: Sequence[Nifti], typed_pct: float | None, warnings: list[str]
) -> float | None:
    """Return the largest that the JSONs tell, none where one says that it is not known.

    Where some tell it, the others have the usual one.
    """
    if not any(TOTAL_SD_PCT in image.told for image in images):
        return USUAL_CALIBRATION_SD_PCT if typed_pct is None else typed_pct
    told = [
        one.told[TOTAL_SD_PCT] and one.number(TOTAL_SD_PCT)
        if TOTAL_SD_PCT in one.told
        else USUAL_CALIBRATION_SD_PCT
        for one in images
    ]
    known = [one for one in told if one is not None]
    told_pct = max(known) if len(known) == len(told) else None
    if typed_pct is None:
        if told_pct is None:
            warnings.append(
                "The JSONs beside the images say that the calibration's standard uncertainty is "
                "not known, so no dose has a total uncertainty. State it: --calibration-sd-pct."
            )
        return told_pct
    if typed_pct != told_pct:
        said = "that it is not known" if told_pct is None else f"{told_pct:.3g} %"
        warnings.append(
            f"The JSONs beside the images tell of the calibration's standard uncertainty {said}, "
            f"and --calibration-sd-pct is {typed_pct:g} %, which was taken."
        )
    return typed_pct


def _time_h(image: Nifti, typed_h: float | None) -> float:
    told_h = image.number("injection_to_mid_scan_h")
    if told_h is None and typed_h is not None:
        return typed_h
    if told_h is None:
        raise BadInput(
            "Its time must be told, and no injection_to_mid_scan_h stands in a JSON beside it. "
            "Give --time-h, in h, for every image."
        )
    if typed_h is not None and not abs(typed_h - told_h) <= SAME_TIME_H:
        raise BadInput(
            f"--time-h must be the {told_h:.6g} h that the JSON beside it tells, to "
            f"{SAME_TIME_H:g} h, got {typed_h:.6g} h. Leave --time-h out, or correct "
            "injection_to_mid_scan_h in the JSON."
        )
    return told_h


def _compare_activity(image: Nifti, administered_mbq: float, name: str) -> list[str]:
    told_mbq = image.number("injected_activity_mbq")
    if told_mbq is None or not administered_mbq > 0:
        return []
    ratio = administered_mbq / told_mbq
    if not 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        raise BadInput(
            f"--administered-mbq must be the {told_mbq:.6g} MBq that the JSON beside it tells, at "
            f"least within a factor of {LARGEST_RATIO:g}, got {administered_mbq:.6g} MBq. Give it "
            "in MBq, or correct injected_activity_mbq in the JSON."
        )
    if abs(ratio - 1.0) <= LARGEST_DIFFERENCE:
        return []
    return [
        f"The JSON beside {name} tells {told_mbq:.5g} MBq administered, and --administered-mbq is "
        f"{administered_mbq:.5g} MBq, which was taken."
    ]


def _told_nuclide(image: Nifti, name: str) -> str | None:
    with naming(image.path), role_named(name.capitalize()):
        text = image.text("nuclide")
    return None if text is None else nuclide_in_text(text) or text


def _nuclide(images: Sequence[Nifti], names: Sequence[str], typed: str | None) -> str:
    """Return the one nuclide that JSONs and user tell."""
    told = [_told_nuclide(image, name) for image, name in zip(images, names, strict=True)]
    chosen = typed or next((one for one in told if one), USUAL_NUCLIDE)
    for image, name, other in zip(images, names, told, strict=True):
        if other not in (None, chosen):
            raise BadInput(
                f"'{image.path}': All images must be of one nuclide, and the JSON beside {name} "
                f"tells {other} where {'--nuclide' if typed else 'another'} is {chosen}. Give the "
                "right images, or correct nuclide in the JSON."
            )
    half_life_s = find_nuclide(chosen).half_life_h * 3600.0
    for image, name in zip(images, names, strict=True):
        with naming(image.path), role_named(name.capitalize()):
            told_s = image.number("half_life_s")
            if told_s is not None and abs(told_s / half_life_s - 1.0) > LARGEST_DEVIATION:
                raise BadInput(
                    f"half_life_s of the JSON beside it must be that of {chosen}, "
                    f"{half_life_s:.6g} s, got {told_s:.6g} s. Give --nuclide, or the right image."
                )
    return chosen
