"""Checkpoints: everything that the rest of a fine-tuning depends on, in one safetensors file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ceiba.errors import InputError, ModelFormatError
from ceiba.finetuning.finetune import Best, FineTuner, LevelReport
from ceiba.io.durable import replace_file

FILE = "matcher.checkpoint.safetensors"
_VERSION = 3


@dataclass
class State:
    """A checkpoint that was read: where training stood, and its tensors by name."""

    level: int
    steps_done: int
    step: int
    reports: list[dict[str, Any]]
    micro_batch: int
    integers: dict[str, int]
    best_loss: float
    best_bad: int
    tensors: dict[str, Tensor]

    def named(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors below a prefix, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


def fingerprint(*parts: Any) -> str:
    """Return a digest of what a fine-tuning is of: a checkpoint of another one is refused."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, default=str).encode())
    return digest.hexdigest()


def write(
    folder: Path,
    of: str,
    tuner: FineTuner,
    level: int,
    steps_done: int,
    head: torch.nn.Module,
    head_optimizer: torch.optim.Optimizer | None,
    matched: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint, which takes the place of the last one at once and as a whole."""
    tensors: dict[str, Tensor] = {f"matched.{name}": value for name, value in matched.items()}
    tensors.update({f"encoder.{n}": p.detach() for n, p in tuner.encoder.named_parameters() if p.requires_grad})
    tensors.update({f"head.{n}": p.detach() for n, p in head.named_parameters()})
    integers: dict[str, int] = {}
    optimizers = {_name(place): optimizer for place, optimizer in enumerate(tuner.optimizers)}
    if head_optimizer is not None:
        optimizers["head_optimizer"] = head_optimizer
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}.{number}.{key}"] = value
                else:
                    integers[f"{name}.{number}.{key}"] = int(value)
    tensors.update({f"best.{number:06}": value for number, value in enumerate(tuner.best.weights)})
    tensors["embeddings"] = torch.from_numpy(tuner.embeddings)
    tensors["random"] = torch.get_rng_state()
    if tuner.encoder.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(tuner.encoder.device)
    content = {
        "version": _VERSION,
        "of": of,
        "level": level,
        "steps_done": steps_done,
        "step": tuner.step,
        "micro_batch": tuner.micro_batch,
        "reports": [asdict(report) for report in tuner.reports],
        "integers": integers,
        "best_loss": tuner.best.loss,
        "best_bad": tuner.best.bad,
    }
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    replace_file(folder / FILE, lambda path: save_file(plain, path, metadata={"ceiba": json.dumps(content)}))


def read(folder: Path, of: str) -> State | None:
    """Return the checkpoint of a folder; None where there is none.

    Raises
    ------
    ModelFormatError
        When the file is damaged.
    InputError
        When it is of another training: other texts, labels or parameters.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            content = json.loads((file.metadata() or {})["ceiba"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if content["version"] != _VERSION:
            raise ModelFormatError(f"{path} has version {content['version']}, this ceiba reads {_VERSION}.")
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ModelFormatError):
            raise
        raise ModelFormatError(f"{path} is not a checkpoint, or it is damaged: {error}") from error
    if content["of"] != of:
        raise InputError(
            f"checkpoint_dir: {path} is of another training (other texts, labels or parameters). Remove it, or give "
            "another folder."
        )
    fields = ("level", "steps_done", "step", "reports", "micro_batch", "integers", "best_loss", "best_bad")
    return State(**{name: content[name] for name in fields}, tensors=tensors)


def restore_tuner(state: State, tuner: FineTuner) -> None:
    """Bring a tuner to where a checkpoint was taken; its head's optimiser follows by `restore_optimizer`."""
    with torch.no_grad():
        parameters = dict(tuner.encoder.named_parameters())
        for name, value in state.named("encoder.").items():
            parameters[name].copy_(value)
    tuner.embeddings[:] = state.tensors["embeddings"].numpy()
    tuner.step, tuner.micro_batch = state.step, state.micro_batch
    tuner.reports[:] = [LevelReport(**report) for report in state.reports]
    for place, optimizer in enumerate(tuner.optimizers):
        restore_optimizer(state, _name(place), optimizer)
    torch.set_rng_state(state.tensors["random"])
    if "random.cuda" in state.tensors and tuner.encoder.device.type == "cuda":
        torch.cuda.set_rng_state(state.tensors["random.cuda"], tuner.encoder.device)


def restore_optimizer(state: State, name: str, optimizer: torch.optim.Optimizer) -> None:
    """Give an optimiser the moments it had."""
    kept: dict[int, dict[str, Any]] = {}
    for group in (state.named(f"{name}."), _below(state.integers, f"{name}.")):
        for key, value in group.items():
            number, field = key.split(".", 1)
            kept.setdefault(int(number), {})[field] = value
    optimizer.load_state_dict({"state": kept, "param_groups": optimizer.state_dict()["param_groups"]})


def restore_level(state: State, head_optimizer: torch.optim.Optimizer | None, best: Best) -> None:
    """Bring what lives as long as a level to where a checkpoint was taken."""
    if head_optimizer is not None:
        restore_optimizer(state, "head_optimizer", head_optimizer)
    kept = state.named("best.")
    best.weights = [kept[name].to(p.device) for name, p in zip(sorted(kept), best.parameters, strict=False)]
    best.loss, best.bad = state.best_loss, state.best_bad


def _name(place: int) -> str:
    return f"optimizer.{place}"


def _below(values: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}
