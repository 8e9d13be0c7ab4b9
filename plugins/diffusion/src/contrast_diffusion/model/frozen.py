"""Checkpoints without what is frozen and lies in a folder anyway."""

from __future__ import annotations

from typing import Any

from torch import nn


def forget_frozen(module: nn.Module) -> None:
    """Leave parameters without gradient, and buffers, of `module` out of its state; loading keeps those that it has."""

    def leave_out(owner: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
        for name in _frozen(owner):
            state.pop(prefix + name, None)

    def put_back(owner: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
        own = {**dict(owner.named_parameters()), **dict(owner.named_buffers())}
        for name in _frozen(owner):
            state.setdefault(prefix + name, own[name].detach())

    module.register_state_dict_post_hook(leave_out)
    module.register_load_state_dict_pre_hook(put_back)


def _frozen(module: nn.Module) -> list[str]:
    parameters = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    return [*parameters, *(name for name, _ in module.named_buffers())]
