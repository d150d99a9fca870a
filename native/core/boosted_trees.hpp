// Sums of regression trees, such as gradient boosting makes them.
#pragma once

#include <cstdint>
#include <vector>

namespace ceiba {

// Trees as arrays. Tree t has the nodes [node_ptr[t], node_ptr[t + 1]) and the leaves [leaf_ptr[t], leaf_ptr[t + 1]). Its
// first node is the root; without nodes it is its one leaf. A row goes left where feature <= threshold. A child of c >= 0
// is node c of the tree, one of c < 0 is leaf -1 - c.
struct TreeArrays {
    int64_t trees = 0;
    const int64_t* node_ptr = nullptr;
    const int64_t* leaf_ptr = nullptr;
    const int32_t* feature = nullptr;
    const double* threshold = nullptr;
    const int32_t* left = nullptr;
    const int32_t* right = nullptr;
    const double* leaf = nullptr;
};

inline constexpr int64_t kMostLeaves = 32;  // of a tree

// Evaluates trees for many rows at once (QuickScorer; Lucchese et al., SIGIR 2015). Every node whose test fails strikes
// out the leaves on its left. The first leaf that is left is the row's.
class BoostedTrees {
   public:
    // Throws std::invalid_argument where the arrays are not trees of up to kMostLeaves leaves on `features` features.
    BoostedTrees(const TreeArrays& arrays, int64_t features);

    int64_t features() const { return features_; }

    // sums[i] = the sum of the leaves of row i, in the order of the trees.
    void sum(const float* rows, int64_t count, double* sums) const;

   private:
    struct Node {
        int32_t feature;
        float most;       // the largest float that goes left
        uint32_t leaves;  // those that are left if the test fails
    };

    void add_tree(const TreeArrays& arrays, int64_t tree);

    int64_t features_;
    std::vector<int64_t> node_ptr_{0}, leaf_ptr_{0};
    std::vector<Node> nodes_;
    std::vector<double> leaves_;  // from left to right
};

}  // namespace ceiba
