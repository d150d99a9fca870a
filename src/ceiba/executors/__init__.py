"""Executors of coarse pieces of work: this process, or a Ray cluster."""

from ceiba.executors.executor import Executor, LocalExecutor, Piece, PieceContext
from ceiba.executors.ray_executor import RayExecutor

__all__ = ["Executor", "LocalExecutor", "Piece", "PieceContext", "RayExecutor"]
