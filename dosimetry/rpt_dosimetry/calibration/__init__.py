"""From SPECT counts to activity: a calibration factor and what it is uncertain by.

Source: Halty, Badel, Kochebina & Sarrut, EJNMMI Phys 5 (2018) 11: the fraction of the activity in
the field of view, from conjugate planar views, replaces a phantom of known activity.
"""
