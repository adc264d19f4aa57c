"""A backbone with heads as a function of tensors, the deployed form of `MultiHead`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gvt.batch import Batch, Frame
from gvt.fields import field_of
from gvt.heads.vocabulary import Vocabulary
from gvt.interfaces import Backbone, Head
from gvt.predictions import short_name


class DeployedHeads(nn.Module):
    """A backbone with heads, from tensors to tensors.

    Args:
        backbone: The backbone.
        heads: Heads by name.
        vocabularies: The classes of each head that learns from one part of mixed data.
        branches: The layers between the backbone and each head, by head.

    Attributes:
        inputs: The field of each input by name; those that the backbone reads come first.
        outputs: The field of each output by name, `KEY` of the only head, or `HEAD/KEY`.

    Raises:
        NotImplementedError: If a head does not declare `predicts`, or implement `tensors`.
    """

    def __init__(
        self,
        backbone: Backbone,
        heads: Mapping[str, Head],
        vocabularies: Mapping[str, Vocabulary],
        branches: nn.ModuleDict,
    ) -> None:
        super().__init__()
        self.backbone, self.heads, self.branches = backbone, nn.ModuleDict(heads), branches
        self.vocabularies, self.reads = vocabularies, getattr(backbone, "reads", ("image",))
        self.inputs = {key: key for key in self.reads}
        self.outputs: dict[str, str] = {}
        for name, head in heads.items():
            predicts = getattr(head, "predicts", ())
            if not predicts or getattr(type(head), "tensors", Head.tensors) is Head.tensors:
                raise NotImplementedError(
                    f"head {name} has no deployed form: a {type(head).__name__} should declare "
                    "the keys `predicts`, and implement `tensors`"
                )
            self.inputs |= {key: key for key in getattr(head, "reads", ())}
            self.outputs |= {short_name(name, heads, key): key for key in predicts}

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the predictions of all heads."""
        values = dict(zip(self.inputs, inputs, strict=True))
        canvas = tuple(values["image"].shape[-2:]) if "image" in values else (0, 0)
        batch = Batch(values, Frame((canvas,), canvas))
        features = self.backbone(*inputs[: len(self.reads)])
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            tensors = head.tensors(head(self.branches[name](features), batch))  # type: ignore[operator]
            if name in self.vocabularies:
                tensors = self.vocabularies[name].outside(tensors, axis=1)
            outputs |= {short_name(name, self.heads, key): v for key, v in tensors.items()}
        return tuple(outputs[name] for name in self.outputs)

    def dynamic(self, name: str) -> dict[int, str]:
        """Return the symbols of the axes of an input that vary; images may have a single size."""
        is_fixed = name == "image" and getattr(self.backbone, "image_size", None) is not None
        return {0: "batch", **({} if is_fixed else field_of(name).varying)}
