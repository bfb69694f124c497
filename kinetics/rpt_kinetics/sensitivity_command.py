"""The ``sensitivity`` command: a table, a figure and a JSON of Sobol indices."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from rpt_kinetics.checking import positive
from rpt_kinetics.command import say
from rpt_kinetics.errors import BadInput
from rpt_kinetics.rates import UNITS
from rpt_kinetics.writing import json_bytes, new_folder, provenance, table_bytes

if TYPE_CHECKING:
    from rpt_kinetics.sensitivity import SobolIndices

SAMPLES = 1024
SUV_TIME_MIN = 60.0
RESULT_UNITS = {"suv": "g/mL", "dose": "Gy"}


def sensitivity(
    out: Annotated[Path, typer.Option(help="New folder for the results.")],
    seed: Annotated[int, typer.Option(help="Seed of the samples and of the intervals.")] = 0,
    samples: Annotated[
        int, typer.Option(help="Base samples, a power of 2; evaluations are 7 times as many.")
    ] = SAMPLES,
    suv_time_min: Annotated[
        float, typer.Option(help="Time of the SUV after the injection, min.")
    ] = SUV_TIME_MIN,
) -> None:
    """Tell which rate constants the spread of PET SUV and of absorbed dose comes from.

    K1 (mL/min/mL), k2, k3, k4 (1/min) and V_b vary from half to twice a kidney-like set, uniform
    in the logarithm; these ranges are ours, and sensitivity.json states them. SUV in g/mL, dose
    in Gy of the preset's 177Lu, its rate constants tied to the PET agent's. Writes
    sensitivity.csv, sensitivity.json and sensitivity.png.
    """
    write_sensitivity(out=out, seed=seed, samples=samples, suv_time_min=suv_time_min)
    say(f"{out.name}: indices of SUV and dose, over ranges that are ours.")


def write_sensitivity(
    *,
    out: Path,
    seed: int = 0,
    samples: int = SAMPLES,
    suv_time_min: float = SUV_TIME_MIN,
) -> None:
    """Write ``sensitivity.csv``, ``sensitivity.json`` and ``sensitivity.png``.

    Args:
        out: New or empty folder.
        seed: Of samples and bootstrap.
        samples: Base samples, a power of 2.
        suv_time_min: Time of the SUV, min after the injection.

    Raises:
        BadInput: SALib is missing, an argument is out of range, or ``out`` is not empty.
    """
    try:
        from rpt_kinetics.sensitivity import (
            CENTRE,
            RANGES,
            dose_gy_of_therapy,
            elasticities,
            sobol_indices,
            suv_of_pet,
        )
    except ImportError as error:
        raise BadInput(
            "sensitivity needs SALib, and it is not installed. "
            "Install rpt-kinetics[commands,sensitivity]."
        ) from error
    time_min = positive("suv_time_min", suv_time_min, unit="min")
    models = {"suv": lambda p: suv_of_pet(p, time_min=time_min), "dose": dose_gy_of_therapy}
    with new_folder(out) as folder:
        found = {
            name: sobol_indices(model, RANGES, samples=samples, seed=seed, log_uniform=True)
            for name, model in models.items()
        }
        local = {name: elasticities(model, CENTRE) for name, model in models.items()}
        content = _content(found, local) | {
            "provenance": provenance(
                command="sensitivity",
                parameters={"samples": samples, "suv_time_min": time_min},
                seed=seed,
                libraries=("numpy", "scipy", "SALib", "matplotlib"),
            )
        }
        (folder / "sensitivity.csv").write_bytes(table_bytes(_table(found)))
        (folder / "sensitivity.json").write_bytes(json_bytes(content))
        (folder / "sensitivity.png").write_bytes(_figure(found, time_min))


def _content(
    found: "Mapping[str, SobolIndices]", local: Mapping[str, dict[str, float]]
) -> dict[str, Any]:
    from rpt_kinetics.sensitivity import CENTRE, PARAMETERS, PET_OVER_THERAPY, PRESET, RANGES

    return {
        "results": {
            name: {
                "unit": RESULT_UNITS[name],
                "mean": indices.mean,
                "standard_deviation": indices.standard_deviation,
                "evaluations": indices.evaluations,
                "sum_of_first_order": float(indices.first_order.sum()),
            }
            for name, indices in found.items()
        },
        "method": "Sobol indices, Saltelli's sampling; 95 % intervals from 100 resamples",
        "ranges": {
            name: {"low": low, "high": high, "unit": UNITS[name], "distribution": "log-uniform"}
            for name, (low, high) in RANGES.items()
        },
        "local_elasticities": {
            "meaning": "d ln(result) / d ln(rate constant of the PET agent) at one point, by "
            "central differences: 1 % more of the constant changes the result by so many %",
            "at": CENTRE,
            **local,
        },
        "preset": PRESET,
        "pet_over_therapy": PET_OVER_THERAPY,
        "assumptions": [
            "the ranges are ours: half to twice a kidney-like set of the PET agent",
            "the therapeutic agent's rate constants are the PET agent's divided by "
            "pet_over_therapy, which is the preset's and ours",
            f"blood curves: {PARAMETERS.pet_input} for the PET, {PARAMETERS.therapy_input} for "
            "the therapy; plasma and blood are equal",
            f"{PARAMETERS.administered_activity_mbq:g} MBq of 177Lu, {PARAMETERS.weight_kg:g} kg",
            "the time-integrated activity is proportional to the dose: it has the same indices",
        ],
    }


def _table(found: "Mapping[str, SobolIndices]") -> dict[str, Any]:
    each = list(found.values())
    counts = [len(indices.parameters) for indices in each]
    return {
        "result": np.repeat(list(found), counts),
        "parameter": [name for indices in each for name in indices.parameters],
        "first_order": np.concatenate([i.first_order for i in each]),
        "first_order_confidence_95": np.concatenate([i.first_order_confidence for i in each]),
        "total": np.concatenate([i.total for i in each]),
        "total_confidence_95": np.concatenate([i.total_confidence for i in each]),
    }


def _figure(found: "Mapping[str, SobolIndices]", time_min: float) -> bytes:
    from matplotlib.figure import Figure

    from rpt_kinetics.png import png_bytes
    from rpt_kinetics.sensitivity_plot import indices_plot

    titles = {
        "suv": f"PET SUV at {time_min:g} min",
        "dose": "Absorbed dose of the therapy, from its own rates",
    }
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    for ax, (name, indices) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        indices_plot(ax, indices, title=titles[name])
    figure.suptitle("Simulated tissues; ranges of the parameters are ours", fontsize="medium")
    return png_bytes(figure, dots_per_inch=150)
