// Beam search of several trees whose scores are averaged.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/tree_search.hpp"

namespace ceiba {

// Logarithm of the mean of scores given as logarithms. It does not underflow where they are very low.
inline float mean_score(const float* scores, int64_t count) {
    const float highest = *std::max_element(scores, scores + count);
    if (count == 1 || highest == kNothing) return highest;
    double sum = 0.0;
    for (int64_t t = 0; t < count; ++t) sum += std::exp(static_cast<double>(scores[t]) - highest);
    return static_cast<float>(highest + std::log(sum / static_cast<double>(count)));
}

// One thread's search of all trees, exact for the mean: the k best labels are those of scoring the whole beam of every
// tree. Let b be the k-th best score of any one tree. The k-th best sum over the T trees is at least b, so every label
// among the k best has at least b / T in some tree. Each tree thus returns its labels down to b / T. A candidate's score
// in a tree that did not return it is limited by that tree's bound. Where the candidate may still be among the k best,
// it is scored there, too (Fagin, Lotem and Naor, "Optimal aggregation algorithms for middleware", 2003).
class EnsembleSearch {
   public:
    EnsembleSearch(const std::vector<TreeView>& trees, const std::vector<LabelSlots>& label_slots,
                   const SearchOptions& options, const std::vector<NodeFilter>& filters, SearchSpace& space)
        : trees_(trees), label_slots_(label_slots), options_(options), filters_(filters), space_(space),
          own_(space.ensemble), n_trees_(static_cast<int64_t>(trees.size())) {
        options_.least = kNothing;  // a limit of the mean is none of a node of one tree
        least_ = options.least;
    }

    // results[i]: hits of row first + i, best first.
    void run(const Csr& x, int64_t first, int64_t rows, std::vector<std::vector<Hit>>& results) {
        own_.trees.resize(n_trees_);
        const float within = std::log(static_cast<float>(n_trees_));
        for (int64_t t = 0; t < n_trees_; ++t) {
            EnsembleSpace::Tree& tree = own_.trees[t];
            // what a tree found limits the next ones; a mean of at least `least_` takes a tree that has it
            if (t == 0) {
                tree.bounds.assign(rows, least_);
            } else {
                tree.bounds = own_.trees[t - 1].bounds;
            }
            search(t).run_within(x, first, rows, within, tree.bounds, tree.parents, tree.hits);
            for (auto& parents : tree.parents) {  // so that a label's are soon found
                std::sort(parents.begin(), parents.end(), [](const Hit& a, const Hit& b) { return a.id < b.id; });
            }
            clear(tree.missing, rows);
            clear(tree.missing_parents, rows);
        }
        own_.ptr.assign(1, 0);
        own_.ids.clear();
        own_.scores.clear();
        for (int64_t i = 0; i < rows; ++i) choose(i);
        for (int64_t t = 0; t < n_trees_; ++t) complete(t, x, first, rows);
        results.resize(rows);
        for (int64_t i = 0; i < rows; ++i) rank(i, results[i]);
    }

   private:
    TreeSearch search(int64_t t) {
        const NodeFilter* own = filters_.empty() ? nullptr : &filters_[t];
        return TreeSearch(trees_[t], static_cast<int64_t>(trees_[t].layers.size()), options_, own, space_);
    }

    template <class T>
    static void clear(std::vector<std::vector<T>>& lists, int64_t rows) {
        lists.resize(rows);
        for (auto& list : lists) list.clear();
    }

    // Puts the labels that may be among the best of a row behind the candidates, and lists what they lack.
    void choose(int64_t row) {
        gather(row);
        auto& chosen = own_.chosen;
        chosen.clear();
        const double needed = needed_sum();
        const int32_t n_found = static_cast<int32_t>(own_.found_ids.size());
        for (int32_t i = 0; i < n_found; ++i) {
            if (may_be_best(row, i, needed)) chosen.push_back(i);
        }
        std::sort(chosen.begin(), chosen.end(),
                  [&](int32_t a, int32_t b) { return own_.found_ids[a] < own_.found_ids[b]; });
        for (const int32_t i : chosen) {
            const int32_t label = own_.found_ids[i];
            const float* scores = own_.found_scores.data() + i * n_trees_;
            own_.ids.push_back(label);
            own_.scores.insert(own_.scores.end(), scores, scores + n_trees_);
            for (int64_t t = 0; t < n_trees_; ++t) {
                if (scores[t] == kNothing && own_.trees[t].bounds[row] > kNothing) ask(t, row, label);
            }
        }
        own_.ptr.push_back(static_cast<int64_t>(own_.ids.size()));
    }

    // Each label that any tree returned, once, with its scores in the trees and their sum.
    void gather(int64_t row) {
        size_t hits = 0;
        for (const auto& tree : own_.trees) hits += tree.hits[row].size();
        own_.places.reset(hits);
        own_.found_ids.clear();
        own_.found_scores.assign(hits * n_trees_, kNothing);
        own_.sums.clear();
        for (int64_t t = 0; t < n_trees_; ++t) {
            for (const Hit& hit : own_.trees[t].hits[row]) {
                int32_t& place = own_.places[hit.id];  // from 1; a new one is 0
                if (place == 0) {
                    own_.found_ids.push_back(hit.id);
                    own_.sums.push_back(0.0);
                    place = static_cast<int32_t>(own_.sums.size());
                }
                own_.found_scores[(place - 1) * n_trees_ + t] = hit.score;
                own_.sums[place - 1] += std::exp(static_cast<double>(hit.score));
            }
            EnsembleSpace::Tree& tree = own_.trees[t];
            tree.bound_exp = std::exp(static_cast<double>(tree.bounds[row]));
            tree.parents_exp.clear();
            for (const Hit& parent : tree.parents[row]) {
                tree.parents_exp.push_back(std::exp(static_cast<double>(parent.score)));
            }
        }
    }

