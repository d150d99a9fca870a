#include "core/searcher.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>

#include "core/simd.hpp"

namespace ceiba {
namespace {

constexpr int64_t kBlockRows = 8192;   // rows whose visits are sorted together
constexpr int64_t kFewRows = 16;       // below this, rows are searched one by one
constexpr float kNothing = -std::numeric_limits<float>::infinity();

// Log of a node's own score.
template <Combine form>
inline float log_score(float margin) {
    if constexpr (form == Combine::sigmoid) {
        return margin < 0 ? margin - std::log1p(std::exp(margin)) : -std::log1p(std::exp(-margin));
    } else {
        const float h = std::max(0.0f, 1.0f - margin);
        if constexpr (form == Combine::l1_hinge) return -h;
        if constexpr (form == Combine::l2_hinge) return -(h * h);
        return -(h * h * h);
    }
}

// The best k hits seen so far, in a buffer that is cut back when full.
class Best {
   public:
    void start(int64_t k, bool repeated) {
        hits_.clear();
        k_ = k;
        limit_ = k > (int64_t{1} << 40) ? std::numeric_limits<int64_t>::max() : 2 * k + 16;
        bound_ = kNothing;
        repeated_ = repeated;
    }
    // A hit below the bound cannot be among the best.
    float bound() const { return bound_; }
    void push(Hit hit) {
        hits_.push_back(hit);
        if (static_cast<int64_t>(hits_.size()) >= limit_) cut();
    }
    const std::vector<Hit>& finish() {
        cut();
        std::sort(hits_.begin(), hits_.end(), better);
        return hits_;
    }

   private:
    void cut() {
        if (repeated_) {  // a label found through several slots keeps its best score
            std::sort(hits_.begin(), hits_.end(),
                      [](const Hit& a, const Hit& b) { return a.id != b.id ? a.id < b.id : a.score > b.score; });
            auto last = std::unique(hits_.begin(), hits_.end(), [](const Hit& a, const Hit& b) { return a.id == b.id; });
            hits_.erase(last, hits_.end());
        }
        if (static_cast<int64_t>(hits_.size()) < k_) return;
        if (static_cast<int64_t>(hits_.size()) > k_) {
            std::nth_element(hits_.begin(), hits_.begin() + (k_ - 1), hits_.end(), better);
            hits_.resize(k_);
            bound_ = hits_[k_ - 1].score;
        } else {
            bound_ = std::max_element(hits_.begin(), hits_.end(), better)->score;
        }
    }

    std::vector<Hit> hits_;
    int64_t k_ = 0, limit_ = 0;
    float bound_ = kNothing;
    bool repeated_ = false;
};

struct Visit {
    int32_t row;   // within the block
    float score;   // of the parent
};

// One thread's search of one tree.
class TreeSearch {
   public:
    // `depth` levels are walked; at the last level of the tree ids are labels, above it nodes.
    TreeSearch(const TreeView& tree, int64_t depth, const SearchOptions& options, const Lists* filter)
        : tree_(tree), depth_(depth), options_(options), filter_(filter) {}

    // results[i]: hits of row first + i, best first.
    void run(const Csr& x, int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results) {
        results.resize(rows);
        best_.resize(rows);
        for (auto& beam : results) beam.assign(1, Hit{0.0f, 0});
        for (int64_t t = 0; t < depth_; ++t) {
            const bool labels = t + 1 == static_cast<int64_t>(tree_.layers.size());
            const int64_t wanted = t + 1 == depth_ ? options_.k : options_.beam;
            const int64_t keep = wanted > 0 ? wanted : std::numeric_limits<int64_t>::max();
            for (int64_t i = 0; i < rows; ++i) best_[i].start(keep, labels && tree_.overlapping);
            if (rows < kFewRows) {
                rows_one_by_one(x, t, first, rows, results, labels);
            } else {
                rows_by_chunk(x, t, first, rows, results, labels);
            }
            for (int64_t i = 0; i < rows; ++i) {
                const std::vector<Hit>& hits = best_[i].finish();
                results[i].assign(hits.begin(), hits.end());
            }
        }
    }

