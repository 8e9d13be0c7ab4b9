"""Beside a model from a folder: frozen, trained as an adapter or with LoRA, saved, loaded into a stock pipeline."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrast_core import runs
from contrast_core.errors import ContrastError
from contrast_core.interfaces import Flow
from contrast_core.registry import discover
from contrast_diffusion.adapter import adapter_of_run, load_adapter, save_adapter
from contrast_diffusion.encoder import SubjectDiffusion

SMALL = {
    "data.required": False, "data.size": 16, "encoder.width": 16, "encoder.queries": 2, "encoder.blocks": 1,
    "encoder.heads": 2, "encoder.steps": 2, "training.steps": 2, "training.batch_size": 4, "training.threads": 1,
    "training.device": "cpu", "training.tensorboard": "off",
}  # fmt: skip


def flow_of(n: int = 3, size: int = 16) -> Flow:
    """A batch as views leave it."""
    generator = torch.Generator().manual_seed(0)
    image, cut = (torch.rand(n, 3, size, size, generator=generator) for _ in range(2))
    texts = {name: [f"a dog {k}" for k in range(n)] for name in ("caption", "name", "prompt")}
    facts = {"sample": torch.arange(n), "subject": torch.arange(n), "appearance": torch.rand(n, 4, generator=generator)}
    return {"image": image, "cut": cut, **texts, **facts}


def encoder_of(folder: Path, **settings: Any) -> SubjectDiffusion:
    """A small encoder beside a folder's model, with new projections that differ from the text's."""
    torch.manual_seed(1)
    given: dict[str, Any] = {"train": "adapter", "width": 16, "queries": 2, "heads": 2, "steps": 2, **settings}
    made = SubjectDiffusion(pipeline=folder, **given)
    made.prepare(flow_of())
    return made


@pytest.mark.parametrize("layout", ["sd15", "sdxl"])
@pytest.mark.parametrize("train", ["adapter", "lora"])
def test_only_what_is_new_learns(layout, train, request):
    """Gradients reach the encoder, the projections and LoRA, and nothing of the folder."""
    encoder = encoder_of(request.getfixturevalue(layout), train=train, checkpointing=True)
    encoder.train()
    tables = encoder(flow_of())
    (tables["denoising"]["prediction"].square().sum() + tables["reference"].z.sum() + tables["visual"].z.sum()
     + tables["textual"].z.sum()).backward()  # fmt: skip
    learning = {name for name, p in encoder.named_parameters() if p.requires_grad}
    new = [n for n in learning if n.startswith(("mfi.", "vision.")) or ".processor." in n or "lora_" in n]
    assert len(new) == len(learning)
    assert any("lora_" in n for n in learning) == (train == "lora")
    assert all(p.grad is not None for n, p in encoder.named_parameters() if n in learning)
    assert all(p.grad is None for n, p in encoder.named_parameters() if n not in learning)


def test_the_state_holds_what_is_new_and_no_more(sd15):
    """A checkpoint of the adapter is small, and loading it puts the same numbers back."""
    encoder, other = encoder_of(sd15), encoder_of(sd15)
    state = encoder.state_dict()
    assert all(name.startswith(("mfi.", "vision.")) or ".processor." in name for name in state)
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.requires_grad:
                parameter.add_(1)
    other.load_state_dict(state)
    for module in (encoder, other):
        module.eval()
    with torch.no_grad():
        torch.testing.assert_close(other.embed(flow_of()).z, encoder.embed(flow_of()).z)


@pytest.mark.parametrize("layout", ["sd15", "sdxl"])
def test_a_stock_pipeline_draws_with_the_adapter(layout, request, tmp_path):
    """Loaded in one line it gives the tokens that the encoder gives; scale 0 is the pipeline as it was."""
    folder = request.getfixturevalue(layout)
    encoder = encoder_of(folder).eval()
    save_adapter(encoder, tmp_path / "adapter.safetensors")
    pipe = import_module("diffusers").DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)

    def draw(**more: Any) -> Any:
        return pipe(
            ["a dog"] * 2, height=16, width=16, num_inference_steps=2, guidance_scale=5.0, output_type="np",
            generator=torch.Generator().manual_seed(0), **more,
        ).images  # fmt: skip

    before = draw()
    adapter = load_adapter(pipe, tmp_path / "adapter.safetensors")
    image = flow_of(2)["image"]
    given = adapter.condition(image, ["a dog", "a cat"])
    with torch.no_grad():
        expected = encoder.features(image, ["a dog", "a cat"]).layers
    for layer, tokens in enumerate(given["ip_hidden_states"]):
        torch.testing.assert_close(tokens[2:], expected[:, layer])
        assert not tokens[:2].any()
    after = draw(cross_attention_kwargs=given)
    assert after.shape == (2, 16, 16, 3)
    assert abs(after - before).max() > 0
    adapter.scale = 0.0
    assert abs(draw(cross_attention_kwargs=given) - before).max() < 1e-6
    adapter.scale = 1.0
    with pytest.raises(ValueError, match="2 subjects"):
        draw(cross_attention_kwargs=adapter.condition(image, ["a dog", "a cat"], guidance=False))


def test_lora_goes_along(sd15, tmp_path):
    """What LoRA learned is in the file and in the pipeline that loads it."""
    encoder = encoder_of(sd15, train="lora").eval()
    with torch.no_grad():
        for name, parameter in encoder.backbone.unet.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    save_adapter(encoder, tmp_path / "adapter.safetensors")
    pipe = import_module("diffusers").DiffusionPipeline.from_pretrained(sd15, local_files_only=True)
    load_adapter(pipe, tmp_path / "adapter.safetensors")
    x, t, words = torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 7, 16)
    with torch.no_grad():
        expected, found = (u(x, t, words).sample for u in (encoder.backbone.unet, pipe.unet))
    torch.testing.assert_close(found, expected)


def test_half_precision_follows_the_pipeline(sd15, tmp_path):
    """In a pipeline in bfloat16 the adapter is in bfloat16."""
    save_adapter(encoder_of(sd15), tmp_path / "adapter.safetensors")
    pipe = import_module("diffusers").DiffusionPipeline.from_pretrained(sd15, local_files_only=True)
    pipe.to(torch.bfloat16)
    adapter = load_adapter(pipe, tmp_path / "adapter.safetensors")
    tokens = adapter.condition(flow_of(1)["image"], "a dog")["ip_hidden_states"]
    assert {each.dtype for each in tokens} == {torch.bfloat16}


def test_files_that_do_not_fit_are_refused(sd15, sdxl, tmp_path):
    """A foreign file, an adapter of another U-Net, and a second adapter; the pipeline stays as it was."""
    path = tmp_path / "adapter.safetensors"
    save_adapter(encoder_of(sd15), path)
    load = import_module("diffusers").DiffusionPipeline.from_pretrained
    pipe, other = (load(folder, local_files_only=True) for folder in (sd15, sdxl))
    foreign = tmp_path / "foreign.safetensors"
    save_file({"x": torch.zeros(1)}, foreign)
    with pytest.raises(ContrastError, match="no adapter"):
        load_adapter(pipe, foreign)
    with pytest.raises(ContrastError, match="can't be read"):
        load_adapter(pipe, tmp_path / "nowhere.safetensors")
    with pytest.raises(ContrastError, match="another U-Net"):
        load_adapter(other, path)
    adapter = load_adapter(pipe, path)
    with pytest.raises(ContrastError, match="already"):
        load_adapter(pipe, path)
    with pytest.raises(ValueError, match="empty"):
        adapter.condition(flow_of(1)["image"], " ")
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        adapter.condition(flow_of(1)["image"] * 3, "a dog")
    with pytest.raises(ValueError, match="with 2"):
        adapter.condition(flow_of(1)["image"], ["a dog", "a cat"])


@pytest.mark.parametrize("part", ["unet", "vae", "tokenizer"])
def test_a_folder_that_lacks_a_part_is_refused(part, sd15, tmp_path):
    """The sentence names the part."""
    shutil.copytree(sd15, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / part)
    with pytest.raises(ValueError, match=f"lacks the part '{part}'"):
        encoder_of(tmp_path / "model")
    with pytest.raises(ValueError, match=r"model_index\.json"):
        encoder_of(tmp_path)


def test_bad_batches_are_refused(sd15):
    """Sizes that the model can't take, latents that are not numbers."""
    encoder = encoder_of(sd15)
    with pytest.raises(ValueError, match="multiples of 4"):
        encoder(flow_of(size=18))
    with torch.no_grad():
        encoder.backbone.vae.quant_conv.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="latents of row 0"):
        encoder(flow_of())


