// Balanced hierarchical spherical k-means over label embeddings.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

// Label embeddings, sparse or dense rows of length 1 (or 0).
struct Embeddings {
    Csr sparse;                    // used when dense is null
    const float* dense = nullptr;  // rows x cols, row-major
    int64_t rows() const { return sparse.rows; }
    int64_t cols() const { return sparse.cols; }
};

struct ClusterOptions {
    int max_iterations = 20;
    uint64_t seed = 0;
    int threads = 1;
};

// The shape of a tree fixes how many labels every node has, so clustering is choosing the order of the labels at the
// bottom. `levels` are the child_ptr arrays from the root down, the last from clusters to labels. A node's labels are
// divided among its children by splitting in two (Prabhu et al., WWW 2018, "Parabel", section 3.3: balanced spherical
// 2-means) until every part is one child. Returns the label at each place.
std::vector<int32_t> cluster(const Embeddings& z, const std::vector<std::vector<int64_t>>& levels,
                             const ClusterOptions& options, Monitor& monitor);

}  // namespace ceiba
