"""contrast-medical: SepCLR, what is common and what is salient in two sets of images, as parts for contrast."""
