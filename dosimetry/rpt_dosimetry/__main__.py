"""``python -m rpt_dosimetry``: from DICOM to dose."""

from rpt_cohort.command import new_app, run_app

from rpt_dosimetry.commands.calibrate import activity, calibrate
from rpt_dosimetry.commands.convert import ct, rtdose, segment, suv
from rpt_dosimetry.commands.dose import cumulate, dose, kernel, register
from rpt_dosimetry.commands.ingest import ingest
from rpt_dosimetry.commands.masks import masks

app = new_app(
    "From DICOM to what the dose prediction needs: SUV of the PET, dose of the therapy.",
    distribution="rpt-dosimetry",
)
_DICOM = (suv, activity, calibrate, ct, segment, masks, register, rtdose, ingest)
for command in (*_DICOM, kernel, dose, cumulate):
    app.command()(command)


if __name__ == "__main__":
    run_app(app)
