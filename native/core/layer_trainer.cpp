#include "core/layer_trainer.hpp"

#include <algorithm>
#include <memory>
#include <numeric>

namespace ceiba {
namespace {

// The instances of one parent with features renumbered without gaps, in ascending order, so that weights stay in cache.
// Dense values are read where they are: no feature of theirs is absent, so there is nothing to renumber.
class Compact {
   public:
    Compact(const Csr& x, const int32_t* instances, int64_t count) {
        std::vector<uint64_t> seen((x.sparse_cols() + 63) / 64, 0);
        ptr_.resize(count + 1, 0);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t row = instances[i];
            for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j) {
                seen[x.indices[j] >> 6] |= uint64_t{1} << (x.indices[j] & 63);
            }
            ptr_[i + 1] = ptr_[i] + x.nnz(row);
        }
        const auto sparse_cols = static_cast<int32_t>(x.sparse_cols());
        std::vector<int32_t> rank(seen.size());
        for (size_t w = 0; w < seen.size(); ++w) {
            rank[w] = static_cast<int32_t>(global_.size());
            for (uint64_t left = seen[w]; left != 0; left &= left - 1) {
                global_.push_back(static_cast<int32_t>(w * 64 + __builtin_ctzll(left)));
            }
        }
        for (int32_t f = 0; f < x.dense_cols; ++f) global_.push_back(sparse_cols + f);
        feature_.resize(ptr_[count]);
        value_.resize(ptr_[count]);
        norm2_.resize(count);
        for (int64_t i = 0; i < count; ++i) {
            const int64_t row = instances[i];
            int64_t to = ptr_[i];
            float norm2 = 0.0f;
            for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j, ++to) {
                const int32_t f = x.indices[j];
                const uint64_t below = seen[f >> 6] & ((uint64_t{1} << (f & 63)) - 1);
                feature_[to] = rank[f >> 6] + static_cast<int32_t>(__builtin_popcountll(below));
                value_[to] = x.data[j];
                norm2 += x.data[j] * x.data[j];
            }
            norm2_[i] = norm2 + dense_norm2(x, row);
        }
        view_ = {count,         static_cast<int64_t>(global_.size()),
                 ptr_.data(),   feature_.data(),
                 value_.data(), norm2_.data(),
                 x.dense,       x.dense_cols,
                 instances};
    }

    // All rows of x as they are: nothing is copied.
    explicit Compact(const Csr& x) {
        norm2_.resize(x.rows);
        for (int64_t i = 0; i < x.rows; ++i) {
            float norm2 = 0.0f;
            for (int64_t j = x.indptr[i]; j < x.indptr[i + 1]; ++j) norm2 += x.data[j] * x.data[j];
            norm2_[i] = norm2 + dense_norm2(x, i);
        }
        view_ = {x.rows, x.cols, x.indptr, x.indices, x.data, norm2_.data(), x.dense, x.dense_cols, nullptr};
    }

    const LocalInstances& view() const { return view_; }
    int32_t global_feature(int64_t local) const {
        return global_.empty() ? static_cast<int32_t>(local) : global_[local];
    }

   private:
    static float dense_norm2(const Csr& x, int64_t row) {
        return inner_product(x.dense_row(row), x.dense_row(row), x.dense_cols);
    }

    std::vector<int64_t> ptr_;
    std::vector<int32_t> feature_, global_;
    std::vector<float> value_, norm2_;
    LocalInstances view_;
};

// What one lane group leaves: rows ascend by local feature; bit l of `lanes` says that lane l has a value.
struct GroupWeights {
    std::vector<int32_t> feature;
    std::vector<uint16_t> lanes;
    std::vector<float> value;
    std::vector<float> bias;
};

struct ThreadSpace {
    SolverSpace solver;
    Scratch<uint16_t> positive;
    Scratch<float> relevance;
    Scratch<uint8_t> touched;
};

struct Task {
    int64_t parent = 0;
    int64_t cost = 0;
};

class Trainer {
   public:
    Trainer(const Csr& x, const Lists& matched, const Lists& positive, const int64_t* child_ptr,
            const LayerOptions& options, Monitor& monitor)
        : x_(x), matched_(matched), positive_(positive), child_ptr_(child_ptr), options_(options), monitor_(monitor),
          spaces_(std::max(1, options.threads)), parents_(matched.count), group_works_(std::max(1, options.threads)) {}

