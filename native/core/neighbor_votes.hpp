// Labels of the nearest rows, each weighed by how near its rows are.
#pragma once

#include <cstdint>

#include "core/parallel.hpp"
#include "core/sparse_index.hpp"
#include "core/views.hpp"

namespace ceiba {

// The n best labels of each query. `neighbors` has the rows of each query and in `weight` their scores; `labels` has the
// labels of every row, ascending. A row votes for each of its labels with (score / best score)^power, and not at all with
// a score of 0 or less. A label's votes, in the order of the rows, are divided by the sum of all rows' weights. Equal
// scores are in the order of the labels.
FoundRows rank_votes(const Lists& neighbors, const Lists& labels, double power, int64_t n, int threads,
                     Monitor& monitor);

// scores[q] = the same score of label pairs.indices[q] for query i, for every q in list i; 0 without a vote.
void score_votes(const Lists& neighbors, const Lists& labels, double power, const Lists& pairs, int threads,
                 Monitor& monitor, float* scores);

}  // namespace ceiba
