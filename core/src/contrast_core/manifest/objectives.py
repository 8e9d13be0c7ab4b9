"""Objectives."""

from __future__ import annotations

from contrast_core.manifest.entry import of

OBJECTIVES = (
    of(
        "objective",
        "infonce",
        "objectives.infonce:InfoNCE",
        "InfoNCE; with its pairs also NT-Xent, CLIP's and MoCo's loss.",
        "CPC 2018, arXiv 1807.03748",
    ),
    of(
        "objective",
        "dcl",
        "objectives.infonce:DCL",
        "Decoupled contrastive loss: negatives alone in the denominator.",
        "DCL, ECCV 2022, arXiv 2110.06848",
    ),
    of(
        "objective",
        "supcon",
        "objectives.supcon:SupCon",
        "Supervised contrastive loss: several positives an anchor.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
    of(
        "objective",
        "pairwise-ntxent",
        "objectives.ntxent:PairwiseNTXent",
        "NT-Xent with one term for every positive pair.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    of(
        "objective",
        "protonce",
        "objectives.protonce:ProtoNCE",
        "InfoNCE against prototypes, each with its own temperature.",
        "PCL, ICLR 2021, arXiv 2005.04966",
    ),
    of(
        "objective",
        "alignment",
        "objectives.alignment:Alignment",
        "Mean distance of positive pairs.",
        "Wang and Isola, ICML 2020, arXiv 2005.10242",
    ),
    of(
        "objective",
        "uniformity",
        "objectives.alignment:Uniformity",
        "How evenly rows cover the sphere: log-mean Gaussian potential.",
        "Wang and Isola, ICML 2020, arXiv 2005.10242",
    ),
    of(
        "objective",
        "multiple-negatives-ranking",
        "objectives.ranking:MultipleNegativesRanking",
        "Cross-entropy of each anchor's positive among all candidates.",
        "Henderson et al. 2017, arXiv 1705.00652",
    ),
    of(
        "objective",
        "triplet",
        "objectives.triplet:Triplet",
        "Triplet margin loss.",
        "FaceNet, CVPR 2015, arXiv 1503.03832",
    ),
    of(
        "objective",
        "multi-similarity",
        "objectives.multisimilarity:MultiSimilarity",
        "Multi-similarity loss, with its miner if wanted.",
        "Wang et al., CVPR 2019, arXiv 1904.06627",
    ),
    of(
        "objective",
        "nca",
        "objectives.nca:NCA",
        "Neighbourhood components analysis.",
        "Goldberger et al., NeurIPS 2004",
    ),
    of(
        "objective",
        "barlow-twins",
        "objectives.barlow:BarlowTwins",
        "Cross-correlation of two views towards the identity.",
        "Zbontar et al., ICML 2021, arXiv 2103.03230",
    ),
    of(
        "objective",
        "vicreg",
        "objectives.vicreg:VICReg",
        "Invariance of two views, variance and covariance of each.",
        "Bardes et al., ICLR 2022, arXiv 2105.04906",
    ),
)
