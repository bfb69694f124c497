"""Make one cohort cycle from its DICOM folders: read, register, dose, write."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rpt_cohort import BadInput, Volume
from rpt_cohort.command import part_of_work, tell_done

from rpt_dosimetry.calibration.factor import factor_story
from rpt_dosimetry.calibration.image_based import ImageBased, images_story
from rpt_dosimetry.dose.activity_series import CycleImages, Therapy
from rpt_dosimetry.dose.calculation import cycle_dose
from rpt_dosimetry.dose.job import choices_of, resolve
from rpt_dosimetry.dose.summary import summarise
from rpt_dosimetry.ingest.alignment import (
    STAYS,
    Aligned,
    align,
    cycle_grid,
    field_of_view,
    nearest,
    with_body,
)
from rpt_dosimetry.ingest.calibrating import NUCLIDE, Camera, factor_by_planar
from rpt_dosimetry.ingest.cycle_files import write_cycle_json, write_report, write_volumes
from rpt_dosimetry.ingest.inspection import organ_table_path
from rpt_dosimetry.ingest.scans import (
    Plan,
    Scans,
    largest_calibration_sd,
    read_pet,
    read_scan_ct,
    read_spect,
    read_stored,
)
from rpt_dosimetry.ingest.sources import ScanFiles, find_scan
from rpt_dosimetry.ingest.study import CycleSource, Study
from rpt_dosimetry.masks.labels import lesion_labels, organ_labels, region_file, segment_organs
from rpt_dosimetry.masks.names import read_organ_table
from rpt_dosimetry.nifti import role_named
from rpt_dosimetry.radiation.nuclide import find_nuclide
from rpt_dosimetry.registration.pair import Scan
from rpt_dosimetry.registration.resampling import resample_ct, resample_emission
from rpt_dosimetry.registration.transform import GridMm
from rpt_dosimetry.tia.exponential_fit import check_times


def build_cycle(plan: Plan, folder: Path) -> list[str]:
    """Make a cycle's files in a folder that is there and empty.

    Returns:
        Warnings, a sentence each.

    Raises:
        BadInput: Something cannot be used; the sentence begins with the scan's role.
    """
    with part_of_work(0.0, 0.2):
        scans = _read(plan)
    therapy = check_therapy(plan.cycle, plan.study, [spect.time_h for spect in scans.spects])
    warnings = [*scans.activity_warnings(plan.cycle), *scans.order_warnings()]
    grid = cycle_grid(scans.spects[0].bq_per_ml, plan.grid, warnings)
    # Read before the registrations, which take long, and carried after them.
    drawn = {role: _labels(role, plan, scans, warnings) for role in ("organs", "lesions")}
    with part_of_work(0.3, 0.8):
        aligned = _aligned(scans, plan, grid)
    images = _images(scans, aligned, drawn, grid)
    tell_done(0.85)
    choices = choices_of(
        plan.study,
        therapy,
        masks=True,
        calibration_relative_sd=largest_calibration_sd(scans.spects),
    )
    result = cycle_dose(images, therapy, choices)
    summary = summarise(images, therapy, choices, result)
    summary["regions"] = "organs and lesions as far as they lie in fov.nii.gz"
    if scans.planar is not None:
        summary["calibration"] = factor_story(scans.planar.factor) | images_story(scans.planar)
    tell_done(0.95)
    summary["warnings"] = [*scans.warnings(), *warnings, *summary["warnings"]]
    write_volumes(folder, images, aligned["pet"].data, result, therapy)
    write_report(folder, plan, aligned, images, result, summary)
    write_cycle_json(folder, plan, scans, therapy)
    return list(summary["warnings"])


def check_inputs(plan: Plan) -> None:
    """Read all that a cycle is made from, and make nothing.

    Raises:
        BadInput: Something cannot be used; the sentence begins with the scan's role.
    """
    with part_of_work(0.0, 0.8):
        scans = _read(plan)
    scans.activity_warnings(plan.cycle)
    check_therapy(plan.cycle, plan.study, [spect.time_h for spect in scans.spects])
    cycle_grid(scans.spects[0].bq_per_ml, plan.grid, [])
    organs = plan.cycle.organs
    if organs is None or organs.totalsegmentator is None:  # which takes minutes
        _labels("organs", plan, scans, [])
    _labels("lesions", plan, scans, [])


def _read(plan: Plan) -> Scans:
    cycle, root = plan.cycle, plan.root
    files: dict[str, ScanFiles] = {}
    for number, source in enumerate(cycle.spect, start=1):
        with role_named(role := f"spect {number}"):
            files[role] = find_scan(source, root, need_ct=number == 1)
    camera = Camera(
        root,
        cycle.dead_time,
        _planar(plan, files["spect 1"]),
        plan.study.calibration_sd_pct / 100.0,
    )
    spects = []
    for number, source in enumerate(cycle.spect, start=1):
        with role_named(role := f"spect {number}"):
            spects.append(read_spect(files[role], source, camera))
        tell_done(number / (len(cycle.spect) + 1))
    with role_named("pet"):
        files["pet"] = find_scan(cycle.pet, root, need_ct=True)
        pet = read_pet(files["pet"], cycle.pet)
    first_ct = spects[0].ct
    if first_ct is None:
        raise BadInput("spect 1: The first SPECT must have a CT, and has none. Name it by ct.")
    scans = Scans(pet, spects, first_ct, files, camera.planar)
    scans.refuse_other_infusions()
    return scans


def _planar(plan: Plan, first: ScanFiles) -> ImageBased | None:
    if plan.cycle.planar is None:
        return None
    with role_named("spect 1"):
        stored = read_stored(first, plan.cycle.spect[0])
        ct = read_scan_ct(first)
    if ct is None:
        return None  # which the first SPECT is refused for
    with role_named("planar"):
        return factor_by_planar(stored, ct[0], plan.cycle, plan.root)


def _aligned(scans: Scans, plan: Plan, grid: GridMm) -> dict[str, Aligned]:
    """Return each scan on the grid, ``spect 1`` first and ``pet`` last."""
    first = scans.spects[0].bq_per_ml
    fixed = Scan(first, scans.first_ct)
    with role_named("spect 1"):
        still = resample_emission(first, grid, STAYS, name="The image")
    aligned = {"spect 1": Aligned(still.data, STAYS, None, None)}
    moving = {
        f"spect {number}": (Scan(spect.bq_per_ml, spect.ct), plan.cycle.spect[number - 1].start)
        for number, spect in enumerate(scans.spects[1:], start=2)
    }
    moving["pet"] = Scan(scans.pet.suv, scans.pet.ct), plan.cycle.pet.start
    for number, (role, (scan, start)) in enumerate(moving.items()):
        with role_named(role), part_of_work(number / len(moving), (number + 1) / len(moving)):
            aligned[role] = align(fixed, still, scan, grid, start=start)
    return aligned


def _images(
    scans: Scans,
    aligned: dict[str, Aligned],
    drawn: dict[str, tuple[Volume, str] | None],
    grid: GridMm,
) -> CycleImages:
    """Gather on the grid what the dose is computed from."""
    placed_on = {"spect_ct": STAYS, "pet_ct": aligned["pet"].rigid}
    labels = {
        role: None if one is None else nearest(one[0], grid, placed_on[one[1]])
        for role, one in drawn.items()
    }
    ct_hu = np.rint(resample_ct(scans.first_ct, grid, STAYS))
    spects = [one for role, one in aligned.items() if role != "pet"]
    placed = [(of.bq_per_ml, one.rigid) for of, one in zip(scans.spects, spects, strict=True)]
    return CycleImages(
        bq_per_ml=np.stack([one.data for one in spects]),
        ct_hu=ct_hu,
        organs=with_body(labels["organs"], ct_hu),
        lesions=labels["lesions"],
        known=field_of_view(placed, scans.first_ct, grid),
        affine=grid.affine,
    )


def _labels(role: str, plan: Plan, scans: Scans, warnings: list[str]) -> tuple[Volume, str] | None:
    """Return organs or lesions as drawn, and on which scan; ``None`` where none are named."""
    organs = plan.cycle.organs
    if role == "organs" and organs is not None and organs.totalsegmentator is not None:
        with role_named(role):
            scan, _ = scans.drawn_on(organs.drawn_on)
            return segment_organs(scan, fast=organs.totalsegmentator == "fast"), organs.drawn_on
    drawn = None if organs is None else organs.drawn
    source = drawn if role == "organs" else plan.cycle.lesions
    if source is None:
        return None
    scan, uid = scans.drawn_on(source.drawn_on)
    said: list[str] = []
    with role_named(role):
        path = region_file(plan.root / source.file)
        table = read_organ_table(organ_table_path(plan.study, plan.root))
        labels_of = lesion_labels if role == "lesions" else partial(organ_labels, table=table)
        labels = labels_of(path, scan, frame_uid=uid, regions=source.regions, warnings=said)
    warnings += [f"{role}: {sentence}" for sentence in said]
    return labels.volume, source.drawn_on


def check_therapy(cycle: CycleSource, study: Study, time_h: Sequence[float]) -> Therapy:
    """Check what was given and when the scans were, before the long work.

    Raises:
        BadInput: An activity or a time is impossible, or the model needs more scans.
    """
    check_times(time_h, infusion_h=cycle.infusion_h)
    therapy = Therapy(
        nuclide=find_nuclide(NUCLIDE),
        administered_mbq=cycle.administered_mbq,
        residual_mbq=cycle.residual_mbq,
        infusion_h=cycle.infusion_h,
        time_h=tuple(time_h),
    )
    resolve(study, therapy, masks=True)
    return therapy
