"""The pieces of 3D RPT DoseGAN that MONAI lacks; they import nothing but MONAI's own needs."""
