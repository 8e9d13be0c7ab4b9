"""Training: the loop, its steps, exact resume, and the devices it runs on."""