    const SearchWork& work() const { return scorer_.work; }

   private:
    // Scores only fall on the way down, so a parent below the bound has no child above it: visiting the best parents
    // first leaves many of the others out, and the result is still exactly that of the whole beam.
    void rows_one_by_one(const Csr& x, int64_t level, int64_t first, int64_t rows,
                         const std::vector<std::vector<Hit>>& beams, bool labels) {
        for (int64_t i = 0; i < rows; ++i) {
            for (const Hit& parent : beams[i]) {
                if (parent.score < best_[i].bound()) break;
                visit(x, level, first, Visit{static_cast<int32_t>(i), parent.score}, parent.id, labels);
            }
        }
    }

    void rows_by_chunk(const Csr& x, int64_t level, int64_t first, int64_t rows,
                       const std::vector<std::vector<Hit>>& beams, bool labels) {
        const LayerView& layer = tree_.layers[level];
        size_t longest = 0;
        for (const auto& beam : beams) longest = std::max(longest, beam.size());
        for (size_t from = 0, to = 1; from < longest; from = to, to = 2 * to + 1) {
            starts_.assign(layer.parents + 1, 0);
            auto each = [&](auto use) {
                for (int64_t i = 0; i < rows; ++i) {
                    const size_t end = std::min(to, beams[i].size());
                    for (size_t r = from; r < end && !(beams[i][r].score < best_[i].bound()); ++r) use(i, beams[i][r]);
                }
            };
            each([&](int64_t, const Hit& parent) { ++starts_[parent.id + 1]; });
            std::partial_sum(starts_.begin(), starts_.end(), starts_.begin());
            visits_.resize(starts_.back());
            ends_.assign(starts_.begin(), starts_.end() - 1);
            each([&](int64_t i, const Hit& parent) {
                visits_[ends_[parent.id]++] = Visit{static_cast<int32_t>(i), parent.score};
            });
            for (int64_t p = 0; p < layer.parents; ++p) {
                const int64_t begin = starts_[p], end = starts_[p + 1];
                if (begin == end) continue;
                int64_t lookups = 0;
                for (int64_t v = begin; v < end; ++v) lookups += x.nnz(first + visits_[v].row);
                // a look-up through buckets costs several through the table; spreading writes every row twice
                const bool spread = 3 * lookups > 2 * layer.chunk_rows(p);
                if (spread) scorer_.spread(layer, p);
                for (int64_t v = begin; v < end; ++v) visit(x, level, first, visits_[v], p, labels);
                if (spread) scorer_.unspread(layer, p);
            }
        }
    }

    void visit(const Csr& x, int64_t level, int64_t first, const Visit& v, int64_t parent, bool labels) {
        float* margin = scorer_.score(tree_.layers[level], parent, x, first + v.row);
        switch (options_.combine) {
            case Combine::l1_hinge: return offer<Combine::l1_hinge>(level, first, v, parent, margin, labels);
            case Combine::l2_hinge: return offer<Combine::l2_hinge>(level, first, v, parent, margin, labels);
            case Combine::l3_hinge: return offer<Combine::l3_hinge>(level, first, v, parent, margin, labels);
            case Combine::sigmoid: return offer<Combine::sigmoid>(level, first, v, parent, margin, labels);
        }
    }

