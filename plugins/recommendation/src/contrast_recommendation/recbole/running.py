"""What RecBole's `run_recbole` does, for a recipe of ours."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from contrast_recommendation.recbole.compatibility import repaired


def run(
    recipe: str = "recommendation/mclrec",
    *,
    dataset: str | None = None,
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    saved: bool = True,
) -> dict[str, Any]:
    """Train a recipe on a data set of RecBole, with RecBole's loader, early stopping and evaluator.

    RecBole reads, filters and splits the data and makes the batches; each is trained on by the recipe's step; after
    each epoch RecBole validates, stops after `stopping_step` epochs without a better `valid_metric`, and tests the best
    epoch. It writes where it always does: `saved/` and `log_tensorboard/`, in the working folder.

    RecBole orders by times in float32, `recommendation/interactions` in float64, so interactions that lie close
    together may come in another order than there; `write_atomic` gives RecBole the order of the latter.

    Args:
        recipe: a registered name or the path of a TOML file; its data and evaluation are not used.
        dataset, config_file_list, config_dict, saved: as in RecBole. `learning_rate`, `weight_decay`, `learner` and
            `seed` that are set there replace the recipe's; those of RecBole's defaults do not.
        set: settings stronger than the recipe, by "section.key".

    Returns:
        What run_recbole returns: best_valid_score, valid_score_bigger, best_valid_result, test_result.

    Raises:
        ContrastError: whatever is wrong with the recipe; ModuleNotFoundError without RecBole; and what RecBole raises.
    """
    with repaired():
        config, train, valid, test, trainer = prepare(
            recipe, dataset=dataset, config_file_list=config_file_list, config_dict=config_dict, set=set
        )
        score, result = trainer.fit(train, valid, saved=saved, show_progress=config["show_progress"])
        tested = trainer.evaluate(test, load_best_model=saved, show_progress=config["show_progress"])
    return {
        "best_valid_score": score,
        "valid_score_bigger": config["valid_metric_bigger"],
        "best_valid_result": result,
        "test_result": tested,
    }


class Prepared(NamedTuple):
    """RecBole's Config and loaders, and the trainer, whose `model` is a ContrastModel."""

    config: Any
    train: Any
    valid: Any
    test: Any
    trainer: Any


def prepare(
    recipe: str,
    *,
    dataset: str | None = None,
    config_file_list: Sequence[str] | None = None,
    config_dict: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
) -> Prepared:
    """Everything that `run` makes before it trains; call it, and use what it gives, within `repaired()`."""
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import init_seed

    from contrast_recommendation.recbole.model import RECIPE, SETTINGS, ContrastModel, ContrastTrainer, settings_of

    # Next items are predicted among all: RecBole shall draw no negatives.
    options = {"train_neg_sample_args": None, **(config_dict or {})}
    with _no_arguments():
        config = Config(ContrastModel, dataset, list(config_file_list or ()), options)
    config[RECIPE], config[SETTINGS] = recipe, settings_of(config, set or {})
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    model = ContrastModel(config, train.dataset).to(config["device"])
    return Prepared(config, train, valid, test, ContrastTrainer(config, model))


@contextmanager
def _no_arguments() -> Iterator[None]:
    """RecBole's Config reads the command line, which is not meant for it here."""
    kept = sys.argv
    sys.argv = kept[:1]
    try:
        yield
    finally:
        sys.argv = kept
