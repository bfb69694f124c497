"""``python -m rpt_kinetics tac | simulate | study``."""

import sys
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
from rpt_kinetics.study_options import simulate, study

AS_TYPED = {
    "k1_ml_per_min_per_ml": "--k1",
    "k2_per_min": "--k2",
    "k3_per_min": "--k3",
    "k4_per_min": "--k4",
    "vb": "--vb",
    "half_life_min": "--half-life-min",
}

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
    from rpt_kinetics.rates import Rates
    from rpt_kinetics.tac import write_tac

    with as_typed(AS_TYPED):
        rates = Rates(k1_ml_per_min_per_ml=k1, k2_per_min=k2, k3_per_min=k3, k4_per_min=k4, vb=vb)
        used = write_tac(
            rates, input_name=input_, times_text=times_min, half_life_min=half_life_min, out=out
        )
    say(f"{out.name}, in {used.unit}; assumed: {'; '.join(used.assumptions)}.")


app.command()(simulate)
app.command()(study)

if __name__ == "__main__":
    run_app(app, needs="rpt-kinetics[commands]")
