"""The schema of a recipe. A field is a key in YAML, and `section.key=value` on the command line.

All further keys of `task`, `data`, `generator`, `discriminator`, `backbone`, `networks.*`,
`heads.*` and `optimizers.*` are parameters of the component that is named there. They are checked
against its constructor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from gvt.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

Cadence = PositiveInt | Literal["epoch"] | None
"""A number of steps, the end of each epoch, or never."""

# Larger values are mistakes, or from a forged file.
MAX_BATCH = 1 << 20
MAX_KEPT = 100_000

BatchSize = Annotated[int, Field(gt=0, le=MAX_BATCH)]

Name = Annotated[str, Field(max_length=200)]

DeviceName = Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")]


class Section(BaseModel):
    """A section of a recipe with a fixed set of keys."""

    model_config = ConfigDict(extra="forbid")


def by_dotted_name(value: Any) -> Any:
    """Return nested mappings as one mapping, such as `heads: {ink: 1}` as `heads.ink: 1`.

    Raises:
        ValueError: If a name occurs twice.
    """
    if not isinstance(value, Mapping):
        return value
    values: dict[Any, Any] = {}
    for key, item in value.items():
        named = {key: item}
        if isinstance(item, Mapping):
            named = {f"{key}.{name}": inner for name, inner in by_dotted_name(item).items()}
        if duplicates := sorted(map(str, named.keys() & values.keys())):
            first = duplicates[0]
            raise ValueError(f"{first} is given twice, with dots and as a mapping; remove one")
        values |= named
    return values


class ComponentConfig(BaseModel):
    """A component by its name in the registry; all further keys are its parameters."""

    model_config = ConfigDict(extra="allow")

    name: Name

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the component."""
        return dict(self.model_extra or {})


class HeadConfig(ComponentConfig):
    """A head by its name in the registry.

    Attributes:
        learns_from: The part of mixed data that it learns from, and whose classes it has. By
            default it learns from all of the data.
    """

    learns_from: str | None = None


class DataConfig(ComponentConfig):
    """The data set and how samples are loaded.

    Attributes:
        batch_size: Samples of one micro-batch in one process.
        shuffle: Whether each epoch has a new order, which is a function of (seed, epoch).
        balance: Whether all classes are drawn equally often, with replacement. The number of
            samples of an epoch stays the same.
        workers: Number of processes that read samples. `auto` is 0 for data on the device. At most
            four per core, or 16, are started.
        resident: Whether the whole data set is kept on the device as uint8; `auto` if it fits.
        range: Range that real images are mapped to before a discriminator sees them.
        transforms: Transforms of `torchvision.transforms.v2` or of plugins by name, for each
            training sample.
        batch_transforms: Transforms of whole training batches of images, on the device. `MixUp`
            and `CutMix` also mix the classes.
    """

    batch_size: BatchSize = 128
    shuffle: bool = True
    balance: bool = False
    workers: NonNegativeInt | Literal["auto"] = "auto"
    resident: bool | Literal["auto"] = "auto"
    range: tuple[float, float] | None = None
    transforms: list[ComponentConfig] = []
    batch_transforms: list[ComponentConfig] = []

    @model_validator(mode="after")
    def _possible(self) -> DataConfig:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range {list(self.range)}: the first number must be the smaller")
        if self.resident is True and self.transforms:
            raise ValueError(
                "resident=true keeps whole tensors, which cannot be transformed per sample; use "
                "batch_transforms, or resident=false"
            )
        if self.resident is True and self.workers not in ("auto", 0):
            raise ValueError("resident=true uses no workers; remove one of the two")
        if self.balance and not self.shuffle:
            raise ValueError("balance=true draws samples at random, so it needs shuffle=true")
        return self


class OptimizerConfig(ComponentConfig):
    """An optimiser of `torch.optim` or of a plugin by name; all further keys are its arguments.

    Attributes:
        schedule: Schedule of `torch.optim.lr_scheduler` or of a plugin by name, stepped at each
            iteration. An argument `auto` is the number of steps after the warm-up.
        warmup: Steps of linear warm-up before the schedule.
        rates: Factors of the learning rate, by names of submodules or parameters. The longest
            matching name is used; the schedule applies to all. `heads.ink: 0.1` and
            `heads: {ink: 0.1}` are equivalent.
    """

    schedule: ComponentConfig | None = None
    warmup: NonNegativeInt = 0
    rates: Annotated[dict[str, PositiveFloat], BeforeValidator(by_dotted_name)] = {}


class EmaConfig(Section):
    """An exponential moving average of weights, used for evaluation, samples and `gvt.load`.

    Attributes:
        decay: Weight of the previous average at each step; lower in the first steps.
        modules: Submodules of the task that are averaged; by default all that are trained.
    """

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    modules: list[str] | None = None


