"""What two sets of images have in common and what is salient in one of them: SepCLR, as parts for contrast."""