    template <Combine form>
    void offer(int64_t level, int64_t first, const Visit& v, int64_t parent, float* margin, bool labels) {
        using F = Lanes<16>;
        const LayerView& layer = tree_.layers[level];
        const int64_t children = layer.chunk_children(parent), base = layer.child_ptr[parent];
        Best& best = best_[v.row];
        const F zero = F::all(0.0f), one = F::all(1.0f);
        for (int64_t c = 0; c < children; c += 16) {
            // an upper limit of the score for all lanes at once, with room for another order of rounding
            const float bound = best.bound() - 1e-5f * (1.0f - best.bound());
            F score = F::load(margin + c);
            if constexpr (form == Combine::sigmoid) {
                score = F::all(v.score) + min(score, zero);
            } else {
                const F h = max(one - score, zero);
                F power = h;
                if constexpr (form != Combine::l1_hinge) power = power * h;
                if constexpr (form == Combine::l3_hinge) power = power * h;
                score = F::all(v.score) - power;
            }
            uint32_t open = ~(score < F::all(bound)).bits() & 0xffff;
            if (children - c < 16) open &= (1u << (children - c)) - 1;
            for (; open != 0; open &= open - 1) {
                const int64_t child = c + __builtin_ctz(open);
                const float exact = v.score + log_score<form>(margin[child]);
                if (!(exact >= best.bound())) continue;  // NaN, of weights that overflow, is left out too
                const int32_t node = static_cast<int32_t>(base + child);
                const int32_t id = labels ? tree_.slot_label[node] : node;
                if (labels && filtered(first + v.row, id)) continue;
                best.push(Hit{exact, id});
            }
        }
    }

    bool filtered(int64_t row, int32_t label) const {
        if (filter_ == nullptr) return false;
        return std::binary_search(filter_->items + filter_->ptr[row], filter_->items + filter_->ptr[row + 1], label);
    }

