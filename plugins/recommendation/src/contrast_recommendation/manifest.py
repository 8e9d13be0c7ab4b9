"""What contrast-recommendation registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

MCLREC = "Meta-optimized Contrastive Learning for Sequential Recommendation, SIGIR 2023, arXiv 2304.07763"

SASREC = "Self-Attentive Sequential Recommendation, ICDM 2018, arXiv 1808.09781"
CL4SREC = "Contrastive Learning for Sequential Recommendation, ICDE 2022, arXiv 2010.14395"
DUOREC = (
    "Contrastive Learning for Representation Degeneration Problem in Sequential Recommendation, WSDM 2022, "
    "arXiv 2110.05730"
)


_OWN = Package("recommendation", "contrast_recommendation", MCLREC)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            # Data and evaluators.
            _component("data", "interactions", "data.component:Interactions",
                       "Histories and next items from MovieLens 100K, RecBole files, CSV, Parquet or plain lists.", ""),
            _component("evaluator", "full-ranking", "ranking:FullRanking",
                       "HR, NDCG and MRR at k of the held-out item among all items.", ""),
            # Views, encoder, samplers, objectives, steps.
            _component("view", "sequence-augmentation", "views:SequenceAugmentation",
                       "Two copies of each sequence by two different operations of crop, mask and reorder.", CL4SREC),
            _component("view", "learnable-augmenters", "augmenters:LearnableAugmenters",
                       "Small networks that turn the encoded views into further ones; a view after the encoder."),
            _component("encoder", "sasrec", "encoder:SASRec",
                       "Causal post-norm transformer: the state of the last item, and the table of all items.", SASREC),
            _component("sampler", "next-item", "samplers:NextItem",
                       "Sequences meet all items; the positive is the one that came next.", SASREC),
            _component("sampler", "augmented-pairs", "samplers:AugmentedPairs",
                       "Encoded against augmented views, three NT-Xent pairs."),
            _component("sampler", "same-target", "samplers:SameTarget",
                       "Sequences with one next item are positives of each other.", DUOREC),
            _component("objective", "margin-regulariser", "objectives:MarginRegulariser",
                       "Keeps positives from being told too easily from the hardest negatives."),
            _component("step", "meta", "step:Meta",
                       "Encoder, augmenters, encoder: several updates a batch, of some parameters each."),
        ],
        recipes=[
            _recipe("mclrec", "MCLRec on MovieLens 100K, or on --set data.path=..."),
            _recipe("mclrec-joint", "One update a batch of encoder and augmenters together: an ablation."),
            _recipe("mclrec-without-regulariser", "Without the margin regulariser: an ablation."),
            _recipe("sasrec", "The next item alone, with as many encoder updates as MCLRec.", SASREC),
            _recipe("cl4srec", "Crop, mask and reorder with NT-Xent, with as many encoder updates as MCLRec.", CL4SREC),
            _recipe("duorec-style", "Views by dropout; sequences of one next item are positives.", DUOREC),
            _recipe("mclrec-beauty", "MCLRec with the authors' hyperparameters for Beauty; needs data.path."),
            _recipe("mclrec-sports", "MCLRec with the authors' hyperparameters for Sports; needs data.path."),
            _recipe("mclrec-yelp", "MCLRec with the authors' hyperparameters for Yelp; needs data.path."),
        ],
    )  # fmt: skip
