#include "core/pair_features.hpp"

#include <algorithm>
#include <limits>

namespace ceiba {

LabelPairs union_of(const std::vector<Lists>& rankings, int64_t rows) {
    LabelPairs pairs;
    for (int64_t row = 0; row < rows; ++row) {
        const auto begin = pairs.labels.end() - pairs.labels.begin();
        for (const Lists& ranking : rankings) {
            pairs.labels.insert(pairs.labels.end(), ranking.indices + ranking.ptr[row],
                                ranking.indices + ranking.ptr[row + 1]);
        }
        std::sort(pairs.labels.begin() + begin, pairs.labels.end());
        pairs.labels.erase(std::unique(pairs.labels.begin() + begin, pairs.labels.end()), pairs.labels.end());
        pairs.ptr.push_back(static_cast<int64_t>(pairs.labels.size()));
    }
    return pairs;
}

void look_up(const Lists& ranking, const Lists& pairs, const float* ranks, int64_t most, float added, float* score,
             float* rank) {
    const int64_t total = pairs.ptr[pairs.count];
    std::fill(score, score + total, added);
    std::fill(rank, rank + total, ranks[most]);
    for (int64_t row = 0; row < pairs.count; ++row) {
        const int32_t* first = pairs.indices + pairs.ptr[row];
        const int32_t* last = pairs.indices + pairs.ptr[row + 1];
        const int64_t begin = ranking.ptr[row], end = std::min(ranking.ptr[row + 1], begin + most);
        for (int64_t i = begin; i < end; ++i) {
            const int32_t* found = std::lower_bound(first, last, ranking.indices[i]);
            if (found == last || *found != ranking.indices[i]) continue;
            score[found - pairs.indices] = std::max(ranking.weight[i], 0.0f) + added;
            rank[found - pairs.indices] = ranks[i - begin];
        }
    }
}

void join_features(const float* score, const float* rank, int64_t sources, const std::vector<FeatureBlock>& blocks,
                   const FeatureBlock& of_labels, const int32_t* labels, int64_t pairs, float* features) {
    for (int64_t pair = 0; pair < pairs; ++pair) {
        for (int64_t s = 0; s < sources; ++s) {
            *features++ = score[s * pairs + pair];
            *features++ = rank[s * pairs + pair];
        }
        for (const FeatureBlock& block : blocks) {
            features = std::copy_n(block.values + pair * block.width, block.width, features);
        }
        features = std::copy_n(of_labels.values + labels[pair] * of_labels.width, of_labels.width, features);
    }
}

FoundRows rank_pairs(const Lists& pairs, int64_t n, float least) {
    struct Pair {
        int32_t label;
        float score;
    };
    const auto better = [](const Pair& a, const Pair& b) {
        return a.score != b.score ? a.score > b.score : a.label < b.label;
    };
    FoundRows found;
    std::vector<Pair> row;
    for (int64_t i = 0; i < pairs.count; ++i) {
        row.clear();
        for (int64_t j = pairs.ptr[i]; j < pairs.ptr[i + 1]; ++j) {
            if (pairs.weight[j] >= least) row.push_back({pairs.indices[j], pairs.weight[j]});
        }
        const auto middle = row.begin() + std::min<int64_t>(n, static_cast<int64_t>(row.size()));
        if (middle != row.end()) std::nth_element(row.begin(), middle, row.end(), better);
        std::sort(row.begin(), middle, better);
        for (auto pair = row.begin(); pair != middle; ++pair) {
            found.rows.push_back(pair->label);
            found.scores.push_back(pair->score);
        }
        found.ptr.push_back(static_cast<int64_t>(found.rows.size()));
    }
    return found;
}

void pad_rankings(const Lists& rankings, int64_t width, int32_t* labels, float* scores) {
    for (int64_t row = 0; row < rankings.count; ++row, labels += width, scores += width) {
        const int64_t begin = rankings.ptr[row], count = std::min(width, rankings.size(row));
        std::copy_n(rankings.indices + begin, count, labels);
        std::copy_n(rankings.weight + begin, count, scores);
        std::fill(labels + count, labels + width, -1);
        std::fill(scores + count, scores + width, -std::numeric_limits<float>::infinity());
    }
}

}  // namespace ceiba
