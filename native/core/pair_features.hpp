// From what several sources find for each row to the features of pairs of row and label, and to one ranking.
#pragma once

#include <cstdint>
#include <vector>

#include "core/sparse_index.hpp"
#include "core/views.hpp"

namespace ceiba {

// The labels of each row, ascending.
struct LabelPairs {
    std::vector<int64_t> ptr{0};
    std::vector<int32_t> labels;
};

// The labels that any of some rankings has. Each has as many rows.
LabelPairs union_of(const std::vector<Lists>& rankings, int64_t rows);

// Looks up given pairs, whose labels ascend for each row, in a ranking. `score` gets the score, at least 0, plus
// `added`. `rank` gets the value of `ranks` for the rank, which counts from 0. A label that the ranking does not have
// has the score 0 and the rank `most`.
void look_up(const Lists& ranking, const Lists& pairs, const float* ranks, int64_t most, float added, float* score,
             float* rank);

// Some columns of features of pairs, one pair after the other.
struct FeatureBlock {
    const float* values = nullptr;
    int64_t width = 0;
};

// The features of pairs, one pair after the other: score and rank of each source, which lie source after source, then
// the columns of `blocks`, then those of the label.
void join_features(const float* score, const float* rank, int64_t sources, const std::vector<FeatureBlock>& blocks,
                   const FeatureBlock& of_labels, const int32_t* labels, int64_t pairs, float* features);

// The n best labels of each row, of a score of `least` at least. Equal scores are in the order of the labels.
FoundRows rank_pairs(const Lists& pairs, int64_t n, float least);

// The first `width` labels of each row and their scores; rows that have fewer end in -1 and -inf.
void pad_rankings(const Lists& rankings, int64_t width, int32_t* labels, float* scores);

}  // namespace ceiba
