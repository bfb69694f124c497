"""``python -m rpt_kinetics tac | simulate | study``."""

import sys
from math import isnan
from pathlib import Path
from typing import Annotated

try:
    import typer
    from rpt_cohort.command import as_typed, new_app, run_app, say
except ModuleNotFoundError as error:
    library = (error.name or "").partition(".")[0]
    sys.stderr.write(
        f"error: this command needs {library}: pip install 'rpt-kinetics[commands]'.\n"
    )
    sys.exit(2)

from rpt_kinetics.inputs import NamedInput
from rpt_kinetics.parameters import preset_names

AS_TYPED = {
    "k1_ml_per_min_per_ml": "--k1",
    "k2_per_min": "--k2",
    "k3_per_min": "--k3",
    "k4_per_min": "--k4",
    "vb": "--vb",
    "half_life_min": "--half-life-min",
}

NewFolder = Annotated[Path, typer.Option(help="Folder to write; new or empty.")]

app = new_app(
    "Compartment models of PET tracers and therapeutic agents.", distribution="rpt-kinetics"
)


@app.command()
def tac(
    k1: Annotated[float, typer.Option(help="K1, mL plasma/min/mL tissue.")],
    k2: Annotated[float, typer.Option(help="k2, 1/min.")],
    times_min: Annotated[
        str, typer.Option(metavar="T,T,…", help="Instants after the injection, min, ascending.")
    ],
    out: Annotated[Path, typer.Option(help="CSV to write; the JSON is written beside it.")],
    k3: Annotated[float, typer.Option(help="k3, 1/min; 0: one tissue.")] = 0.0,
    k4: Annotated[float, typer.Option(help="k4, 1/min; 0: irreversible.")] = 0.0,
    vb: Annotated[float, typer.Option(help="V_b, share of blood, from 0 to below 1.")] = 0.0,
    input_: Annotated[NamedInput, typer.Option("--input", help="Input function.")] = "feng",
    half_life_min: Annotated[
        float | None,
        typer.Option(help="Physical half-life, min (68Ga 67.71).", show_default="no decay"),
    ] = None,
) -> None:
    """Write one tissue's time-activity curve and its time-integrated activity.

    OUT.csv has time_min, c_pet, c_tissue and c_plasma, corrected for decay, in the input's unit
    (feng uCi/mL, kabasakal and siebinga %IA/L). OUT.json has tia_min, the integral of c_pet times
    2^(-t/half-life) to infinity; without a half-life it must exist (k2 > 0, and k4 > 0 if k3 > 0).
    """
    from rpt_kinetics.models import Rates
    from rpt_kinetics.tac import write_tac

    with as_typed(AS_TYPED):
        rates = Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)
        used = write_tac(
            rates, input_name=input_, times_text=times_min, half_life_min=half_life_min, out=out
        )
    say(f"{out.name}, in {used.unit}; assumed: {'; '.join(used.assumptions)}.")


@app.command()
def simulate(
    preset: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE.toml",
            help=f"One of {', '.join(preset_names())}; or a file of the same form.",
        ),
    ],
    out: NewFolder,
    seed: Annotated[int, typer.Option(help="Same seed, same results.")] = 0,
    voxels: Annotated[
        int | None,
        typer.Option(
            help="Voxels of both sub-tissues together, at least 40; the organ keeps its size.",
            show_default="the preset's",
        ),
    ] = None,
) -> None:
    """Simulate PET (SUV, g/mL) and dose (Gy) of a virtual organ with two sub-tissues.

    Writes summary.json (Pearson's r overall and per sub-tissue), voxels.csv, NIfTI maps of SUV,
    dose and sub-tissue, and scatter.png.
    """
    from rpt_kinetics.study import write_simulation
    from rpt_kinetics.words import NOT_DEFINED

    with as_typed():
        simulation = write_simulation(preset, out, seed=seed, voxels=voxels)
    r = simulation.pearson_r()
    say(f"{out.name}: a virtual organ, r {NOT_DEFINED if isnan(r) else f'= {r:.3f}'}")


@app.command()
def study(
    out: NewFolder, seeds: Annotated[int, typer.Option(help="How many: 0, 1, …; at least 1.")] = 10
) -> None:
    """Study why PET (SUV, g/mL) and dose (Gy) disagree inside a virtual organ.

    Writes study.json (for all presets: Pearson's r over the seeds, against resolution and
    correlation length in mm, at other PET times in min, with each parameter moved by 20 %, with
    every other choice, and 1 - r² by cause) and figures, among them the panels of the paper's
    Fig. S3.
    """
    from rpt_kinetics.study import write_study

    with as_typed():
        write_study(out, seeds=seeds)
    say(f"{out.name}: study.json and figures, all of virtual organs")


if __name__ == "__main__":
    run_app(app, needs="rpt-kinetics[commands]")
