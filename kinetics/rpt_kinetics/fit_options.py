"""What the two kinds of fit share: how data are to be read, and what is said of them in JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rpt_kinetics.curves import in_suv, read_fit_input
from rpt_kinetics.errors import BadInput
from rpt_kinetics.input_choice import named_or_file, or_no_decay
from rpt_kinetics.inputs import InputFunction, decay_rate_per_min
from rpt_kinetics.writing import file_sha256, provenance


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What both kinds of fit share.

    Attributes:
        input_name: ``feng``, ``kabasakal``, ``siebinga`` or the path of a CSV.
        model: A name of :data:`fit_problem.MODELS`, or ``all``.
        vb: V_b held at this share; None fits it.
        half_life_min: Physical half-life, min; None or ``inf`` averages frames plainly.
        decay_correction: Of the data: ``injection``, ``scan_start``, ``none``, or None if a
            column says it.
        input_decay_correction: Of an input CSV: ``injection``, ``none``, or None.
        injection_min: The injection on the frames' clock, min.
        delay_min: How much later blood arrives here than where it was sampled, min.
        weight_kg: Turns an input in %IA/L into SUV, kg.
    """

    input_name: str
    model: str
    vb: float | None = None
    half_life_min: float | None = None
    decay_correction: str | None = None
    input_decay_correction: str | None = None
    injection_min: float = 0.0
    delay_min: float = 0.0
    weight_kg: float | None = None

    @property
    def half_life(self) -> float:
        """The half-life, min, ``inf`` for none."""
        if self.half_life_min is None:
            return float(np.inf)
        decay_rate_per_min(self.half_life_min)  # refuses what is none
        return self.half_life_min

    def input_function(self) -> tuple[InputFunction, list[Path]]:
        """Read the input, and say which files were read."""
        chosen = named_or_file(self.input_name)
        if isinstance(chosen, Path):
            read = read_fit_input(
                chosen,
                decay_correction=self.input_decay_correction,
                half_life_min=self.half_life,
            )
            return in_suv(read, self.weight_kg), [chosen]
        if self.input_decay_correction is not None:
            raise BadInput(
                f"--input-decay-correction goes with an input CSV, got '{chosen.name}', which is "
                "corrected for decay. Leave it out."
            )
        return in_suv(chosen, self.weight_kg), []

    def provenance(self, files: Sequence[Path], *, library: str, **more: str) -> dict[str, Any]:
        """Return the ``provenance`` block of a result made of these options and files."""
        stated = {name: value for name, value in vars(self).items() if name != "input_name"}
        stated["half_life_min"] = or_no_decay(self.half_life_min)
        return provenance(
            command="fit",
            parameters=stated | {"input": Path(self.input_name).name} | more,
            inputs={file.name: file_sha256(file) for file in files},
            libraries=("numpy", "scipy", library),
        )
