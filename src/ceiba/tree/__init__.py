"""The label tree: label embeddings, clustering, and the tree itself."""

from ceiba.tree.label_tree import LabelTree

__all__ = ["LabelTree"]
