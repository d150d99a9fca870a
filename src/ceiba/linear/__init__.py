"""The linear layers: which instances a level learns from, and its classifiers."""
