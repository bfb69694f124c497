"""SUV and time-integrated activity of 10⁶ voxels beside what a user would otherwise run.

``make bench`` prints the table and writes it to ``benchmarks/kinetics.md``. All times are from
one run on 2 cores; ours are the median of several passes. The others run on fewer voxels, as the
table says, and are scaled up.
"""

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rpt_kinetics.curves import Floats
from rpt_kinetics.dose import GA68_HALF_LIFE_MIN
from rpt_kinetics.inputs import LN2, feng
from rpt_kinetics.models import (
    Rates,
    over_chunks,
    pet_concentration,
    pulse_answer,
    time_integrated_activity,
)
from scipy.integrate import solve_ivp
from scipy.signal import fftconvolve

ROOT = Path(__file__).parents[1]
CORES = 2
PASSES = 5
VOXELS = 1_000_000
SOLVER_VOXELS = 1_000
SUV_CONVOLUTION_VOXELS = 5_000
TIA_CONVOLUTION_VOXELS = 100
STEP_MIN = 0.01
PET_MIN = 60.0
# A user's area: until a thousandth of the activity is left.
END_MIN = 10 * GA68_HALF_LIFE_MIN
DECAY_PER_MIN = LN2 / GA68_HALF_LIFE_MIN
FENG = feng()


@dataclass(frozen=True)
class Measured:
    """Time for 10⁶ voxels, s, and the values of the voxels that were computed."""

    seconds: float
    values: Floats


def random_rates(count: int) -> Rates:
    """Return plausible rates of an organ's voxels; the first voxels are always the same."""
    rng = np.random.default_rng(1)
    spread = np.exp(0.3 * rng.standard_normal((VOXELS, 4)))[:count].T
    k1, k2, k3, k4 = np.array([[0.3], [0.3], [0.2], [0.01]]) * spread
    return Rates(
        k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=np.full(count, 0.1)
    )


def ours() -> tuple[Measured, Measured, float]:
    """Measure the closed forms in a process of their own; return SUV, TIA and peak memory, GB."""
    rates = random_rates(VOXELS)
    suv = partial(pet_concentration, rates, FENG, PET_MIN, workers=CORES)
    area = partial(
        time_integrated_activity, rates, FENG, half_life_min=GA68_HALF_LIFE_MIN, workers=CORES
    )
    measured = [
        Measured(median_s(action), action()[:SUV_CONVOLUTION_VOXELS]) for action in (suv, area)
    ]
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # Linux: KiB
    return measured[0], measured[1], peak_gb


def median_s(action: Callable[[], object]) -> float:
    """Return the median time of an action, s, after one pass to warm up."""
    action()
    times = []
    for _ in range(PASSES):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def scaled(action: Callable[[], Floats], *, voxels: int) -> Measured:
    """Measure an action on some voxels, once, and scale its time to 10⁶."""
    start = time.perf_counter()
    values = action()
    return Measured((time.perf_counter() - start) * VOXELS / voxels, values)


def solve(rates: tuple[float, ...], end_min: float) -> Floats:
    """Return C_PET and its decaying integral at the end, for one voxel, by an ODE solver."""
    k1, k2, k3, k4, vb = rates
    constant, slope, rate = vars(FENG.plasma).values()

    def plasma(t: float) -> float:
        return float(((constant + slope * t) * np.exp(-rate * t)).sum())

    def change(t: float, state: Floats) -> list[float]:
        first, second = state[0], state[1]
        arriving = plasma(t)
        pet = (1 - vb) * (first + second) + vb * arriving
        return [
            k1 * arriving - (k2 + k3) * first + k4 * second,
            k3 * first - k4 * second,
            pet * np.exp(-DECAY_PER_MIN * t),
        ]

    end = solve_ivp(change, (0, end_min), [0, 0, 0], method="LSODA", rtol=1e-6, atol=1e-9).y[:, -1]
    return np.array([(1 - vb) * (end[0] + end[1]) + vb * plasma(end_min), end[2]])


def by_solver(pool: ProcessPoolExecutor, end_min: float, column: int) -> Measured:
    """Solve voxel by voxel in two processes."""
    voxels = list(zip(*random_rates(SOLVER_VOXELS).in_a_row(), strict=True))
    work = partial(solve, end_min=end_min)
    return scaled(
        lambda: np.array([both[column] for both in pool.map(work, voxels, chunksize=50)]),
        voxels=SOLVER_VOXELS,
    )


