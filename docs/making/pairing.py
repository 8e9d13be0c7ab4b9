"""What an objective is usually given: where its pairs come from, and what a recipe has to say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Pairing(NamedTuple):
    """What to pair with an objective.

    Args:
        sampler: the usual one; none if the objective reads tables.
        labels: whether it needs them: "no", "can" or what it needs.
        views: the same of two views of an item (or an item in two modalities).
        queue: the same of a memory.
        required: what the example has to set, such as arguments without default.
    """

    sampler: str
    labels: str
    views: str
    queue: str
    required: Mapping[str, Any] = {}


ANY = Pairing("core/two-views", "can", "can", "can")
VIEWS = Pairing("core/two-views", "no", "yes", "no")
LABELS = Pairing("core/labels", "yes", "can", "can")
NUMBERS = Pairing("core/near-labels", "yes: numbers", "can", "no")
TABLES = Pairing("", "no", "yes", "no")

PAIRINGS: Mapping[str, Pairing] = {
    "core/infonce": ANY,
    "core/dcl": ANY,
    "core/dclw": ANY,
    "core/debiased-infonce": ANY,
    "core/hard-contrastive": ANY._replace(required={"fraction": 0.5}),
    "core/simple": ANY,
    "core/hard-simple": ANY._replace(required={"fraction": 0.5}),
    "core/sigmoid": Pairing("core/cross", "can", "can", "can"),
    "core/pairwise-ntxent": ANY,
    "core/supcon": LABELS,
    "core/triplet": LABELS,
    "core/multi-similarity": LABELS,
    "core/nca": LABELS,
    "core/weighted-supcon": NUMBERS,
    "core/rank-n-contrast": NUMBERS,
    "core/protonce": Pairing("core/prototypes", "no", "no", "yes: prototypes"),
    "core/multiple-negatives-ranking": Pairing("core/ranking", "no", "yes", "no"),
    "core/alignment": Pairing("core/cross", "no", "yes", "no"),
    "core/uniformity": Pairing("", "no", "no", "no"),
    "core/barlow-twins": TABLES,
    "core/vicreg": TABLES,
    "core/dhel": VIEWS,
    "core/kcl": VIEWS,
    "core/poly-view": VIEWS,
    "core/mv-infonce": VIEWS,
    "core/mv-dhel": VIEWS,
    "core/mv-cl1": VIEWS,
    "core/mv-cl2": VIEWS,
    "core/mean-of-others": VIEWS,
    "core/pairwise-views": VIEWS._replace(required={"objective": {"use": "core/infonce"}}),
    "core/cacr": VIEWS._replace(queue="can"),
    "core/momentum-cacr": Pairing("core/teacher-views", "no", "yes", "no"),
    "diffusion/denoising": Pairing("", "no", "no", "no"),
    "diffusion/multiscale-appearance": Pairing("diffusion/subject-pairs", "yes: subjects", "yes", "no"),
    "medical/density-ratio": Pairing("", "no", "no", "no"),
    "medical/joint-entropy": Pairing("", "no", "no", "no"),
    "medical/mean-discrepancy": Pairing("", "no", "no", "no"),
    "medical/mutual-information": Pairing("", "no", "no", "no"),
    "medical/nullity": Pairing("", "no", "no", "no"),
    "medical/sepclr-loss": Pairing("", "no", "no", "no"),
    "medical/space-alignment": Pairing("", "no", "no", "no"),
    "medical/space-uniformity": Pairing("", "no", "no", "no"),
    "medical/supervised-alignment": Pairing("", "yes: attributes", "no", "no"),
    "medical/supervised-sepclr-loss": Pairing("", "yes: attributes", "no", "no"),
    "medical/vclub": Pairing("", "no", "no", "no"),
    "medical/vl1out": Pairing("", "no", "no", "no"),
    "medical/vub": Pairing("", "no", "no", "no"),
    "recommendation/margin-regulariser": Pairing("core/cross", "no", "yes", "can"),
    "speech/nspt": Pairing("speech/rehearsal-distillation", "yes", "no", "yes: rehearsal"),
    "speech/token-cross-entropy": Pairing("", "no", "no", "no"),
    "speech/token-distillation": Pairing("", "no", "no", "can"),
    "speech/logit-distillation": Pairing("", "no", "no", "can"),
    "speech/feature-distillation": Pairing("", "no", "no", "can"),
    "fewshot/beclr-loss": Pairing("fewshot/batch-enhancement", "no", "yes", "can: neighbours"),
    "fewshot/memory-uniformity": Pairing("core/queue-pairs", "no", "can", "yes"),
    "core/over-pairs": Pairing(
        "core/two-views", "can", "can", "can", {"objective": {"use": "core/infonce"}, "pairs": ["pairs"]}
    ),
    "core/lightly": TABLES._replace(required={"loss": "NTXentLoss"}),
    "core/metric-learning": Pairing("", "yes", "can", "can", {"loss": "MultiSimilarityLoss"}),
}
