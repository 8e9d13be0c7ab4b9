"""Language models of transformers as encoders of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.adapters.hub import loaded
from contrast_core.adapters.named import imported
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow


@final
class Transformers(Encoder):
    """One language model f, with a pooling and a projection head g, shared by all views: z = g(h), h = pool(f(text)).

    With the vectors t_1 .. t_L of a text's tokens, padding left out, "mean" is h = sum_i t_i / L, "cls" the first,
    h = t_1, and "last" the last, h = t_L. g(h) = tanh(W h + b). What is trained is z; what is evaluated and exported is
    h, before the head. A text that is given as two views meets two dropout masks in training: its two embeddings are
    SimCSE's positive pair.

    Takes lists of n texts and gives a table for each view, under the view's name: field z (n, d), columns `sample`,
    `view` and, where the batch has it, `label`.

    Args:
        model: a model's name on the Hugging Face hub; it is downloaded once, unless HF_HUB_OFFLINE is 1.
        path: instead of a name, a folder that holds model and tokenizer.
        views: the inputs, lists of texts; the first is the one that is embedded in evaluation.
        pooling: "mean", "cls" or "last".
        normalise: whether h is divided by its Euclidean norm.
        max_length: tokens of a text, special ones included; the rest is cut off. Left out, what the model can take.
        projection: dimension of z; left out, there is no head and z = h.

    Raises:
        ContrastError: if transformers is not installed.
        ValueError: unless exactly one of model and path is given; in use, if the model or its tokenizer can't be had.

    Paper: Gao et al., SimCSE: Simple Contrastive Learning of Sentence Embeddings, EMNLP 2021, arXiv 2104.08821.
    """

    def __init__(
        self,
        model: str | None = None,
        path: Path | None = None,
        views: Sequence[str] = ("one", "two"),
        pooling: Literal["mean", "cls", "last"] = "mean",
        normalise: bool = False,
        max_length: int | None = None,
        projection: int | None = None,
    ):
        super().__init__()
        if (model is None) == (path is None):
            raise ValueError(
                "give either model, a name on the Hugging Face hub, or path, a folder: --set encoder.path=FOLDER."
            )
        if not views or len(set(views)) < len(views):
            raise ValueError(f"views must hold at least one name and none twice, not {list(views)}.")
        for name, size in (("max_length", max_length), ("projection", projection)):
            if size is not None and size < 1:
                raise ValueError(f"{name} = {size} must be at least 1.")
        imported("core/transformers", "transformers", "transformers")
        self.name = str(model if path is None else path)
        self.views, self.embedding = tuple(views), views[0]
        self.pooling, self.normalise = pooling, normalise
        self.max_length, self.projection = max_length, projection
        self.needs = (*self.views, "sample")
        self.gives = tuple(n for v in views for n in (v, f"{v}.z", f"{v}.sample", f"{v}.view", f"{v}.label"))
        self.tokenizer: Any
        self.model: nn.Module
        self.head: nn.Module

    def prepare(self, flow: Flow) -> None:
        """Load model and tokenizer, and build the head."""
        self.model, self.tokenizer = _loaded(self.name)
        config: Any = self.model.config
        limit = getattr(config, "max_position_embeddings", None) or self.tokenizer.model_max_length
        if self.max_length is not None and self.max_length > limit:
            raise ValueError(f"max_length = {self.max_length}, but {self.name} takes at most {limit} tokens.")
        self.limit = int(min(self.max_length or limit, limit, self.tokenizer.model_max_length))
        if self.tokenizer.pad_token is None:
            if self.tokenizer.eos_token is None:
                raise ValueError(f"The tokenizer of {self.name} has no padding token, which texts of a batch need.")
            self.tokenizer.pad_token = self.tokenizer.eos_token
        # The last token is found from the right end of a text.
        self.tokenizer.padding_side = "right"
        wide = config.hidden_size
        self.head = (
            nn.Identity() if self.projection is None else nn.Sequential(nn.Linear(wide, self.projection), nn.Tanh())
        )

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The projected views, a table each."""
        return {view: self._table(self.head(self._encode(flow, view)), flow, view) for view in self.views}

    def embed(self, flow: Flow) -> Embeddings:
        """h of the first view, (n, hidden size): the layer before the projection head."""
        return self._table(self._encode(flow, self.views[0]), flow, self.views[0])

    def _encode(self, flow: Flow, view: str) -> Tensor:
        texts = flow[view]
        if isinstance(texts, str | Tensor) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"The view '{view}' must be a list of texts; it is {type(texts).__name__}.")
        device = next(self.model.parameters()).device
        made = self.tokenizer(list(texts), padding=True, truncation=True, max_length=self.limit, return_tensors="pt")
        tokens = made.to(device)
        h = pool(self.model(**tokens).last_hidden_state, tokens["attention_mask"], self.pooling)
        return functional.normalize(h, dim=1) if self.normalise else h

    def _table(self, z: Tensor, flow: Flow, view: str) -> Embeddings:
        known = {name: torch.as_tensor(flow[name]) for name in ("sample", "label") if name in flow}
        return Embeddings.of(z, **known).with_columns(view=view)


def pool(tokens: Tensor, mask: Tensor, how: str) -> Tensor:
    """One vector a text, (n, d): the mean, the first or the last of its token vectors.

    Args:
        tokens: (n, length, d), padded on the right.
        mask: (n, length), 1 for a token and 0 for padding.
        how: "mean", "cls" or "last".
    """
    if how == "cls":
        return tokens[:, 0]
    if how == "last":
        last = mask.sum(1).clamp(min=1) - 1
        return tokens[torch.arange(len(tokens), device=tokens.device), last]
    weights = mask[:, :, None].to(tokens.dtype)
    return (tokens * weights).sum(1) / weights.sum(1).clamp(min=1)


def _loaded(name: str) -> tuple[nn.Module, Any]:
    from transformers import AutoModel, AutoTokenizer

    def load() -> tuple[nn.Module, Any]:
        # Never code of a model's author, and no weights that are pickled.
        model = AutoModel.from_pretrained(name, use_safetensors=True)
        return model.float(), AutoTokenizer.from_pretrained(name)

    return loaded(name, load, "model.safetensors, config.json and a tokenizer")
