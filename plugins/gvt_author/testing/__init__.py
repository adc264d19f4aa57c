"""The conformance kit: rules for the components of plugins.

    gvt plugin check blur                       # a line for each component, then the failures
    gvt_author.testing.checks("blur")           # the checks one by one

and in pytest the fixture `gvt_check` (`gvt_author.testing.pytest_plugin`).

The docstring of its function describes a rule. The rules and the kinds that they apply to:

| rule | for |
| --- | --- |
| listing, hooks, run | plugin |
| summary | recipe, task, dataset, generator, discriminator, backbone, network, head, loss, metric |
| summary | weighting, optimizer, schedule, transform, exporter, explainer |
| docstring, parameters | task, dataset, generator, discriminator, backbone, network, head, loss |
| docstring, parameters | metric, weighting, optimizer, schedule, transform, exporter, explainer |
| builds | task, dataset, generator, discriminator, backbone, network, head, loss, metric |
| builds | weighting, optimizer, schedule, transform, exporter, explainer |
| shapes | task, dataset, generator, discriminator, backbone, network, head, loss, metric |
| shapes | weighting, optimizer, schedule, transform, exporter, explainer |
| colours | generator, discriminator, backbone |
| odd-sizes | generator, discriminator, backbone, head |
| split | backbone |
| deployed | task, head |
| exports | task, generator, discriminator, backbone, head |
| accelerator, gradients | task, generator, discriminator, backbone, network, head, loss |
| bfloat16, state, deep-copy | task, generator, discriminator, backbone, network, head, loss |
| learning-rate | optimizer |
| state | weighting, optimizer, explainer |
| deep-copy | metric, weighting |
| reset | metric |
| modes | task, head, loss |
| empty-targets | task, head |
| padding, padding-reach | head |
| resume | recipe, task, generator, discriminator, backbone, network, head, loss, optimizer |
| determinism | recipe, task, dataset, generator, discriminator, backbone, network, head, loss |
| determinism | metric, weighting, optimizer, schedule, transform, explainer |
| resident | dataset |
| workers | dataset, transform |
| partners | dataset, backbone, head |
| neighbour | head |
| runs | recipe |

A component is built from its defaults and the parameters that gvt passes: images with three
channels and 32x32 pixels, three classes, and small models around it. Further parameters come from
a static method `gvt_example(folder: Path)` of the component, which may write files into the folder,
for example those of a data set. Without it, a rule that needs such parameters is skipped, with the
reason. A head with targets that gvt does not know has a static method `gvt_targets(index: int)`,
which returns the targets of an image by key. A network whose inputs are not images has a static
method `gvt_inputs(count: int)`, which returns a tuple with the inputs of `count` samples. A task
gets small networks, or those in its example, such as `{"g_ab": {"name": "translator"}}`.

A component that can be exported declares the formats, `exports = ("torch", "onnx")` for
`torch.export` and ONNX, which the rule `exports` checks. Heads and tasks are exported in their
deployed form, which the rule `deployed` compares with the predictions. A head that declares
`padding_reach`, the number of pixels beyond the edge of an image that its layers see, is checked by
the rule `padding-reach`.
"""

from gvt_author.testing.check import Check, Failed, Skipped
from gvt_author.testing.running import checks, report

__all__ = ["Check", "Failed", "Skipped", "checks", "report"]
