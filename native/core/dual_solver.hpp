// Lane-batched dual coordinate descent: one linear classifier per lane, all lanes on the same instances.
//
// The dual coordinate descent of Hsieh et al. (ICML 2008, "A Dual Coordinate Descent Method for Large-scale Linear
// SVM") for L siblings at once (../../ARCHITECTURE.md, "The solver"). Weights are feature-major, so a stored feature of
// an instance costs one line of L weights, and margin, gradient and step are the same instructions for every lane.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "core/dense_block.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "core/simd.hpp"
#include "core/workspace.hpp"

namespace ceiba {

enum class Loss : int { squared_hinge = 0, hinge = 1, logistic = 2 };
inline constexpr const char* kLossNames[] = {"squared_hinge", "hinge", "logistic"};  // by number

struct SolverOptions {
    Loss loss = Loss::squared_hinge;
    float cost_positive = 1.0f;  // C times the cost of a positive
    float cost_negative = 1.0f;
    float bias = 1.0f;  // value of the constant feature; 0 leaves it out
    float tolerance = 0.1f;
    int max_passes = 100;
};

// The instances of one parent: rows of `feature`/`value`, the dense values of each, whose features are the last ones, and
// the squared norm of each without the bias.
struct LocalInstances {
    int64_t count = 0;
    int64_t features = 0;
    const int64_t* ptr = nullptr;
    const int32_t* feature = nullptr;
    const float* value = nullptr;
    const float* norm2 = nullptr;
    const float* dense = nullptr;  // rows of all instances
    int64_t dense_cols = 0;
    const int32_t* row = nullptr;  // of each instance in `dense`; null where instance i's is row i

    const float* dense_row(int64_t i) const { return dense + dense_cols * (row == nullptr ? i : row[i]); }
    float* dense_weight(float* weight, int lanes) const { return weight + lanes * (features - dense_cols); }
};

// What the lanes learn: for instance i, bit l of positive[i] says whether it is a positive of lane l. `relevance`
// (count x L, or null) multiplies the cost of an instance in a lane.
template <int L>
struct LaneTargets {
    const uint16_t* positive = nullptr;
    const float* relevance = nullptr;
};

// An instance whose violation is below this share of the tolerance in every lane is put aside, whatever its alpha, until
// the next pass over all instances; the stopping rule is checked on such a pass only. LIBLINEAR puts aside instances at a
// bound alone, but with a bias most negatives of a rare label hold a tiny alpha and would be visited in every pass.
inline constexpr float kShrinkingRatio = 0.3f;

// What a visit needs to know of an instance, in one place, since visits are in random order.
struct Visited {
    int64_t begin;
    int32_t length;
    float norm2;
    uint16_t positive;
    uint8_t updated;  // whether it ever changed the weights
};

// One thread's memory. `weight` (features x L) is all zero between groups: who reads it out clears it.
struct SolverSpace {
    Scratch<float> weight;
    Scratch<float> alpha;
    Scratch<float> diagonal;
    Scratch<uint32_t> order;
    Scratch<Visited> visited;
};

struct SolverReport {
    int64_t visits = 0;   // instance visits, the unit of the solver's work
    int64_t updates = 0;  // visits that changed weights
    int passes = 0;
    bool converged = false;
};

// Margin of an instance in every lane, without the bias. The sums are kept apart because one would wait for the other.
template <int L>
inline Lanes<L> margin(const LocalInstances& x, int64_t begin, int64_t end, const float* weight) {
    Lanes<L> a = Lanes<L>::all(0.0f), b = a, c = a, d = a;
    auto term = [&](int64_t j) { return Lanes<L>::load(weight + int64_t{L} * x.feature[j]) * x.value[j]; };
    int64_t j = begin;
    for (; j + 3 < end; j += 4) {
        a = a + term(j);
        b = b + term(j + 1);
        c = c + term(j + 2);
        d = d + term(j + 3);
    }
    for (; j < end; ++j) a = a + term(j);
    return (a + b) + (c + d);
}

template <int L>
inline void add_instance(const LocalInstances& x, int64_t begin, int64_t end, float* weight, const Lanes<L>& step) {
    for (int64_t j = begin; j < end; ++j) {
        float* line = weight + int64_t{L} * x.feature[j];
        (Lanes<L>::load(line) + step * x.value[j]).store(line);
    }
}

// The dense parts of the instances that are visited one after the other: their margins as each visit finds them, and
// their steps, which reach the weights together at the end.
template <int L>
class DenseVisits {
   public:
    static constexpr int kMost = kDenseBlock<L>;

