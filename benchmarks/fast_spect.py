"""How well the fast SPECT of virtual patients agrees with the simulated and reconstructed one.

    python benchmarks/fast_spect.py --cycles 10 --slices 64 --out build/fast_spect.csv

Each cycle is made in both modes from one truth; a row compares the measured dose in one region.
Minutes a cycle; a run that was killed goes on. Ends with mean and SD over the cycles.
"""

import argparse
import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from rpt_phantom.ceiling import regions
from rpt_phantom.patient import VirtualCycle, virtual_cycle

SEED = 7
PLACES_MM = np.array([[0.0, 0.0, 0.0], [70.0, -40.0, 0.0], [-70.0, -40.0, 0.0], [0.0, 50.0, 60.0]])
"""Where registration errors are looked at: the middle, both kidneys, the front."""


@dataclass(frozen=True)
class Row:
    """One region of one cycle; doses in Gy/GBq, both modes in the field that they share."""

    patient: int
    region: str
    true: float
    full: float
    fast: float
    voxel_r_full_true: float
    voxel_r_fast_true: float
    voxel_r_fast_full: float
    registration_x_mm: float
    registration_y_mm: float
    registration_z_mm: float


def main() -> None:
    """Make the cycles that are missing, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="first patient")
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    done = {row.patient for row in read(options.out)}
    for patient in range(options.first, options.first + options.cycles):
        if patient not in done:
            append(options.out, compared(patient, options.slices))
            print(f"patient {patient} done", flush=True)
    report(read(options.out))


def compared(patient: int, slices: int) -> list[Row]:
    """Return the rows of one cycle."""
    full = virtual_cycle(seed=SEED, patient=patient, slices=slices, imaging="full")
    fast = virtual_cycle(seed=SEED, patient=patient, slices=slices)
    x_mm, y_mm, z_mm = registration_error_mm(full)
    rows = []
    for region, here in regions(full).items():
        both = here & (fast.fov > 0)
        if np.count_nonzero(both) < 10:
            continue
        true, seen, quick = (
            dose[both].astype(np.float64)
            for dose in (full.true_dose_gy_per_gbq, full.dose_gy_per_gbq, fast.dose_gy_per_gbq)
        )
        r = np.corrcoef([true, seen, quick])
        rows.append(
            Row(
                patient=patient,
                region=region,
                true=float(true.mean()),
                full=float(seen.mean()),
                fast=float(quick.mean()),
                voxel_r_full_true=float(r[0, 1]),
                voxel_r_fast_true=float(r[0, 2]),
                voxel_r_fast_full=float(r[1, 2]),
                registration_x_mm=x_mm,
                registration_y_mm=y_mm,
                registration_z_mm=z_mm,
            )
        )
    return rows


def registration_error_mm(full: VirtualCycle) -> np.ndarray:
    """Root mean square error along x, y and z over later SPECTs and places, mm."""
    pairs = list(zip(full.series.rigids, full.series.motions, strict=True))[1:]
    errors = [found.moved_mm(PLACES_MM) - true.rigid.moved_mm(PLACES_MM) for found, true in pairs]
    return np.asarray(np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0)))


def report(rows: list[Row]) -> None:
    """Print mean and SD over the cycles."""
    print("region: full / true, fast / true, fast / full; r full-true, fast-true, fast-full")
    for region in dict.fromkeys(row.region for row in rows):
        of = [row for row in rows if row.region == region]
        ratios = {
            "full/true": [row.full / row.true for row in of],
            "fast/true": [row.fast / row.true for row in of],
            "fast/full": [row.fast / row.full for row in of],
            "r full": [row.voxel_r_full_true for row in of],
            "r fast": [row.voxel_r_fast_true for row in of],
            "r both": [row.voxel_r_fast_full for row in of],
        }
        told = ", ".join(f"{k} {np.mean(v):.3f} ± {np.std(v):.3f}" for k, v in ratios.items())
        print(f"{region} (n = {len(of)}): {told}")
    error = [(row.registration_x_mm, row.registration_y_mm, row.registration_z_mm) for row in rows]
    print("registration, mm:", np.sqrt(np.mean(np.square(error), axis=0)).round(2))


def read(path: Path) -> list[Row]:
    """Read the rows that are there."""
    if not path.exists():
        return []
    with path.open() as stream:
        return [
            Row(int(row.pop("patient")), row.pop("region"), *map(float, row.values()))
            for row in csv.DictReader(stream)
        ]


def append(path: Path, rows: list[Row]) -> None:
    """Add a cycle's rows."""
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, [one.name for one in fields(Row)])
        if new:
            writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
