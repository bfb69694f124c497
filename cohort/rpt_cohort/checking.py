"""Look over a cohort folder: every fault of it, not only the first, and the paper's Table 1."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np

from rpt_cohort import labels
from rpt_cohort.errors import BadInput
from rpt_cohort.reading import datalist_faults, json_faults, link_faults, read_cycle, read_json
from rpt_cohort.schema import (
    FILES_BESIDE,
    FILES_REQUIRED,
    TRUTH,
    Case,
    Cohort,
    CohortInfo,
    CycleInfo,
    Datalist,
)
from rpt_cohort.seal import changes, is_recorded
from rpt_cohort.volumes import Volume, grid_fault, read_volume

STORED_TYPES = {
    "pet.nii.gz": "float32",
    "ct.nii.gz": "int16",
    "organs.nii.gz": "uint8",
    "lesions.nii.gz": "uint16",
    "fov.nii.gz": "uint8",
    "dose.nii.gz": "float32",
    "dose_gy.nii.gz": "float32",
    "tia.nii.gz": "float32",
    "truth/dose.nii.gz": "float32",
    "truth/tia.nii.gz": "float32",
}
# Ours: a bladder can exceed SUV 100, lesions reach some 20 Gy/GBq.
LARGEST = {"pet.nii.gz": (1000.0, "g/mL", "Bq/mL"), "dose.nii.gz": (100.0, "Gy/GBq", "Gy or mGy")}


def find_faults(root: Path) -> list[str]:
    """Return every fault of a cohort folder, a sentence each; empty means sound.

    Checks the JSON files against the schema and each other, that every file is there
    and readable, one grid and one RAS+ affine per case, the stored types, and that the
    values can be what they claim: finite and not negative, organ ids of the contract,
    a field of view of zeros and ones that is not empty; and that every file is as it was made,
    where ``cycle.json`` holds its hash.

    Args:
        root: The cohort folder.
    """
    if not root.is_dir():
        return [f"'{root}' must be a cohort folder, and there is none. Check the path."]
    faults = json_faults(root / "cohort.json", CohortInfo, name="cohort.json")
    info = None if faults else read_json(root / "cohort.json", CohortInfo)
    datalist_broken = json_faults(root / "datalist.json", Datalist, name="datalist.json")
    faults += datalist_broken
    if datalist_broken:
        return faults
    datalist = read_json(root / "datalist.json", Datalist)
    faults += datalist_faults(datalist)
    cases = datalist.training + datalist.testing
    if not cases:
        faults.append("datalist.json must list at least one case, and lists none.")
    for case in cases:
        faults += case_faults(root, case, info)
    return faults


def unrecorded_cycles(root: Path) -> tuple[list[str], int]:
    """Return the cycles that record no hashes of their files, and how many could be asked.

    Args:
        root: The cohort folder; what cannot be read of it is passed over.
    """
    try:
        datalist = read_json(root / "datalist.json", Datalist)
    except BadInput:
        return [], 0
    recorded = {}
    for case in datalist.training + datalist.testing:
        with suppress(BadInput):
            if not link_faults(root, case):
                recorded[case.name] = is_recorded(read_cycle(root / case.name))
    return [name for name, there in recorded.items() if not there], len(recorded)


def case_faults(root: Path, case: Case, info: CohortInfo | None) -> list[str]:
    """Return every fault of one case; ``info`` adds the cohort's grid and origin."""
    folder = root / case.patient / f"C{case.cycle}"
    if not folder.is_dir():
        return [f"{case.name} is in datalist.json and must be a folder, and there is none."]
    faults = link_faults(root, case)
    if faults:  # what lies elsewhere is not opened
        return faults
    faults = _cycle_faults(folder, case)
    names = [*FILES_REQUIRED]
    names += [name for name in FILES_BESIDE if (folder / name).exists()]
    names += _truth(folder)
    volumes: dict[str, Volume] = {}
    for name in names:
        try:
            volumes[name] = read_volume(folder / name, name=f"{case.name}/{name}")
        except BadInput as error:
            faults.append(str(error))
            continue
        shape = nib.load(folder / name).shape
        if len(shape) != 3:  # of one volume, which is read, but a cohort's own files have no more
            faults.append(f"{case.name}/{name} must be 3D, got shape {shape}. Write it anew.")
    for name, volume in volumes.items():
        faults += [f"{case.name}/{name} {fault}" for fault in _value_faults(name, volume)]
    return faults + [f"{case.name}/{fault}" for fault in _grid_faults(volumes, info)]


def _truth(folder: Path) -> list[str]:
    """Return the true maps that the cycle claims; a virtual cycle that a clinic held has none."""
    try:
        how = read_cycle(folder).how
    except BadInput:  # told already
        return []
    return [name for name in TRUTH if name in how]


def _cycle_faults(folder: Path, case: Case) -> list[str]:
    name = f"{case.name}/cycle.json"
    faults = json_faults(folder / "cycle.json", CycleInfo, name=name)
    if faults:
        return faults
    cycle = read_cycle(folder)
    return [
        f"{name}: {key} must be {getattr(case, key)!r} as in datalist.json, "
        f"got {getattr(cycle, key)!r}."
        for key in ("patient", "cycle", "administered_activity_mbq")
        if getattr(case, key) != getattr(cycle, key)
    ] + [f"{case.name}/{change}" for change in changes(folder, cycle)]