@pytest.mark.parametrize("step", ["core/ordinary", "core/gradient-cache"])
def test_the_recipe_of_real_size_runs_beside_a_small_folder(step, sd15, clip, dino, tmp_path):
    """Two steps, pictures, scores of local models, an adapter; weights of the folder are in no file of the run."""
    settings = {
        **SMALL, "encoder.pipeline": sd15, "encoder.vision": clip, "view.real.model": dino,
        "evaluation.likeness.clip": clip, "evaluation.likeness.dino": dino, "step.use": step,
    }  # fmt: skip
    if step == "core/gradient-cache":
        settings["step.chunk"] = 2
    run = runs.run("diffusion/customcontrast-sd", set=settings, out=tmp_path / "run", registry=discover())
    assert {s.metric for s in run.scores["likeness"]} == {"CLIP-I", "CLIP-T", "DINO-I", "Copied pixels"}
    assert (run.folder / "report.html").stat().st_size > 1000
    names = load_file(run.folder / "encoder.safetensors").keys()
    assert names
    assert not [name for name in names if "vae" in name or "encoders" in name or "conv_in" in name]
    adapter_of_run(run.folder, tmp_path / "adapter.safetensors")
    pipe = import_module("diffusers").DiffusionPipeline.from_pretrained(sd15, local_files_only=True)
    assert load_adapter(pipe, tmp_path / "adapter.safetensors").reads == "caption"
    with pytest.raises(ContrastError, match="no folder of a finished run"):
        adapter_of_run(tmp_path, tmp_path / "other.safetensors")
