// The solver: at a tight tolerance the gradient of the primal objective vanishes, whatever the lanes and the threads.
#include <numeric>

#include "core/layer_trainer.hpp"
#include "tests/harness.hpp"
#include "tests/problem.hpp"

namespace ceiba {
namespace {

using test::close;
using test::make_problem;
using test::Problem;

std::vector<ParentWeights> train(const Problem& p, const LayerOptions& given) {
    std::vector<int32_t> all(p.rows);
    std::iota(all.begin(), all.end(), 0);
    const int64_t matched_ptr[] = {0, p.rows}, child_ptr[] = {0, p.labels};
    const std::vector<float> threshold(p.labels, 0.0f);
    LayerOptions options = given;
    options.threshold = threshold.data();
    Monitor monitor;
    LayerWork work;
    std::vector<ParentWeights> found =
        solve_parents(p.x(), {1, matched_ptr, all.data(), nullptr}, p.positives(), child_ptr, options, monitor, work);
    for (float value : found[0].value) test::add_to_digest(value);
    return found;
}

// Weights of one child by feature, the bias last.
std::vector<double> weights_of(const Problem& p, const ParentWeights& w, uint32_t child) {
    std::vector<double> dense(p.features + 1, 0.0);
    for (size_t r = 0, e = 0; r < w.feature.size(); ++r) {
        for (; e < w.row_end[r]; ++e) {
            if (w.child[e] == child) dense[w.feature[r]] = w.value[e];
        }
    }
    dense[p.features] = w.bias[child];
    return dense;
}

// The largest part of the gradient of |w|^2 / 2 + sum of cost * loss(y w.x).
double gradient(const Problem& p, const std::vector<double>& w, int64_t child, const SolverOptions& s) {
    std::vector<double> g = w;
    for (int64_t i = 0; i < p.rows; ++i) {
        const double y = i % p.labels == child ? 1 : -1, cost = y > 0 ? s.cost_positive : s.cost_negative;
        double margin = w[p.features] * s.bias;
        for (int64_t f = 0; f < p.features; ++f) margin += w[f] * p.at(i, f);
        const double slope = s.loss == Loss::logistic ? -cost * y / (1 + std::exp(y * margin))
                                                      : -2 * cost * y * std::max(0.0, 1 - y * margin);
        for (int64_t f = 0; f < p.features; ++f) g[f] += slope * p.at(i, f);
        g[p.features] += slope * s.bias;
    }
    double largest = 0;
    for (double part : g) largest = std::max(largest, std::abs(part));
    return largest;
}

void check_optimum(Loss loss, int64_t dense_cols) {
    const Problem p = make_problem(19, 4, 40, dense_cols);
    LayerOptions options;
    options.solver = {loss, 1.5f, 0.5f, 1.0f, 1e-4f, 20000};
    for (int lanes : {8, 16}) {
        options.lanes = lanes;
        const ParentWeights w = train(p, options)[0];
        CHECK(static_cast<int64_t>(w.bias.size()) == p.labels);
        for (int64_t child = 0; child < p.labels; ++child) {
            CHECK(gradient(p, weights_of(p, w, static_cast<uint32_t>(child)), child, options.solver) < 2e-3);
        }
    }
}

}  // namespace

TEST(squared_hinge_reaches_the_optimum) { check_optimum(Loss::squared_hinge, 0); }
TEST(logistic_loss_reaches_the_optimum) { check_optimum(Loss::logistic, 0); }
TEST(dense_features_reach_the_optimum) { check_optimum(Loss::squared_hinge, 7); }

TEST(hinge_separates_what_can_be_separated) {
    const Problem p = make_problem(10, 6, 200);
    LayerOptions options;
    options.solver = {Loss::hinge, 10.0f, 10.0f, 1.0f, 1e-3f, 5000};
    const ParentWeights w = train(p, options)[0];
    for (uint32_t child = 0; child < 10; ++child) {
        const auto dense = weights_of(p, w, child);
        for (int64_t i = 0; i < p.rows; ++i) {
            double margin = dense[p.features];
            for (int64_t f = 0; f < p.features; ++f) margin += dense[f] * p.at(i, f);
            CHECK((i % p.labels == child) == (margin > 0));
        }
    }
}

TEST(threads_do_not_change_the_weights) {
    const Problem p = make_problem(40, 5, 100);
    LayerOptions options;
    const ParentWeights one = train(p, options)[0];
    options.threads = 4;
    const ParentWeights four = train(p, options)[0];
    CHECK(one.feature == four.feature && one.child == four.child && one.value == four.value && one.bias == four.bias);
}

}  // namespace ceiba