    std::vector<ParentWeights> run() {
        std::vector<Task> tasks = plan();
        int64_t total = 0;
        for (const Task& task : tasks) total += task.cost;
        // A parent that alone is a large share of the level is split over threads by lane groups, the others are
        // taken whole, largest first. Neither changes what a group computes.
        const auto whole = std::stable_partition(tasks.begin(), tasks.end(), [&](const Task& task) {
            return groups(task.parent) > 1 && task.cost * 4 * options_.threads > total;
        });
        const size_t next = whole - tasks.begin();
        for (size_t t = 0; t < next; ++t) train_split(tasks[t]);
        parallel_for(tasks.size() - next, options_.threads, monitor_,
                     [&](int64_t t, int thread) { train_whole(tasks[next + t], thread); });
        return std::move(parents_);
    }

    LayerWork work() const {
        LayerWork sum;
        for (const LayerWork& w : group_works_) {
            sum.visits += w.visits;
            sum.updates += w.updates;
            sum.lines += w.lines;
            sum.unconverged += w.unconverged;
        }
        return sum;
    }

   private:
    int64_t children(int64_t parent) const { return child_ptr_[parent + 1] - child_ptr_[parent]; }

    int64_t groups(int64_t parent) const { return (children(parent) + options_.lanes - 1) / options_.lanes; }

    std::vector<Task> plan() const {
        std::vector<Task> tasks(matched_.count);
        for (int64_t p = 0; p < matched_.count; ++p) {
            int64_t nnz = 0;
            for (int64_t m = matched_.ptr[p]; m < matched_.ptr[p + 1]; ++m) nnz += 4 + x_.size(matched_.indices[m]);
            tasks[p] = {p, nnz * groups(p)};
        }
        std::stable_sort(tasks.begin(), tasks.end(), [](const Task& a, const Task& b) { return a.cost > b.cost; });
        return tasks;
    }

    std::unique_ptr<Compact> instances_of(int64_t parent) const {
        const int32_t* indices = matched_.indices + matched_.ptr[parent];
        const int64_t count = matched_.size(parent);
        const bool all = matched_.count == 1 && count == x_.rows;  // ids ascend, so these are all rows in order
        return all ? std::make_unique<Compact>(x_) : std::make_unique<Compact>(x_, indices, count);
    }

    void train_split(const Task& task) {
        const auto compact = instances_of(task.parent);
        std::vector<GroupWeights> results(groups(task.parent));
        parallel_for(results.size(), options_.threads, monitor_,
                     [&](int64_t g, int thread) { train_group(task.parent, g, *compact, thread, results[g]); });
        merge(task.parent, *compact, results);
        monitor_.done += task.cost;
    }

    void train_whole(const Task& task, int thread) {
        const auto compact = instances_of(task.parent);
        std::vector<GroupWeights> results(groups(task.parent));
        for (size_t g = 0; g < results.size(); ++g) {
            train_group(task.parent, g, *compact, thread, results[g]);
        }
        merge(task.parent, *compact, results);
        monitor_.done += task.cost;
    }

    void train_group(int64_t parent, int64_t group, const Compact& compact, int thread, GroupWeights& result) {
        if (options_.lanes == 8) {
            train_lanes<8>(parent, group, compact, thread, result);
        } else {
            train_lanes<16>(parent, group, compact, thread, result);
        }
    }

    template <int L>
    void train_lanes(int64_t parent, int64_t group, const Compact& compact, int thread, GroupWeights& result) {
        ThreadSpace& space = spaces_[thread];
        const LocalInstances& local = compact.view();
        const int64_t first = child_ptr_[parent] + group * L;
        const int used = static_cast<int>(std::min<int64_t>(L, child_ptr_[parent + 1] - first));
        const int32_t* begin = matched_.indices + matched_.ptr[parent];
        const int32_t* end = matched_.indices + matched_.ptr[parent + 1];

        LaneTargets<L> targets;
        uint16_t* positive = space.positive.reserve(local.count);
        std::fill_n(positive, local.count, uint16_t{0});
        float* relevance = nullptr;
        if (positive_.weight != nullptr) {
            relevance = space.relevance.reserve(local.count * L);
            std::fill_n(relevance, local.count * L, 1.0f);
        }
        for (int l = 0; l < used; ++l) {
            const int32_t* at = begin;
            for (int64_t q = positive_.ptr[first + l]; q < positive_.ptr[first + l + 1]; ++q) {
                at = std::lower_bound(at, end, positive_.indices[q]);
                if (at == end) break;
                if (*at != positive_.indices[q]) continue;
                positive[at - begin] |= static_cast<uint16_t>(1u << l);
                if (relevance != nullptr) relevance[(at - begin) * L + l] = positive_.weight[q];
            }
        }
        targets.positive = positive;
        targets.relevance = relevance;

        float bias[L];
        const uint32_t lanes_in_use = (1u << used) - 1;
        const SolverReport report =
            solve<L>(local, targets, lanes_in_use, options_.solver,
                     Random(options_.seed, options_.first_parent + parent, group), space.solver, monitor_, bias);
        result.bias.assign(bias, bias + used);
        read_out<L>(local, first, used, space, result);

        LayerWork& work = group_works_[thread];
        work.visits += report.visits;
        work.updates += report.updates;
        const int64_t features_per_row = local.count > 0 ? local.ptr[local.count] / local.count + local.dense_cols : 0;
        work.lines += (report.visits + report.updates) * features_per_row;
        work.unconverged += !report.converged;
    }

