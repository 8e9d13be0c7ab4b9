"""Recipes."""

from __future__ import annotations

from contrast_core.manifest.entry import CORE

_recipe = CORE.recipe

RECIPES = (
    _recipe("digits-simclr", "SimCLR on handwritten digits.", "SimCLR, ICML 2020, arXiv 2002.05709"),
    _recipe(
        "digits-moco",
        "MoCo on handwritten digits: a momentum teacher and a queue.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    _recipe(
        "digits-protonce",
        "PCL on handwritten digits: MoCo, and prototypes of clusterings made anew every epoch.",
        "PCL, ICLR 2021, arXiv 2005.04966",
    ),
    _recipe(
        "digits-supcon",
        "SupCon on handwritten digits, with the labels of the training half.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
    _recipe(
        "digits-continual",
        "Handwritten digits in five tasks of two: rehearsal by herding, scores over tasks.",
        "iCaRL, CVPR 2017, arXiv 1611.07725",
    ),
    _recipe(
        "table-simclr",
        "SimCLR on your own table of numbers: --set data.path=FILE.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    _recipe(
        "images-simclr",
        "SimCLR on your own images: --set data.path=FOLDER.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    _recipe(
        "texts-simcse",
        "SimCSE on your own texts with your own language model.",
        "SimCSE, EMNLP 2021, arXiv 2104.08821",
    ),
)
