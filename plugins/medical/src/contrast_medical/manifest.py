"""What contrast-medical registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Component, Manifest, RecipeFile

SEPCLR = "SepCLR: Separating common from salient patterns with Contrastive Representation Learning, ICLR 2024, arXiv 2402.11928"  # noqa: E501


def _component(kind: str, name: str, target: str, summary: str, paper: str = SEPCLR) -> Component:
    return Component(kind, f"medical/{name}", f"contrast_medical.{target}", summary, paper)


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component("data", "planted", "data.planted:Planted",
                       "Digits, or images of an .npz file; in half of them an opacity is planted.", ""),
            _component("data", "images", "data.files:TwoSetImages",
                       "One's own images in two sets: folders, a table or an .npz file.", ""),
            _component("evaluator", "two-space-probes", "separation:Separation",
                       "What each space says of each attribute, delta_tot, leakage, neighbours."),
            _component("encoder", "two-spaces", "encoders:TwoSpaces", "Two networks, a common and a salient code."),
            _component("objective", "separation", "objectives:SepCLR", "The six terms of SepCLR together."),
            _component("objective", "space-alignment", "objectives:SpaceAlignment",
                       "Two views are close in the common or the salient space."),
            _component("objective", "space-uniformity", "objectives:SpaceUniformity",
                       "Codes of one space are spread; background ones stand at zero."),
            _component("objective", "information-less", "objectives:InformationLess",
                       "Background images have no salient code."),
            _component("objective", "independence", "objectives:Independence",
                       "Common and salient codes are independent: k-JEM or k-MI."),
        ],
        recipes=[
            RecipeFile("medical/sepclr", "contrast_medical", "recipes/sepclr.toml",
                       "SepCLR on digits with planted opacities.", SEPCLR),
            RecipeFile("medical/sepclr-images", "contrast_medical", "recipes/sepclr-images.toml",
                       "SepCLR on your own images; needs data.path.", SEPCLR),
        ],
    )  # fmt: skip
