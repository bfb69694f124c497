"""What the JSON beside each activity image tells, held against what the user typed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rpt_cohort import BadInput
from rpt_cohort.command import naming

from rpt_dosimetry.dicom.tracer import LARGEST_DEVIATION, nuclide_in_text
from rpt_dosimetry.nifti import ACTIVITY, Nifti, nifti_and_beside
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.report import FRAME_SHA256

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
    """The activity images of a cycle, and what is told of them.

    Attributes:
        activities: Paths; in the order of time where no time was typed, else as given.
        time_h: Of each, start of infusion to mid-scan, h.
        nuclide: By its ICRP-107 name.
        calibration_sd_pct: Standard uncertainty of the calibration, %; ``None`` where a JSON says
            that it is not known.
        warnings: A sentence each.
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
        activities: The images.
        time_h: As typed, h, one an image; ``None`` where the JSONs are to tell them.
        nuclide: As typed; ``None`` where the JSONs are to tell it, or it is Lu-177.
        administered_mbq: As typed, MBq.
        calibration_sd_pct: As typed, %; ``None`` where the JSONs are to tell it, or it is usual.

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
        with naming(path), _named(name):
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


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say of which image a refusal is."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{name[0].upper()}{name[1:]}: {error}") from error


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
    with naming(image.path), _named(name):
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
        with naming(image.path), _named(name):
            told_s = image.number("half_life_s")
            if told_s is not None and abs(told_s / half_life_s - 1.0) > LARGEST_DEVIATION:
                raise BadInput(
                    f"half_life_s of the JSON beside it must be that of {chosen}, "
                    f"{half_life_s:.6g} s, got {told_s:.6g} s. Give --nuclide, or the right image."
                )
    return chosen
