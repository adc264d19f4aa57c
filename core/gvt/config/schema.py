"""What a recipe may say. Each field is a key in YAML, and `section.key=value` on the command line.

Keys that are not listed under `task`, `data`, `generator`, `discriminator`, `backbone`, `heads.*`
and `optimizers.*` are parameters of the component named there, checked against its constructor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from gvt.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

Cadence = PositiveInt | Literal["epoch"] | None
"""Every so many steps, at the end of every epoch, or never."""

MAX_BATCH = 1 << 20
MAX_KEPT = 100_000
"""What a recipe can ask of a machine at most; more is a mistake, or a forged file."""

BatchSize = Annotated[int, Field(gt=0, le=MAX_BATCH)]

Name = Annotated[str, Field(max_length=200)]

DeviceName = Annotated[str, Field(pattern=r"^(auto|cpu|mps|(cuda|xpu)(:\d+)?)$")]


class Section(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(extra="forbid")


def by_dotted_name(value: Any) -> Any:
    """Return mappings within a mapping as one, `heads: {ink: 1}` as `heads.ink: 1`.

    Raises:
        ValueError: If a name is given twice.
    """
    if not isinstance(value, Mapping):
        return value
    found: dict[Any, Any] = {}
    for key, inside in value.items():
        deeper = by_dotted_name(inside)
        named = (
            {f"{key}.{name}": v for name, v in deeper.items()}
            if isinstance(deeper, Mapping)
            else {key: deeper}
        )
        twice = sorted(map(str, named.keys() & found.keys()))
        if twice:
            raise ValueError(f"{twice[0]} is given twice, with dots and as a mapping; drop one")
        found |= named
    return found


class ComponentConfig(BaseModel):
    """A component by its name in the registry; every other key is a parameter of it."""

    model_config = ConfigDict(extra="allow")

    name: Name

    @property
    def parameters(self) -> dict[str, Any]:
        """The keys that are not the configuration's own."""
        return dict(self.model_extra or {})


class HeadConfig(ComponentConfig):
    """A head by its name in the registry.

    Attributes:
        learns_from: The part of mixed data that it learns from, whose classes it has; all of the
            data unless given.
    """

    learns_from: str | None = None


class DataConfig(ComponentConfig):
    """The data set and how it is fed.

    Attributes:
        batch_size: Samples of one micro-batch on one process.
        shuffle: Draw a new order every epoch; the order is a function of (seed, epoch).
        balance: Draw every class equally often, with replacement; an epoch has as many samples.
        workers: Processes that read samples; `auto` is none for sets that stay on the device. At
            most four a core, or 16, are started.
        resident: Keep the whole set on the device as uint8; `auto` when it fits.
        range: What real images are mapped to before a discriminator sees them.
        transforms: `torchvision.transforms.v2` by name, for each training sample.
        mosaic: Share of the training samples that are composed of four, each after its own
            transforms; for data with `boxes`, `masks` or `semantic`.
        batch_transforms: The same for whole training batches of images, on the device; `MixUp`
            and `CutMix` mix their classes, too.
    """

    batch_size: BatchSize = 128
    shuffle: bool = True
    balance: bool = False
    workers: NonNegativeInt | Literal["auto"] = "auto"
    resident: bool | Literal["auto"] = "auto"
    range: tuple[float, float] | None = None
    transforms: list[ComponentConfig] = []
    mosaic: Annotated[float, Field(ge=0, le=1)] = 0.0
    batch_transforms: list[ComponentConfig] = []

    @model_validator(mode="after")
    def _possible(self) -> DataConfig:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range {list(self.range)}: the first number must be the smaller")
        if self.resident is True and self.transforms:
            raise ValueError(
                "resident=true keeps whole tensors, which per-sample transforms cannot see; "
                "use batch_transforms, or resident=false"
            )
        if self.resident is True and self.mosaic:
            raise ValueError(
                "resident=true keeps whole tensors, which mosaics are not composed from; use "
                "resident=false"
            )
        if self.resident is True and self.workers not in ("auto", 0):
            raise ValueError("resident=true needs no workers; drop one of the two")
        if self.balance and not self.shuffle:
            raise ValueError("balance=true draws at random; it needs shuffle=true")
        return self


class OptimizerConfig(ComponentConfig):
    """An optimiser of `torch.optim` by name; every other key is an argument of it.

    Attributes:
        schedule: A schedule of `torch.optim.lr_scheduler` by name, stepped every iteration;
            an argument that says `auto` is the number of steps after the warm-up.
        warmup: Steps of linear warm-up before the schedule begins.
        rates: Factors of the learning rate, by names of submodules or parameters; the longest name
            counts, and the schedule goes for all. `heads.ink: 0.1` and `heads: {ink: 0.1}` are the
            same.
    """

    schedule: ComponentConfig | None = None
    warmup: NonNegativeInt = 0
    rates: dict[str, PositiveFloat] = {}

    @field_validator("rates", mode="before")
    @classmethod
    def _names_of_rates(cls, value: Any) -> Any:
        return by_dotted_name(value)


