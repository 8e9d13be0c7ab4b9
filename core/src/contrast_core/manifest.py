"""What the core itself registers; it comes by the same road as every plugin."""

from __future__ import annotations

from contrast_core.spec import API, Component, Manifest, RecipeFile


def contrast_manifest() -> Manifest:
    """The core's components and recipes."""
    return Manifest(
        api=API,
        components=[*_DATA, *_PARTS, *_OBJECTIVES, *_EVALUATORS, *_SIMILARITIES],
        recipes=_RECIPES,
    )


def _of(kind: str, name: str, target: str, summary: str, paper: str = "") -> Component:
    return Component(kind, f"core/{name}", f"contrast_core.{target}", summary, paper)


def _recipe(name: str, summary: str, paper: str) -> RecipeFile:
    return RecipeFile(f"core/{name}", "contrast_core", f"recipes/{name}.toml", summary, paper)


_DATA = (
    _of(
        "data",
        "digits",
        "data.digits:Digits",
        "1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.",
        "Alpaydin and Kaynak, UCI Machine Learning Repository, doi:10.24432/C50P49",
    ),
    _of("data", "table", "data.table:Table", "Your own numbers: a CSV file or the arrays of a NumPy file."),
)

_PARTS = (
    _of(
        "view",
        "tensor-views",
        "views.tensor:TensorViews",
        "Random views of any tensor: noise, dropout, a shift of images.",
    ),
    _of(
        "encoder",
        "mlp",
        "encoders.mlp:MLP",
        "A multilayer perceptron with a projection head.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    _of(
        "encoder",
        "momentum",
        "encoders.momentum:Momentum",
        "Any encoder and a teacher that follows it slowly.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    _of(
        "memory",
        "queue",
        "memories.fifo:Queue",
        "The latest rows, first in, first out.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    _of(
        "sampler",
        "two-views",
        "samplers.views:TwoViews",
        "All views against all; positives are other views of the same item.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    _of(
        "sampler",
        "cross",
        "samplers.cross:Cross",
        "One table against another: two views, two modalities, student and teacher.",
        "CLIP, ICML 2021, arXiv 2103.00020",
    ),
    _of(
        "sampler",
        "queue-pairs",
        "samplers.queue:Queue",
        "Anchors against their own keys and a memory.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    _of(
        "sampler",
        "labels",
        "samplers.labels:Labels",
        "Rows of one class attract each other.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
    _of(
        "sampler",
        "prototypes",
        "samplers.prototypes:Prototypes",
        "Anchors against the prototypes of their clusterings.",
        "PCL, ICLR 2021, arXiv 2005.04966",
    ),
    _of(
        "sampler",
        "ranking",
        "samplers.ranking:Ranking",
        "Anchors against everyone's positives and hard negatives.",
        "Henderson et al. 2017, arXiv 1705.00652",
    ),
    _of(
        "step",
        "ordinary",
        "training.steps:Ordinary",
        "Outputs, terms, backward, update: one step on the sum of all terms.",
    ),
    _of(
        "step",
        "gradient-cache",
        "training.gradient_cache:GradientCache",
        "The gradient of a large batch with the memory of a small one.",
        "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, arXiv 2101.06983",
    ),
)

_OBJECTIVES = (
    _of(
        "objective",
        "infonce",
        "objectives.infonce:InfoNCE",
        "InfoNCE; with its pairs also NT-Xent, CLIP's and MoCo's loss.",
        "CPC 2018, arXiv 1807.03748",
    ),
    _of(
        "objective",
        "dcl",
        "objectives.infonce:DCL",
        "Decoupled contrastive loss: negatives alone in the denominator.",
        "DCL, ECCV 2022, arXiv 2110.06848",
    ),
    _of(
        "objective",
        "supcon",
        "objectives.supcon:SupCon",
        "Supervised contrastive loss: several positives an anchor.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
    _of(
        "objective",
        "pairwise-ntxent",
        "objectives.ntxent:PairwiseNTXent",
        "NT-Xent with one term for every positive pair.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    _of(
        "objective",
        "protonce",
        "objectives.protonce:ProtoNCE",
        "InfoNCE against prototypes, each with its own temperature.",
        "PCL, ICLR 2021, arXiv 2005.04966",
    ),
    _of(
        "objective",
        "alignment",
        "objectives.alignment:Alignment",
        "Mean distance of positive pairs.",
        "Wang and Isola, ICML 2020, arXiv 2005.10242",
    ),
    _of(
        "objective",
        "uniformity",
        "objectives.alignment:Uniformity",
        "How evenly rows cover the sphere: log-mean Gaussian potential.",
        "Wang and Isola, ICML 2020, arXiv 2005.10242",
    ),
    _of(
        "objective",
        "multiple-negatives-ranking",
        "objectives.ranking:MultipleNegativesRanking",
        "Cross-entropy of each anchor's positive among all candidates.",
        "Henderson et al. 2017, arXiv 1705.00652",
    ),
    _of(
        "objective",
        "triplet",
        "objectives.triplet:Triplet",
        "Triplet margin loss.",
        "FaceNet, CVPR 2015, arXiv 1503.03832",
    ),
    _of(
        "objective",
        "multi-similarity",
        "objectives.multisimilarity:MultiSimilarity",
        "Multi-similarity loss, with its miner if wanted.",
        "Wang et al., CVPR 2019, arXiv 1904.06627",
    ),
    _of(
        "objective",
        "nca",
        "objectives.nca:NCA",
        "Neighbourhood components analysis.",
        "Goldberger et al., NeurIPS 2004",
    ),
    _of(
        "objective",
        "barlow-twins",
        "objectives.barlow:BarlowTwins",
        "Cross-correlation of two views towards the identity.",
        "Zbontar et al., ICML 2021, arXiv 2103.03230",
    ),
    _of(
        "objective",
        "vicreg",
        "objectives.vicreg:VICReg",
        "Invariance of two views, variance and covariance of each.",
        "Bardes et al., ICLR 2022, arXiv 2105.04906",
    ),
)

_EVALUATORS = (
    _of(
        "evaluator",
        "linear-probe",
        "evaluation.probe:LinearProbe",
        "Logistic regression on the frozen embedding.",
    ),
    _of("evaluator", "knn", "evaluation.neighbours:KNN", "The majority class of the nearest training items."),
    _of(
        "evaluator",
        "clustering",
        "evaluation.clusters:Clustering",
        "k-means against the classes: NMI and ARI.",
    ),
)

_SIMILARITIES = (
    _of("similarity", "cosine", "similarity:Cosine", "The cosine of two rows."),
    _of("similarity", "dot", "similarity:Dot", "The inner product of two rows."),
    _of(
        "similarity",
        "negative-distance",
        "similarity:NegativeDistance",
        "Minus a power of the Euclidean distance.",
    ),
    _of(
        "similarity",
        "weighted-sum",
        "similarity:WeightedSum",
        "A weighted sum of similarities: a product of kernels.",
    ),
    _of(
        "similarity",
        "max-sim",
        "similarity:MaxSim",
        "Late interaction of token vectors.",
        "ColBERT, SIGIR 2020, arXiv 2004.12832",
    ),
    _of("similarity", "given", "similarity:Given", "Scores that something else computed."),
)

_RECIPES = (
    _recipe("digits-simclr", "SimCLR on handwritten digits.", "SimCLR, ICML 2020, arXiv 2002.05709"),
    _recipe(
        "digits-moco",
        "MoCo on handwritten digits: a momentum teacher and a queue.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    _recipe(
        "digits-supcon",
        "SupCon on handwritten digits, with the labels of the training half.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
)