    // What a label's scores must add up to, to be among the best.
    double needed_sum() {
        double needed = static_cast<double>(n_trees_) * std::exp(static_cast<double>(least_));
        if (options_.k > 0 && static_cast<int64_t>(own_.sums.size()) >= options_.k) {
            own_.best_sums = own_.sums;
            const auto kth = own_.best_sums.begin() + (options_.k - 1);
            std::nth_element(own_.best_sums.begin(), kth, own_.best_sums.end(), std::greater<double>());
            needed = std::max(needed, *kth);
        }
        if (needed < 1e-290) return 0.0;  // underflow: nothing is left out
        return needed * (1.0 - 1e-4);     // room for another order of rounding
    }

    bool may_be_best(int64_t row, int32_t found, double needed) const {
        if (needed == 0.0) return true;
        const float* scores = own_.found_scores.data() + found * n_trees_;
        const double sum = own_.sums[found];
        double most = sum;
        for (int64_t t = 0; t < n_trees_; ++t) {
            if (scores[t] == kNothing) most += own_.trees[t].bound_exp;
        }
        // a closer limit: that of the label's parent, and nothing where the beam has none
        for (int64_t t = 0; t < n_trees_ && most >= needed; ++t) {
            if (scores[t] != kNothing) continue;
            const double bound = own_.trees[t].bound_exp;
            most += std::min(bound, best_parent(t, row, own_.found_ids[found])) - bound;
        }
        return most >= needed;
    }

    // Calls use(place) for the nodes of a row's beam in tree t that the label hangs below.
    template <class Use>
    void each_parent(int64_t t, int64_t row, int32_t label, Use use) const {
        const int64_t* child_ptr = trees_[t].layers.back().child_ptr;
        const std::vector<Hit>& parents = own_.trees[t].parents[row];
        const LabelSlots& own = label_slots_[t];
        for (int64_t s = own.ptr[label]; s < own.ptr[label + 1]; ++s) {
            const int64_t slot = own.slots[s];
            const auto after = std::partition_point(parents.begin(), parents.end(),
                                                    [&](const Hit& parent) { return child_ptr[parent.id] <= slot; });
            if (after == parents.begin() || slot >= child_ptr[after[-1].id + 1]) continue;
            use(static_cast<size_t>(after - parents.begin() - 1));
        }
    }

    // The exp of the best score of a node of the beam that the label hangs below, 0 where there is none.
    double best_parent(int64_t t, int64_t row, int32_t label) const {
        double best = 0;
        each_parent(t, row, label, [&](size_t place) { best = std::max(best, own_.trees[t].parents_exp[place]); });
        return best;
    }

    void ask(int64_t t, int64_t row, int32_t label) {
        EnsembleSpace::Tree& tree = own_.trees[t];
        auto& parents = tree.missing_parents[row];
        bool any = false;
        each_parent(t, row, label, [&](size_t place) {
            any = true;
            const Hit& parent = tree.parents[row][place];
            const auto same = [&](const Hit& other) { return other.id == parent.id; };
            const bool listed = std::any_of(parents.begin(), parents.end(), same);
            if (!listed) parents.push_back(parent);
        });
        if (any) tree.missing[row].push_back(label);
    }

    void complete(int64_t t, const Csr& x, int64_t first, int64_t rows) {
        EnsembleSpace::Tree& tree = own_.trees[t];
        const auto some = [](const auto& list) { return !list.empty(); };
        if (std::none_of(tree.missing.begin(), tree.missing.end(), some)) return;
        search(t).run_wanted(x, first, rows, tree.missing_parents, tree.missing, tree.hits);
        for (int64_t i = 0; i < rows; ++i) {
            const auto begin = own_.ids.begin() + own_.ptr[i], end = own_.ids.begin() + own_.ptr[i + 1];
            for (const Hit& hit : tree.hits[i]) {
                const int64_t candidate = std::lower_bound(begin, end, hit.id) - own_.ids.begin();
                own_.scores[candidate * n_trees_ + t] = hit.score;
            }
        }
    }

    void rank(int64_t row, std::vector<Hit>& hits) const {
        hits.clear();
        for (int64_t c = own_.ptr[row]; c < own_.ptr[row + 1]; ++c) {
            hits.push_back(Hit{mean_score(own_.scores.data() + c * n_trees_, n_trees_), own_.ids[c]});
        }
        const int64_t count = static_cast<int64_t>(hits.size());
        const int64_t k = options_.k > 0 ? std::min(options_.k, count) : count;
        std::partial_sort(hits.begin(), hits.begin() + k, hits.end(), Better{});
        hits.resize(k);
    }

    const std::vector<TreeView>& trees_;
    const std::vector<LabelSlots>& label_slots_;
    SearchOptions options_;
    float least_;
    const std::vector<NodeFilter>& filters_;  // of each tree; empty for no filter
    SearchSpace& space_;
    EnsembleSpace& own_;
    int64_t n_trees_;
};

}  // namespace ceiba
