"""Corpora and what is wrong with them: small stand-ins of every layout, and bad recordings."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from contrast_core.continual.class_tasks import ClassTasks
from contrast_speech.data.audio import Sound, read_sound, resampled
from contrast_speech.data.component import Spoken
from contrast_speech.data.formants import commands
from contrast_speech.data.fsdd import fsdd, unpacked
from contrast_speech.data.published import fsc, slurp, snips


def write(path: Path, seconds: float = 0.1, rate: int = 8000, level: float = 0.1) -> None:
    """A WAV file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = level * np.random.default_rng(len(path.name)).standard_normal(int(seconds * rate))
    wavfile.write(path, rate, (noise.clip(-1, 1) * 32767).astype(np.int16))


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Two digits of FSDD's repository, eleven takes of one speaker."""
    for digit in (0, 1):
        for take in (*range(3), *range(5, 13)):
            write(tmp_path / "recordings" / f"{digit}_theo_{take}.wav")
    return tmp_path


def loaded(folder: Path, **options: object) -> Spoken:
    """The digits as data."""
    data = Spoken("fsdd", folder, **options)  # type: ignore[arg-type]
    data.load()
    return data


def test_fsdd_from_its_repository(digits: Path) -> None:
    """Digit, word and part come from the file's name."""
    corpus = fsdd(digits)
    assert len(corpus.utterances) == 22
    first = corpus.utterances[0]
    assert (first.intent, first.transcript, first.part) == ("0", "zero", "test")
    assert [each.part for each in corpus.utterances].count("train") == 6
    with pytest.raises(ValueError, match="no recordings of FSDD"):
        fsdd(digits / "elsewhere")


