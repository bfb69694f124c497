"""How well the fast SPECT of virtual patients agrees with the simulated and reconstructed one.

    python benchmarks/fast_spect.py --cycles 10 --keep build/fast_spect

Each first cycle is made in both modes from one truth, and the measured doses of a region are
compared in the field that both share. Minutes a cycle; what the full mode gave is kept, and a run
that was killed goes on. Writes ``benchmarks/fast_spect.md``.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64
from rpt_phantom.case_files import regions
from rpt_phantom.patient import VirtualCycle, make_cycle
from rpt_phantom.settings import CohortSettings

ROOT = Path(__file__).parents[1]
SEED, SLICES = 7, 48
LEAST_VOXELS = 10
PLACES_MM = np.array([[0.0, 0.0, 0.0], [70.0, -40.0, 0.0], [-70.0, -40.0, 0.0], [0.0, 50.0, 60.0]])
"""Where registration errors are looked at: the middle, both kidneys, the front."""

Map = Float32[np.ndarray, "x y z"]


@dataclass(frozen=True)
class Full:
    """What the full mode gave of one cycle.

    Attributes:
        dose_gy_per_gbq: Measured dose, Gy/GBq.
        fov: Where it is known.
        registration_mm: Root mean square error of the registration along x, y and z, mm.
    """

    dose_gy_per_gbq: Map
    fov: Bool[np.ndarray, "x y z"]
    registration_mm: Float64[np.ndarray, "3"]


def main() -> None:
    """Make the cycles that are missing, compare, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--first", type=int, default=1, help="first patient")
    parser.add_argument("--keep", type=Path, required=True, help="folder of the full mode's doses")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    seen: dict[str, list[tuple[float, ...]]] = {}
    moved = []
    for patient in range(options.first, options.first + options.cycles):
        full = kept(options.keep / f"{patient}.npz", patient)
        moved.append(full.registration_mm)
        fast = make_cycle(CohortSettings(seed=SEED, slices=SLICES), patient=patient)
        for region, values in compared(full, fast).items():
            seen.setdefault(region, []).append(values)
        print(f"patient {patient} done", file=sys.stderr, flush=True)
    text = table(seen, np.sqrt(np.mean(np.square(moved), axis=0)), options)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "fast_spect.md").write_text(text, encoding="utf-8")


def kept(path: Path, patient: int) -> Full:
    """Return a cycle of the full mode; make and keep it where it is missing."""
    if not path.exists():
        made = make_cycle(CohortSettings(seed=SEED, slices=SLICES, imaging="full"), patient=patient)
        partial = path.with_suffix(".part.npz")
        np.savez_compressed(
            partial,
            dose=made.dose_gy_per_gbq,
            fov=made.fov > 0,
            registration_mm=registration_error_mm(made),
        )
        partial.replace(path)
    with np.load(path) as held:
        return Full(held["dose"], held["fov"], held["registration_mm"])


def compared(full: Full, fast: VirtualCycle) -> dict[str, tuple[float, ...]]:
    """Return of each region the ratios of means, and the correlations over voxels."""
    rows = {}
    for region, here in regions(fast).items():
        both = here & full.fov & (fast.fov > 0)
        if np.count_nonzero(both) < LEAST_VOXELS:
            continue
        true, seen, quick = (
            dose[both].astype(np.float64)
            for dose in (fast.true_dose_gy_per_gbq, full.dose_gy_per_gbq, fast.dose_gy_per_gbq)
        )
        r = np.corrcoef([true, seen, quick])
        ratios = seen.mean() / true.mean(), quick.mean() / true.mean(), quick.mean() / seen.mean()
        rows[region] = tuple(float(one) for one in (*ratios, r[0, 1], r[0, 2], r[1, 2]))
    return rows


def registration_error_mm(full: VirtualCycle) -> Float64[np.ndarray, "3"]:
    """Root mean square error along x, y and z over later SPECTs and places, mm."""
    pairs = list(zip(full.series.rigids, full.series.motions, strict=True))[1:]
    errors = [found.moved_mm(PLACES_MM) - true.rigid.moved_mm(PLACES_MM) for found, true in pairs]
    return np.asarray(np.sqrt(np.mean(np.concatenate(errors) ** 2, axis=0)))


def table(
    seen: dict[str, list[tuple[float, ...]]],
    moved_mm: Float64[np.ndarray, "3"],
    options: argparse.Namespace,
) -> str:
    """Write mean and SD over the cycles as a table in Markdown."""
    last = options.first + options.cycles - 1
    lines = [
        f"First cycles of virtual patients {options.first} to {last}, seed {SEED}, "
        f"{SLICES} slices: measured dose of the full mode, of the fast mode, and true dose; ratios "
        "of a region's means, and r over its voxels; mean ± SD over cycles.",
        "",
        "| region (cycles) | full ÷ true | fast ÷ true | fast ÷ full "
        "| r full, true | r fast, true | r fast, full |",
        "|---|---|---|---|---|---|---|",
    ]
    for region, rows in seen.items():
        mean, std = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1)
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(mean, std, strict=True)]
        lines.append(f"| {region} ({len(rows)}) | {' | '.join(cells)} |")
    x, y, z = moved_mm
    lines += ["", f"Registration of the full mode's SPECT/CTs: off by {x:.2f}, {y:.2f} and "]
    lines[-1] += f"{z:.2f} mm along x, y and z (root mean square)."
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
