"""A plugin for sounds: the field `wave`, data, a backbone for existing heads, and a task."""

import io
import math
import wave

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

import gvt
from gvt_registry import Component, hookimpl

RATE, LENGTH = 8000, 1600
PAUSE = RATE // 10
"""Samples of silence between two sounds."""
LOWEST_DB, BIN_PIXELS, FRAME_PIXELS = -80, 2, 2


@hookimpl
def gvt_fields():
    return {"wave": "waves:Wave"}


@hookimpl
def gvt_components():
    return [
        Component("dataset", "tones", "waves:Tones"),
        Component("backbone", "wave_cnn", "waves:WaveCNN"),
        Component("task", "wave_coder", "waves:WaveCoder"),
    ]


class Wave(gvt.Field):
    """Sounds, (T,) float32 in [-1, 1], padded with silence at the end."""

    is_dense = True

    def collate(self, values, frame, records):
        longest = max(map(len, values))
        return torch.stack([F.pad(v, (0, longest - len(v))) for v in values])

    def files(self, value, rate=RATE):
        """Return the sounds one after the other, (N, T), and their spectrogram."""
        value = value.detach().float().cpu()
        sound = F.pad(value, (0, PAUSE)).flatten()[:-PAUSE]
        return [(".wav", _wav(sound, rate)), (".png", _spectrogram(sound))]


def _wav(sound, rate):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound.clamp(-1, 1) * 32767).round().numpy().astype("<i2").tobytes())
    return content.getvalue()


def _spectrogram(sound):
    """Return a PNG of the magnitudes in decibels: time to the right, frequency upwards."""
    bins = torch.stft(sound, 128, 64, window=torch.hann_window(128), return_complex=True).abs()
    decibels = 20 * (bins / bins.max().clamp(min=1e-5)).clamp(min=1e-5).log10()
    grey = (1 - decibels.clamp(min=LOWEST_DB) / LOWEST_DB).mul(255).byte().flip(0)
    large = grey.repeat_interleave(BIN_PIXELS, 0).repeat_interleave(FRAME_PIXELS, 1)
    content = io.BytesIO()
    Image.fromarray(large.numpy()).save(content, "PNG")
    return content.getvalue()


class Tones:
    """Rising and falling tones, in noise. Sounds have different lengths.

    Args:
        samples: Number of sounds of a split.
    """

    splits = ("train", "val")

    def __init__(self, split, samples: int = 16):
        self.info = gvt.DataInfo(("falling", "rising"), None)
        self._first, self._samples = self.splits.index(split) * samples, samples

    def __len__(self):
        return self._samples

    def __getitem__(self, index):
        number = self._first + index
        noise = torch.Generator().manual_seed(number)
        time = torch.arange(LENGTH - 100 * (number % 3)) / RATE
        direction = number % 2
        pitch = 500 + 3000 * (time if direction else LENGTH / RATE - time)
        tone = 0.5 * (2 * math.pi * (pitch.cumsum(0) / RATE)).sin()
        tone = tone + 0.05 * torch.randn(len(time), generator=noise)
        record = gvt.Record(f"tone {number}", (0, 0))
        inputs = {"wave": tone, "caption": f"tone number {number}"}
        return gvt.Sample(inputs, {"class": direction}, record)


class WaveCNN(gvt.Backbone):
    """Three strided convolutions over time."""

    reads = ("wave",)

    def __init__(self, width: int = 16):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(1, width, 16, 8, padding=4), nn.ReLU()),
            *(nn.Conv1d(width, width, 8, 4, padding=2), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Conv1d(width, width, 8, 4, padding=2), nn.ReLU()),
        )
        self.feature_info = {"features": (width, 128)}

    def forward(self, waves):
        return {"features": self.layers(waves[:, None])[:, :, None]}


class WaveCoder(gvt.Task):
    """An autoencoder with a noisy code, whose held-out loss has noise, too.

    Args:
        width: Channels.
    """

    phases = (gvt.Phase("coding", trains="net"),)

    def __init__(self, width: int = 8):
        super().__init__()
        self.net = nn.ModuleDict(
            {
                "encoder": nn.Conv1d(1, width, 16, 8, padding=4),
                "decoder": nn.ConvTranspose1d(width, 1, 16, 8, padding=4),
            }
        )

    def _decoded(self, code):
        return self.net["decoder"](code).squeeze(1).tanh()

    def _loss(self, batch, step):
        waves = batch.inputs["wave"]
        waves = F.pad(waves, (0, -waves.shape[1] % 8))
        code = self.net["encoder"](waves[:, None])
        code = code + 0.1 * step.randn(*code.shape)
        return F.mse_loss(self._decoded(code), waves)

    def forward(self, phase, batch, step):
        return {"mse": self._loss(batch, step)}

    def evaluate(self, batch, step):
        return [{}] * len(batch), {"mse": (self._loss(batch, step), len(batch))}

    def sample(self, count, seed):
        width = self.net["encoder"].out_channels
        draws = [torch.Generator().manual_seed(1000 * seed + i) for i in range(count)]
        code = torch.stack([torch.randn(width, LENGTH // 8, generator=g) for g in draws])
        return gvt.Shown("wave", self._decoded(code.to(next(self.parameters()).device)))

    def pictures(self, seed, examples):
        if examples is None:
            return {}
        waves = examples.inputs["wave"][:3]
        waves = F.pad(waves, (0, -waves.shape[1] % 8))
        coded = self._decoded(self.net["encoder"](waves[:, None]))
        errors = (coded - waves).square().mean(1).tolist()
        lines = [f"{error:.4f} <mse>" for error in errors]
        sounds = gvt.Shown("wave", coded, {"rate": RATE})
        return {"coded": sounds, "errors": gvt.Shown("text", lines)}
