"""Data sets, views, encoders, memories, samplers, steps, evaluators and similarities."""

from __future__ import annotations

from contrast_core.manifest.entry import of

PARTS = (
    of(
        "data",
        "digits",
        "data.digits:Digits",
        "1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.",
        "Alpaydin and Kaynak, UCI Machine Learning Repository, doi:10.24432/C50P49",
    ),
    of("data", "table", "data.table:Table", "Your own numbers: a CSV file or the arrays of a NumPy file."),
    of(
        "view",
        "tensor-views",
        "views.tensor:TensorViews",
        "Random views of any tensor: noise, dropout, a shift of images.",
    ),
    of(
        "encoder",
        "mlp",
        "encoders.mlp:MLP",
        "A multilayer perceptron with a projection head.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    of(
        "encoder",
        "momentum",
        "encoders.momentum:Momentum",
        "Any encoder and a teacher that follows it slowly.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    of(
        "memory",
        "queue",
        "memories.fifo:Queue",
        "The latest rows, first in, first out.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    of(
        "sampler",
        "two-views",
        "samplers.views:TwoViews",
        "All views against all; positives are other views of the same item.",
        "SimCLR, ICML 2020, arXiv 2002.05709",
    ),
    of(
        "sampler",
        "cross",
        "samplers.cross:Cross",
        "One table against another: two views, two modalities, student and teacher.",
        "CLIP, ICML 2021, arXiv 2103.00020",
    ),
    of(
        "sampler",
        "queue-pairs",
        "samplers.queue:Queue",
        "Anchors against their own keys and a memory.",
        "MoCo, CVPR 2020, arXiv 1911.05722",
    ),
    of(
        "sampler",
        "labels",
        "samplers.labels:Labels",
        "Rows of one class attract each other.",
        "SupCon, NeurIPS 2020, arXiv 2004.11362",
    ),
    of(
        "sampler",
        "prototypes",
        "samplers.prototypes:Prototypes",
        "Anchors against the prototypes of their clusterings.",
        "PCL, ICLR 2021, arXiv 2005.04966",
    ),
    of(
        "sampler",
        "ranking",
        "samplers.ranking:Ranking",
        "Anchors against everyone's positives and hard negatives.",
        "Henderson et al. 2017, arXiv 1705.00652",
    ),
    of(
        "step",
        "ordinary",
        "training.steps:Ordinary",
        "Outputs, terms, backward, update: one step on the sum of all terms.",
    ),
    of(
        "step",
        "gradient-cache",
        "training.gradient_cache:GradientCache",
        "The gradient of a large batch with the memory of a small one.",
        "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, arXiv 2101.06983",
    ),
    of(
        "evaluator",
        "linear-probe",
        "evaluation.probe:LinearProbe",
        "Logistic regression on the frozen embedding.",
    ),
    of("evaluator", "knn", "evaluation.neighbours:KNN", "The majority class of the nearest training items."),
    of(
        "evaluator",
        "clustering",
        "evaluation.clusters:Clustering",
        "k-means against the classes: NMI and ARI.",
    ),
    of("similarity", "cosine", "similarity:Cosine", "The cosine of two rows."),
    of("similarity", "dot", "similarity:Dot", "The inner product of two rows."),
    of(
        "similarity",
        "negative-distance",
        "similarity:NegativeDistance",
        "Minus a power of the Euclidean distance.",
    ),
    of(
        "similarity",
        "weighted-sum",
        "similarity:WeightedSum",
        "A weighted sum of similarities: a product of kernels.",
    ),
    of(
        "similarity",
        "max-sim",
        "similarity:MaxSim",
        "Late interaction of token vectors.",
        "ColBERT, SIGIR 2020, arXiv 2004.12832",
    ),
    of("similarity", "given", "similarity:Given", "Scores that something else computed."),
)
