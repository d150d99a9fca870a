#include "core/searcher.hpp"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <numeric>
#include <stdexcept>

#include "core/ensemble_search.hpp"
#include "core/node_filter.hpp"
#include "core/tree_search.hpp"

namespace ceiba {
namespace {

constexpr int64_t kBlockRows = 8192;      // rows whose visits are sorted together
constexpr int64_t kBlockRowsOfAll = 512;  // where all that the beam reaches is kept

// Blocks of rows over threads; body(first, rows, results, space) leaves the hits of a block's rows in results.
template <class Body>
std::vector<RankedRows> in_blocks(int64_t rows, const SearchOptions& options, Monitor& monitor, Body body) {
    const int threads = std::max(options.threads, 1);
    const int64_t per_thread = (rows + threads - 1) / threads;
    const int64_t most = options.k > 0 ? kBlockRows : kBlockRowsOfAll;
    const int64_t size = std::clamp<int64_t>((per_thread + 1) / 2, kFewRows, most);
    std::vector<RankedRows> blocks((rows + size - 1) / size);
    auto run = [&](int64_t b) {
        const int64_t count = std::min(size, rows - b * size);
        thread_local SearchSpace space;
        space.scorer.work = {};
        std::vector<std::vector<Hit>> results;
        try {
            body(b * size, count, results, space);
        } catch (...) {
            space = SearchSpace();  // a table may be half filled
            throw;
        }
        if (count >= kFewRows) space = SearchSpace();  // only what a few rows need is worth keeping
        size_t hits = 0;
        for (const auto& row : results) hits += row.size();
        blocks[b].sizes.reserve(count);
        blocks[b].hits.reserve(hits);
        for (const auto& row : results) {
            blocks[b].sizes.push_back(static_cast<int64_t>(row.size()));
            blocks[b].hits.insert(blocks[b].hits.end(), row.begin(), row.end());
        }
        monitor.done += count;
    };
    if (blocks.size() == 1) {
        run(0);  // no thread is worth starting
    } else {
        parallel_for(static_cast<int64_t>(blocks.size()), threads, monitor, [&](int64_t b, int) { run(b); });
    }
    return blocks;
}

// Margins along the paths to given slots of one tree, each chunk once.
class PathScorer {
   public:
    PathScorer(const TreeView& tree, Combine combine) : tree_(tree), combine_(combine) {}

    // slots ascend; scores[i] is the log path score of slots[i].
    void run(const Csr& x, int64_t row, const std::vector<int64_t>& slots, std::vector<float>& scores) {
        const int64_t depth = tree_.layers.size();
        wanted_.resize(depth + 1);
        parent_of_.resize(depth + 1);
        wanted_[depth] = slots;
        for (int64_t t = depth - 1; t >= 0; --t) {  // the parents, once each, and where each node's parent stands
            const LayerView& layer = tree_.layers[t];
            wanted_[t].clear();
            parent_of_[t + 1].clear();
            for (int64_t node : wanted_[t + 1]) {
                if (wanted_[t].empty() || node >= layer.child_ptr[wanted_[t].back() + 1]) {
                    const int64_t* end = layer.child_ptr + layer.parents + 1;
                    wanted_[t].push_back(std::upper_bound(layer.child_ptr, end, node) - layer.child_ptr - 1);
                }
                parent_of_[t + 1].push_back(wanted_[t].size() - 1);
            }
        }
        above_.assign(1, 0.0f);
        for (int64_t t = 0; t < depth; ++t) {
            const LayerView& layer = tree_.layers[t];
            scores.resize(wanted_[t + 1].size());
            int64_t scored = -1;
            const float* margin = nullptr;
            for (size_t i = 0; i < wanted_[t + 1].size(); ++i) {
                const int64_t place = parent_of_[t + 1][i], parent = wanted_[t][place];
                if (place != scored) margin = scorer_.score(layer, parent, x, row);
                scored = place;
                scores[i] = above_[place] + own(margin[wanted_[t + 1][i] - layer.child_ptr[parent]]);
            }
            above_ = scores;
        }
    }

   private:
    float own(float margin) const {
        switch (combine_) {
            case Combine::l1_hinge: return log_score<Combine::l1_hinge>(margin);
            case Combine::l2_hinge: return log_score<Combine::l2_hinge>(margin);
            case Combine::l3_hinge: return log_score<Combine::l3_hinge>(margin);
            case Combine::sigmoid: return log_score<Combine::sigmoid>(margin);
        }
        return kNothing;
    }

