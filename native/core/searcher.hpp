// Beam search over trees of chunked weights.
#pragma once

#include <cstdint>
#include <vector>

#include "core/chunk_scorer.hpp"
#include "core/layer_view.hpp"
#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

// How a node's margin m becomes a score in (0, 1]; a path's score is the product down the tree. The search works with
// logarithms, under which every form is a sum.
enum class Combine : int { l1_hinge = 0, l2_hinge = 1, l3_hinge = 2, sigmoid = 3 };

struct TreeView {
    std::vector<LayerView> layers;
    const int32_t* slot_label = nullptr;
    int64_t slots = 0;
    bool overlapping = false;  // whether a label may own several slots
};

struct SearchOptions {
    int64_t beam = 10;
    int64_t k = 10;  // results per row; 0 for everything the beam reaches
    Combine combine = Combine::l3_hinge;
    int threads = 1;
};

struct Hit {
    float score;  // logarithm
    int32_t id;
};

// Better first; equal scores by lower id, so that a result does not depend on the order of the visits.
struct Better {
    bool operator()(const Hit& a, const Hit& b) const { return a.score != b.score ? a.score > b.score : a.id < b.id; }
};

class Searcher {
   public:
    Searcher(std::vector<TreeView> trees, int64_t labels);

    int64_t labels() const { return labels_; }
    int64_t features() const { return features_; }
    size_t trees() const { return trees_.size(); }
    int64_t depth(size_t tree) const { return static_cast<int64_t>(trees_[tree].layers.size()); }

    // The labels of each row, best first, in row_ptr/hits order. `filter` lists labels a row must not get (or null).
    // With several trees a label's score is the mean over the trees of its path scores, a tree that did not reach it
    // counting as 0; scores are logarithms.
    void top_k(const Csr& x, const SearchOptions& options, const Lists* filter, Monitor& monitor,
               std::vector<int64_t>& row_ptr, std::vector<Hit>& hits, SearchWork* work = nullptr) const;

    // The beam of nodes at the bottom of the first `depth` levels of one tree, in row_ptr/hits order, best first.
    void beam_nodes(size_t tree, int64_t depth, const Csr& x, const SearchOptions& options, Monitor& monitor,
                    std::vector<int64_t>& row_ptr, std::vector<Hit>& hits) const;

    // Path scores (logarithms) of given labels per row, whatever a beam would reach; the best slot counts.
    void score_labels(const Csr& x, const Lists& candidates, const SearchOptions& options, Monitor& monitor,
                      float* scores) const;

   private:
    std::vector<TreeView> trees_;
    int64_t labels_ = 0, features_ = 0;
    std::vector<std::vector<int64_t>> label_slot_ptr_;  // per tree: slots of each label
    std::vector<std::vector<int32_t>> label_slots_;
};

}  // namespace ceiba
