"""What contrast-borrowed brings. Loads neither torch nor a borrowed library."""

from contrast_core.spec import API, Component, Manifest, RecipeFile

PROXY_ANCHOR = "Kim et al., CVPR 2020, arXiv 2003.13911"
PARTS = [
    Component(
        kind="objective",
        name="borrowed/cosine-embedding",
        target="contrast_borrowed.cosine:CosineEmbedding",
        summary="torch.nn.CosineEmbeddingLoss on the pairs of any sampler.",
    ),
    Component(
        kind="objective",
        name="borrowed/proxy-anchor",
        target="contrast_borrowed.proxies:ProxyAnchor",
        summary="ProxyAnchorLoss of pytorch-metric-learning: a learned proxy for each class.",
        paper=PROXY_ANCHOR,
    ),
]
RECIPES = [
    RecipeFile(
        "borrowed/digits-cosine",
        "contrast_borrowed",
        "recipes/digits-cosine.toml",
        "Two views of digits and torch's CosineEmbeddingLoss.",
    ),
    RecipeFile(
        "borrowed/digits-proxies",
        "contrast_borrowed",
        "recipes/digits-proxies.toml",
        "Labelled digits and a proxy for each class.",
        PROXY_ANCHOR,
    ),
]


def contrast_manifest() -> Manifest:
    """The two objectives and a recipe for each."""
    return Manifest(api=API, components=PARTS, recipes=RECIPES)
