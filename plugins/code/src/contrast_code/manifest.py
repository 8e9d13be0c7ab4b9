"""What contrast-code registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

COCOSODA = "CoCoSoDa: Effective Contrastive Learning for Code Search, ICSE 2023, arXiv 2204.03293"
NET = "CodeSearchNet Challenge: Evaluating the State of Semantic Code Search, arXiv 1909.09436"


_OWN = Package("code", "contrast_code", COCOSODA)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component(
                "data",
                "installed-libraries",
                "data.installed:InstalledLibraries",
                "Docstrings and functions of Python and the libraries installed here.",
                NET,
            ),
            _component("data", "codesearchnet", "data.codesearchnet:CodeSearchNet", "CodeSearchNet's JSON lines.", NET),
            _component(
                "view",
                "soft-augmentation",
                "augmentation:SoftAugmentation",
                "Tokens masked, or replaced by the name of their syntactic type.",
            ),
            _component(
                "encoder",
                "token-encoder",
                "encoder:TokenEncoder",
                "One small network for code and queries, the mean of their tokens' vectors.",
            ),
            _component(
                "encoder",
                "pretrained",
                "pretrained:Pretrained",
                "One model of transformers for code and queries: UniXcoder, CodeBERT, ...",
            ),
            _component(
                "sampler",
                "bimodal",
                "sampler:Bimodal",
                "Code and query against each other and their momentum copies, with queues.",
            ),
            _component(
                "evaluator",
                "lexical",
                "lexical:Lexical",
                "Code search by shared words, TF-IDF and BM25: what training must beat.",
                NET,
            ),
        ],
        recipes=[
            _recipe("cocosoda", "CoCoSoDa on the Python code that is installed here."),
            _recipe("cocosoda-tuned", "CoCoSoDa and then its fine-tuning by in-batch InfoNCE."),
            _recipe("cocosoda-as-released", "The released script's settings instead of the paper's: for comparison."),
            _recipe("cocosoda-codesearchnet", "The paper's settings on CodeSearchNet; needs data.path and a GPU."),
            _recipe("infonce", "The same with in-batch InfoNCE alone: for comparison."),
        ],
    )
