"""The cohort table: the paper's Table 1 for any cohort."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from rpt_cohort.errors import BadInput
from rpt_cohort.reading import read_cycle
from rpt_cohort.schema import Cohort, CycleInfo

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
