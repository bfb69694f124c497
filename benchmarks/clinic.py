"""From DICOM to a cohort cycle: reading a PET, registering two CTs, one cycle of ``ingest``.

``make bench`` prints the table and writes it to ``benchmarks/clinic.md``. The PET is the real one
of 267 slices where the third-party test data are (``RPT_TESTDATA``, else ``../shared/testdata``),
else a virtual one of as many; all else is virtual. All times are from one run on 2 cores.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from rpt_cohort import Volume
from rpt_dosimetry import choose_pet, convert, find_series
from rpt_dosimetry.registration.pair import Scan, register
from rpt_dosimetry.registration.transform import simpleitk
from rpt_phantom.patient import make_cycle
from rpt_phantom.settings import CohortSettings

ROOT = Path(__file__).parents[1]
PASSES = 3
SLICES, CT_SLICES = 267, 90
SHIFT_MM = (12.0, -8.0, 15.0)


def median_s(action: Callable[[], object]) -> float:
    """Return the median time of an action, s."""
    times = []
    for _ in range(PASSES):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def pet_folder(spare: Path) -> tuple[Path, str]:
    """Return the folder of a PET series of 267 slices, and what it is."""
    data = Path(os.environ.get("RPT_TESTDATA", ROOT.parent / "shared" / "testdata"))
    real = data / "pet_fdg_sts001" / "image"
    if real.is_dir():
        return real, "the real PET of 267 × 128 × 128"
    from rpt_phantom.dicom import PetTiming, VirtualPatient, Visit
    from rpt_phantom.dicom.header import pet_injection, save_series
    from rpt_phantom.dicom.images import pet_series

    suv = np.random.default_rng(0).gamma(2.0, 2.0, (128, 128, SLICES)).astype(np.float32)
    begin = pet_injection(1)
    visit = Visit(VirtualPatient("P001", 80.0), "bench", "C1/pet", begin, "PET")
    timing = PetTiming("68Ga-PSMA-11", 120.0, 60.0, 300.0)
    volume = Volume(suv, np.diag([4.8, 4.8, 4.8, 1.0]))
    save_series(pet_series(volume, timing, visit, injection=begin), spare)
    return spare, "a virtual PET of 267 × 128 × 128"


def by_pydicom(folder: Path) -> np.ndarray:
    """Read a series as scripts do: every slice whole, its own rescale, sorted by position."""
    slices = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    return np.stack(
        [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in slices]
    )


def by_simpleitk(folder: Path) -> Any:
    """Read a series by SimpleITK: values and geometry, no SUV."""
    reader = simpleitk().ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def two_scans() -> tuple[Scan, Scan]:
    """Return a virtual scan of 128 × 128 × 90 and the same in a world that is shifted."""
    made = make_cycle(CohortSettings(seed=1, slices=CT_SLICES), patient=1)
    moved = made.grid.affine.copy()
    moved[:3, 3] += SHIFT_MM

    def scan(affine: np.ndarray) -> Scan:
        return Scan(Volume(made.pet_suv, affine), Volume(made.ct_hu.astype(np.float32), affine))

    return scan(made.grid.affine), scan(moved)


def off_mm(found: np.ndarray) -> float:
    """Return how far a shift is from the true one, mm."""
    return float(np.linalg.norm(found - np.array(SHIFT_MM)))


def run(*words: str) -> float:
    """Run a command of ours and return its time, s."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *words], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def one_ingest(folder: Path) -> tuple[float, float]:
    """Return the time, s, and the memory, GB, of a cycle of three NM SPECT/CTs and a PET/CT."""
    cohort, dicom = folder / "cohort", folder / "dicom"
    size = ("--patients", "1", "--seed", "1", "--slices", str(CT_SLICES))
    run("rpt_phantom", "cohort", *size, "--out", str(cohort))
    case = ("--cohort", str(cohort), "--case", "P001/C1")
    run("rpt_phantom", "dicom", *case, "--out", str(dicom))
    # What the phantom's commands needed is not to count: a process of its own tells its children.
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', *sys.argv[1:]], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    words = ("rpt_dosimetry", "ingest", str(dicom / "STUDY.yaml"), "--out", str(folder / "made"))
    start = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", code, *words, "--workers", "1"],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    seconds = time.perf_counter() - start
    return seconds, int(ended.stdout) * 1024 / 1e9  # Linux: KiB


def main() -> None:
    """Measure, print and write the table."""
    with tempfile.TemporaryDirectory() as name:
        ingest_s, ingest_gb = one_ingest(Path(name))
        folder, what = pet_folder(Path(name) / "pet")
        suv_s = median_s(lambda: convert(choose_pet(find_series(folder), None)))
        pydicom_s = median_s(lambda: by_pydicom(folder))
        sitk_s = median_s(lambda: by_simpleitk(folder))
    fixed, moving = two_scans()
    start = time.perf_counter()
    found = register(fixed, moving)
    ours_s = time.perf_counter() - start
    lines = [
        "2 cores; everything but the PET is virtual.",
        "",
        f"| {what} to SUV | s | time ÷ ours |",
        "|---|---|---|",
        f"| `suv`: read, checked, hashed, converted | {suv_s:.2f} | 1 |",
        f"| a `pydicom` loop: read, rescaled, sorted | {pydicom_s:.2f} | {pydicom_s / suv_s:.2f} |",
        f"| SimpleITK's series reader: one rescale for all slices | {sitk_s:.2f} "
        f"| {sitk_s / suv_s:.2f} |",
        "",
        f"| two CTs of 128 × 128 × {CT_SLICES}, {np.linalg.norm(SHIFT_MM):.0f} mm apart "
        "| s | off by (mm) |",
        "|---|---|---|",
        f"| `register` (ours) | {ours_s:.1f} | {off_mm(found.rigid.fixed_to_moving[:3, 3]):.2f} |",
        "",
        f"One cycle of `ingest` (PET/CT, three NM SPECT/CTs of 128 × 128 × {CT_SLICES} in counts, "
        f"contours; `vsv`): {ingest_s:.0f} s, {ingest_gb:.2f} GB.",
        "",
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "clinic.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