def test_fsdd_packed(tmp_path: Path) -> None:
    """Differences, zigzag, low and high bytes: there and back."""
    samples = np.random.default_rng(0).integers(-32768, 32767, 1000).astype(np.int16)
    differences = np.diff(samples.astype(np.int64), prepend=0).astype(np.int16).astype(np.int32)
    z = ((differences << 1) ^ (differences >> 31)).astype(np.uint16)
    stream = bytes((z & 255).astype(np.uint8)) + bytes((z >> 8).astype(np.uint8))
    assert np.array_equal(unpacked(stream), samples)
    (tmp_path / "fsdd_pcm16.xz").write_bytes(lzma.compress(stream))
    (tmp_path / "fsdd_index.csv").write_text("start,length,digit,speaker,take,split\n0,600,3,theo,2,test\n")
    (utterance,) = fsdd(tmp_path).utterances
    np.testing.assert_allclose(utterance.samples().samples, samples[:600] / 32768, atol=1e-7)
    (tmp_path / "fsdd_pcm16.xz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="can't be unpacked"):
        fsdd(tmp_path)


def test_fluent_speech_commands(tmp_path: Path) -> None:
    """torchaudio's layout, below the folder or in it."""
    root = tmp_path / "fluent_speech_commands_dataset"
    (root / "data").mkdir(parents=True)
    head = ",path,speakerId,transcription,action,object,location\n"
    for part in ("train", "valid", "test"):
        row = f"0,wavs/speakers/a/{part}.wav,a,Turn on the lights,activate,lights,kitchen\n"
        (root / "data" / f"{part}_data.csv").write_text(head + row)
    for folder in (tmp_path, root):
        corpus = fsc(folder)
        assert [each.part for each in corpus.utterances] == ["train", "valid", "test"]
        assert corpus.utterances[0].intent == "activate_lights_kitchen"
        assert corpus.utterances[0].transcript == "turn on the lights"
    (root / "data" / "test_data.csv").write_text("path\nx.wav\n")
    with pytest.raises(ValueError, match="has no column 'transcription'"):
        fsc(tmp_path)


def test_slurp(tmp_path: Path) -> None:
    """A line a sentence, an utterance a recording."""
    folder = tmp_path / "dataset" / "slurp"
    folder.mkdir(parents=True)
    line = {"scenario": "email", "action": "sendemail", "sentence": "reply to charlotte"}
    for name in ("train", "devel", "test"):
        recordings = [{"file": f"{name}-1.flac"}, {"file": f"{name}-2.flac"}]
        (folder / f"{name}.jsonl").write_text(json.dumps({**line, "recordings": recordings}) + "\n")
    found = slurp(tmp_path).utterances
    assert [each.part for each in found] == ["train"] * 2 + ["valid"] * 2 + ["test"] * 2
    assert found[0].intent == "email_sendemail"
    assert found[0].sound == tmp_path / "audio" / "slurp_real" / "train-1.flac"
    (folder / "test.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match=r"test.jsonl:1: .* needs scenario"):
        slurp(tmp_path)
    (folder / "test.jsonl").unlink()
    with pytest.raises(ValueError, match="can't be read"):
        slurp(tmp_path)


def test_snips(tmp_path: Path) -> None:
    """torchaudio's list of sentences, slots and intents."""
    line = "Aditi-snips-{}-0 BOS play some jazz EOS\tO O O B-genre O PlayMusic\n"
    (tmp_path / "all.iob.snips.txt").write_text("".join(line.format(part) for part in ("train", "valid", "test")))
    for part in ("train", "valid", "test"):
        write(tmp_path / part / f"Aditi-snips-{part}-0.wav")
    found = snips(tmp_path).utterances
    assert [(each.intent, each.transcript) for each in found] == [("PlayMusic", "play some jazz")] * 3
    write(tmp_path / "test" / "nobody-1.wav")
    with pytest.raises(ValueError, match="nobody knows its intent"):
        snips(tmp_path)


def test_synthetic_commands_are_the_same_every_time() -> None:
    """Ten intents, no voice in two parts, loudness within range."""
    corpus, again = commands(10), commands(10)
    assert len(corpus.intents) == 10
    assert [each.part for each in corpus.utterances].count("test") == 20
    for one, two in zip(corpus.utterances, again.utterances, strict=True):
        assert np.array_equal(one.samples().samples, two.samples().samples)
        assert 0.01 < np.abs(one.samples().samples).max() <= 1
    voices = {part: {each.name.partition(":")[0] for each in corpus.utterances if each.part == part}
              for part in ("train", "valid", "test")}  # fmt: skip
    assert not voices["train"] & voices["test"]


def test_batches_are_padded_alike(digits: Path) -> None:
    """Waveforms to the longest of the batch, targets to the longest of the corpus."""
    data = loaded(digits)
    batch = data.batch(torch.tensor([0, 1, 2]))
    assert batch["waveform"].shape == (3, 800)
    assert batch["samples"].tolist() == [800, 800, 800]
    ones = (data.labels == 1).nonzero()[:2, 0]
    assert data.batch(ones)["target"].shape[1] == batch["target"].shape[1] == len("zero") + 4
    assert data.batch(ones)["target"][:, -1].tolist() == [0, 0]
    assert int(batch["vocabulary"]) == 4 + 2 + len(set("zero" + "one"))


def test_another_sampling_rate_is_resampled_with_a_notice(digits: Path) -> None:
    """A tone keeps its pitch, and the source says so."""
    write(digits / "recordings" / "0_theo_7.wav", rate=16000)
    data = loaded(digits)
    assert "1 recording(s) resampled from 16000 to 8000 Hz." in data.source
    assert int(data.batch(torch.arange(len(data)))["samples"].max()) == 800
    time = np.arange(16000) / 16000
    tone = resampled(Sound(np.sin(2 * np.pi * 440 * time).astype(np.float32), 16000), 8000)
    assert int(np.abs(np.fft.rfft(tone)).argmax()) == 440


def test_silent_and_empty_recordings_are_left_out_with_a_notice(digits: Path) -> None:
    """They can't teach anything."""
    write(digits / "recordings" / "0_theo_7.wav", level=0)
    write(digits / "recordings" / "0_theo_8.wav", seconds=0)
    data = loaded(digits)
    assert len(data) == 20
    assert "1 recording(s) silent and left out." in data.source
    assert "1 recording(s) empty (less than 25 ms) and left out." in data.source


@pytest.mark.parametrize("keep", ["memory", "disk"])
def test_a_long_recording_is_cut_with_a_notice(digits: Path, keep: str) -> None:
    """Ten minutes of noise at another rate; kept or read again, the batch has the same."""
    write(digits / "recordings" / "0_theo_10.wav", seconds=600, rate=11025)
    data = loaded(digits, max_seconds=2.0, keep=keep)
    assert "1 recording(s) cut to 2 s." in data.source
    assert int(data.batch(torch.arange(len(data)))["samples"].max()) == 16000


def test_what_can_not_be_read_is_named(tmp_path: Path, digits: Path) -> None:
    """A file that is no sound, one that is missing, one that needs another package or is damaged."""
    (digits / "recordings" / "0_theo_7.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"0_theo_7\.wav can't be read"):
        loaded(digits)
    with pytest.raises(ValueError, match="missing"):
        read_sound(tmp_path / "nothing.wav")
    (tmp_path / "song.flac").write_bytes(b"no song")
    with pytest.raises(ValueError, match=r"song\.flac can't be read"):
        read_sound(tmp_path / "song.flac")


def test_floating_and_stereo_files_are_read(tmp_path: Path) -> None:
    """Channels are averaged; NaN is refused later, by the file's name."""
    wavfile.write(tmp_path / "a.wav", 8000, np.array([[0.5, 0.0], [-0.5, 0.0]], dtype=np.float32))
    assert read_sound(tmp_path / "a.wav").samples.tolist() == [0.25, -0.25]
    wavfile.write(tmp_path / "b.wav", 8000, np.array([0, 128, 255], dtype=np.uint8))
    assert read_sound(tmp_path / "b.wav").samples.tolist() == [-1.0, 0.0, 127 / 128]


def test_not_a_number_in_a_recording_is_refused(digits: Path) -> None:
    """With its name."""
    wavfile.write(digits / "recordings" / "1_theo_6.wav", 8000, np.full(800, np.nan, dtype=np.float32))
    with pytest.raises(ValueError, match="1_theo_6 holds NaN"):
        loaded(digits)


def test_an_intent_may_come_back(digits: Path) -> None:
    """In named tasks; its recordings are dealt out."""
    data = loaded(digits)
    first, second, third = ClassTasks(named=[["0"], ["1"], ["0"]]).of(data)
    assert [len(task.items) for task in (first, second, third)] == [2, 3, 1]
    zeros = data.training_items[data.labels[data.training_items] == 0]
    assert torch.cat([first.items, third.items]).sort().values.tolist() == zeros.tolist()


def test_intents_that_nobody_trains_are_left_out_with_a_notice(digits: Path) -> None:
    """They could not be learned, nor be in a task."""
    for take in (10, 11, 12):
        (digits / "recordings" / f"1_theo_{take}.wav").unlink()
    data = loaded(digits)
    assert list(data.classes) == ["0"]
    assert "8 recording(s) of an intent that none trains, left out." in data.source


def test_parts_that_are_missing_are_named(digits: Path) -> None:
    """Nothing could be evaluated."""
    for take in range(5):
        for digit in (0, 1):
            (digits / "recordings" / f"{digit}_theo_{take}.wav").unlink(missing_ok=True)
    with pytest.raises(ValueError, match="the corpus has no test utterance"):
        loaded(digits)


@pytest.mark.parametrize(
    "wrong",
    [{"format": "fsdd"}, {"path": Path("x")}, {"max_seconds": 0.0}, {"max_letters": -1}, {"sampling_rate": 10}],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    """Before anything is read."""
    with pytest.raises(ValueError):
        Spoken(**wrong)  # type: ignore[arg-type]
