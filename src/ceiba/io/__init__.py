"""Models on disk: the layout of a model folder, how it is written and read, and checks of a target before training."""

from ceiba.io.generations import current_generation
from ceiba.io.layout import expand, holds_model
from ceiba.io.targets import check_save_target, rescue_folder, resolve, save_or_rescue

__all__ = [
    "check_save_target",
    "current_generation",
    "expand",
    "holds_model",
    "rescue_folder",
    "resolve",
    "save_or_rescue",
]
