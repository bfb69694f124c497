"""Organs by TotalSegmentator, where the user has it: its numbers are the contract's.

It is run as a program of its own and never imported, so that it may live in another
environment; this package does not install it, and fetches no weights.

Source: Wasserthal et al., Radiol Artif Intell 5 (2023) e230024; v2, class map ``total``.
"""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rpt_cohort import BadInput, Volume, grid_fault, nifti_bytes, read_volume

from rpt_dosimetry.dose.regions import check_labels

PROGRAM = "TotalSegmentator"
LARGEST = 117


def find_totalsegmentator() -> str:
    """Return the program's path.

    Raises:
        BadInput: It is not installed.
    """
    found = shutil.which(PROGRAM)
    if found is None:
        raise BadInput(
            f"{PROGRAM} must be on the PATH, and it is not. Run: pip install TotalSegmentator, in "
            "an environment of its own if you like, and once: totalseg_download_weights -t total. "
            "Or give organs as RTSTRUCT, SEG or NIfTI."
        )
    return found


def segment_organs(ct: Volume, *, fast: bool) -> Volume:
    """Segment a CT.

    Args:
        fast: Its model of 3 mm, for a machine without a GPU.

    Returns:
        Organ numbers 1 to 117, uint8, on the grid of ``ct``.

    Raises:
        BadInput: It is not installed, fails, or gives something else.
    """
    program = find_totalsegmentator()
    with TemporaryDirectory() as folder:
        given, made = Path(folder, "ct.nii.gz"), Path(folder, "organs.nii.gz")
        given.write_bytes(nifti_bytes(np.rint(ct.data), ct.affine, dtype=np.int16))
        words = [program, "-i", str(given), "-o", str(made), "--ml", "--task", "total"]
        ended = subprocess.run(
            words + ["--fast"] * fast, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if ended.returncode != 0 or not made.is_file():
            raise BadInput(
                f"{PROGRAM} must segment the CT, and it failed (exit {ended.returncode}). Run it "
                "on a CT by hand to see why; its weights may not be there: "
                "totalseg_download_weights -t total."
            )
        organs = read_volume(made, name=f"What {PROGRAM} made")
    fault = grid_fault(organs, ct, name=f"What {PROGRAM} made", like_name="the CT")
    if fault is not None:
        raise BadInput(fault)
    check_labels(organs, name=f"What {PROGRAM} made", largest=LARGEST)
    return Volume(organs.data.astype(np.uint8), organs.affine)
