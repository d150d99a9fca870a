// Beam search of one tree, a few rows one by one or a block of rows chunk by chunk.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "core/chunk_scorer.hpp"
#include "core/id_table.hpp"
#include "core/node_filter.hpp"
#include "core/searcher.hpp"
#include "core/simd.hpp"

namespace ceiba {

inline constexpr int64_t kFewRows = 16;  // below this, rows are searched one by one
inline constexpr float kNothing = -std::numeric_limits<float>::infinity();

// A lower limit with room for another order of rounding.
inline float lowered(float score) { return score - 1e-4f * (1.0f + std::abs(score)); }

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
    // `repeated`: the same id may be pushed again, and only its best score counts. Hits below `least` are not wanted.
    // `within`: keeps the hits up to so far below the k-th best, too, in any number.
    void start(int64_t k, bool repeated, float least = kNothing, float within = 0.0f) {
        hits_.clear();
        k_ = k;
        limit_ = k > (int64_t{1} << 40) ? std::numeric_limits<int64_t>::max() : 2 * k + 16;
        bound_ = least;
        within_ = within;
        repeated_ = repeated;
    }
    // A hit below the bound cannot be among the best.
    float bound() const { return bound_; }
    void push(Hit hit) {
        hits_.push_back(hit);
        if (size() >= limit_) cut();
    }
    // The best first; those of a range below the k-th best in any order.
    const std::vector<Hit>& finish() {
        cut();
        if (within_ > 0) return hits_;
        std::sort(hits_.begin(), hits_.end(), Better{});
        return hits_;
    }

   private:
    static constexpr int64_t kCompared = 16, kScanned = 64;

    int64_t size() const { return static_cast<int64_t>(hits_.size()); }

    void cut() {
        if (within_ > 0) return cut_within();
        put_best_first();
        if (repeated_ && may_repeat()) {
            if (!leave_few()) leave_one_each();
            put_best_first();
        }
        if (size() < k_) return;
        hits_.resize(k_);
        bound_ = std::max_element(hits_.begin(), hits_.end(), Better{})->score;
    }

    void cut_within() {
        if (repeated_) leave_one_each();
        if (size() >= k_) {
            put_best_first();
            const float kth = std::max_element(hits_.begin(), hits_.begin() + k_, Better{})->score;
            bound_ = std::max(bound_, lowered(kth - within_));
            hits_.erase(std::remove_if(hits_.begin(), hits_.end(), [this](const Hit& h) { return h.score < bound_; }),
                        hits_.end());
        }
        limit_ = std::max(limit_, 2 * size() + 16);
    }

    void put_best_first() {
        if (size() > k_) std::nth_element(hits_.begin(), hits_.begin() + (k_ - 1), hits_.end(), Better{});
    }

    // Whether a label comes twice among the first k hits; without looking where k is large.
    bool may_repeat() const {
        const int64_t n = std::min(k_, size());
        if (n > kCompared) return true;
        for (int64_t i = 1; i < n; ++i) {
            for (int64_t j = 0; j < i; ++j) {
                if (hits_[i].id == hits_[j].id) return true;
            }
        }
        return false;
    }

    // Looks for the best k labels among the best 2k hits, where most often they are; looking through few hits costs less
    // than sorting them all by label. Returns whether they were there, and leaves only them then.
    bool leave_few() {
        if (k_ > kScanned || size() <= k_) return false;
        const auto end = hits_.begin() + std::min(2 * k_, size());
        if (end != hits_.end()) std::nth_element(hits_.begin(), end, hits_.end(), Better{});
        std::sort(hits_.begin(), end, Better{});
        auto last = hits_.begin();  // of two hits with the same label the better comes first
        for (auto hit = hits_.begin(); hit != end && last - hits_.begin() < k_; ++hit) {
            const int32_t id = hit->id;
            if (std::any_of(hits_.begin(), last, [id](const Hit& own) { return own.id == id; })) continue;
            std::iter_swap(last++, hit);
        }
        if (last - hits_.begin() < k_) return false;
        hits_.erase(last, hits_.end());
        return true;
    }

