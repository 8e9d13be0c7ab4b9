"""What contrast-speech registers; imports nothing heavy."""

from __future__ import annotations

from contrast_core.spec import API, Manifest, Package

COCONUT = "Continual Contrastive Spoken Language Understanding, Findings of ACL 2024, arXiv 2310.02699"
SEQKD = "Sequence-Level Knowledge Distillation for Class-Incremental End-to-End SLU, Interspeech 2023, arXiv 2305.13899"
SPECAUGMENT = "SpecAugment, Interspeech 2019, arXiv 1904.08779"
DER = "Dark Experience for General Continual Learning, NeurIPS 2020, arXiv 2004.07211"
LWF = "Learning without Forgetting, ECCV 2016, arXiv 1606.09282"


_OWN = Package("speech", "contrast_speech", COCONUT)
_component, _recipe = _OWN.component, _OWN.recipe


def contrast_manifest() -> Manifest:
    """All components and recipes of this package."""
    return Manifest(
        api=API,
        components=[
            # Data and evaluator.
            _component("data", "spoken", "data.component:Spoken",
                       "Spoken commands: synthetic, FSDD, Fluent Speech Commands, SLURP or SNIPS."),
            _component("evaluator", "decoding", "evaluation:Decoding",
                       "Accuracy of the decoded intent, and word error rate.", ""),
            # Views, encoders, samplers, objectives.
            _component("view", "log-mel", "views:LogMel", "Log-mel energies or MFCCs of waveforms.", ""),
            _component("view", "spec-augment", "views:SpecAugment", "Masks of bands and of frames.", SPECAUGMENT),
            _component("encoder", "seq2seq", "encoder:Seq2Seq", "From features to intent and transcript."),
            _component("encoder", "taught-sequences", "transcripts:TaughtSequences",
                       "Beside the teacher's tables, the student's logits of what the teacher says.", SEQKD),
            _component("sampler", "rehearsal-distillation", "samplers:RehearsalDistillation",
                       "Rehearsal rows meet the teacher's of their class, against the student's."),
            _component("sampler", "audio-text", "samplers:AudioText", "Audio against text and back, by class."),
            _component("objective", "nspt", "objectives:NSPT",
                       "Positives from the teacher, negatives from the student, anchors from the memory."),
            _component("objective", "token-cross-entropy", "objectives:TokenCrossEntropy",
                       "The sequence loss; on the teacher's sequences, sequence distillation.", SEQKD),
            _component("objective", "token-distillation", "distillation:TokenDistillation",
                       "The teacher's distribution or logits at every token.", DER),
            _component("objective", "logit-distillation", "distillation:LogitDistillation",
                       "The teacher's softened logits of the intent.", LWF),
            _component("objective", "feature-distillation", "distillation:FeatureDistillation",
                       "The teacher's pooled audio features.", SEQKD),
        ],
        recipes=[
            _recipe("coconut", "Rehearsal, NSPT and audio-text contrast, on synthetic commands or data.path."),
            _recipe("coconut-seq-kd", "COCONUT and sequence distillation."),
            _recipe("nspt", "COCONUT without the audio-text contrast: an ablation."),
            _recipe("audio-text", "COCONUT without NSPT: an ablation."),
            _recipe("rehearsal", "Experience replay of random or herded exemplars, no distillation.", ""),
            _recipe("fine-tuning", "No memory: the lower bound.", ""),
            _recipe("joint", "All intents in one task: the upper bound.", ""),
            _recipe("audio-kd", "Rehearsal and feature distillation.", SEQKD),
            _recipe("token-kd", "Rehearsal and token distillation.", SEQKD),
            _recipe("seq-kd", "Rehearsal and sequence distillation.", SEQKD),
            _recipe("logit-kd", "Rehearsal and distillation of the intent's logits.", SEQKD),
            _recipe("lwf", "No memory; the teacher's logits on the new task's items.", LWF),
            _recipe("der-style", "Rehearsal and squared differences of logits.", DER),
            _recipe("coconut-fsc", "COCONUT's protocol for Fluent Speech Commands; needs data.path."),
            _recipe("coconut-slurp", "COCONUT's protocol for SLURP; needs data.path."),
        ],
    )  # fmt: skip
