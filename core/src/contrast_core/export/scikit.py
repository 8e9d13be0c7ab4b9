"""A recipe as a transformer of scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import numpy
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from contrast_core.assembly import assemble, carry
from contrast_core.export.extract import extract
from contrast_core.export.module import EncoderModule
from contrast_core.export.packing import packed, unpacked
from contrast_core.recipe import Recipe, Source
from contrast_core.registry import discover
from contrast_core.runs import find_recipe
from contrast_core.settings import as_settings
from contrast_core.training.checkpoint import own_randomness
from contrast_core.training.fit import Trainer
from contrast_core.training.position import Position

ROWS = 4096
"""Embedded at a time."""


@final
class ContrastTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learn an embedding of the rows of X by a recipe for tables, and embed rows with it.

    The recipe's data set is replaced by the rows given to `fit`: all of them train, standardised by their means and
    deviations if the recipe's table is. Its evaluations are left out; all else is the recipe's. If y holds classes,
    batches have the column `label`, which supervised recipes need; without labels they say so.

    Args:
        recipe: a registered name or the path of a TOML file; its pipeline reads `features`.
        settings: settings stronger than the recipe, as a mapping or as "section.key=value" texts.
        random_state: the seed, by which the result is the same every time; left out, the recipe's.

    Attributes:
        encoder_: the trained encoder, a torch module; n_features_in_: the number of features.

    Raises:
        ContrastError: from `fit`, if the recipe does not fit a table; ValueError for arrays that scikit-learn refuses.
    """

    def __init__(
        self,
        recipe: str = "core/table-simclr",
        settings: Mapping[str, Any] | Sequence[str] | None = None,
        random_state: int | numpy.random.RandomState | None = None,
    ):
        self.recipe = recipe
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ContrastTransformer:  # noqa: N803 - scikit-learn's name
        """Train on the rows of X (n, k), numbers, with the classes y (n,) if given."""
        if y is None:
            X = validate_data(self, X, dtype=numpy.float64, ensure_min_samples=2)
        else:
            X, y = validate_data(self, X, y, dtype=numpy.float64, ensure_min_samples=2, multi_output=True)
        with TemporaryDirectory() as folder, own_randomness():
            rows, labels = Path(folder, "rows.npz"), _labels(y)
            numpy.savez(rows, **{"features": X, **labels})
            self.encoder_ = _trained(self._recipe(rows, labelled=bool(labels)), Path(folder))
        self._n_features_out = self.encoder_.size
        return self

    def transform(self, X: Any) -> NDArray[numpy.float32]:  # noqa: N803 - scikit-learn's name
        """The embedding (n, d) float32 of the rows of X (n, k)."""
        check_is_fitted(self)
        wanted = getattr(torch, self.encoder_.inputs[0].dtype)
        X = torch.from_numpy(validate_data(self, X, reset=False, dtype=numpy.float64, copy=True)).to(wanted)
        with torch.no_grad():
            embedding: NDArray[numpy.float32] = torch.cat([self.encoder_(rows) for rows in X.split(ROWS)]).numpy()
        return embedding

    def _recipe(self, rows: Path, labelled: bool) -> Recipe:
        """The recipe with these rows for its data, and nothing that does not train."""
        found = find_recipe(self.recipe, discover(), as_settings(self.settings or ()))
        tree = {key: value for key, value in deepcopy(dict(found.tree)).items() if key != "evaluation"}
        kept = {key: value for key, value in tree.get("data", {}).items() if key == "standardise"}
        label = {"label": "label"} if labelled else {}
        tree["data"] = {
            "use": "core/table", "path": str(rows), "validation": 0.0, "test": 0.0, "shown": "all", **kept, **label
        }  # fmt: skip
        tree["training"] = {**tree.get("training", {}), "tensorboard": "off"}
        if self.random_state is not None:
            given: Any = self.random_state
            whole = isinstance(given, int | numpy.integer)
            tree["training"]["seed"] = int(given if whole else check_random_state(given).randint(2**31))
        for stage in tree.get("stage", []):
            for section in ("data", "evaluation"):
                stage.pop(section, None)
        # A path that somebody gave by hand may lie outside of the recipe's folder.
        source = Source(found.source.file, found.source.lines, {**found.source.settings, "data.path": str(rows)})
        return Recipe(tree, source, found.folder)

    def __getstate__(self) -> dict[str, Any]:
        """The encoder as a description and the bytes of its tensors."""
        state: dict[str, Any] = dict(super().__getstate__())
        if isinstance(encoder := state.pop("encoder_", None), EncoderModule):
            described, tensors = packed(encoder)
            state["packed"] = (described, save(tensors))
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The encoder built again."""
        state = dict(state)
        described, tensors = state.pop("packed", (None, b""))
        super().__setstate__(state)
        if described is not None:
            self.encoder_ = unpacked(described, load(tensors))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _trained(recipe: Recipe, folder: Path) -> EncoderModule:
    registry, at, composition = discover(), Position(), None
    for number, (name, stage) in enumerate(recipe.stages()):
        following = assemble(stage, registry)
        if composition is not None:
            carry(composition.pipeline.state_dict(), following)
        start = Position(number, at.step, alarms=at.alarms)
        at, composition = Trainer(following, folder, stage=name, position=start).run(), following
    assert composition is not None
    return extract(composition, registry)


def _labels(y: Any) -> dict[str, Any]:
    """Classes as numbers; nothing if there are none."""
    if y is None:
        return {}
    with warnings.catch_warnings():
        # Many classes of few rows are no mistake here.
        warnings.simplefilter("ignore", UserWarning)
        kind = type_of_target(y)
    return {"label": numpy.unique(y, return_inverse=True)[1]} if kind in ("binary", "multiclass") else {}
