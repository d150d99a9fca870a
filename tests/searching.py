"""A tree search or a fusion of scores on features alone, as tests ask it: parameters in place of a context."""

from types import SimpleNamespace

from ceiba.linear.tree_model import TreeModel
from ceiba.retrieval.generator import SearchContext
from ceiba.retrieval.queries import Queries
from ceiba.retrieval.score_fusion import ScoreFusion
from ceiba.retrieval.tree_search import TreeSearch


class Searching:
    """Asks a generator."""

    def __init__(self, generator, combine):
        self.generator, self.combine = generator, combine
        self.logarithms = combine.startswith("log-")

    def _ctx(self, beam_size, filter=None, n_threads=1, progress=None, **more):
        return SearchContext(beam_size, self.combine, n_threads, filter, progress=progress, **more)

    def top_k(self, X, k, beam_size, **more):
        return self.generator.candidates(Queries(X), k, ctx=self._ctx(beam_size, **more))

    def rank(self, X, k, beam_size, **more):
        return self.generator.rank(Queries(X), k, ctx=self._ctx(beam_size, **more))

    def nodes(self, X, depth, beam_size, *, tree=0, n_threads=1):
        return self.generator.nodes(Queries(X), depth, tree=tree, ctx=self._ctx(beam_size, n_threads=n_threads))

    def score_labels(self, X, ptr, labels, *, n_threads=1, **more):
        return self.generator.score(Queries(X), ptr, labels, ctx=self._ctx(1, n_threads=n_threads), **more)

    def work(self, X, k, beam_size):
        return self.generator.work(Queries(X), k, ctx=self._ctx(beam_size))


class TreeSearcher(Searching):
    """Searches trees, each given as its layers and the label at each slot."""

    def __init__(self, trees, n_labels, combine):
        models = [TreeModel(SimpleNamespace(slot_label=slots), layers) for layers, slots in trees]
        super().__init__(TreeSearch(models, n_labels), combine)


class FusedSearcher(Searching):
    """Fuses the scores of another one with cosines."""

    def __init__(self, searcher, label_embeddings, weight, *, everywhere):
        super().__init__(
            ScoreFusion(searcher.generator, label_embeddings, weight, exhaustive=everywhere), searcher.combine
        )
