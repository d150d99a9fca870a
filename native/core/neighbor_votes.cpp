#include "core/neighbor_votes.hpp"

#include <algorithm>
#include <cmath>

#include "core/id_table.hpp"

namespace ceiba {
namespace {

constexpr int64_t kQueriesOfTask = 64;
constexpr int64_t kFewNeighbors = 4096;  // are counted by the caller's thread

struct Vote {
    int32_t label;
    float score;
};

// Votes of one query after the other.
class VoteCount {
   public:
    VoteCount(const Lists& neighbors, const Lists& labels, double power)
        : neighbors_(neighbors), labels_(labels), power_(power) {}

    void count(int64_t query) {
        const int64_t begin = neighbors_.ptr[query], end = neighbors_.ptr[query + 1];
        size_t votes = 0;
        float best = 0;
        for (int64_t i = begin; i < end; ++i) {
            if (!(neighbors_.weight[i] > 0)) continue;
            votes += static_cast<size_t>(labels_.size(neighbors_.indices[i]));
            best = std::max(best, neighbors_.weight[i]);
        }
        table_.reset(votes);
        total_ = 0;
        for (int64_t i = begin; i < end; ++i) {
            const double score = neighbors_.weight[i];
            if (!(score > 0)) continue;
            const double weight = std::pow(score / best, power_);
            total_ += weight;
            const int64_t row = neighbors_.indices[i];
            for (int64_t j = labels_.ptr[row]; j < labels_.ptr[row + 1]; ++j) table_[labels_.indices[j]] += weight;
        }
    }

    float score(int32_t label) const {
        const double* votes = table_.find(label);
        return votes == nullptr ? 0.0f : static_cast<float>(*votes / total_);
    }

    void append_best(int64_t n, FoundRows& to) {
        found_.clear();
        for (const auto& entry : table_.entries()) {
            if (entry.id < 0) continue;
            const float share = static_cast<float>(entry.value / total_);
            if (share > 0) found_.push_back({entry.id, share});
        }
        const auto better = [](const Vote& a, const Vote& b) {
            return a.score != b.score ? a.score > b.score : a.label < b.label;
        };
        const auto middle = found_.begin() + std::min<int64_t>(n, static_cast<int64_t>(found_.size()));
        if (middle != found_.end()) std::nth_element(found_.begin(), middle, found_.end(), better);
        std::sort(found_.begin(), middle, better);
        for (auto vote = found_.begin(); vote != middle; ++vote) {
            to.rows.push_back(vote->label);
            to.scores.push_back(vote->score);
        }
        to.ptr.push_back(static_cast<int64_t>(to.rows.size()));
    }

   private:
    const Lists& neighbors_;
    const Lists& labels_;
    const double power_;
    IdTable<double> table_;
    double total_ = 0;
    std::vector<Vote> found_;
};

// Calls run(task, begin, end) for the queries of each task; the caller's thread does it all where there are few.
template <class Run>
void for_tasks(const Lists& neighbors, int threads, Monitor& monitor, Run run) {
    const int64_t tasks = (neighbors.count + kQueriesOfTask - 1) / kQueriesOfTask;
    const auto body = [&](int64_t task, int) {
        run(task, task * kQueriesOfTask, std::min((task + 1) * kQueriesOfTask, neighbors.count));
    };
    if (neighbors.ptr[neighbors.count] > kFewNeighbors) return parallel_for(tasks, threads, monitor, body);
    for (int64_t task = 0; task < tasks; ++task) body(task, 0);
}

}  // namespace

FoundRows rank_votes(const Lists& neighbors, const Lists& labels, double power, int64_t n, int threads,
                     Monitor& monitor) {
    std::vector<FoundRows> parts((neighbors.count + kQueriesOfTask - 1) / kQueriesOfTask);
    for_tasks(neighbors, threads, monitor, [&](int64_t task, int64_t begin, int64_t end) {
        VoteCount votes(neighbors, labels, power);
        for (int64_t q = begin; q < end; ++q) {
            votes.count(q);
            votes.append_best(n, parts[task]);
        }
    });
    return join(parts);
}

void score_votes(const Lists& neighbors, const Lists& labels, double power, const Lists& pairs, int threads,
                 Monitor& monitor, float* scores) {
    for_tasks(neighbors, threads, monitor, [&](int64_t, int64_t begin, int64_t end) {
        VoteCount votes(neighbors, labels, power);
        for (int64_t q = begin; q < end; ++q) {
            votes.count(q);
            for (int64_t i = pairs.ptr[q]; i < pairs.ptr[q + 1]; ++i) scores[i] = votes.score(pairs.indices[i]);
        }
    });
}

}  // namespace ceiba
