# SPDX-License-Identifier: 0BSD
"""Entry point: the list of what this package adds to contrast."""

from contrast_core import spec

FACENET = "Schroff et al., FaceNet, CVPR 2015, arXiv 1503.03832"


def contrast_manifest():
    miner = spec.Component(
        "sampler",
        "tabtriplet/semi-hard",
        "contrast_tabtriplet.miner:SemiHard",
        "One negative per anchor-positive pair, farther than the positive but inside the margin.",
        FACENET,
    )
    loss = spec.Component(
        "objective", "tabtriplet/hinge", "contrast_tabtriplet.loss:Hinge", "Hinge on squared distances.", FACENET
    )
    recipe = spec.RecipeFile(
        "tabtriplet/tumours",
        "contrast_tabtriplet",
        "tables/tumours.toml",
        "Semi-hard triplets of 569 tumours, ten measurements each.",
        FACENET,
    )
    return spec.Manifest(api=spec.API, components=[miner, loss], recipes=[recipe])
