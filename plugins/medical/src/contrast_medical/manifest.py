"""What contrast-medical registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

SEPCLR = "SepCLR: Separating common from salient patterns, ICLR 2024, arXiv 2402.11928"

_OWN = Package("medical", "contrast_medical", SEPCLR)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            _component("data", "planted-digits", "data.planted:PlantedDigits",
                       "Digits, half of them with a planted mark: background and target.", ""),
            _component("data", "images", "data.files:GroupedImages",
                       "Images in two groups: two folders, a table, arrays; DICOM, NIfTI."),
            _component("data", "layout", "data.laidout:LaidOut",
                       "CheXpert, ODIR or CelebA from its folder: the images of the paper."),
            _component("data", "composites", "data.composites:Composites",
                       "Photographs, half of them with something laid over, of two files."),
            _component("data", "planted", "data.opacities:PlantedOpacities",
                       "Images of a file, half of them with a planted opacity."),
            _component("data", "sprites", "data.sprites:Sprites",
                       "Grids of digits, half of them with a sprite of known attributes.", ""),
            _component("encoder", "two-spaces", "encoder:TwoSpaces",
                       "Two encoders of the same views: a common and a salient space."),
            _component("objective", "sepclr-loss", "objective:SepCLR",
                       "The six terms: alignment, uniformity, nullity, independence."),
            _component("objective", "space-alignment", "spaces:SpaceAlignment",
                       "Distance of two views in one space, of all rows or one group's."),
            _component("objective", "space-uniformity", "spaces:SpaceUniformity",
                       "Uniformity of one space, with the background at the origin if asked."),
            _component("objective", "nullity", "spaces:Nullity",
                       "Background rows at the origin of the salient space."),
            _component("objective", "joint-entropy", "joint:JointEntropy",
                       "k-JEM: the joint entropy of both spaces, by a product of kernels."),
            _component("objective", "mutual-information", "joint:MutualInformation",
                       "k-MI: a kernel estimate of the mutual information of both spaces."),
            _component("objective", "vclub", "variational:ClubBound",
                       "vCLUB: contrastive upper bound of both spaces' mutual information."),
            _component("objective", "vub", "variational:PriorBound",
                       "vUB: upper bound of both spaces' mutual information by a fixed prior."),
            _component("objective", "vl1out", "variational:LeaveOneOutBound",
                       "vL1out: leave-one-out bound of both spaces' mutual information."),
            _component("objective", "density-ratio", "shuffled:DensityRatio",
                       "TC: both spaces' dependence as a discriminator sees it."),
            _component("objective", "mean-discrepancy", "shuffled:MeanDiscrepancy",
                       "MMD: both spaces' rows against the same rows shuffled."),
            _component("objective", "supervised-alignment", "supervised:SupervisedAlignment",
                       "Salient rows with like attributes, numbers or classes, near each other."),
            _component("objective", "supervised-sepclr-loss", "supervised:SupervisedSepCLR",
                       "SepCLR with a salient coordinate for each known attribute."),
            _component("evaluator", "separation", "separation:Separation",
                       "What can be read from which space, and how one predicts the other."),
        ],
        recipes=[
            _recipe("sepclr", "SepCLR on digits, half of them with a planted mark."),
            _recipe("sepclr-automatic", "The same; the weight of independence is chosen automatically."),
            _recipe("sepclr-sprites", "SepCLR supervised: a salient coordinate for each fact about a sprite."),
            _recipe("sepclr-cifar-mnist", "The settings of the paper for photographs under digits."),
            _recipe("sepclr-celeba", "The settings of the paper for faces with glasses or hats."),
            _recipe("sepclr-chexpert", "The settings of the paper for chest radiographs."),
            _recipe("sepclr-odir", "The settings of the paper for fundus photographs."),
            _recipe("two-simclr", "Baseline: two spaces that know nothing of the groups."),
            _recipe("one-simclr", "Baseline: one space, called common and salient by halves."),
        ],
    )  # fmt: skip
