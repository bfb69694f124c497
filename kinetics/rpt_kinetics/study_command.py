"""The ``study`` command: every preset over several seeds, and what its correlation rests on."""

from collections.abc import Sequence
from pathlib import Path

from rpt_cohort import json_bytes, new_folder, provenance
from rpt_cohort.command import progress
from rpt_cohort.figures import png_bytes

from rpt_kinetics.presets import Preset, preset_names, read_preset
from rpt_kinetics.study_measures import Measures, measure, stacked
from rpt_kinetics.study_pictures import FIGURES, study_figures
from rpt_kinetics.study_text import DOTS_PER_INCH
from rpt_kinetics.study_words import study_content


def write_study(out: Path, *, seeds: int) -> None:
    """Measure all presets with the seeds 0 to ``seeds`` − 1 and write them to a new folder.

    Args:
        out: Folder to write; new or empty.
        seeds: At least 1.

    Raises:
        ValueError: ``seeds`` is below 1, or ``out`` is not new.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}. The paper's r want 10 or more.")
    presets = [read_preset(name) for name in preset_names()]
    with new_folder(out) as folder:
        found = _measured(presets, seeds=seeds)
        for name, figure in study_figures(presets, found).items():
            (folder / name).write_bytes(png_bytes(figure, dots_per_inch=DOTS_PER_INCH))
        content = study_content(presets, found, seeds=seeds) | {
            "figures": FIGURES,
            "provenance": provenance(
                package="rpt-kinetics",
                command="study",
                parameters={"seeds": seeds},
                libraries=("numpy", "scipy", "matplotlib"),
            ),
        }
        (folder / "study.json").write_bytes(json_bytes(content))


def _measured(presets: Sequence[Preset], *, seeds: int) -> dict[str, Measures]:
    jobs = [(preset, seed) for preset in presets for seed in range(seeds)]
    by_job = [measure(*job) for job in progress(jobs, "presets and seeds")]
    return {
        preset.name: stacked(by_job[i * seeds : (i + 1) * seeds])
        for i, preset in enumerate(presets)
    }
