"""What contrast-fewshot registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

BECLR = "BECLR: Batch Enhanced Contrastive Few-Shot Learning, ICLR 2024, arXiv 2402.02444"


_OWN = Package("fewshot", "contrast_fewshot", BECLR)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            # Data and evaluators.
            _component("data", "held-out", "data.heldout:HeldOut",
                       "Any labelled data; classes, or groups of them, are kept from training.", ""),
            _component("data", "image-sets", "data.imagesets:ImageSets",
                       "Omniglot, miniImageNet, tieredImageNet, CIFAR-FS, FC100 and CUB from their folders.", ""),
            _component("evaluator", "episodes", "episodes:FewShot",
                       "Accuracy over n-way k-shot episodes, without and with OpTA, balanced or not."),
            # Views, encoders, memories, samplers, objectives.
            _component("view", "block-mask", "mask:BlockMask",
                       "Copies of images in which blocks of patches are zero."),
            _component("view", "stack", "stack:Stack", "Several tables as one; a view after the encoder.", ""),
            _component("encoder", "conv4", "conv4:Conv4",
                       "The four convolutional blocks of few-shot learning, with BECLR's projection head."),
            _component("encoder", "predicting", "encoders:Predicting",
                       "Any encoder, and a predictor of some of its tables."),
            _component("memory", "dyce", "memory:DyCE",
                       "A queue in partitions of equal size by optimal transport; top-k retrieval within them."),
            _component("memory", "published-dyce", "published:PublishedDyCE",
                       "The same as the authors' code has it, with its defects."),
            _component("sampler", "batch-enhancement", "enhancement:BatchEnhancement",
                       "Neighbours from the memory join the positives."),
            _component("objective", "beclr-loss", "objectives:BECLR",
                       "Cosine of positives, and uniformity of the student's rows."),
            _component("objective", "memory-uniformity", "objectives:MemoryUniformity",
                       "Uniformity of rows against a memory, but for what is too similar."),
        ],
        recipes=[
            _recipe("beclr", "BECLR on digits, four of them held out."),
            _recipe("beclr-as-published", "The same as the authors' code has it: for comparison."),
            _recipe("beclr-omniglot", "BECLR on characters of an .npz file, alphabets held out; needs data.data.path."),
            _recipe("beclr-omniglot-as-published", "The same as the authors' code has it; needs data.data.path."),
            _recipe("beclr-miniimagenet", "The authors' settings for miniImageNet, ResNet-18; needs data.path."),
            _recipe("beclr-miniimagenet-resnet50", "The same with ResNet-50."),
            _recipe("beclr-tieredimagenet", "The authors' settings for tieredImageNet, ResNet-18; needs data.path."),
            _recipe("beclr-tieredimagenet-resnet50", "The same with ResNet-50."),
            _recipe("beclr-cifar-fs", "The authors' settings for CIFAR-FS, ResNet-18; needs data.path."),
            _recipe("beclr-cub", "The authors' settings for miniImageNet on CUB, ResNet-18; needs data.path."),
            _recipe("beclr-fc100", "The authors' settings for FC100, ResNet-18; needs data.path."),
        ],
    )  # fmt: skip
