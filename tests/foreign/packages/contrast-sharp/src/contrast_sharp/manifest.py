"""What contrast-sharp registers."""

from contrast_core.spec import API, Component, Manifest, RecipeFile

SAM = "Foret et al., ICLR 2021, arXiv 2010.01412"
VITTER = "Vitter, Random Sampling with a Reservoir, ACM TOMS 11(1), 1985"
SUPCON = "Khosla et al., NeurIPS 2020, arXiv 2004.11362"


def contrast_manifest() -> Manifest:
    """A step, a memory, a sampler that reads it, and a recipe with the three."""
    return Manifest(
        api=API,
        components=[
            Component("step", "sharp/sam", "contrast_sharp.step:Sam", "Update by the gradient uphill.", SAM),
            Component(
                "memory",
                "sharp/reservoirs",
                "contrast_sharp.memory:Reservoirs",
                "A uniform sample of all rows so far, for each class.",
                VITTER,
            ),
            Component(
                "sampler",
                "sharp/rehearsal",
                "contrast_sharp.sampler:Rehearsal",
                "Anchors against keys and remembered rows, by label.",
                SUPCON,
            ),
        ],
        recipes=[
            RecipeFile(
                "sharp/digits",
                "contrast_sharp",
                "recipes/digits.toml",
                "Digits by sharpness-aware minimisation, with a balanced memory.",
                SAM,
            ),
        ],
    )
