"""What {{ cookiecutter.distribution }} registers; imports nothing heavy, so that listing stays quick."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

SCARF = "SCARF, ICLR 2022, arXiv 2106.15147"


_OWN = Package("{{ cookiecutter.__domain }}", __package__)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component("data", "wine", "data:Wine", "178 wines of three cultivars, 13 chemical measurements each."),
            _component(
                "view",
                "corrupted",
                "view:Corrupted",
                "A row of a table, and the same row with some features from other rows.",
                SCARF,
            ),
            _component(
                "encoder",
                "periodic",
                "encoder:Periodic",
                "Sines and cosines of each feature, and a multilayer perceptron.",
                "Gorishniy et al., NeurIPS 2022, arXiv 2203.05556",
            ),
            _component(
                "sampler",
                "not-near",
                "sampler:NotNear",
                "All views against all, but the rows most similar to an anchor repel nobody.",
                "Huynh et al., WACV 2022, arXiv 2011.11765",
            ),
            _component(
                "objective",
                "spectral",
                "objective:Spectral",
                "Spectral contrastive loss: squares where InfoNCE has exponentials.",
                "HaoChen et al., NeurIPS 2021, arXiv 2106.04156",
            ),
        ],
        recipes=[
            _recipe("tabular", "Corrupted rows of a table of wines, spectral contrastive loss.", SCARF),
        ],
    )
