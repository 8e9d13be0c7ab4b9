"""From waveforms to features: log-mel energies or cepstra, and SpecAugment."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.interfaces import Flow, View
from contrast_speech.spectrum import cosines, mel_filters, power


@final
class LogMel(View):
    """Log-mel energies, or MFCCs, of each waveform, normalised over its own frames and all bands together.

    x_tb = log(sum_f M_fb |S_tf|^2 + 1e-6), then (x - mean) / deviation over all t and b of the recording. One mean for
    all bands: a mean for each band would take the recording's spectrum away, which tells the words apart.

    Reads `waveform` (B, s) floating and `samples` (B,) int64, their lengths; gives `features` (B, t, bands) and
    `frames` (B,) int64, their numbers of frames. Frames after a recording's end are 0, and no frame reaches beyond the
    end: there is no padding at either end (`center=False` of torchaudio), so no feature depends on the batch.

    Args:
        sampling_rate: samples a second of the waveforms.
        window, hop: seconds.
        bands: mel filters (HTK's scale, triangles of height 1).
        cepstra: MFCCs to take of the log-mel energies, 0 for none; then the features are (B, t, cepstra).
        normalise: "recording" as above, or "none".

    Raises:
        ValueError: for numbers that are not positive, more cepstra than bands, or, in use, a waveform shorter than a
            window.
    """

    needs = ("waveform", "samples")
    gives = ("features", "frames")

    def __init__(
        self,
        sampling_rate: int = 8000,
        window: float = 0.025,
        hop: float = 0.0125,
        bands: int = 40,
        cepstra: int = 0,
        normalise: Literal["recording", "none"] = "recording",
    ):
        super().__init__()
        self.window, self.hop = round(window * sampling_rate), round(hop * sampling_rate)
        if min(self.window, self.hop, bands) < 1:
            raise ValueError("sampling_rate, window, hop and bands must be positive, and a hop at least one sample.")
        if not 0 <= cepstra <= bands:
            raise ValueError(f"cepstra = {cepstra} must be from 0 to the number of bands, {bands}.")
        self.cepstra, self.normalise = cepstra, normalise
        self.filters: Tensor
        self.register_buffer("filters", mel_filters(bands, self.window, sampling_rate).float(), persistent=False)
        self.transform: Tensor
        self.register_buffer("transform", cosines(bands, cepstra).float(), persistent=False)

    def forward(self, flow: Flow) -> Flow:
        """The features."""
        waveform, samples = flow["waveform"], flow["samples"]
        if int(samples.min()) < self.window:
            raise ValueError(f"A waveform has {int(samples.min())} samples, but one window takes {self.window}.")
        frames = (samples - self.window) // self.hop + 1
        energies = power(waveform, self.window, self.hop) @ self.filters.to(waveform.dtype)
        features = (energies + 1e-6).log()
        if self.cepstra:
            features = features @ self.transform.to(features.dtype)
        inside = (torch.arange(features.shape[1], device=features.device) < frames[:, None])[..., None]
        if self.normalise == "recording":
            count = frames[:, None, None] * features.shape[2]
            mean = (features * inside).sum((1, 2), keepdim=True) / count
            variance = ((features - mean).square() * inside).sum((1, 2), keepdim=True) / count
            features = (features - mean) / (variance + 1e-8).sqrt()
        return {"features": torch.where(inside, features, 0.0), "frames": frames}


@final
class SpecAugment(View):
    """Masks of random bands and of random frames of each recording, filled with 0, the mean of its features.

    Each of `frequency_masks` hides w bands, w uniform in 0..frequency_width, from a uniform place on; each of
    `time_masks` hides w frames, w uniform in 0..min(time_width, time_share t) of the recording's t frames. Student and
    teacher see the same masks. There is no warping of time, and none of anything in evaluation mode.

    Reads `features` (B, t, bands) and `frames` (B,) int64; gives `features` anew.

    Args:
        frequency_masks, frequency_width: how many, and how many bands at most.
        time_masks, time_width: how many, and how many frames at most.
        time_share: of a recording's frames that one mask hides at most.

    Raises:
        ValueError: for a negative number, or a share above 1.

    Paper: Park et al., SpecAugment, Interspeech 2019, arXiv 1904.08779.
    """

    needs = ("features", "frames")
    gives = ("features",)

    def __init__(
        self,
        frequency_masks: int = 1,
        frequency_width: int = 6,
        time_masks: int = 1,
        time_width: int = 8,
        time_share: float = 0.2,
    ):
        super().__init__()
        if min(frequency_masks, frequency_width, time_masks, time_width) < 0 or not 0 <= time_share <= 1:
            raise ValueError("Numbers and widths of masks must be at least 0, and time_share from 0 to 1.")
        self.frequency = frequency_masks, frequency_width
        self.time = time_masks, time_width
        self.time_share = time_share

    def forward(self, flow: Flow) -> Flow:
        """The masked features."""
        features, frames = flow["features"], flow["frames"]
        if not self.training:
            return {"features": features}
        bands = torch.full_like(frames, features.shape[2])
        hidden = torch.zeros(features.shape, dtype=torch.bool, device=features.device)
        for _ in range(self.frequency[0]):
            hidden |= _mask(features.shape[2], bands, bands.clamp(max=self.frequency[1]))[:, None, :]
        for _ in range(self.time[0]):
            most = (self.time_share * frames).long().clamp(max=self.time[1])
            hidden |= _mask(features.shape[1], frames, most)[:, :, None]
        return {"features": features.masked_fill(hidden, 0.0)}


def _mask(size: int, lengths: Tensor, most: Tensor) -> Tensor:
    """(B, size): one stretch a row of a length up to `most`, inside of the row's first `lengths` places."""
    uniform = torch.rand(2, len(lengths), device=lengths.device)
    width = (uniform[0] * (most + 1)).long()
    start = (uniform[1] * (lengths - width + 1)).long()
    place = torch.arange(size, device=lengths.device)
    return (place >= start[:, None]) & (place < (start + width)[:, None])
