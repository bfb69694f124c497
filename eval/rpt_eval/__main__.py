"""``python -m rpt_eval compare | baseline | correlate | dvh | picture``."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rpt_cohort.command import Overwrite, new_app, run_app, say, stderr

from rpt_eval.predictions import Against

app = new_app("Is the predicted dose map any good, and better than what?", distribution="rpt-eval")
DoseUnit = Literal["gy", "gy_per_gbq"]
Split = Literal["all", "training", "testing"]
CohortFolder = Annotated[Path, typer.Option(help="Cohort folder.")]
NewFolder = Annotated[Path, typer.Option(help="Folder to write; new or empty.")]
Workers = Annotated[int | None, typer.Option(help="Processes.", show_default="one for each core")]
Seed = Annotated[int, typer.Option(help="Same seed, same results.")]
SpectFwhm = Annotated[float, typer.Option(help="Resolution of the SPECT, FWHM, mm.")]


@app.command()
def baseline(
    cohort: CohortFolder,
    out: NewFolder,
    spect_fwhm_mm: SpectFwhm = 12.0,
    pet_fwhm_mm: Annotated[float, typer.Option(help="Resolution of the PET, FWHM, mm.")] = 6.0,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Predict by organ-dose guided projection (approach 1) and by simpler controls.

    Writes a prediction folder each: organ_guided, organ_optimum (measured organ means),
    organ_guided_blurred, organ_optimum_blurred (from the PET blurred to SPECT resolution),
    population_mean, pet_factor, all_zero. Training cases are predicted by the other folds,
    testing cases by all training cases. Doses in Gy/GBq.
    """
    from rpt_eval.baseline import write_baselines

    write_baselines(
        cohort,
        out,
        spect_fwhm_mm=spect_fwhm_mm,
        pet_fwhm_mm=pet_fwhm_mm,
        seed=seed,
        workers=workers,
    )
    say(f"{out}: prediction folders and organ_doses.csv")


@app.command()
def correlate(
    cohort: CohortFolder,
    out: NewFolder,
    spect_fwhm_mm: SpectFwhm = 12.0,
    bins: Annotated[
        int, typer.Option(help="Grey levels of the radiomic features (fixed bin number).")
    ] = 32,
    workers: Workers = None,
) -> None:
    """Correlate PET (SUV, g/mL) and reference dose (Gy/GBq) voxel by voxel in each organ."""
    from rpt_eval.correlate import write_correlations

    write_correlations(cohort, out, spect_fwhm_mm=spect_fwhm_mm, bins=bins, workers=workers)
    say(f"{out}: tables and pictures")


@app.command()
def compare(
    cohort: CohortFolder,
    pred: Annotated[
        list[str],
        typer.Option(
            metavar="NAME=DIR",
            help="Prediction folder; repeat. The first is tested against each other one.",
        ),
    ],
    out: NewFolder,
    against: Annotated[
        Against, typer.Option(help="The reference dose; truth of virtual cohorts only.")
    ] = "measured",
    split: Annotated[Split, typer.Option(help="Which cases of the cohort.")] = "all",
    partial: Annotated[
        bool, typer.Option("--partial", help="Leave out cases that a prediction lacks.")
    ] = False,
    gamma: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT/MM",
            help="Gamma index over the body, global, such as 10/10 (slow; extra 'gamma').",
        ),
    ] = None,
    case: Annotated[
        str | None,
        typer.Option(help="Case of the pictures.", show_default="the first method's median"),
    ] = None,
    seed: Seed = 0,
    workers: Workers = None,
) -> None:
    """Compare predicted doses (Gy/GBq) with the reference: metrics, statistics, pictures.

    Writes metrics.csv (case, patient, region, method, metric, value, unit), summary.json,
    tests.csv and PNG pictures. Statistics are over patients.
    """
    from rpt_eval.comparison import overview, write_comparison
    from rpt_eval.metrics import GammaCriteria

    results = write_comparison(
        cohort,
        pred,
        out,
        against=against,
        split=split,
        partial_cases=partial,
        gamma=GammaCriteria.parse(gamma) if gamma else None,
        case=case,
        seed=seed,
        workers=workers,
    )
    stderr.print(overview(results))
    say(f"{out}: metrics.csv, summary.json, tests.csv and pictures")


@app.command()
def dvh(
    dose: Annotated[Path, typer.Option(help="Dose map, NIfTI.")],
    mask: Annotated[Path, typer.Option(help="Mask, NIfTI, on any grid.")],
    out: Annotated[Path, typer.Option(help="CSV to write; OUT.json beside it.")],
    label: Annotated[
        int | None, typer.Option(help="Voxels of this number.", show_default="all above 0")
    ] = None,
    unit: Annotated[
        DoseUnit | None,
        typer.Option(
            help="What the dose is in.",
            show_default="what its JSON or its name tells, else gy_per_gbq",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the cumulative dose-volume histogram of one mask, and Dmean, Dx and Vx."""
    from rpt_eval.dvh import write_dvh

    write_dvh(dose, mask, out, label=label, unit=unit, overwrite=overwrite)
    say(f"{out}: the histogram; {out.with_suffix('.json').name}: the metrics")


@app.command()
def picture(
    cohort: CohortFolder,
    pred: Annotated[Path, typer.Option(help="Prediction folder.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")],
    case: Annotated[
        str | None, typer.Option(help="Case, such as P001/C1.", show_default="the first")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draw PET (SUV, g/mL), reference dose, predicted dose and difference (Gy/GBq)."""
    from rpt_eval.figures import write_picture

    say(f"{out}: {write_picture(cohort, pred, out, name=case, overwrite=overwrite)}")


if __name__ == "__main__":
    run_app(app)