    void leave_one_each() {
        std::sort(hits_.begin(), hits_.end(),
                  [](const Hit& a, const Hit& b) { return a.id != b.id ? a.id < b.id : a.score > b.score; });
        const auto last =
            std::unique(hits_.begin(), hits_.end(), [](const Hit& a, const Hit& b) { return a.id == b.id; });
        hits_.erase(last, hits_.end());
    }

    std::vector<Hit> hits_;
    int64_t k_ = 0, limit_ = 0;
    float bound_ = kNothing, within_ = 0.0f;
    bool repeated_ = false;
};

struct Visit {
    int32_t row;  // within the block
    float score;  // of the parent
};

// What the trees of an ensemble found for a block of rows.
struct EnsembleSpace {
    struct Tree {
        std::vector<std::vector<Hit>> hits, parents;    // of each row
        std::vector<std::vector<Hit>> missing_parents;  // to be looked at again, for the labels `missing`
        std::vector<std::vector<int32_t>> missing;
        std::vector<float> bounds;  // all labels of the beam that are not in `hits` lie below
        double bound_exp = 0;       // of one row: exp of the bound and of the parents' scores
        std::vector<double> parents_exp;
    };
    std::vector<Tree> trees;
    // of one row: the labels that any tree returned, in the order they were found
    IdTable<int32_t> places;  // the place of each in the lists below, from 1
    std::vector<int32_t> found_ids, chosen;
    std::vector<float> found_scores;  // labels x trees
    std::vector<double> sums, best_sums;
    std::vector<int64_t> ptr;   // candidates of each row ...
    std::vector<int32_t> ids;   // ... ascending
    std::vector<float> scores;  // candidates x trees
};

// What one thread's searches keep from one to the next, so that a single row allocates next to nothing.
struct SearchSpace {
    ChunkScorer scorer;
    std::vector<Best> best;
    std::vector<int64_t> starts, ends;
    std::vector<Visit> visits;
    EnsembleSpace ensemble;
};

// One thread's search of one tree.
class TreeSearch {
   public:
    // `depth` levels are walked; at the last level of the tree ids are labels, above it nodes.
    TreeSearch(const TreeView& tree, int64_t depth, const SearchOptions& options, const NodeFilter* filter,
               SearchSpace& space)
        : tree_(tree), depth_(depth), options_(options), filter_(filter), scorer_(space.scorer), best_(space.best),
          starts_(space.starts), ends_(space.ends), visits_(space.visits) {}

    // results[i]: hits of row first + i, best first.
    void run(const Csr& x, int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results) {
        walk(x, first, rows, depth_, results);
    }

    // The same for one tree of several. results[i] holds all labels of the beam whose score is at least bounds[i],
    // which is raised to the k-th best score less `within`; parents[i] is the beam above them.
    void run_within(const Csr& x, int64_t first, int64_t rows, float within, std::vector<float>& bounds,
                    std::vector<std::vector<Hit>>& parents, std::vector<std::vector<Hit>>& results) {
        walk(x, first, rows, depth_ - 1, parents);
        const int64_t keep = options_.k > 0 ? options_.k : std::numeric_limits<int64_t>::max();
        for (int64_t i = 0; i < rows; ++i) best_[i].start(keep, tree_.overlapping, bounds[i], within);
        level(x, depth_ - 1, first, rows, parents, results);
        for (int64_t i = 0; i < rows; ++i) bounds[i] = best_[i].bound();
    }

    // results[i]: the scores of the labels wanted[i] below the nodes parents[i] of the level above them.
    void run_wanted(const Csr& x, int64_t first, int64_t rows, const std::vector<std::vector<Hit>>& parents,
                    const std::vector<std::vector<int32_t>>& wanted, std::vector<std::vector<Hit>>& results) {
        wanted_ = &wanted;
        for (int64_t i = 0; i < rows; ++i) {
            best_[i].start(std::numeric_limits<int64_t>::max(), tree_.overlapping);
        }
        level(x, depth_ - 1, first, rows, parents, results);
        wanted_ = nullptr;
    }

