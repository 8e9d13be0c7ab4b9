"""Pictures into the cross-attention of a U-Net of diffusers, by attention processors; nothing is patched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional

KEYWORD = "ip_hidden_states"
"""The keyword by which diffusers hands pictures' tokens through `cross_attention_kwargs` without a warning."""


@final
class SubjectAttention(nn.Module):
    """Decoupled cross-attention: h <- Attn(h, text) + scale Attn(h, e^l W_k, e^l W_v), with the layer's own queries.

    The text's branch is the processor that was there before. W_k, W_v have no bias and start as the text's, so that
    tokens that are all 0 (a picture that was left out) add exactly nothing.

    Args:
        attention: the layer, a diffusers Attention. layer: its number l. before: the processor that it had.

    Card: "ours" (the common practice of picture adapters); the paper's text at hand is silent.
    """

    def __init__(self, attention: Any, layer: int, before: Any):
        super().__init__()
        self.layer, self.scale = layer, 1.0
        self.before = before
        self.key, self.value = (_copied(linear) for linear in (attention.to_k, attention.to_v))

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        ip_hidden_states: Sequence[Tensor] | None = None,
    ) -> Tensor:
        """The layer's output, (B, n, c), as diffusers calls it; `ip_hidden_states` holds (B, q, d) for each layer."""
        found: Tensor = self.before(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        if ip_hidden_states is None or self.scale == 0:
            return found
        tokens = ip_hidden_states[self.layer]
        if len(tokens) != len(hidden_states):
            raise ValueError(
                f"The U-Net gets {len(hidden_states)} latents and tokens of {len(tokens)} subjects; make them with "
                "adapter.condition(..., guidance=, images=) as the pipeline is called."
            )
        parts = (attn.to_q(hidden_states), self.key(tokens), self.value(tokens))
        q, k, v = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in parts)
        seen = functional.scaled_dot_product_attention(q, k, v, scale=attn.scale).transpose(1, 2).flatten(2)
        # The output layer is linear: what it makes of the text is there already, its bias included.
        out = attn.to_out[0]
        added = out(seen) if out.bias is None else out(seen) - out.bias
        changed: Tensor = found + self.scale * added / attn.rescale_output_factor
        return changed


def inject(unet: Any) -> list[SubjectAttention]:
    """Give every cross-attention layer of a diffusers U-Net a `SubjectAttention`, in the order of its modules.

    Raises:
        ValueError: if it has none.
    """
    found: list[SubjectAttention] = []
    for name, module in list(unet.named_modules()):
        if name.endswith("attn2"):
            processor = SubjectAttention(module, len(found), module.processor)
            module.set_processor(processor)
            found.append(processor)
    if not found:
        raise ValueError("The U-Net has no cross-attention layer (attn2), so no picture can be injected.")
    return found


def keywords(layers: Tensor) -> dict[str, list[Tensor]]:
    """`cross_attention_kwargs` for tokens (B, L, q, d)."""
    return {KEYWORD: list(layers.unbind(1))}


def _copied(linear: nn.Module) -> nn.Linear:
    weight: Tensor = linear.weight  # type: ignore[assignment]
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device)
    with torch.no_grad():
        made.weight.copy_(weight)
    return made