class TrainConfig(Section):
    """The training loop. Either `steps` or `epochs` is required.

    Attributes:
        steps: Number of iterations.
        epochs: Number of passes over the data.
        seed: Seed of all random numbers.
        accumulate: Micro-batches of one iteration, whose gradients are accumulated.
        clip_norm: Largest norm of the gradient of a phase.
        clip_value: Largest absolute value of an entry of a gradient.
        ema: Moving average of weights.
        unfreeze: Step from which a submodule or parameter is trained, or `never`, by name. The
            longest matching name is used. Until then its weights are frozen, and it is in
            evaluation mode. `heads.ink: never` and `heads: {ink: never}` are equivalent.
        precision: Precision of autocast. `auto` is bfloat16 on accelerators that support it, and
            on CPUs with instructions for it (AMX, AVX512_BF16) if the memory format is
            channels_last.
        memory_format: Layout of images and convolution weights. `auto` is channels_last, except on
            mps and with `shard`.
        compile: Whether networks are compiled with `torch.compile`; `auto` is off.
        deterministic: Whether to use deterministic algorithms only; an operation without one
            fails.
        checkpoint_every: Interval between checkpoints; one is always saved at the end.
        pictures_every: Interval between sheets of samples; one is always drawn at the end.
        log_every: Steps between two readings of the losses from the device.
        keep: Number of numbered checkpoints to keep, besides the last and the best.
        shard: Whether the processes of a run share the parameters, gradients and optimiser state
            of its networks, each holding a part (FSDP2); without effect in a single process.
        timeout: Minutes that the processes of a run wait for each other before the run fails.
    """

    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    accumulate: Annotated[int, Field(gt=0, le=MAX_BATCH)] = 1
    clip_norm: PositiveFloat | None = None
    clip_value: PositiveFloat | None = None
    ema: EmaConfig | None = None
    unfreeze: Annotated[
        dict[str, NonNegativeInt | Literal["never"]], BeforeValidator(by_dotted_name)
    ] = {}
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    deterministic: bool = False
    checkpoint_every: Cadence = 1000
    pictures_every: Cadence = None
    log_every: PositiveInt = 50
    keep: Annotated[int, Field(ge=0, le=MAX_KEPT)] = 0
    shard: bool = False
    timeout: Annotated[float, Field(gt=0, le=10_000)] = 10.0

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of steps of the run."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    @model_validator(mode="after")
    def _one_budget(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class EvaluateConfig(Section):
    """Evaluation on held-out data.

    Attributes:
        split: Split that is evaluated during the run; null for none.
        every: Interval between evaluations; there is always one at the end.
        final: Split that is evaluated once, when the run is complete.
        batch_size: Samples of one batch; that of training by default.
        best: Metric whose best checkpoint is kept as `best.safetensors`.
        mode: Whether the best value is the largest or the smallest one.
        patience: Number of evaluations without a new best value after which the run is complete.
    """

    split: str | None = None
    every: Cadence = "epoch"
    final: str | None = None
    batch_size: BatchSize | None = None
    best: str | None = None
    mode: Literal["max", "min"] = "max"
    patience: PositiveInt | None = None

    @model_validator(mode="after")
    def _best_of_something(self) -> EvaluateConfig:
        if self.best is not None and self.split is None:
            raise ValueError("best needs a split to be measured on")
        if self.patience is not None and (self.best is None or self.every is None):
            raise ValueError(
                "patience needs best (the metric) and every (how often it is evaluated)"
            )
        return self


class FolderConfig(Section):
    """The run folder and the hooks of plugins.

    Attributes:
        root: Parent of run folders, which are `root/<recipe>/<time>`. `${NAME}` is replaced by an
            environment variable, as in all paths.
        hook_errors: What to do if a run hook of a plugin raises. `warn` prints a warning and does
            not call the hook again in this run; `stop` also ends the run after the step, saved.
    """

    root: str = "runs"
    hook_errors: Literal["warn", "stop"] = "warn"


class RunConfig(Section):
    """The configuration of a run. Plugins add sections (`gvt_sections`).

    Attributes:
        recipe: Name of the recipe, and of the parent of the run folder.
        task: Task that is learned.
        data: Data set that it is learned from.
        generator: The network of the task that is called so; short for `networks.generator`.
        discriminator: Likewise.
        backbone: Likewise.
        networks: All other networks of the task by their names, which are those of the parameters
            of its constructor; null removes one.
        heads: Heads by name; null removes one.
        optimizers: Optimisers, by the names that the phases of the task use.
        train: The training loop.
        evaluate: Evaluation on held-out data.
        run: The run folder and the hooks of plugins.
        init_from: Checkpoint that weights are initialised from where name and shape agree.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.
    """

    recipe: Name = "run"
    task: ComponentConfig
    data: DataConfig
    generator: ComponentConfig | None = None
    discriminator: ComponentConfig | None = None
    backbone: ComponentConfig | None = None
    networks: dict[str, ComponentConfig] = {}
    heads: dict[str, HeadConfig] = {}
    optimizers: dict[str, OptimizerConfig]
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    run: FolderConfig = FolderConfig()
    init_from: str | None = None
    device: DeviceName = "auto"

    def document(self) -> dict[str, Any]:
        """Return the configuration as plain data."""
        return self.model_dump(mode="json")

    def section(self, name: str, model: type[M]) -> M:
        """Return the section of a plugin.

        Args:
            name: Name of the section, as in `gvt_sections`.
            model: Model of the section.

        Raises:
            ConfigError: If the recipe lacks the section, or no plugin has validated it.
        """
        section = getattr(self, name, None)
        if not isinstance(section, model):
            raise ConfigError(f"{self.recipe}: {name}: is missing")
        return section
