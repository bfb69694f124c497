"""``python -m rpt_phantom``: virtual patients."""

from rpt_cohort.command import new_app, run_app

from rpt_phantom.commands.cohort import cohort
from rpt_phantom.commands.dicom import dicom
from rpt_phantom.commands.gallery import gallery
from rpt_phantom.commands.patient import patient
from rpt_phantom.commands.resemblance import resemblance

app = new_app("Make virtual patients with known truth.", distribution="rpt-phantom")
app.command()(cohort)
app.command()(patient)
app.command()(dicom)
app.command()(gallery)
app.command()(resemblance)


if __name__ == "__main__":
    run_app(app)
