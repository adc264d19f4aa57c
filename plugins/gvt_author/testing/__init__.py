"""The conformance kit: what holds for every component that a plugin may offer.

    gvt plugin check blur                       # a line for each component, then what is wrong
    gvt_author.testing.checks("blur")                  # the same, one by one

and in pytest the fixture `gvt_check` (`gvt_author.testing.pytest_plugin`).

What a rule says is the docstring of its function. Which kinds it is for:

| rule | for |
| --- | --- |
| listing, hooks, run | plugin |
| summary | recipe, task, dataset, generator, discriminator, backbone, head, loss, metric |
| docstring, parameters | task, dataset, generator, discriminator, backbone, head, loss, metric |
| builds | task, dataset, generator, discriminator, backbone, head, loss, metric |
| shapes | task, dataset, generator, discriminator, backbone, head, loss, metric |
| colours | generator, discriminator, backbone |
| odd-sizes | generator, discriminator, backbone, head |
| onnx | generator, discriminator, backbone |
| accelerator, gradients, bfloat16 | task, generator, discriminator, backbone, head, loss |
| state, deep-copy | task, generator, discriminator, backbone, head, loss |
| deep-copy, reset | metric |
| modes | task, head, loss |
| empty-targets | task, head |
| padding, padding-reach | head |
| resume | recipe, task, generator, discriminator, backbone, head, loss |
| determinism | recipe, task, dataset, generator, discriminator, backbone, head, loss, metric |
| resident, workers | dataset |
| partners | dataset, backbone, head |
| neighbour | head |
| runs | recipe |

A component is built from its defaults and what gvt fills in: images of three channels and 32x32
pixels, three classes, small networks around it. What it needs besides, it says itself: a static
method `gvt_example(folder: Path)` returns parameters to try it with, and may write files into the
folder, as a data set needs. Without one, a rule that would need it is skipped, with the reason.
Targets of a key that gvt does not know, a head makes up itself: a static method
`gvt_targets(index: int)` returns those of a picture by key.

A network that can be exported says so by `exports = ("onnx",)`; the rule `onnx` holds it to that.
A head that says by `padding_reach` how many pixels beyond an image's edge its layers see, 0 for
none, is held to that by the rule `padding-reach`.
"""

from gvt_author.testing.check import Check, Failed, Skipped
from gvt_author.testing.running import checks, report

__all__ = ["Check", "Failed", "Skipped", "checks", "report"]
