"""A recipe as a model of RecBole, and the trainer that trains it by the recipe's own step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.trainer import Trainer
from recbole.utils import InputType
from torch import Tensor

from contrast_core.interfaces import Flow
from contrast_core.stepper import Stepper
from contrast_recommendation.ranking import item_rows

RECIPE, SETTINGS = "contrast_recipe", "contrast_settings"
"""Keys of RecBole's Config that hold the recipe and settings stronger than it."""


@final
class ContrastModel(SequentialRecommender):  # type: ignore[misc]
    """A contrast pipeline around `item_seq`, `length` and `target`, as RecBole knows models.

    Scores are <h, e_j> for all item ids j, padding (id 0) included, which RecBole leaves out.

    Args:
        config: RecBole's Config; `contrast_recipe` names the recipe, `contrast_settings` may hold settings for it.
        dataset: a split of RecBole's SequentialDataset; items have RecBole's numbers.

    Raises:
        ContrastError: whatever is wrong with the recipe.
        ValueError: if its encoder gives no table of items.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        first = self.flow(dataset.inter_feat[: config["train_batch_size"]])
        self.stepper = Stepper(config[RECIPE], first, set=config[SETTINGS] or {})
        self.pipeline = self.stepper.pipeline
        if "items" not in set(self.pipeline.encoder.gives):
            raise ValueError(f"The encoder of {config[RECIPE]} gives no table 'items', which RecBole scores by.")

    def flow(self, interaction: Any) -> Flow:
        """RecBole's batch by the names of `recommendation/interactions`; `target` is 0 where there is none."""
        sequences, length = interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN]
        target = interaction[self.POS_ITEM_ID] if self.POS_ITEM_ID in interaction else torch.zeros_like(length)
        return {
            "item_seq": sequences,
            "length": length,
            "target": target,
            "sample": torch.arange(len(length), device=length.device),
            "items": torch.tensor(self.n_items - 1),
        }

    def calculate_loss(self, interaction: Any) -> Tensor:
        """The sum of all terms for RecBole's plain trainer, which makes one ordinary step of it."""
        terms = self.pipeline.terms(self.pipeline(self.flow(interaction))).values()
        return torch.stack([term.weight * term.value for term in terms]).sum()

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items, (B, n_items), where column j is item id j."""
        flow = self.flow(interaction)
        # The table of items is the same whatever the batch: one row of it is enough.
        one = {name: value[:1] if value.dim() else value for name, value in flow.items()}
        items, rows = item_rows(self.pipeline.encode(one)["items"], self.n_items - 1)
        scores: Tensor = self.pipeline.embed(flow).z @ items.T
        # Column 0 is padding's, which RecBole leaves out whatever it holds.
        return scores[:, rows.clamp(min=0)]

    def predict(self, interaction: Any) -> Tensor:
        """Scores of the items in the batch, (B,)."""
        found: Tensor = self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID][:, None])[:, 0]
        return found


@final
class ContrastTrainer(Trainer):  # type: ignore[misc]
    """RecBole's trainer (validation, early stopping, best checkpoint) with the recipe's step and optimiser."""

    def _build_optimizer(self, **_: Any) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = self.model.stepper.optimizer
        return optimizer

    def _train_epoch(
        self, train_data: Any, epoch_idx: int, loss_func: Any = None, show_progress: bool = False
    ) -> float:
        total = 0.0
        for interaction in train_data:
            terms = self.model.stepper.step(self.model.flow(interaction.to(self.device)))
            total += sum(term.weight * term.value.item() for term in terms.values())
        return total


def settings_of(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a RecBole user asked for, as settings of a recipe; `given` settings are stronger.

    Only what he set himself counts, in files, the dictionary or the command line: RecBole's defaults do not.
    """
    asked = config.external_config_dict
    names = {"learning_rate": "learning_rate", "weight_decay": "weight_decay", "learner": "optimizer", "seed": "seed"}
    found = {f"training.{ours}": asked[theirs] for theirs, ours in names.items() if theirs in asked}
    return {**found, "training.device": config["device"].type, **given}