    const TreeView& tree_;
    Combine combine_;
    ChunkScorer scorer_;
    std::vector<std::vector<int64_t>> wanted_;
    std::vector<std::vector<size_t>> parent_of_;
    std::vector<float> above_;
};

}  // namespace

Searcher::Searcher(std::vector<TreeView> trees, int64_t labels) : trees_(std::move(trees)), labels_(labels) {
    if (trees_.empty()) throw std::invalid_argument("a model has at least one tree");
    for (TreeView& tree : trees_) {
        if (tree.layers.empty()) throw std::invalid_argument("a tree has at least one level");
        int64_t above = 1;
        for (LayerView& layer : tree.layers) {
            if (layer.parents != above) throw std::invalid_argument("damaged tree: levels do not fit together");
            layer.validate();
            above = layer.children;
            if (features_ == 0) features_ = layer.features;
            if (layer.features != features_) throw std::invalid_argument("levels differ in their number of features");
        }
        if (above != tree.slots) throw std::invalid_argument("damaged tree: the last level does not end in the slots");
        std::vector<int64_t> ptr(labels + 1, 0);
        for (int64_t s = 0; s < tree.slots; ++s) {
            const int32_t label = tree.slot_label[s];
            if (label < 0 || label >= labels) throw std::invalid_argument("damaged tree: label out of range");
            ++ptr[label + 1];
        }
        for (int64_t l = 0; l < labels; ++l) {
            if (ptr[l + 1] == 0) throw std::invalid_argument("damaged tree: a label has no slot");
            tree.overlapping |= ptr[l + 1] > 1;
        }
        std::partial_sum(ptr.begin(), ptr.end(), ptr.begin());
        std::vector<int32_t> slots(tree.slots);
        std::vector<int64_t> at(ptr.begin(), ptr.end() - 1);
        for (int64_t s = 0; s < tree.slots; ++s) slots[at[tree.slot_label[s]]++] = static_cast<int32_t>(s);
        label_slots_.push_back({std::move(ptr), std::move(slots)});
    }
}

std::vector<RankedRows> Searcher::top_k(const Csr& x, const SearchOptions& options, const LabelFilter& filter,
                                        Monitor& monitor, SearchWork* work) const {
    SearchWork sum;
    std::mutex mutex;
    std::vector<AllowedNodes> allowed;
    for (size_t t = 0; filter.of_all_rows() && t < trees_.size(); ++t) {
        allowed.emplace_back(trees_[t], label_slots_[t], filter);
    }
    auto blocks = in_blocks(
        x.rows, options, monitor,
        [&](int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results, SearchSpace& space) {
            std::vector<NodeFilter> filters;
            for (size_t t = 0; !filter.empty() && t < trees_.size(); ++t) {
                const AllowedNodes* all = allowed.empty() ? nullptr : &allowed[t];
                filters.emplace_back(trees_[t], label_slots_[t], filter, all, first, rows);
            }
            if (trees_.size() == 1) {
                const NodeFilter* own = filters.empty() ? nullptr : filters.data();
                TreeSearch(trees_[0], trees_[0].layers.size(), options, own, space).run(x, first, rows, results);
            } else {
                EnsembleSearch(trees_, label_slots_, options, filters, space).run(x, first, rows, results);
            }
            std::lock_guard<std::mutex> lock(mutex);
            sum += space.scorer.work;
        });
    if (work != nullptr) *work = sum;
    return blocks;
}

std::vector<RankedRows> Searcher::beam_nodes(size_t tree, int64_t depth, const Csr& x, const SearchOptions& options,
                                             Monitor& monitor) const {
    SearchOptions nodes = options;
    nodes.k = options.beam;
    return in_blocks(x.rows, options, monitor,
                     [&](int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results, SearchSpace& space) {
                         TreeSearch(trees_.at(tree), depth, nodes, nullptr, space).run(x, first, rows, results);
                     });
}

void Searcher::score_labels(int64_t tree, const Csr& x, const Lists& candidates, const SearchOptions& options,
                            Monitor& monitor, float* scores) const {
    const int64_t block = 256, blocks = (x.rows + block - 1) / block;
    const size_t begin_tree = tree < 0 ? 0 : tree, end_tree = tree < 0 ? trees_.size() : tree + 1;
    const int64_t n_trees = end_tree - begin_tree;
    auto run = [&](int64_t b) {
        const int64_t last_row = std::min(x.rows, (b + 1) * block), origin = candidates.ptr[b * block];
        std::vector<float> of_trees((candidates.ptr[last_row] - origin) * n_trees);
        std::vector<int64_t> slots;
        std::vector<float> slot_scores;
        for (size_t t = begin_tree; t < end_tree; ++t) {
            PathScorer scorer(trees_[t], options.combine);
            const LabelSlots& own = label_slots_[t];
            for (int64_t row = b * block; row < last_row; ++row) {
                const int64_t begin = candidates.ptr[row], end = candidates.ptr[row + 1];
                slots.clear();
                for (int64_t q = begin; q < end; ++q) {
                    const int32_t label = candidates.indices[q];
                    slots.insert(slots.end(), own.slots.begin() + own.ptr[label],
                                 own.slots.begin() + own.ptr[label + 1]);
                }
                std::sort(slots.begin(), slots.end());
                scorer.run(x, row, slots, slot_scores);
                for (int64_t q = begin; q < end; ++q) {
                    const int32_t label = candidates.indices[q];
                    float best = kNothing;
                    for (int64_t s = own.ptr[label]; s < own.ptr[label + 1]; ++s) {
                        const size_t place = std::lower_bound(slots.begin(), slots.end(), own.slots[s]) - slots.begin();
                        best = std::max(best, slot_scores[place]);
                    }
                    of_trees[(q - origin) * n_trees + (t - begin_tree)] = best;
                }
            }
        }
        for (int64_t q = origin; q < candidates.ptr[last_row]; ++q) {
            scores[q] = mean_score(of_trees.data() + (q - origin) * n_trees, n_trees);
        }
        monitor.done += last_row - b * block;
    };
    if (blocks <= 1) {
        if (blocks == 1) run(0);
    } else {
        parallel_for(blocks, options.threads, monitor, [&](int64_t b, int) { run(b); });
    }
}

}  // namespace ceiba
