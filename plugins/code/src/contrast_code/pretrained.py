"""Models of transformers as encoders of code and queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from torch import Tensor

from contrast_code.encoder import Pooling
from contrast_code.languages import ALL_KINDS
from contrast_core.interfaces import Flow


@final
class Pretrained(Pooling):
    """z = v / |v|, v = the mean of a transformer's last hidden states over a row's tokens; code and query share it.

    Any encoder of transformers: microsoft/unixcoder-base, codebert-base, graphcodebert-base, ... The types of leaves
    get rows of their own in its embedding matrix. The data need the same
    name as `tokenizer`, and the beginning and end that the model was trained with: for UniXcoder
    `prefix = ["<s>", "<encoder-only>", "</s>"]`, `suffix = ["</s>"]`; for the others `["<s>"]` and `["</s>"]`.

    Takes and gives what `code/token-encoder` does; d is the model's hidden size.

    Args:
        model: a model's name on the Hugging Face hub, or a folder.
        views: the inputs; the first is the one that is embedded in evaluation.
        columns: further inputs that the tables carry as columns.
        checkpointing: compute activations again in the backward pass, to save memory.

    Raises:
        ValueError: in use, if there is no such model, or rows are longer than it takes.

    Paper: Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293, on UniXcoder (Guo et al., ACL 2022, arXiv 2203.03850).
    """

    model: Any

    def __init__(
        self,
        model: str,
        views: Sequence[str] = ("code", "query"),
        columns: Sequence[str] = ("group",),
        checkpointing: bool = False,
    ):
        super().__init__(views, columns)
        self.name, self.checkpointing = model, checkpointing

    def prepare(self, flow: Flow) -> None:
        """Load the model, with a row for each type of leaf."""
        from transformers import AutoModel

        try:
            # Never code of a model's author, and no weights that are pickled.
            found: Any = AutoModel.from_pretrained(self.name, use_safetensors=True, add_pooling_layer=False).float()
        except Exception as error:
            # Its many libraries have as many ways to fail.
            reason = " ".join(str(error).split())[:300]
            raise ValueError(f"The model '{self.name}' can't be had: {reason}") from error
        # Where names of types are words of the vocabulary, some of these rows stay unused.
        found.resize_token_embeddings(found.get_input_embeddings().num_embeddings + len(ALL_KINDS))
        if self.checkpointing:
            found.gradient_checkpointing_enable()
        self.model = found
        # RoBERTa's positions begin behind the padding's.
        self.limit = int(found.config.max_position_embeddings) - (2 if "roberta" in found.config.model_type else 0)

    def pooled(self, ids: Tensor, view: str) -> Tensor:
        """v of rows of ids."""
        if ids.shape[1] > self.limit:
            raise ValueError(
                f"The view '{view}' has rows of {ids.shape[1]} tokens, but {self.name} takes at most {self.limit}: "
                "shorten them in [data]."
            )
        there = (ids >= 0).long()
        hidden: Tensor = self.model(input_ids=ids.clamp(min=0), attention_mask=there).last_hidden_state
        share = there / there.sum(1, keepdim=True).clamp(min=1)
        return (share.to(hidden.dtype)[:, None, :] @ hidden)[:, 0]