   private:
    // The first `levels` levels.
    void walk(const Csr& x, int64_t first, int64_t rows, int64_t levels, std::vector<std::vector<Hit>>& results) {
        results.resize(rows);
        if (static_cast<int64_t>(best_.size()) < rows) best_.resize(rows);
        for (auto& beam : results) beam.assign(1, Hit{0.0f, 0});
        for (int64_t t = 0; t < levels; ++t) {
            const bool labels = t + 1 == static_cast<int64_t>(tree_.layers.size());
            const bool last = t + 1 == depth_;
            const int64_t wanted = last ? options_.k : options_.beam;
            const int64_t all = std::numeric_limits<int64_t>::max(), keep = wanted > 0 ? wanted : all;
            for (int64_t i = 0; i < rows; ++i) {
                const bool whole = !last && filter_ != nullptr && filter_->scores_all(i);
                best_[i].start(whole ? all : keep, labels && tree_.overlapping, options_.least);
            }
            level(x, t, first, rows, results, results);
        }
    }

    // From the nodes above to the best of the level; both may be the same lists.
    void level(const Csr& x, int64_t t, int64_t first, int64_t rows, const std::vector<std::vector<Hit>>& parents,
               std::vector<std::vector<Hit>>& results) {
        const bool labels = t + 1 == static_cast<int64_t>(tree_.layers.size());
        if (rows < kFewRows) {
            rows_one_by_one(x, t, first, rows, parents, labels);
        } else {
            rows_by_chunk(x, t, first, rows, parents, labels);
        }
        results.resize(rows);
        for (int64_t i = 0; i < rows; ++i) {
            const std::vector<Hit>& hits = best_[i].finish();
            results[i].assign(hits.begin(), hits.end());
        }
    }

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
                const bool spread = 3 * lookups > 2 * std::max<int64_t>(0, layer.chunk_rows(p) - x.dense_cols);
                if (spread) scorer_.spread(layer, p, x);
                for (int64_t v = begin; v < end; ++v) visit(x, level, first, visits_[v], p, labels);
                if (spread) scorer_.unspread(layer, p, x);
            }
        }
    }

    // Not inlined: two copies of the arithmetic may be rounded differently, and a batch is to be its rows bit for bit.
    [[gnu::noinline]] void visit(const Csr& x, int64_t level, int64_t first, const Visit& v, int64_t parent,
                                 bool labels) {
        float* margin = scorer_.score(tree_.layers[level], parent, x, first + v.row);
        switch (options_.combine) {
            case Combine::l1_hinge: return offer<Combine::l1_hinge>(level, v, parent, margin, labels);
            case Combine::l2_hinge: return offer<Combine::l2_hinge>(level, v, parent, margin, labels);
            case Combine::l3_hinge: return offer<Combine::l3_hinge>(level, v, parent, margin, labels);
            case Combine::sigmoid: return offer<Combine::sigmoid>(level, v, parent, margin, labels);
        }
    }

    template <Combine form>
    void offer(int64_t level, const Visit& v, int64_t parent, float* margin, bool labels) {
        using F = Lanes<16>;
        const LayerView& layer = tree_.layers[level];
        const int64_t children = layer.chunks[parent].children, base = layer.chunks[parent].first_child;
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
                if (wanted_ != nullptr && !is_wanted(v.row, tree_.slot_label[base + child])) continue;
                const float exact = v.score + log_score<form>(margin[child]);
                if (!(exact >= best.bound())) continue;  // NaN, of weights that overflow, is left out too
                const int32_t node = static_cast<int32_t>(base + child);
                const int32_t id = labels ? tree_.slot_label[node] : node;
                if (filter_ != nullptr && !filter_->allows(v.row, level, node)) continue;
                best.push(Hit{exact, id});
            }
        }
    }

    bool is_wanted(int64_t row, int32_t label) const {
        const std::vector<int32_t>& labels = (*wanted_)[row];
        return std::find(labels.begin(), labels.end(), label) != labels.end();
    }

    const TreeView& tree_;
    int64_t depth_;
    const SearchOptions& options_;
    const NodeFilter* filter_;                                   // of the rows of the block; null for no filter
    const std::vector<std::vector<int32_t>>* wanted_ = nullptr;  // per row of the block; null for all
    ChunkScorer& scorer_;
    std::vector<Best>& best_;
    std::vector<int64_t>& starts_;
    std::vector<int64_t>& ends_;
    std::vector<Visit>& visits_;
};

}  // namespace ceiba
