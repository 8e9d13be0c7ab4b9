"""Features: against torchaudio, against each recording by itself, and what SpecAugment hides."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_speech.views import LogMel, SpecAugment


def sound(*lengths: int) -> dict[str, torch.Tensor]:
    """Random waveforms of some lengths, padded with zeros."""
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randn(length, generator=generator) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    return {"waveform": padded, "samples": torch.tensor(lengths)}


def test_log_mel_is_torchaudios() -> None:
    """Without padding at the ends and without normalising."""
    torchaudio = pytest.importorskip("torchaudio", exc_type=ImportError)
    flow = sound(4000)
    found = LogMel(normalise="none")(flow)["features"]
    mel = torchaudio.transforms.MelSpectrogram(8000, n_fft=200, hop_length=100, n_mels=40, center=False)
    wanted = (mel(flow["waveform"]) + 1e-6).log().transpose(1, 2)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_cepstra_are_torchaudios() -> None:
    """The orthonormal cosine transform of the log-mel energies."""
    torchaudio = pytest.importorskip("torchaudio", exc_type=ImportError)
    flow = sound(4000)
    wanted = LogMel(normalise="none")(flow)["features"] @ torchaudio.functional.create_dct(13, 40, "ortho")
    torch.testing.assert_close(LogMel(normalise="none", cepstra=13)(flow)["features"], wanted, rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(200, 3000), min_size=1, max_size=5))
def test_features_do_not_depend_on_the_batch(lengths: list[int]) -> None:
    """Each recording alone has the same features; after its end there are zeros."""
    flow = sound(*lengths)
    view = LogMel()
    together = view(flow)
    for row, length in enumerate(lengths):
        alone = view({"waveform": flow["waveform"][row : row + 1, :length], "samples": torch.tensor([length])})
        frames = int(together["frames"][row])
        assert frames == int(alone["frames"]) == alone["features"].shape[1]
        torch.testing.assert_close(together["features"][row, :frames], alone["features"][0], rtol=1e-4, atol=1e-4)
        assert not together["features"][row, frames:].any()


def test_normalised_features_have_mean_0_and_deviation_1() -> None:
    """Over all frames and bands together, so that the shape of the spectrum stays."""
    features = LogMel()(sound(4000))["features"]
    assert abs(features.mean().item()) < 1e-5
    assert abs(features.std(correction=0).item() - 1) < 1e-4
    assert features.mean(1).std() > 0.1


def test_silence_gives_zeros_and_no_nan() -> None:
    """A recording whose samples are all zero."""
    features = LogMel()({"waveform": torch.zeros(1, 1000), "samples": torch.tensor([1000])})["features"]
    assert features.isfinite().all()
    assert features.abs().max() < 0.1


def test_a_waveform_shorter_than_a_window_is_refused() -> None:
    """The sentence has both numbers."""
    with pytest.raises(ValueError, match="100 samples, but one window takes 200"):
        LogMel()({"waveform": torch.zeros(1, 100), "samples": torch.tensor([100])})


def test_spec_augment_hides_within_its_bounds() -> None:
    """Stretches of bands and frames, in each recording its own; nothing in evaluation mode."""
    torch.manual_seed(0)
    features, frames = torch.ones(50, 40, 20), torch.randint(10, 41, (50,))
    view = SpecAugment(frequency_width=4, time_width=8, time_share=0.2)
    hidden = view({"features": features, "frames": frames})["features"] == 0
    bands, times = hidden.all(1).sum(1), hidden.all(2).sum(1)
    assert 0 < int(bands.max()) <= 4
    assert (times <= (0.2 * frames).long()).all()
    assert times.any()
    assert not hidden[torch.arange(40) >= frames[:, None]].any(1).all()
    assert torch.equal(view.eval()({"features": features, "frames": frames})["features"], features)