    DenseVisits(const LocalInstances& x, float* weight) : x_(x), weight_(x.dense_weight(weight, L)) {}

    void start(const uint32_t* instances, int count) {
        for (int b = 0; b < kMost; ++b) rows_[b] = x_.dense_row(instances[b < count ? b : 0]);
        dense_margins<L, kMost>(rows_, x_.dense_cols, weight_, margins_);
        changes_ = 0;
    }
    Lanes<L> margin(int b) const {
        Lanes<L> sum = margins_[b];
        for (int c = 0; c < changes_; ++c) sum = sum + steps_[c] * inner_product(changed_[c], rows_[b], x_.dense_cols);
        return sum;
    }
    void step(int b, const Lanes<L>& step) {
        changed_[changes_] = rows_[b];
        steps_[changes_++] = step;
    }
    void finish() { add_dense<L>(changes_, changed_.data(), x_.dense_cols, steps_.data(), weight_); }

    void prefetch(uint32_t instance) const {
        const float* row = x_.dense_row(instance);
        for (int64_t j = 0; j < x_.dense_cols; j += 16) __builtin_prefetch(row + j);
    }

   private:
    const LocalInstances& x_;
    float* weight_;
    std::array<const float*, kMost> rows_, changed_;
    std::array<Lanes<L>, kMost> margins_, steps_;
    int changes_ = 0;
};

// Squared hinge and hinge. Leaves the weights in space.weight and the bias weights in bias_out[L].
template <int L, bool dense>
SolverReport solve_hinge(const LocalInstances& x, const LaneTargets<L>& targets, uint32_t lanes_in_use,
                         const SolverOptions& options, Random random, SolverSpace& space, const Monitor& monitor,
                         float* bias_out) {
    using F = Lanes<L>;
    using M = MaskLanes<L>;
    const float infinity = std::numeric_limits<float>::infinity();
    const bool squared = options.loss == Loss::squared_hinge;
    const F zero = F::all(0.0f), one = F::all(1.0f), minus_one = F::all(-1.0f);
    const float bias_value = options.bias;

    float* weight = space.weight.reserve(x.features * L);
    float* alpha = space.alpha.reserve(x.count * L);
    uint32_t* order = space.order.reserve(x.count);
    Visited* visited = space.visited.reserve(x.count);
    std::fill_n(alpha, x.count * L, 0.0f);
    std::iota(order, order + x.count, 0u);
    for (int64_t i = 0; i < x.count; ++i) {
        const auto length = static_cast<int32_t>(x.ptr[i + 1] - x.ptr[i]);
        visited[i] = {x.ptr[i], length, x.norm2[i] + options.bias * options.bias, targets.positive[i], 0};
    }

    // diagonal of the dual's Hessian beyond x'x, and upper bound of alpha, for positives and negatives
    const F diagonal_positive = F::all(squared ? 0.5f / options.cost_positive : 0.0f);
    const F diagonal_negative = F::all(squared ? 0.5f / options.cost_negative : 0.0f);
    const F upper_positive = F::all(squared ? infinity : options.cost_positive);
    const F upper_negative = F::all(squared ? infinity : options.cost_negative);

    SolverReport report;
    F bias = zero;
    M live = M::from_bits(lanes_in_use);
    const F settled = F::all(kShrinkingRatio * options.tolerance);
    const F tolerance = F::all(options.tolerance);
    int64_t active = x.count;
    constexpr int kBlock = dense ? DenseVisits<L>::kMost : 1;
    DenseVisits<L> dense_part(x, weight);

    while (report.passes < options.max_passes) {
        monitor.check();
        const bool full_pass = active == x.count;
        F highest = F::all(-infinity), lowest = F::all(infinity);
        random.shuffle(order, static_cast<uint32_t>(active));
        for (int64_t s = 0; s < active;) {
            const int block = static_cast<int>(std::min<int64_t>(kBlock, active - s));
            if constexpr (dense) {
                dense_part.start(order + s, block);
                for (int64_t b = s + kBlock; b < std::min(s + 2 * kBlock, active); ++b) dense_part.prefetch(order[b]);
            }
            int kept = 0;
            for (int b = 0; b < block; ++b) {
                const int64_t at = s + b;
                if ((at & 0xffff) == 0xffff) monitor.check();
                const uint32_t i = order[at];
                // three steps ahead of the visit: where the row is, the row, the weights of its features
                if (at + 12 < active) {
                    __builtin_prefetch(visited + order[at + 12]);
                    const Visited& row = visited[order[at + 6]];
                    for (int64_t j = row.begin; j < row.begin + row.length; j += 16) {
                        __builtin_prefetch(x.feature + j);
                        __builtin_prefetch(x.value + j);
                    }
                    __builtin_prefetch(alpha + int64_t{L} * order[at + 6]);
                    const Visited& next = visited[order[at + 2]];
                    for (int64_t j = next.begin; j < next.begin + next.length; ++j) {
                        __builtin_prefetch(weight + int64_t{L} * x.feature[j]);
                    }
                }
                Visited& instance = visited[i];
                const int64_t begin = instance.begin, end = begin + instance.length;
                ++report.visits;

                const M positive = M::from_bits(instance.positive);
                const F sign = select(positive, one, minus_one);
                F diagonal = select(positive, diagonal_positive, diagonal_negative);
                F upper = select(positive, upper_positive, upper_negative);
                if (targets.relevance != nullptr) {
                    const F relevance = F::load(targets.relevance + int64_t{L} * i);
                    if (squared) {
                        for (int p = 0; p < F::kParts; ++p) diagonal.part[p] /= relevance.part[p];
                    } else {
                        upper = upper * relevance;
                    }
                }
                const F a = F::load(alpha + int64_t{L} * i);
                F score = margin<L>(x, begin, end, weight) + bias * bias_value;
                if constexpr (dense) score = score + dense_part.margin(b);
                const F gradient = score * sign - one + diagonal * a;

                const M at_zero = a == zero;
                const M at_upper = (a > upper) | (a == upper);
                F projected = select(at_zero, min(gradient, zero), gradient);
                projected = select(at_upper, max(gradient, zero), projected);
                projected = select(live, projected, zero);
                highest = max(highest, projected);
                lowest = min(lowest, projected);
                const bool settles = (abs(projected) > settled).bits() == 0;
                if (!settles || report.passes == 0) {  // those to be put aside stand behind the others of the block
                    if constexpr (dense) std::swap(order[s + kept], order[at]);
                    ++kept;
                }
                if (settles) continue;

                F next = zero;
                for (int p = 0; p < F::kParts; ++p) {
                    next.part[p] = a.part[p] - projected.part[p] / (instance.norm2 + diagonal.part[p]);
                }
                next = min(max(next, zero), upper);
                const F step = (next - a) * sign;
                next.store(alpha + int64_t{L} * i);
                bias = bias + step * bias_value;
                add_instance<L>(x, begin, end, weight, step);
                if constexpr (dense) dense_part.step(b, step);
                instance.updated = 1;
                ++report.updates;
            }
            if constexpr (dense) dense_part.finish();
            for (int b = block; b > kept; --b) std::swap(order[s + b - 1], order[--active]);
            s += kept;
        }
        ++report.passes;

        const F gap = highest - lowest;
        const M closed = (gap < tolerance) | (gap == tolerance) | (highest < lowest);
        const uint32_t open = live.bits() & ~closed.bits();
        if (full_pass) {  // a lane that is optimal over all its instances stays as it is
            live = M::from_bits(open);
            if (open == 0) {
                report.converged = true;
                break;
            }
        }
        if (open == 0) {
            active = x.count;
        }
    }
    (bias * bias_value).store(bias_out);
    return report;
}

// Logistic loss. Alpha = cost * sigmoid(u) with u unbounded, so that each coordinate's optimality condition
// norm2 * (alpha - alpha_before) + margin + u = 0 is a monotone equation in u with slope >= 1, which Newton's
// method solves in a few steps without leaving alpha's open interval. The dual is that of Yu, Huang and Lin
// (Machine Learning 2011, "Dual coordinate descent methods for logistic regression and maximum entropy models").
template <int L>
SolverReport solve_logistic(const LocalInstances& x, const LaneTargets<L>& targets, uint32_t lanes_in_use,
                            const SolverOptions& options, Random random, SolverSpace& space, const Monitor& monitor,
                            float* bias_out) {
    using F = Lanes<L>;
    constexpr float kFirst = -6.0f;  // alpha starts small but inside its interval
    float* weight = space.weight.reserve(x.features * L);
    float* logit = space.alpha.reserve(x.count * L);
    uint32_t* order = space.order.reserve(x.count);
    Visited* visited = space.visited.reserve(x.count);
    std::fill_n(logit, x.count * L, kFirst);
    for (int64_t i = 0; i < x.count; ++i) visited[i].updated = 1;
    std::iota(order, order + x.count, 0u);

    auto sigmoid = [](float u) { return 1.0f / (1.0f + std::exp(-u)); };
    auto cost_of = [&](int64_t i, int l) {
        const float base = (targets.positive[i] >> l) & 1 ? options.cost_positive : options.cost_negative;
        return targets.relevance == nullptr ? base : base * targets.relevance[i * L + l];
    };
    float* dense_weight = x.dense_weight(weight, L);
    auto dense_margin = [&](int64_t i) {
        std::array<F, 1> sum;
        dense_margins<L, 1>({x.dense_row(i)}, x.dense_cols, dense_weight, sum);
        return sum[0];
    };
    auto add_dense_row = [&](int64_t i, const F& step) {
        const float* row = x.dense_row(i);
        add_dense<L, 1>(&row, x.dense_cols, &step, dense_weight);
    };
    F bias = F::all(0.0f);
    for (int64_t i = 0; i < x.count; ++i) {
        F step;
        float lane[L];
        for (int l = 0; l < L; ++l) {
            const bool used = (lanes_in_use >> l) & 1;
            lane[l] = used ? cost_of(i, l) * sigmoid(kFirst) * ((targets.positive[i] >> l) & 1 ? 1.0f : -1.0f) : 0.0f;
        }
        step = F::load(lane);
        bias = bias + step * options.bias;
        add_instance<L>(x, x.ptr[i], x.ptr[i + 1], weight, step);
        add_dense_row(i, step);
    }

    SolverReport report;
    while (report.passes < options.max_passes) {
        float worst = 0.0f;
        random.shuffle(order, static_cast<uint32_t>(x.count));
        for (int64_t s = 0; s < x.count; ++s) {
            if ((s & 0xfff) == 0) monitor.check();
            const uint32_t i = order[s];
            const int64_t begin = x.ptr[i], end = x.ptr[i + 1];
            ++report.visits;
            float score[L], step[L];
            (margin<L>(x, begin, end, weight) + dense_margin(i) + bias * options.bias).store(score);
            const float norm2 = x.norm2[i] + options.bias * options.bias;
            bool changed = false;
            for (int l = 0; l < L; ++l) {
                step[l] = 0.0f;
                if (!((lanes_in_use >> l) & 1)) continue;
                const float sign = (targets.positive[i] >> l) & 1 ? 1.0f : -1.0f;
                const float cost = cost_of(i, l);
                float& u = logit[int64_t{i} * L + l];
                const float before = cost * sigmoid(u);
                float residual = sign * score[l] + u;
                worst = std::max(worst, std::abs(residual));
                if (std::abs(residual) < 0.01f * options.tolerance) continue;
                // The root lies where the margin that alpha's range allows puts it; a Newton step that leaves what is
                // left of that bracket is halved instead, for far from the root the steps may cycle.
                float low = -sign * score[l] - norm2 * (cost - before), high = -sign * score[l] + norm2 * before;
                float alpha = before;
                for (int k = 0; k < 40; ++k) {
                    (residual > 0 ? high : low) = u;
                    const float slope = 1.0f + norm2 * alpha * (1.0f - alpha / cost);
                    u -= residual / slope;
                    if (!(u > low && u < high)) u = 0.5f * (low + high);
                    alpha = cost * sigmoid(u);
                    residual = norm2 * (alpha - before) + sign * score[l] + u;
                    if (std::abs(residual) < 1e-3f * options.tolerance) break;
                }
                step[l] = sign * (alpha - before);
                changed = true;
            }
            if (!changed) continue;
            const F delta = F::load(step);
            bias = bias + delta * options.bias;
            add_instance<L>(x, begin, end, weight, delta);
            add_dense_row(i, delta);
            ++report.updates;
        }
        ++report.passes;
        if (worst <= options.tolerance) {
            report.converged = true;
            break;
        }
    }
    (bias * options.bias).store(bias_out);
    return report;
}

template <int L>
SolverReport solve(const LocalInstances& x, const LaneTargets<L>& targets, uint32_t lanes_in_use,
                   const SolverOptions& options, Random random, SolverSpace& space, const Monitor& monitor,
                   float* bias_out) {
    if (options.loss == Loss::logistic) {
        return solve_logistic<L>(x, targets, lanes_in_use, options, random, space, monitor, bias_out);
    }
    const auto solver = x.dense_cols > 0 ? solve_hinge<L, true> : solve_hinge<L, false>;
    return solver(x, targets, lanes_in_use, options, random, space, monitor, bias_out);
}

}  // namespace ceiba
