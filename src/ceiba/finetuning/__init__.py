"""Matchers that read: an encoder fine-tuned level by level against the nodes of a label tree."""
