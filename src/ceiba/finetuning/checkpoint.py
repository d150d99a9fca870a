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
from ceiba.finetuning.early_stopping import EarlyStopping
from ceiba.finetuning.objective import Objective
from ceiba.finetuning.trainer import LevelReport, Trainer
from ceiba.io.durable import replace_file

FILE = "matcher.checkpoint.safetensors"
_VERSION = 4
_CURE = "Remove it, or give another folder; training then starts from the beginning."


@dataclass
class Checkpoint:
    """A checkpoint that was read: the progress of the training, and its tensors by name."""

    level: int
    steps_done: int
    global_step: int
    reports: list[dict[str, Any]]
    micro_batch_size: int
    integers: dict[str, int]
    best_loss: float
    num_bad_evals: int
    tensors: dict[str, Tensor]

    def named(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with a prefix, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.tensors.items() if name.startswith(prefix)}


_FIELDS = tuple(name for name in Checkpoint.__dataclass_fields__ if name != "tensors")


def fingerprint(*parts: Any) -> str:
    """Return a digest of what a training depends on. A checkpoint with another fingerprint is refused."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).view(np.uint8).data)
        else:
            digest.update(json.dumps(part, default=str).encode())
    return digest.hexdigest()


def write(
    folder: Path,
    fingerprint: str,
    trainer: Trainer,
    level: int,
    steps_done: int,
    objective: Objective,
    head_optimizer: torch.optim.Optimizer | None,
) -> None:
    """Write a checkpoint. It replaces the previous one in one step."""
    tensors: dict[str, Tensor] = {f"objective.{name}": value for name, value in objective.state().items()}
    tensors.update({f"encoder.{n}": p.detach() for n, p in trainer.encoder.named_parameters() if p.requires_grad})
    integers: dict[str, int] = {}
    optimizers = {_optimizer_name(number): optimizer for number, optimizer in enumerate(trainer.optimizers)}
    if head_optimizer is not None:
        optimizers["head_optimizer"] = head_optimizer
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"{name}.{number}.{key}"] = value
                else:
                    integers[f"{name}.{number}.{key}"] = int(value)
    tensors.update({f"best.{number:06}": value for number, value in enumerate(trainer.early_stopping.best_weights)})
    tensors["embeddings"] = torch.from_numpy(trainer.embeddings)
    tensors["random"] = torch.get_rng_state()
    if trainer.encoder.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(trainer.encoder.device)
    content = {
        "version": _VERSION,
        "fingerprint": fingerprint,
        "level": level,
        "steps_done": steps_done,
        "global_step": trainer.global_step,
        "micro_batch_size": trainer.micro_batch_size,
        "reports": [asdict(report) for report in trainer.reports],
        "integers": integers,
        "best_loss": trainer.early_stopping.best_loss,
        "num_bad_evals": trainer.early_stopping.num_bad_evals,
    }
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: value.cpu().contiguous() for name, value in tensors.items()}
    replace_file(folder / FILE, lambda path: save_file(plain, path, metadata={"ceiba": json.dumps(content)}))


def read(folder: Path, fingerprint: str) -> Checkpoint | None:
    """Return the checkpoint of a folder, or None where there is none.

    Raises
    ------
    ModelFormatError
        When the file is damaged, or was written by another version of ceiba.
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
            raise ModelFormatError(
                f"{path} was written by another version of ceiba: its checkpoints have version {content['version']}, "
                f"this one reads {_VERSION}. {_CURE}"
            )
        if content["fingerprint"] != fingerprint:
            raise InputError(
                f"checkpoint_dir: {path} is of another training (other texts, labels or parameters). {_CURE}"
            )
        return Checkpoint(**{name: content[name] for name in _FIELDS}, tensors=tensors)
    except (ModelFormatError, InputError):
        raise
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelFormatError(f"{path} is not a checkpoint, or it is damaged: {error}. {_CURE}") from error


def restore_trainer(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Restore a trainer. The head's optimizer is restored by `restore_level`."""
    with torch.no_grad():
        parameters = dict(trainer.encoder.named_parameters())
        for name, value in checkpoint.named("encoder.").items():
            parameters[name].copy_(value)
    trainer.embeddings[:] = checkpoint.tensors["embeddings"].numpy()
    trainer.global_step, trainer.micro_batch_size = checkpoint.global_step, checkpoint.micro_batch_size
    trainer.reports[:] = [LevelReport(**report) for report in checkpoint.reports]
    for number, optimizer in enumerate(trainer.optimizers):
        restore_optimizer(checkpoint, _optimizer_name(number), optimizer)
    torch.set_rng_state(checkpoint.tensors["random"])
    if "random.cuda" in checkpoint.tensors and trainer.encoder.device.type == "cuda":
        torch.cuda.set_rng_state(checkpoint.tensors["random.cuda"], trainer.encoder.device)


def restore_level(
    checkpoint: Checkpoint, head_optimizer: torch.optim.Optimizer | None, early_stopping: EarlyStopping
) -> None:
    """Restore what a level has of its own: the head's optimizer and the best weights."""
    if head_optimizer is not None:
        restore_optimizer(checkpoint, "head_optimizer", head_optimizer)
    best = checkpoint.named("best.")
    early_stopping.best_weights = [
        best[name].to(parameter.device)
        for name, parameter in zip(sorted(best), early_stopping.parameters, strict=False)
    ]
    early_stopping.best_loss, early_stopping.num_bad_evals = checkpoint.best_loss, checkpoint.num_bad_evals


def restore_optimizer(checkpoint: Checkpoint, name: str, optimizer: torch.optim.Optimizer) -> None:
    """Restore the moments of an optimizer."""
    states: dict[int, dict[str, Any]] = {}
    for values in (checkpoint.named(f"{name}."), _below(checkpoint.integers, f"{name}.")):
        for key, value in values.items():
            number, field = key.split(".", 1)
            states.setdefault(int(number), {})[field] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _optimizer_name(number: int) -> str:
    return f"optimizer.{number}"


def _below(values: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}
