"""Checkpoints without what is frozen and lies in a folder anyway."""

from __future__ import annotations

from typing import Any

from torch import nn


def forget_frozen(module: nn.Module) -> None:
    """Leave all that is not trained now out of the module's state; loading keeps what the module has of it."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    names = [name for name in module.state_dict() if name not in trained]

    def leave_out(owner: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        for name in names:
            state.pop(prefix + name, None)

    def put_back(owner: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own = {**dict(owner.named_parameters()), **dict(owner.named_buffers())}
        for name in names:
            state.setdefault(prefix + name, own[name].detach())

    module.register_state_dict_post_hook(leave_out)
    module.register_load_state_dict_pre_hook(put_back)
