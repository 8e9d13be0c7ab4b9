"""contrast: contrastive learning from exchangeable parts.

Importing this package is cheap: names are loaded from their modules when first used, so nothing here
imports torch until something that needs it is touched.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Embeddings": "contrast_core.embeddings",
    "Relation": "contrast_core.relations",
    "same": "contrast_core.relations",
    "where": "contrast_core.relations",
    "differing": "contrast_core.relations",
    "distance": "contrast_core.relations",
    "near": "contrast_core.relations",
    "edges": "contrast_core.relations",
    "kernel": "contrast_core.relations",
    "learned": "contrast_core.relations",
    "dense": "contrast_core.relations",
    "everything": "contrast_core.relations",
    "Pairs": "contrast_core.pairs",
    "Similarity": "contrast_core.similarity",
    "pairwise": "contrast_core.pairwise",
    "View": "contrast_core.interfaces",
    "Encoder": "contrast_core.interfaces",
    "PairSampler": "contrast_core.interfaces",
    "Objective": "contrast_core.interfaces",
    "Memory": "contrast_core.interfaces",
    "Step": "contrast_core.interfaces",
    "Data": "contrast_core.interfaces",
    "Evaluator": "contrast_core.interfaces",
    "Outputs": "contrast_core.interfaces",
    "Term": "contrast_core.interfaces",
    "Pipeline": "contrast_core.pipeline",
    "Recipe": "contrast_core.recipe",
    "load_recipe": "contrast_core.recipe",
    "run": "contrast_core.runs",
    "resume": "contrast_core.runs",
    "sweep": "contrast_core.sweeps",
    "Stepper": "contrast_core.stepper",
    "evaluate": "contrast_core.runs",
    "embed": "contrast_core.runs",
    "write_report": "contrast_core.runs",
    "load_encoder": "contrast_core.export",
    "export_run": "contrast_core.export",
    "ContrastTransformer": "contrast_core.export.scikit",
    "ContrastError": "contrast_core.errors",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'contrast_core' has no attribute '{name}'")
    home = import_module(_HOME[name])
    # pairwise is a module itself; everything else is a name in one. No name here is also that of another module,
    # which importing that module would put in its place.
    return home if name == "pairwise" else getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)
