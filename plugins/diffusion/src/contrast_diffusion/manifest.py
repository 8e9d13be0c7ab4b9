"""What contrast-diffusion registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

PAPER = (
    "CustomContrast: A Multilevel Contrastive Perspective for Subject-Driven Text-to-Image Customization, "
    "arXiv 2409.05606"
)


_OWN = Package("diffusion", "contrast_diffusion", PAPER)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component("data", "composites", "data.composites:Composites",
                       "Photographed subjects, cut out and put on photographs: COIL-20 and the like.", ""),
            _component("data", "subjects", "data.subjects:Subjects",
                       "Rendered subjects in many poses on rendered backgrounds, with captions and masks.", ""),
            _component("data", "subject-folders", "data.folders:SubjectFolders",
                       "Folders of pictures of one subject each, as DreamBench and MVImageNet have them.", ""),
            _component("view", "cut-subject", "views:CutSubject",
                       "The subject cut out by its mask, at a random size and place."),
            _component("view", "appearance", "views:Appearance",
                       "What subjects look like to a network that is not trained."),
            _component("encoder", "subject-diffusion", "encoder:SubjectDiffusion",
                       "A diffusion model with MFI encoder and injection: a small one, or a Stable Diffusion folder."),
            _component("sampler", "semantic-pairs", "samplers:SemanticPairs",
                       "A sample's picture meets its words; other subjects are negatives."),
            _component("sampler", "subject-pairs", "samplers:SubjectPairs",
                       "Pictures of a subject meet its other views, cut out, and other subjects."),
            _component("objective", "denoising", "objectives:Denoising",
                       "Mean squared error of a diffusion model's prediction.", "DDPM, NeurIPS 2020, arXiv 2006.11239"),
            _component("objective", "multiscale-appearance", "objectives:MultiscaleAppearance",
                       "MACL: contrast at every layer, negatives scaled by how alike the real subjects are."),
            _component("evaluator", "leakage", "evaluation.leakage:Leakage",
                       "Probes of a code for subject, background and pose, and its neighbours.", ""),
            _component("evaluator", "judges", "evaluation.judges:Judges",
                       "Similarity, controllability and copying of generated pictures, and the pictures.", ""),
            _component("evaluator", "likeness", "evaluation.likeness:Likeness",
                       "CLIP-I, DINO-I and CLIP-T with models on the disk.", ""),
        ],
        recipes=[
            _recipe("customcontrast", "CustomContrast with a small U-Net on rendered subjects."),
            _recipe("customcontrast-sd", "CustomContrast beside a Stable Diffusion folder; needs two folders."),
        ],
    )  # fmt: skip