def answer(k2: Floats, k3: Floats, k4: Floats, since: Floats) -> Floats:
    """Return the tissue's answer to a short pulse on a grid of times, without K₁."""
    pulse = pulse_answer(k2, k3, k4)
    fast = pulse.fast_share[:, None] * np.exp(-pulse.fast_per_min[:, None] * since)
    return np.asarray(
        fast + pulse.slow_share[:, None] * np.exp(-pulse.slow_per_min[:, None] * since)
    )


def suv_by_rectangles() -> Measured:
    """Sum input times answer over a grid of 0.01 min up to the PET, many voxels at once."""
    grid = np.arange(0.0, PET_MIN, STEP_MIN)
    plasma, blood = FENG.plasma.value(grid), float(FENG.blood.value(PET_MIN))

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        tissue = k1 * (answer(k2, k3, k4, PET_MIN - grid) @ plasma) * STEP_MIN
        return np.asarray((1 - vb) * tissue + vb * blood)[:, None]

    return by_convolution(of_chunk, len(grid), SUV_CONVOLUTION_VOXELS)


def area_by_rectangles() -> Measured:
    """Convolve on the grid by FFT over ten half-lives, then sum the decaying curve."""
    grid = np.arange(0.0, END_MIN, STEP_MIN)
    plasma, blood = FENG.plasma.value(grid), FENG.blood.value(grid)
    lasting = np.exp(-DECAY_PER_MIN * grid) * STEP_MIN

    def of_chunk(k1: Floats, k2: Floats, k3: Floats, k4: Floats, vb: Floats) -> Floats:
        tissue = fftconvolve(answer(k2, k3, k4, grid), plasma[None], axes=1)[:, : len(grid)]
        area = k1 * (tissue @ lasting) * STEP_MIN
        return np.asarray((1 - vb) * area + vb * (blood @ lasting))[:, None]

    return by_convolution(of_chunk, len(grid), TIA_CONVOLUTION_VOXELS)


def by_convolution(of_chunk: Callable[..., Floats], points: int, voxels: int) -> Measured:
    """Run a convolution over chunks that fit the caches, on two threads."""
    rows = random_rates(voxels).in_a_row()
    return scaled(
        lambda: over_chunks(of_chunk, rows, columns=1, width=points, workers=CORES)[:, 0],
        voxels=voxels,
    )


def row(name: str, voxels: int, other: Measured, own: Measured) -> str:
    """Return a line of the table."""
    error = np.abs(other.values / own.values[: len(other.values)] - 1).max()
    told = "–" if other is own else f"{error:.0e}"
    seconds = f"{other.seconds:,.0f}" if other.seconds > 10 else f"{other.seconds:.2g}"
    return f"| {name} | {voxels:,} | {seconds} | {other.seconds / own.seconds:,.0f} | {told} |"


def main() -> None:
    """Measure, print and write the table."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        suv, area, peak_gb = pool.submit(ours).result()
    with ProcessPoolExecutor(CORES, mp_context=spawn) as pool:
        list(pool.map(time.sleep, [1.0] * CORES))  # starting the processes does not count
        suv_solved = by_solver(pool, PET_MIN, 0)
        area_solved = by_solver(pool, END_MIN, 1)
    suv_summed, area_summed = suv_by_rectangles(), area_by_rectangles()
    head = "voxels run | s for 10⁶ voxels | time ÷ ours | largest difference |"
    lines = [
        f"Two-tissue model, Feng's input, {CORES} cores. Fewer voxels than 10⁶ are scaled up.",
        "",
        f"| SUV at {PET_MIN:g} min | {head}",
        "|---|---|---|---|---|",
        row("closed form (ours)", VOXELS, suv, suv),
        row("`solve_ivp`, LSODA, rtol 1e-6, per voxel", SOLVER_VOXELS, suv_solved, suv),
        row(f"rectangles of {STEP_MIN} min", SUV_CONVOLUTION_VOXELS, suv_summed, suv),
        "",
        f"| time-integrated activity, 68Ga | {head}",
        "|---|---|---|---|---|",
        row("Laplace transform (ours), to infinity", VOXELS, area, area),
        row("`solve_ivp` over 10 half-lives", SOLVER_VOXELS, area_solved, area),
        row("rectangles by FFT, 10 half-lives", TIA_CONVOLUTION_VOXELS, area_summed, area),
        "",
        f"Ours: {VOXELS / suv.seconds:.1e} SUVs/s, {VOXELS / area.seconds:.1e} time-integrated "
        f"activities/s, peak memory of the process {peak_gb:.2f} GB.",
        "",
    ]
    text = "\n".join(lines)
    sys.stdout.write(text)
    (ROOT / "benchmarks" / "kinetics.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
