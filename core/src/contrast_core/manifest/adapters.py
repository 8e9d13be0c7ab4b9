"""Losses and models of other libraries."""

from __future__ import annotations

from contrast_core.manifest.entry import of

ADAPTERS = (
    of(
        "objective",
        "metric-learning",
        "adapters.metric_learning:MetricLearning",
        "A loss of pytorch-metric-learning, by labels or by pairs, with a miner or not.",
        "Musgrave et al. 2020, arXiv 2008.09164",
    ),
    of(
        "objective",
        "lightly",
        "adapters.lightly:Lightly",
        "A two-view loss of lightly.",
    ),
    of(
        "encoder",
        "transformers",
        "adapters.transformers:Transformers",
        "A language model of transformers as an encoder of texts.",
        "SimCSE, EMNLP 2021, arXiv 2104.08821",
    ),
    of(
        "encoder",
        "image-model",
        "adapters.image_models:ImageModel",
        "A ResNet, or any image model of transformers, with a projection head.",
        "Deep Residual Learning, CVPR 2016, arXiv 1512.03385",
    ),
)
