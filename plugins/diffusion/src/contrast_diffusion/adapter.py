"""The trained adapter in one file, and in one line in a stock pipeline of diffusers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from contrast_core.errors import ContrastError
from contrast_diffusion.encoder import SubjectDiffusion
from contrast_diffusion.model.injection import SubjectAttention, inject, keywords
from contrast_diffusion.model.lora import add_lora
from contrast_diffusion.model.mfi import MFI
from contrast_diffusion.model.vision import Frozen, SmallVision

FORMAT = "contrast-diffusion adapter 1"


@final
class Adapter(nn.Module):
    """What was learned beside a frozen diffusion model: the MFI encoder and the new projections of its U-Net.

    Args:
        pipe: a pipeline of diffusers (StableDiffusionPipeline, StableDiffusionXLPipeline), whose U-Net has been
        injected.
        vision, mfi, injected: the networks; `injected` are the U-Net's processors.
        reads: "name" or "caption", which words the MFI encoder was trained with.
    """

    def __init__(self, pipe: Any, vision: nn.Module, mfi: MFI, injected: Sequence[SubjectAttention], reads: str):
        super().__init__()
        self.pipe = pipe
        self.vision, self.mfi, self.injected = vision, mfi, list(injected)
        self.reads = reads

    @property
    def scale(self) -> float:
        """How strongly the subject is injected: 1 as in training, 0 not at all. May be set."""
        return self.injected[0].scale

    @scale.setter
    def scale(self, value: float) -> None:
        for processor in self.injected:
            processor.scale = value

    @torch.no_grad()
    def condition(
        self, image: Tensor, text: str | Sequence[str], guidance: bool = True, images: int = 1
    ) -> dict[str, list[Tensor]]:
        """The pipeline's argument `cross_attention_kwargs` for subjects.

            pipe(prompt, cross_attention_kwargs=adapter.condition(image, "a dog"))

        Args:
            image: the references, (B, 3, H, W) in [0, 1]. text: what they show, one text each (see `reads`).
            guidance: whether the pipeline uses classifier-free guidance (guidance_scale more than 1).
            images: num_images_per_prompt.

        Raises:
            ValueError: if there are not as many texts as images, a text is empty, or a value lies outside of [0, 1].
        """
        texts = [text] if isinstance(text, str) else list(text)
        if image.dim() != 4 or len(texts) != len(image):
            raise ValueError(f"image must be (B, 3, H, W) with B texts, not {tuple(image.shape)} with {len(texts)}.")
        if not all(each.strip() for each in texts):
            raise ValueError("A text is empty: say what the picture shows, for example 'a dog'.")
        if not (float(image.min()) >= 0 and float(image.max()) <= 1):
            raise ValueError("image must lie in [0, 1].")
        unet = self.pipe.unet
        words = self.pipe.encode_prompt(
            prompt=texts, device=unet.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )[0]
        weight = next(self.mfi.parameters())
        image = image.to(weight)
        seen = self.vision.tokens(image) if isinstance(self.vision, Frozen) else self.vision(image)
        layers = self.mfi(seen.to(weight), words.to(weight)).layers.repeat_interleave(images, 0)
        return keywords(torch.cat([torch.zeros_like(layers), layers]) if guidance else layers)


def save_adapter(encoder: SubjectDiffusion, path: Path) -> None:
    """Write what an encoder learned beside the model of its folder, as safetensors; LoRA, if there is any, too.

    Raises:
        ValueError: if the encoder is the small model, which is trained whole: then there is nothing to adapt.
    """
    if encoder.where is None:
        raise ValueError("Only what was trained beside a folder's model is an adapter; the small model is a whole.")
    unet = encoder.backbone.unet
    processors = [p for p in unet.modules() if isinstance(p, SubjectAttention)]
    tensors = {f"mfi.{name}": x for name, x in encoder.mfi.state_dict().items()}
    tensors |= {f"vision.{name}": x for name, x in encoder.vision.state_dict().items()}
    for processor in processors:
        for name in ("key", "value"):
            tensors[f"injected.{processor.layer}.{name}"] = getattr(processor, name).weight
    tensors |= {f"lora.{name}": x for name, x in unet.named_parameters() if "lora_" in name}
    width, queries, blocks, heads = encoder.mfi_sizes
    about = {
        "format": FORMAT, "reads": encoder.text, "fused": encoder.appearance == "fused", "layers": len(processors),
        "width": width, "queries": queries, "blocks": blocks, "heads": heads,
        "vision": encoder.vision_path and str(encoder.vision_path), "rank": encoder.rank,
        "vision_size": encoder.vision.size, "text_size": encoder.backbone.text_size, "channels": 3,
        "context": int(unet.config.cross_attention_dim),
    }  # fmt: skip
    kept = {name: x.detach().cpu().contiguous().clone() for name, x in tensors.items()}
    save_file(kept, path, metadata={"contrast": json.dumps(about)})


def adapter_of_run(run: Path | str, path: Path) -> None:
    """Write the adapter that a run trained: what `python -m contrast_diffusion.adapter RUN FILE` does.

    Args:
        run: the run's folder. path: the file to be written.

    Raises:
        ContrastError: if the folder is of no run of this encoder, or that trained no adapter.
        ValueError: if the folder of the model that it was trained with is gone or lacks a part.
    """
    folder = Path(run)
    described, weights = folder / "encoder.json", folder / "encoder.safetensors"
    if not described.is_file() or not weights.is_file():
        raise ContrastError(f"{folder} is no folder of a finished run: it has no encoder.json or no weights.")
    about = json.loads(described.read_text(encoding="utf-8"))
    options: dict[str, Any] = {
        key: Path(value) if key in ("pipeline", "vision") and value else value
        for key, value in about["options"].items()
    }
    if about["component"] != "diffusion/subject-diffusion" or not options.get("pipeline"):
        raise ContrastError(f"{folder} trained no adapter: its encoder is {about['component']}, without a pipeline.")
    encoder = SubjectDiffusion(**options)
    encoder.prepare({"image": torch.zeros(1, 3, 8, 8)})
    encoder.load_state_dict(load_file(weights))
    save_adapter(encoder, path)


def load_adapter(pipe: Any, path: Path | str, vision: Path | None = None) -> Adapter:
    """Put an adapter into a pipeline of diffusers, on its device and in its precision.

        adapter = load_adapter(pipe, "adapter.safetensors")

    Args:
        pipe: a pipeline with a U-Net like the one that it was trained with. path: the file.
        vision: where the vision model lies now, if it was trained with one from a folder that has moved.

    Raises:
        ContrastError: if the file can't be read, is no adapter, or belongs to another U-Net; the pipeline is then as it
            was.
    """
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get("contrast", "{}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise ContrastError(f"{path} can't be read as safetensors: {error}") from error
    about = json.loads(said)
    if about.get("format") != FORMAT:
        raise ContrastError(f"{path} is no adapter of contrast-diffusion; save_adapter writes them.")
    unet = pipe.unet
    _check(unet, about, tensors, path)
    mfi = MFI(
        about["vision_size"], about["text_size"], about["layers"], about["context"], about["width"], about["queries"],
        about["blocks"], about["heads"], about["fused"],
    )  # fmt: skip
    mfi.load_state_dict(_under("mfi", tensors))
    folder = vision or (about["vision"] and Path(about["vision"]))
    seeing: nn.Module = Frozen(folder) if folder else SmallVision(about["channels"], about["vision_size"])
    seeing.load_state_dict(_under("vision", tensors))
    if lora := _under("lora", tensors):
        _load_lora(unet, lora, about["rank"])
    injected = inject(unet)
    for processor in injected:
        for name in ("key", "value"):
            getattr(processor, name).weight.data.copy_(tensors[f"injected.{processor.layer}.{name}"])
    adapter = Adapter(pipe, seeing, mfi, injected, about["reads"]).requires_grad_(False).eval()
    for module in (*injected, mfi, seeing):
        module.to(device=unet.device, dtype=unet.dtype)
    return adapter


def _check(unet: Any, about: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path | str) -> None:
    layers = [module for name, module in unet.named_modules() if name.endswith("attn2")]
    found = [tuple(module.to_k.weight.shape) for module in layers]
    wanted = [tuple(tensors[f"injected.{n}.key"].shape) for n in range(about["layers"])]
    if found != wanted:
        raise ContrastError(
            f"{path} was trained with another U-Net: it has {len(wanted)} cross-attention layers, of the shapes "
            f"{wanted[:2]} ..., this one {len(found)}, {found[:2]} ..."
        )
    if any(isinstance(module.processor, SubjectAttention) for module in layers):
        raise ContrastError("This pipeline has an adapter already; load the pipeline anew.")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix + "."): x for name, x in tensors.items() if name.startswith(prefix + ".")}


def _load_lora(unet: Any, lora: Mapping[str, Tensor], rank: int) -> None:
    try:
        add_lora(unet, rank)
    except ValueError as error:
        raise ContrastError(str(error)) from error
    own = dict(unet.named_parameters())
    with torch.no_grad():
        for name, value in lora.items():
            own[name].copy_(value)


if __name__ == "__main__":
    import sys

    if len(sys.argv) != 3:
        sys.exit("python -m contrast_diffusion.adapter RUN FILE")
    adapter_of_run(sys.argv[1], Path(sys.argv[2]))
