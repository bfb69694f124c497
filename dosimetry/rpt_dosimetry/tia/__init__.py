"""Time-integrated activity (TIA): from activities at a few times to decays.

``region_fit`` fits the few points of an organ or lesion with one of the models, whose shapes are
in ``exponential_fit``, and chooses it. ``voxel_fit`` does the same for every voxel of an image,
with one model and named fallbacks, or scales an organ's curve to its voxels. ``single_time``
holds the methods for one scan, ``uncertainty`` the propagation from calibration, volume, recovery
and fit to the dose.

Times are from the start of infusion to mid-scan, in h. Activities are those present at that
time, not corrected for decay; so every effective rate contains the physical one, and no curve
falls more slowly than the nuclide decays.
"""