class EmaConfig(Section):
    """An exponential moving average of weights, used for evaluation, pictures and `gvt.load`.

    Attributes:
        decay: Share of the old average kept each step, lower in the first steps.
        modules: Submodules of the task that are averaged; all that are trained by default.
    """

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    modules: list[str] | None = None


class TrainConfig(Section):
    """The loop. Give `steps` or `epochs`, not both.

    Attributes:
        steps: Iterations in all.
        epochs: Passes over the data.
        seed: Everything random is a function of it.
        accumulate: Micro-batches of one iteration; the batch is so many times larger.
        clip_norm: Largest norm of a phase's gradient.
        clip_value: Largest absolute value of a gradient's entry.
        ema: A moving average of weights.
        unfreeze: Steps from which submodules or parameters are trained, by their names, or `never`;
            the longest name counts. Until then they stay as they are, and compute as in evaluation.
            `heads.ink: never` and `heads: {ink: never}` are the same.
        precision: What autocast computes in; `auto` is bfloat16 on accelerators that have it, and
            on CPUs that multiply it (AMX, AVX512_BF16) with channels_last.
        memory_format: Layout of images and convolution weights.
        compile: Compile the networks with `torch.compile`; `auto` is off.
        deterministic: Use deterministic algorithms only, or fail where there is none.
        checkpoint_every: When to save besides the end.
        pictures_every: When to draw samples besides the end.
        log_every: Steps between two readings of the losses from the device.
        keep: Numbered checkpoints kept beside the last and the best.
        timeout: Minutes that the processes of a run wait for one another before it fails.
    """

    steps: PositiveInt | None = None
    epochs: PositiveInt | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    accumulate: Annotated[int, Field(gt=0, le=MAX_BATCH)] = 1
    clip_norm: PositiveFloat | None = None
    clip_value: PositiveFloat | None = None
    ema: EmaConfig | None = None
    unfreeze: dict[str, NonNegativeInt | Literal["never"]] = {}
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    memory_format: Literal["auto", "channels_last", "contiguous"] = "auto"
    compile: bool | Literal["auto"] = "auto"
    deterministic: bool = False
    checkpoint_every: Cadence = 1000
    pictures_every: Cadence = None
    log_every: PositiveInt = 50
    keep: Annotated[int, Field(ge=0, le=MAX_KEPT)] = 0
    timeout: Annotated[float, Field(gt=0, le=10_000)] = 10.0

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the budget in steps."""
        return self.steps or (self.epochs or 0) * steps_per_epoch

    @field_validator("unfreeze", mode="before")
    @classmethod
    def _names_to_unfreeze(cls, value: Any) -> Any:
        return by_dotted_name(value)

    @model_validator(mode="after")
    def _one_budget(self) -> TrainConfig:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self


class EvaluateConfig(Section):
    """Looking at held-out data.

    Attributes:
        split: The split evaluated during the run; null for none.
        every: When, besides the end.
        final: A further split evaluated once, when the run is complete.
        batch_size: Samples of one batch; that of the training by default.
        best: The metric whose best checkpoint is kept as `best.safetensors`.
        mode: Whether `best` is the largest or the smallest value.
        patience: The run is complete after so many evaluations without a new best.
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
            raise ValueError("patience needs best, the metric to wait for, and every, how often")
        return self


class FolderConfig(Section):
    """What is around the steps.

    Attributes:
        root: Where run folders are made: `root/<recipe>/<time>`. `${NAME}` is an environment
            variable, as in every path.
        hook_errors: What to do when a plugin's run hook raises: `warn` says so and calls it no
            more in this run, `stop` also ends the run after the step, saved.
    """

    root: str = "runs"
    hook_errors: Literal["warn", "stop"] = "warn"


class RunConfig(Section):
    """A whole run; plugins add sections of their own (`gvt_sections`).

    Attributes:
        recipe: The recipe's name, which names the run's folder.
        task: What is learned.
        data: What from.
        generator: The networks, each by its name in the registry, as the task wants them.
        heads: Heads by names of one's own; null removes one.
        optimizers: By the optimiser names of the task's phases.
        init_from: A checkpoint whose weights the networks start from where name and shape agree.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps` or `xpu`.
    """

    recipe: Name = "run"
    task: ComponentConfig
    data: DataConfig
    generator: ComponentConfig | None = None
    discriminator: ComponentConfig | None = None
    backbone: ComponentConfig | None = None
    heads: dict[str, HeadConfig] = {}
    optimizers: dict[str, OptimizerConfig]
    train: TrainConfig
    evaluate: EvaluateConfig = EvaluateConfig()
    run: FolderConfig = FolderConfig()
    init_from: str | None = None
    device: DeviceName = "auto"

    def document(self) -> dict[str, Any]:
        """Return it as plain data that validates to the same configuration."""
        return self.model_dump(mode="json")

    def section(self, name: str, model: type[M]) -> M:
        """Return a plugin's section of the recipe.

        Args:
            name: The section's name, as in `gvt_sections`.
            model: The section's model.

        Raises:
            ConfigError: If the recipe lacks the section, or no plugin has checked it.
        """
        section = getattr(self, name, None)
        if not isinstance(section, model):
            raise ConfigError(f"{self.recipe}: {name}: is missing")
        return section