    // Collects the weights that reach the threshold and leaves the weight memory zero. Only features of instances
    // that ever changed the weights are looked at: most lane groups of rare labels leave most features alone.
    template <int L>
    void read_out(const LocalInstances& local, int64_t first, int used, ThreadSpace& space, GroupWeights& result) {
        uint8_t* touched = space.touched.reserve(local.features);
        bool any = false;
        for (int64_t i = 0; i < local.count; ++i) {
            if (!space.solver.visited.get()[i].updated) continue;
            any = true;
            for (int64_t j = local.ptr[i]; j < local.ptr[i + 1]; ++j) touched[local.feature[j]] = 1;
        }
        if (any) std::fill_n(touched + local.features - local.dense_cols, local.dense_cols, uint8_t{1});
        float limit[L] = {};
        std::copy_n(options_.threshold + first, used, limit);
        const auto threshold = Lanes<L>::load(limit);
        const uint32_t lanes_in_use = (1u << used) - 1;
        const auto zero = Lanes<L>::all(0.0f);
        for (int64_t f = 0; f < local.features; ++f) {
            if (!touched[f]) continue;
            touched[f] = 0;
            float* line = space.solver.weight.get() + f * L;
            const auto weight = Lanes<L>::load(line);
            const auto size = abs(weight);
            uint32_t kept = ((size > threshold) | (size == threshold)).bits() & (weight != zero).bits() & lanes_in_use;
            if (kept != 0) {
                result.feature.push_back(static_cast<int32_t>(f));
                result.lanes.push_back(static_cast<uint16_t>(kept));
                for (; kept != 0; kept &= kept - 1) result.value.push_back(line[__builtin_ctz(kept)]);
            }
            zero.store(line);
        }
    }

    // Puts the groups of a parent side by side in rows of global features.
    void merge(int64_t parent, const Compact& compact, std::vector<GroupWeights>& groups) {
        ParentWeights& out = parents_[parent];
        std::vector<uint32_t> at(compact.view().features, 0);
        size_t entries = 0;
        for (const GroupWeights& group : groups) {
            for (size_t r = 0; r < group.feature.size(); ++r) {
                at[group.feature[r]] += static_cast<uint32_t>(__builtin_popcount(group.lanes[r]));
            }
            entries += group.value.size();
            out.bias.insert(out.bias.end(), group.bias.begin(), group.bias.end());
        }
        uint32_t sum = 0;
        for (int64_t f = 0; f < compact.view().features; ++f) {
            if (at[f] == 0) continue;
            const uint32_t begin = sum;
            sum += at[f];
            out.feature.push_back(compact.global_feature(f));
            out.row_end.push_back(sum);
            at[f] = begin;
        }
        out.child.resize(entries);
        out.value.resize(entries);
        for (size_t g = 0; g < groups.size(); ++g) {
            const float* value = groups[g].value.data();
            for (size_t r = 0; r < groups[g].feature.size(); ++r) {
                uint32_t& to = at[groups[g].feature[r]];
                for (uint32_t left = groups[g].lanes[r]; left != 0; left &= left - 1) {
                    out.child[to] = static_cast<uint32_t>(g * options_.lanes + __builtin_ctz(left));
                    out.value[to++] = *value++;
                }
            }
            groups[g] = GroupWeights();
        }
    }

    const Csr& x_;
    const Lists& matched_;
    const Lists& positive_;
    const int64_t* child_ptr_;
    const LayerOptions& options_;
    Monitor& monitor_;
    std::vector<ThreadSpace> spaces_;
    std::vector<ParentWeights> parents_;
    std::vector<LayerWork> group_works_;
};

}  // namespace

std::vector<ParentWeights> solve_parents(const Csr& x, const Lists& matched, const Lists& positive,
                                         const int64_t* child_ptr, const LayerOptions& options, Monitor& monitor,
                                         LayerWork& work) {
    Trainer trainer(x, matched, positive, child_ptr, options, monitor);
    std::vector<ParentWeights> parents = trainer.run();
    work = trainer.work();
    return parents;
}

}  // namespace ceiba
