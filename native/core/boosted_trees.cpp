#include "core/boosted_trees.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace ceiba {
namespace {

constexpr int kRows = 32;  // evaluated at once

void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

// x <= threshold is the same as x <= this, for any float x.
float largest_float(double threshold) {
    const float near = static_cast<float>(threshold);
    return near > threshold ? std::nextafter(near, -std::numeric_limits<float>::infinity()) : near;
}

}  // namespace

BoostedTrees::BoostedTrees(const TreeArrays& arrays, int64_t features) : features_(features) {
    for (int64_t tree = 0; tree < arrays.trees; ++tree) add_tree(arrays, tree);
}

void BoostedTrees::add_tree(const TreeArrays& arrays, int64_t tree) {
    const int64_t begin = arrays.node_ptr[tree], n_nodes = arrays.node_ptr[tree + 1] - begin;
    const int64_t leaf_begin = arrays.leaf_ptr[tree], n_leaves = arrays.leaf_ptr[tree + 1] - leaf_begin;
    require(n_leaves == n_nodes + 1, "trees: a tree has another number of leaves than of nodes and one");
    require(n_leaves <= kMostLeaves, "trees: a tree has more than 32 leaves");
    // From left to right; a node is on the stack twice, before its left part and after it.
    struct Step {
        int32_t child;
        size_t node;  // in nodes_, once its left part has been seen
        bool left_is_seen;
        int first_leaf;
    };
    std::vector<Step> stack{{n_nodes == 0 ? -1 : 0, 0, false, 0}};
    int seen_leaves = 0;
    int64_t seen_nodes = 0;
    while (!stack.empty()) {
        const Step step = stack.back();
        stack.pop_back();
        if (step.left_is_seen) {  // strikes out the leaves since first_leaf
            const uint64_t before = (uint64_t{1} << seen_leaves) - (uint64_t{1} << step.first_leaf);
            nodes_[step.node].leaves = ~static_cast<uint32_t>(before);
            continue;
        }
        if (step.child < 0) {
            const int64_t leaf = -1 - static_cast<int64_t>(step.child);
            require(leaf < n_leaves && seen_leaves < n_leaves, "trees: there is no such leaf");
            const double value = arrays.leaf[leaf_begin + leaf];
            require(std::isfinite(value), "trees: a leaf is not finite");
            leaves_.push_back(value);
            ++seen_leaves;
            continue;
        }
        require(step.child < n_nodes && ++seen_nodes <= n_nodes, "trees: there is no such node");
        const int64_t at = begin + step.child;
        const int32_t feature = arrays.feature[at];
        require(feature >= 0 && feature < features_, "trees: there is no such feature");
        require(!std::isnan(arrays.threshold[at]), "trees: a threshold is no number");
        nodes_.push_back({feature, largest_float(arrays.threshold[at]), 0});
        stack.push_back({arrays.right[at], 0, false, 0});
        stack.push_back({0, nodes_.size() - 1, true, seen_leaves});
        stack.push_back({arrays.left[at], 0, false, 0});
    }
    require(seen_nodes == n_nodes && seen_leaves == n_leaves, "trees: a node cannot be reached");
    node_ptr_.push_back(static_cast<int64_t>(nodes_.size()));
    leaf_ptr_.push_back(static_cast<int64_t>(leaves_.size()));
}

void BoostedTrees::sum(const float* rows, int64_t count, double* sums) const {
    const int64_t trees = static_cast<int64_t>(node_ptr_.size()) - 1;
    std::vector<float> columns(static_cast<size_t>(features_) * kRows);
    for (int64_t first = 0; first < count; first += kRows) {
        const int64_t here = std::min<int64_t>(kRows, count - first);
        for (int64_t i = 0; i < here; ++i) {
            for (int64_t f = 0; f < features_; ++f) columns[f * kRows + i] = rows[(first + i) * features_ + f];
        }
        double total[kRows] = {};
        for (int64_t tree = 0; tree < trees; ++tree) {
            uint32_t left[kRows];
            std::fill(left, left + kRows, ~uint32_t{0});
            for (int64_t n = node_ptr_[tree]; n < node_ptr_[tree + 1]; ++n) {
                const Node node = nodes_[n];
                const float* column = columns.data() + static_cast<int64_t>(node.feature) * kRows;
                for (int i = 0; i < kRows; ++i) left[i] &= column[i] <= node.most ? ~uint32_t{0} : node.leaves;
            }
            const double* leaves = leaves_.data() + leaf_ptr_[tree];
            for (int64_t i = 0; i < here; ++i) total[i] += leaves[std::countr_zero(left[i])];
        }
        std::copy(total, total + here, sums + first);
    }
}

}  // namespace ceiba
