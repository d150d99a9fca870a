// Beam search over trees of chunked weights.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/chunk_scorer.hpp"
#include "core/layer_view.hpp"
#include "core/parallel.hpp"
#include "core/views.hpp"
#include "core/workspace.hpp"

namespace ceiba {

// How a node's margin m becomes a score in (0, 1]; a path's score is the product down the tree. The search works with
// logarithms, under which every form is a sum.
enum class Combine : int { l1_hinge = 0, l2_hinge = 1, l3_hinge = 2, sigmoid = 3 };
inline constexpr const char* kCombineNames[] = {"l1-hinge", "l2-hinge", "l3-hinge", "sigmoid"};  // by number

struct TreeView {
    std::vector<LayerView> layers;
    const int32_t* slot_label = nullptr;
    int64_t slots = 0;
    bool overlapping = false;  // whether a label may own several slots
};

// The slots of each label of a tree.
struct LabelSlots {
    std::vector<int64_t> ptr;
    std::vector<int32_t> slots;
};

struct SearchOptions {
    int64_t beam = 10;
    int64_t k = 10;  // results per row; 0 for everything the beam reaches
    Combine combine = Combine::l3_hinge;
    int threads = 1;
    float least = -std::numeric_limits<float>::infinity();  // labels below (a logarithm) may be left out
};

struct Hit {
    float score;  // logarithm
    int32_t id;
};

// Which labels rows may get: those on every list of allowed ones that there is, and on no list of denied ones.
struct LabelFilter {
    bool restricted = false;              // whether `allowed` counts
    std::vector<int32_t> allowed;         // for all rows
    std::vector<int32_t> denied;          // for all rows
    const Lists* allowed_rows = nullptr;  // for each row; null: no such lists
    const Lists* denied_rows = nullptr;

    bool of_all_rows() const { return restricted || !denied.empty(); }
    bool empty() const { return !of_all_rows() && allowed_rows == nullptr && denied_rows == nullptr; }
};

// Better first; equal scores by lower id, so that a result does not depend on the order of the visits.
struct Better {
    bool operator()(const Hit& a, const Hit& b) const { return a.score != b.score ? a.score > b.score : a.id < b.id; }
};

// The hits of consecutive rows.
struct RankedRows {
    std::vector<int64_t> sizes;  // per row
    std::vector<Hit, PageAllocator<Hit>> hits;
};

class Searcher {
   public:
    Searcher(std::vector<TreeView> trees, int64_t labels);

    int64_t labels() const { return labels_; }
    int64_t features() const { return features_; }
    size_t trees() const { return trees_.size(); }
    int64_t depth(size_t tree) const { return static_cast<int64_t>(trees_[tree].layers.size()); }

    // The labels of each row, best first, in blocks of rows. Nodes without a label below that a row may get are left out
    // before the beam is chosen. A row that may get few labels only has all of them scored.
    // With several trees a label's score is the mean over the trees of its path scores, 0 for a tree whose beam does
    // not reach it; scores are logarithms. Fewer labels (k, least) are the first of more.
    std::vector<RankedRows> top_k(const Csr& x, const SearchOptions& options, const LabelFilter& filter,
                                  Monitor& monitor, SearchWork* work = nullptr) const;

    // The beam of nodes at the bottom of the first `depth` levels of one tree, best first, in blocks of rows.
    std::vector<RankedRows> beam_nodes(size_t tree, int64_t depth, const Csr& x, const SearchOptions& options,
                                       Monitor& monitor) const;

    // Path scores (logarithms) of given labels per row, whatever a beam would reach; the best slot counts. Those in one
    // tree, or the mean over all where `tree` is negative.
    void score_labels(int64_t tree, const Csr& x, const Lists& candidates, const SearchOptions& options,
                      Monitor& monitor, float* scores) const;

   private:
    std::vector<TreeView> trees_;
    int64_t labels_ = 0, features_ = 0;
    std::vector<LabelSlots> label_slots_;  // per tree
};

}  // namespace ceiba
