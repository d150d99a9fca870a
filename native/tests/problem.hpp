// A small made-up problem: sparse rows near the features of their labels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/random.hpp"
#include "core/views.hpp"

namespace ceiba::test {

struct Problem {
    int64_t rows = 0, features = 0, labels = 0, dense_cols = 0;
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> indices;
    std::vector<float> data, dense;
    std::vector<int64_t> positive_ptr{0};
    std::vector<int32_t> positive_indices;

    Csr x() const {
        return {rows,           features,    indptr.data(),
                indices.data(), data.data(), dense_cols > 0 ? dense.data() : nullptr,
                dense_cols};
    }
    Lists positives() const { return {labels, positive_ptr.data(), positive_indices.data(), nullptr}; }
    // The value of a row at a feature.
    float at(int64_t row, int64_t feature) const {
        if (feature >= features - dense_cols) return dense[row * dense_cols + feature - (features - dense_cols)];
        for (int64_t j = indptr[row]; j < indptr[row + 1]; ++j) {
            if (indices[j] == feature) return data[j];
        }
        return 0.0f;
    }
};

// Every label has `per_label` rows, and three features of its own that most of them have.
inline Problem make_problem(int64_t labels, int64_t per_label, int64_t features, int64_t dense_cols = 0,
                            uint64_t seed = 0) {
    Problem p;
    p.labels = labels;
    p.rows = labels * per_label;
    p.features = features;
    p.dense_cols = dense_cols;
    const auto sparse = static_cast<uint32_t>(features - dense_cols);
    Random random(seed, 1);
    for (int64_t row = 0; row < p.rows; ++row) {
        Random own(seed, 2, static_cast<uint64_t>(row % labels));
        std::vector<int32_t> found;
        for (int f = 0; f < 3; ++f) {
            const auto feature = static_cast<int32_t>(own.below(sparse));
            if (random.below(8) != 0) found.push_back(feature);
        }
        for (int f = 0; f < 4; ++f) found.push_back(static_cast<int32_t>(random.below(sparse)));
        std::sort(found.begin(), found.end());
        found.erase(std::unique(found.begin(), found.end()), found.end());
        const float value = 1.0f / std::sqrt(static_cast<float>(found.size()));
        for (int32_t feature : found) {
            p.indices.push_back(feature);
            p.data.push_back(value);
        }
        p.indptr.push_back(static_cast<int64_t>(p.indices.size()));
        for (int64_t c = 0; c < dense_cols; ++c) {
            p.dense.push_back((static_cast<float>(own.below(1000)) + static_cast<float>(random.below(300))) / 1000 -
                              0.6f);
        }
    }
    for (int64_t label = 0; label < labels; ++label) {
        for (int64_t n = 0; n < per_label; ++n) p.positive_indices.push_back(static_cast<int32_t>(label + n * labels));
        p.positive_ptr.push_back(static_cast<int64_t>(p.positive_indices.size()));
    }
    return p;
}

}  // namespace ceiba::test
