"""The deployed form of a backbone with heads: tensors in, tensors out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gvt.batch import Batch, Frame
from gvt.fields import field_of
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Backbone, Head
from gvt.predictions import short_name
from gvt.task import Deployed


def deployed(
    backbone: Backbone, heads: Mapping[str, Head], vocabularies: Mapping[str, Vocabulary]
) -> Deployed:
    """Return the deployed form of a backbone with its heads.

    Args:
        backbone: The backbone.
        heads: Heads by name.
        vocabularies: The classes of each head that learns from one part of mixed data.

    Raises:
        NotImplementedError: If a head does not implement `tensors`, or not declare `predicts`.
    """
    reads = getattr(backbone, "reads", ("image",))
    inputs = {key: key for key in reads}
    outputs: dict[str, str] = {}
    for name, head in heads.items():
        predicts = getattr(head, "predicts", ())
        if not predicts or getattr(type(head), "tensors", Head.tensors) is Head.tensors:
            raise NotImplementedError(
                f"head {name} has no deployed form: {type(head).__name__} does not declare the "
                "keys `predicts` and implement `tensors`"
            )
        inputs |= {key: key for key in getattr(head, "reads", ())}
        outputs |= {short_name(name, heads, key): key for key in predicts}
    module = _Heads(backbone, heads, vocabularies)
    module.reads, module.inputs, module.outputs = len(reads), (*inputs,), (*outputs,)
    is_fixed = getattr(backbone, "image_size", None) is not None
    return Deployed(module, inputs, outputs, {key: _axes(key, is_fixed) for key in inputs})


def _axes(key: str, is_fixed: bool) -> dict[int, str]:
    """Return the symbols of the axes of an input that vary.

    All that is in pixels has the height and the width of the images, unless these are fixed.
    """
    field = field_of(key)
    varying = {} if is_fixed and field.is_dense and field.is_spatial else field.varying
    symbols = {a: name if field.is_spatial else f"{key} {name}" for a, name in varying.items()}
    return {0: "batch", **symbols}


class _Heads(nn.Module):
    """A backbone with heads as a function of tensors, of which the backbone reads the first."""

    reads: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(
        self, backbone: Backbone, heads: Mapping[str, Head], words: Mapping[str, Vocabulary]
    ) -> None:
        super().__init__()
        self.backbone, self.heads, self.words = backbone, nn.ModuleDict(heads), words

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the predictions of all heads."""
        values, frame = dict(zip(self.inputs, inputs, strict=True)), Frame()
        if "image" in values:
            height, width = values["image"].shape[-2:]
            frame = Frame(((height, width),), (height, width))
        batch, features = Batch(values, frame), self.backbone(*inputs[: self.reads])
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            tensors = head.tensors(head(features, batch))  # type: ignore[operator]
            if name in self.words:
                tensors = self.words[name].outside(tensors, axis=1)
            outputs |= {short_name(name, self.heads, key): v for key, v in tensors.items()}
        return tuple(outputs[name] for name in self.outputs)
