"""The sequence-to-sequence speech model as an encoder: audio features, text features, logits of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow
from contrast_speech.data.tokens import EOS, PAD, SEP, SOS
from contrast_speech.network import AudioEncoder, TextDecoder

TABLES = ("embedding", "audio", "text", "tokens", "intent")


@final
class Seq2Seq(Encoder):
    """Audio encoder, text decoder, and a linear projection of either side: h_A = audio(x), Emb = the decoder's table,

        embedding = mean_u h_A[u]     audio = g_A(embedding)     text = g_T(Emb[intent])     logits = decoder(y, h_A)

    Means are over a recording's own states. Tables, all of B rows with the columns `label` and `sample`:
    `embedding` (z: (B, width)), `audio` and `text` (z: (B, dimension)), `tokens` (logits: (B, l - 1, vocabulary),
    column `target`: the tokens to be predicted, after the first) and `intent` (z: (B, vocabulary), the logits of the
    first decoding step; column `said`: (B, longest) int64). In evaluation mode `said` is what greedy decoding says;
    in training mode, and of a teacher that is not asked for it (`decodes`), where nobody reads it, PAD alone.

    Args:
        width, heads, layers, decoder_layers, feed_forward, dropout: of the transformers.
        dimension: of the projections.
        text: what stands for the text: the embedding of the "intent" token, or the mean over the whole "sequence".
        longest: tokens that greedy decoding says at most.

    Raises:
        ValueError: for a size that is not positive, or a width that the heads do not divide or that is odd.

    Paper: COCONUT, arXiv 2310.02699: wav2vec 2.0 stands there in place of the convolutions and the audio layers, the
    decoder has 6 layers of width 768. Unlike the code of its first author's earlier systems, padding is hidden from
    attention and from the loss.
    """

    needs = ("features", "frames", "target", "label", "sample", "vocabulary")
    gives = (
        *(f"{table}{column}" for table in TABLES for column in ("", ".label", ".sample")),
        "tokens.target",
        "intent.said",
    )

    def __init__(
        self,
        width: int = 96,
        heads: int = 4,
        layers: int = 2,
        decoder_layers: int = 1,
        feed_forward: int = 192,
        dropout: float = 0.1,
        dimension: int = 64,
        text: Literal["intent", "sequence"] = "intent",
        longest: int = 16,
    ):
        super().__init__()
        if min(width, heads, layers, decoder_layers, feed_forward, dimension, longest) < 1:
            raise ValueError("All sizes of the network must be at least 1.")
        if width % heads or width % 2:
            raise ValueError(f"width = {width} must be even and a multiple of heads = {heads}.")
        self.sizes = width, heads, layers, decoder_layers, feed_forward, dropout
        self.dimension, self.text, self.longest = dimension, text, longest
        self.decodes = True
        """Whether evaluation mode decodes beyond the first token."""
        self.audio_encoder: AudioEncoder
        self.decoder: TextDecoder
        self.audio_projection: nn.Linear
        self.text_projection: nn.Linear

    def prepare(self, flow: Flow) -> None:
        """Build the layers for the features' bands and the vocabulary."""
        width, heads, layers, decoder_layers, feed_forward, dropout = self.sizes
        bands, tokens = flow["features"].shape[2], int(flow["vocabulary"])
        self.audio_encoder = AudioEncoder(bands, width, heads, layers, feed_forward, dropout)
        self.decoder = TextDecoder(tokens, width, heads, decoder_layers, feed_forward, dropout)
        self.audio_projection = nn.Linear(width, self.dimension)
        self.text_projection = nn.Linear(width, self.dimension)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """All tables."""
        target = flow["target"]
        states, lengths = self.listen(flow)
        pooled = _mean(states, lengths)
        logits = self._decoded(target[:, :-1], states, lengths)
        said = torch.full((len(target), self.longest), PAD, device=target.device)
        if self.decodes and not self.training:
            said = self.decoder.greedy(states, lengths, self.longest)
        columns = {name: flow[name] for name in ("label", "sample")}
        return {
            "embedding": Embeddings.of(pooled, **columns),
            "audio": Embeddings.of(self.audio_projection(pooled), **columns),
            "text": Embeddings.of(self.text_projection(self._text(target)), **columns),
            "tokens": Embeddings({"logits": logits}, {**columns, "target": target[:, 1:]}),
            "intent": Embeddings({"z": logits[:, 0]}, {**columns, "said": said}),
        }

    def becomes_teacher(self) -> None:
        """Decode no longer: it costs more than all the rest."""
        self.decodes = False

    def listen(self, flow: Flow) -> tuple[Tensor, Tensor]:
        """States of the audio encoder, (B, u, width), and their numbers, (B,)."""
        states, lengths = self.audio_encoder(flow["features"], flow["frames"])
        return states, lengths

    def said(self, flow: Flow) -> Tensor:
        """What greedy decoding says, (B, longest) int64."""
        return self.decoder.greedy(*self.listen(flow), self.longest)

    def logits_of(self, flow: Flow, said: Tensor) -> Tensor:
        """Logits of given sequences (B, l), each token from those before it: (B, l, vocabulary)."""
        start = torch.full((len(said), 1), SOS, device=said.device)
        logits: Tensor = self.decoder(torch.cat([start, said[:, :-1]], dim=1), *self.listen(flow))
        return logits

    def embed(self, flow: Flow) -> Embeddings:
        """The mean of the audio encoder's states, without any decoding."""
        return Embeddings.of(_mean(*self.listen(flow)))

    def _decoded(self, tokens: Tensor, states: Tensor, lengths: Tensor) -> Tensor:
        """Logits after each token; where all rows have ended nothing is computed, and they are 0."""
        most = max(1, int((tokens != PAD).any(0).sum()))
        logits: Tensor = self.decoder(tokens[:, :most], states, lengths)
        return nn.functional.pad(logits, (0, 0, 0, tokens.shape[1] - most))

    def _text(self, target: Tensor) -> Tensor:
        if self.text == "intent":
            return self.decoder.embedding(target[:, 1])  # type: ignore[no-any-return]
        words = (target != PAD) & (target != SOS) & (target != SEP) & (target != EOS)
        embedded = self.decoder.embedding(target) * words[..., None]
        return embedded.sum(1) / words.sum(1, keepdim=True)  # type: ignore[no-any-return]


def _mean(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean over the states before each end; those after it are 0."""
    found: Tensor = states.sum(1) / lengths[:, None]
    return found
