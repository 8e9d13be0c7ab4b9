"""MCLRec's training step: encoder, augmenters, encoder, on one draw of the augmented sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, final

import torch
from attrs import evolve

from contrast_core.interfaces import Flow, Step, Term

if TYPE_CHECKING:
    from contrast_core.training.context import Context

Update = Literal["encoder", "augmenters"]


@final
class Meta(Step):
    """Several updates a batch, of the encoder and of the augmenters in turn, none of them second-order.

    The views are drawn once a batch. An "encoder" update encodes them, takes the gradient of all objectives and steps
    all parameters but the augmenters'. An "augmenters" update encodes them again, with the encoder as it is by then and
    without its graph, and steps the augmenters alone, on the named objectives. Dropout is drawn anew each time.

    The loss that is logged is that of the last "encoder" update; the terms of "augmenters" updates stand beside it
    under `augmenters/` with weight 0.

    Args:
        updates: their order. By default that of the authors' code, by which the encoder steps twice a batch; the paper
            writes two loops, ["encoder", "augmenters"] for each batch. ["encoder", "encoder"] gives a baseline without
            augmenters as many encoder steps.
        augmenters: name of the parameter group of the augmenters, see `[training.groups]`.
        objectives: sections of the objectives of the augmenters' update.
        weights: factors of these instead of the recipe's. Left out, L_B = beta (L_cl2 + 0.1 R), as in the paper; the
            authors' code has no beta there: {contrast = 1.0, margin = 0.1}. Adam steps alike on both, but for its
            epsilon.

    Raises:
        ValueError: if no update is the encoder's, the augmenters' has no objective, or a weight is of none of them.

    Paper: MCLRec, SIGIR 2023, arXiv 2304.07763.
    """

    def __init__(
        self,
        updates: Sequence[Update] = ("encoder", "augmenters", "encoder"),
        augmenters: str = "augmenters",
        objectives: Sequence[str] = ("contrast", "margin"),
        weights: Mapping[str, float] | None = None,
    ):
        if "encoder" not in updates:
            raise ValueError(f"At least one of the updates must be the encoder's, not only {list(updates)}.")
        if "augmenters" in updates and not objectives:
            raise ValueError("The augmenters' update needs at least one objective.")
        if unknown := sorted(set(weights or ()) - set(objectives)):
            raise ValueError(
                f"weights names '{unknown[0]}', which is none of the augmenters' objectives, {', '.join(objectives)}."
            )
        self.updates, self.augmenters = tuple(updates), augmenters
        self.objectives, self.weights = tuple(objectives), dict(weights or {})

    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch."""
        viewed = context.draw_views(batch)
        done: dict[Update, Mapping[str, Term]] = {}
        for update in self.updates:
            done[update] = (
                self._augmenters(context, batch, viewed)
                if update == "augmenters"
                else self._encoder(context, batch, viewed)
            )
        beside = {f"augmenters/{name}": evolve(term, weight=0.0) for name, term in done.get("augmenters", {}).items()}
        return {**done["encoder"], **beside}

    def _encoder(self, context: Context, batch: Flow, viewed: Flow) -> Mapping[str, Term]:
        outputs = context.compare(batch, context.encode_views(viewed))
        terms = context.terms(outputs)
        context.backward(terms)
        groups = [group["name"] for group in context.optimizer.param_groups if group["name"] != self.augmenters]
        context.update(outputs, only=groups)
        return terms

    def _augmenters(self, context: Context, batch: Flow, viewed: Flow) -> Mapping[str, Term]:
        with torch.no_grad():
            encoded = context.encode_views(viewed)
        outputs = context.compare(batch, encoded)
        found = context.terms(outputs, only=self.objectives)
        terms = {name: self._weighted(name.partition("/")[0], term) for name, term in found.items()}
        context.backward(terms)
        context.update(outputs, only=[self.augmenters])
        return terms

    def _weighted(self, objective: str, term: Term) -> Term:
        return evolve(term, weight=self.weights[objective]) if objective in self.weights else term