def _grid_faults(volumes: dict[str, Volume], info: CohortInfo | None) -> Iterator[str]:
    if not volumes:
        return
    first_name, first = next(iter(volumes.items()))
    if first.axis_codes != "RAS":
        yield f"{first_name} must be RAS+, got {first.axis_codes}. Reorient it, then all others."
    if info is not None and list(first.data.shape) != info.shape:
        yield (
            f"{first_name} must have the cohort's shape {info.shape}, got "
            f"{list(first.data.shape)}. Resample it or correct cohort.json."
        )
    if info is not None and not np.allclose(first.spacing_mm, info.spacing_mm, atol=1e-3):
        yield (
            f"{first_name} must have the cohort's spacing {info.spacing_mm} mm, got "
            f"{[round(mm, 4) for mm in first.spacing_mm]} mm."
        )
    for name, volume in volumes.items():
        fault = grid_fault(volume, first, name=name, like_name=first_name)
        if fault:
            yield fault


def _value_faults(name: str, volume: Volume) -> Iterator[str]:
    data = volume.data
    if data.dtype.name != STORED_TYPES[name]:
        yield f"must be stored as {STORED_TYPES[name]}, got {data.dtype.name}."
    if not np.isfinite(data).all():
        yield f"must be finite, got {int((~np.isfinite(data)).sum())} voxels of NaN or infinity."
        return
    if name != "ct.nii.gz" and data.min() < 0:
        yield f"must not be negative, got a minimum of {data.min():.6g}."
    yield from _marking_faults(name, data)


def _marking_faults(name: str, data: np.ndarray) -> Iterator[str]:
    if name == "organs.nii.gz" and data.max() > labels.LARGEST:
        yield f"must hold ids of 0 to {labels.LARGEST}, got {data.max()}."
    if name == "organs.nii.gz" and not data.any():
        yield "must mark the body (ids above 0), and is empty."
    if name == "fov.nii.gz" and data.max() > 1:
        yield f"must be 0 or 1, got {data.max()}."
    if name == "fov.nii.gz" and not data.any():
        yield "must be 1 where the dose is known, and is 0 everywhere."
    if name in LARGEST and data.max() > LARGEST[name][0]:
        _, unit, other = LARGEST[name]
        yield f"must be in {unit}, got up to {data.max():.6g}, which looks like {other}."
    if name in ("pet.nii.gz", "dose.nii.gz") and not data.any():
        yield "must not be 0 everywhere."


Row = tuple[str, str]


def cohort_table(cohort: Cohort) -> list[Row]:
    """Describe a cohort as Table 1 of Xue et al. 2024 does.

    Activities, times and cycles are over cycles; age, weight and height are over
    patients, at each patient's first listed cycle. ± is the sample standard deviation.

    Args:
        cohort: A cohort with at least one case.

    Returns:
        Rows of name (with unit) and value.

    Raises:
        BadInput: No case, or a ``cycle.json`` is missing or broken.
    """
    cycles = [read_cycle(cohort.folder(case)) for case in cohort.cases]
    if not cycles:
        raise BadInput("datalist.json must list at least one case to describe, and lists none.")
    ordered = sorted(cycles, key=lambda cycle: (cycle.patient, cycle.cycle))
    first_of = {cycle.patient: cycle for cycle in reversed(ordered)}
    patients = [first_of[name] for name in sorted(first_of)]
    shape, spacing = cohort.info.shape, cohort.info.spacing_mm
    return [
        ("Cohort", cohort.info.name),
        ("Origin", cohort.info.origin),
        ("Pre-therapy PET tracer", _counted([cycle.tracer for cycle in cycles])),
        ("Pre-therapy PET activity (MBq)", _mean_sd([c.pet_activity_mbq for c in cycles], 1)),
        ("Injection to PET (min)", _mean_sd([c.pet_time_min for c in cycles], 0)),
        ("Therapeutic radiopharmaceutical", _counted([cycle.therapy for cycle in cycles])),
        (
            "Therapeutic activity (GBq)",
            _mean_sd([c.administered_activity_mbq / 1000 for c in cycles], 2),
        ),
        ("Number of patients", str(len(patients))),
        ("Total number of cycles", f"{len(cycles)} ({_cycle_numbers(cycles)})"),
        ("Training / testing cycles", f"{len(cohort.training)} / {len(cohort.testing)}"),
        ("Age (y)", _mean_sd([p.age_y for p in patients], 0)),
        ("Weight (kg)", _mean_sd([p.weight_kg for p in patients], 1)),
        ("Height (cm)", _mean_sd([p.height_cm for p in patients], 0)),
        *_spect_rows(cycles),
        ("Grid (voxels)", " × ".join(map(str, shape))),
        ("Voxel (mm)", " × ".join(f"{mm:g}" for mm in spacing)),
    ]


def _spect_rows(cycles: Sequence[CycleInfo]) -> list[Row]:
    points = max(len(cycle.spect_times_h) for cycle in cycles)
    rows = []
    for point in range(points):
        times = [c.spect_times_h[point] for c in cycles if len(c.spect_times_h) > point]
        rows.append(
            (
                f"SPECT/CT {point + 1} after start of infusion (h)",
                f"{min(times):.1f} – {max(times):.1f} (n = {len(times)})",
            )
        )
    return rows


def _mean_sd(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "not recorded"
    spread = f" ± {np.std(known, ddof=1):.{digits}f}" if len(known) > 1 else ""
    missing = f" (n = {len(known)} of {len(values)})" if len(known) < len(values) else ""
    return f"{np.mean(known):.{digits}f}{spread}{missing}"


def _counted(names: Sequence[str]) -> str:
    counts = Counter(names)
    if len(counts) == 1:
        return names[0]
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def _cycle_numbers(cycles: Sequence[CycleInfo]) -> str:
    counts = Counter(min(cycle.cycle, 4) for cycle in cycles)
    words = {1: "first", 2: "second", 3: "third", 4: "fourth or further"}
    return ", ".join(f"{counts[number]} {word}" for number, word in words.items() if counts[number])