    const TreeView& tree_;
    int64_t depth_;
    const SearchOptions& options_;
    const Lists* filter_;
    ChunkScorer scorer_;
    std::vector<Best> best_;
    std::vector<int64_t> starts_, ends_;
    std::vector<Visit> visits_;
};

// Mean of the trees' scores per label; `hits` is overwritten with the k best.
void average(const std::vector<std::vector<std::vector<Hit>>>& per_tree, int64_t row, int64_t k,
             std::vector<Hit>& hits) {
    hits.clear();
    for (const auto& tree : per_tree) {
        for (const Hit& hit : tree[row]) hits.push_back(Hit{std::exp(hit.score), hit.id});
    }
    std::stable_sort(hits.begin(), hits.end(), [](const Hit& a, const Hit& b) { return a.id < b.id; });
    size_t kept = 0;
    for (size_t h = 0; h < hits.size(); ++h) {
        if (kept > 0 && hits[kept - 1].id == hits[h].id) {
            hits[kept - 1].score += hits[h].score;
        } else {
            hits[kept++] = hits[h];
        }
    }
    hits.resize(kept);
    for (Hit& hit : hits) hit.score = std::log(hit.score / static_cast<float>(per_tree.size()));
    if (k > 0 && static_cast<int64_t>(kept) > k) {
        std::partial_sort(hits.begin(), hits.begin() + k, hits.end(), better);
        hits.resize(k);
    } else {
        std::sort(hits.begin(), hits.end(), better);
    }
}

// Blocks of rows over threads; body(first, rows, block) leaves a block's hits in results.
template <class Body>
void in_blocks(int64_t rows, int threads, Monitor& monitor, std::vector<int64_t>& row_ptr, std::vector<Hit>& hits,
               Body body) {
    const int64_t per_thread = (rows + threads - 1) / std::max(threads, 1);
    const int64_t size = std::clamp<int64_t>((per_thread + 1) / 2, kFewRows, kBlockRows);
    const int64_t blocks = (rows + size - 1) / size;
    std::vector<std::vector<std::vector<Hit>>> results(blocks);
    auto run = [&](int64_t b) {
        const int64_t count = std::min(size, rows - b * size);
        body(b * size, count, results[b]);
        monitor.done += count;
    };
    if (blocks == 1) {
        run(0);  // no thread is worth starting
    } else {
        parallel_for(blocks, threads, monitor, [&](int64_t b, int) { run(b); });
    }
    row_ptr.assign(1, 0);
    row_ptr.reserve(rows + 1);
    hits.clear();
    for (auto& block : results) {
        for (const auto& row : block) {
            hits.insert(hits.end(), row.begin(), row.end());
            row_ptr.push_back(static_cast<int64_t>(hits.size()));
        }
        block = {};
    }
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
        label_slot_ptr_.push_back(std::move(ptr));
        label_slots_.push_back(std::move(slots));
    }
}

void Searcher::top_k(const Csr& x, const SearchOptions& options, const Lists* filter, Monitor& monitor,
                     std::vector<int64_t>& row_ptr, std::vector<Hit>& hits, SearchWork* work) const {
    SearchOptions per_tree = options;
    // a label high in the mean may stand lower in one tree's list
    if (trees_.size() > 1 && options.k > 0) per_tree.k = std::max(2 * options.k, options.k + 10);
    SearchWork sum;
    std::mutex mutex;
    in_blocks(x.rows, options.threads, monitor, row_ptr, hits,
              [&](int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results) {
                  std::vector<std::vector<std::vector<Hit>>> found(trees_.size());
                  for (size_t t = 0; t < trees_.size(); ++t) {
                      TreeSearch search(trees_[t], trees_[t].layers.size(), per_tree, filter);
                      search.run(x, first, rows, found[t]);
                      std::lock_guard<std::mutex> lock(mutex);
                      sum += search.work();
                  }
                  if (trees_.size() == 1) {
                      results = std::move(found[0]);
                      return;
                  }
                  results.resize(rows);
                  for (int64_t i = 0; i < rows; ++i) average(found, i, options.k, results[i]);
              });
    if (work != nullptr) *work = sum;
}

void Searcher::beam_nodes(size_t tree, int64_t depth, const Csr& x, const SearchOptions& options, Monitor& monitor,
                          std::vector<int64_t>& row_ptr, std::vector<Hit>& hits) const {
    SearchOptions nodes = options;
    nodes.k = options.beam;
    in_blocks(x.rows, options.threads, monitor, row_ptr, hits,
              [&](int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results) {
                  TreeSearch(trees_.at(tree), depth, nodes, nullptr).run(x, first, rows, results);
              });
}

void Searcher::score_labels(const Csr& x, const Lists& candidates, const SearchOptions& options, Monitor& monitor,
                            float* scores) const {
    const int64_t block = 256, blocks = (x.rows + block - 1) / block;
    std::fill_n(scores, candidates.ptr[candidates.count], 0.0f);
    auto run = [&](int64_t b) {
        std::vector<int64_t> slots;
        std::vector<float> slot_scores;
        for (size_t t = 0; t < trees_.size(); ++t) {
            PathScorer scorer(trees_[t], options.combine);
            for (int64_t row = b * block; row < std::min(x.rows, (b + 1) * block); ++row) {
                const int64_t begin = candidates.ptr[row], end = candidates.ptr[row + 1];
                slots.clear();
                for (int64_t q = begin; q < end; ++q) {
                    const int32_t label = candidates.items[q];
                    slots.insert(slots.end(), label_slots_[t].begin() + label_slot_ptr_[t][label],
                                 label_slots_[t].begin() + label_slot_ptr_[t][label + 1]);
                }
                std::sort(slots.begin(), slots.end());
                scorer.run(x, row, slots, slot_scores);
                for (int64_t q = begin; q < end; ++q) {
                    const int32_t label = candidates.items[q];
                    float best = kNothing;
                    for (int64_t s = label_slot_ptr_[t][label]; s < label_slot_ptr_[t][label + 1]; ++s) {
                        const int64_t slot = label_slots_[t][s];
                        const size_t place = std::lower_bound(slots.begin(), slots.end(), slot) - slots.begin();
                        best = std::max(best, slot_scores[place]);
                    }
                    if (trees_.size() == 1) {
                        scores[q] = best;
                    } else {
                        scores[q] += std::exp(best);
                    }
                }
            }
        }
        if (trees_.size() > 1) {
            const int64_t end = candidates.ptr[std::min(x.rows, (b + 1) * block)];
            for (int64_t q = candidates.ptr[b * block]; q < end; ++q) {
                scores[q] = std::log(scores[q] / static_cast<float>(trees_.size()));
            }
        }
        monitor.done += std::min(x.rows, (b + 1) * block) - b * block;
    };
    if (blocks <= 1) {
        if (blocks == 1) run(0);
    } else {
        parallel_for(blocks, options.threads, monitor, [&](int64_t b, int) { run(b); });
    }
}

}  // namespace ceiba
