"""What contrast-graph registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

MEOW = "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Weighted Negative Samples, SDM 2023"
ADAMEOW = (
    "Heterogeneous Graph Contrastive Learning with Meta-path Contexts and Adaptively Weighted Negative Samples, "
    "IEEE TKDE 2024, arXiv 2212.13847"
)


_OWN = Package("graph", "contrast_graph", MEOW)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component("data", "nodes", "data.component:Nodes",
                       "A heterogeneous graph: of the installed libraries, a published folder, a HeteroData file.", ""),
            _component("view", "metapath-views", "views:MetapathViews",
                       "Coarse view (who is joined by meta-paths), fine view (and through what), masked fine view."),
            _component("encoder", "metapath-encoder", "encoder:MetapathEncoder",
                       "One shared graph convolution for all views; attention fuses the fine ones."),
            _component("sampler", "weighted-negatives", "samplers:WeightedNegatives",
                       "Negatives weigh as many times as clusterings separate them from the anchor."),
            _component("sampler", "adaptive-negatives", "samplers:AdaptiveNegatives",
                       "Negatives weighed by a small network that is trained with the rest.", ADAMEOW),
            _component("evaluator", "node-probe", "evaluation:NodeProbe",
                       "Linear probe with 20/40/60 labels a class: Macro-F1, Micro-F1, AUC over 50 initialisations."),
        ],
        recipes=[
            _recipe("meow", "MEOW on the graph of the installed libraries' source, or on --set data.path=..."),
            _recipe("adameow", "AdaMEOW, with weights normalised a row, on the same graph.", ADAMEOW),
            _recipe("infonce", "Plain InfoNCE between the same views: MEOW without weights and prototypes."),
            _recipe("meow-acm", "MEOW with the authors\' hyperparameters for ACM; needs data.path."),
            _recipe("meow-imdb", "MEOW with the authors\' hyperparameters for IMDB; needs data.path."),
            _recipe("meow-dblp", "MEOW with the authors\' hyperparameters for DBLP; needs data.path."),
            _recipe("meow-aminer", "MEOW with the authors\' hyperparameters for AMiner; needs data.path."),
            _recipe("adameow-acm", "AdaMEOW with the authors\' hyperparameters for ACM; needs data.path.", ADAMEOW),
            _recipe("adameow-imdb", "AdaMEOW with the authors\' hyperparameters for IMDB; needs data.path.", ADAMEOW),
        ],
    )  # fmt: skip
