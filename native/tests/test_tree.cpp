// Label embeddings, clusters, lists and loops.
#include <algorithm>
#include <atomic>
#include <numeric>
#include <set>

#include "core/cluster.hpp"
#include "core/coarsen.hpp"
#include "core/embed.hpp"
#include "core/inner_products.hpp"
#include "core/overlap.hpp"
#include "core/parallel.hpp"
#include "tests/harness.hpp"
#include "tests/problem.hpp"

namespace ceiba {
namespace {

using test::close;
using test::make_problem;
using test::Problem;

}  // namespace

TEST(label_embeddings_are_sums_of_length_one) {
    const Problem p = make_problem(12, 5, 50);
    Monitor monitor;
    const CsrArrays z = pifa(p.x(), p.positives(), 0, 2, monitor);
    CHECK(static_cast<int64_t>(z.indptr.size()) == p.labels + 1);
    for (int64_t label = 0; label < p.labels; ++label) {
        std::vector<double> sum(p.features, 0.0);
        for (int64_t n = 0; n < 5; ++n) {
            for (int64_t f = 0; f < p.features; ++f) sum[f] += p.at(label + n * p.labels, f);
        }
        double length = 0;
        for (double part : sum) length += part * part;
        length = std::sqrt(length);
        for (int64_t j = z.indptr[label]; j < z.indptr[label + 1]; ++j)
            CHECK(close(z.data[j], sum[z.indices[j]] / length, 1e-5));
    }
    const CsrArrays few = pifa(p.x(), p.positives(), 3, 1, monitor);
    for (int64_t label = 0; label < p.labels; ++label) CHECK(few.indptr[label + 1] - few.indptr[label] <= 3);
}

TEST(clusters_hold_what_lies_together) {  // four groups of eight labels, far from one another
    const int64_t labels = 32, cols = 6;
    std::vector<float> z(labels * cols);
    Random random(3, 0);
    for (int64_t l = 0; l < labels; ++l) {
        double length = 0;
        for (int64_t c = 0; c < cols; ++c) {
            z[l * cols + c] = (c == l % 4 ? 1.0f : 0.0f) + static_cast<float>(random.below(100)) / 1000;
            length += z[l * cols + c] * z[l * cols + c];
        }
        for (int64_t c = 0; c < cols; ++c) z[l * cols + c] /= static_cast<float>(std::sqrt(length));
    }
    Embeddings embeddings;
    embeddings.sparse.rows = labels;
    embeddings.sparse.cols = cols;
    embeddings.dense = z.data();
    const std::vector<std::vector<int64_t>> levels = {{0, 4}, {0, 8, 16, 24, 32}};
    std::vector<int32_t> first;
    for (int threads : {1, 4}) {
        Monitor monitor;
        ClusterOptions options;
        options.threads = threads;
        const std::vector<int32_t> order = cluster(embeddings, levels, options, monitor);
        CHECK(std::set<int32_t>(order.begin(), order.end()).size() == static_cast<size_t>(labels));
        for (int64_t place = 0; place < labels; ++place) CHECK(order[place] % 4 == order[place / 8 * 8] % 4);
        if (first.empty()) first = order;
        CHECK(order == first);
    }
}

TEST(parents_have_the_instances_of_their_children) {
    const int64_t ptr[] = {0, 2, 4, 5}, child_ptr[] = {0, 2, 3};
    const int32_t indices[] = {0, 3, 1, 3, 2};
    const float weight[] = {1, 2, 3, 4, 5};
    Monitor monitor;
    const ListArrays found = coarsen({3, ptr, indices, weight}, child_ptr, 2, 2, monitor);
    CHECK(found.ptr == (std::vector<int64_t>{0, 3, 4}));
    CHECK(found.indices == (std::vector<int32_t>{0, 1, 3, 2}));
    CHECK(found.weight == (std::vector<float>{1, 3, 6, 5}));
}

TEST(inner_products_are_sums) {
    const int64_t cols = 37;
    std::vector<float> left(3 * cols), right(5 * cols);
    Random random(9, 0);
    for (auto& value : left) value = static_cast<float>(random.below(2000)) / 1000 - 1;
    for (auto& value : right) value = static_cast<float>(random.below(2000)) / 1000 - 1;
    const int64_t ptr[] = {0, 2, 2, 5};
    const int32_t indices[] = {0, 4, 1, 2, 3};
    float products[5];
    Monitor monitor;
    inner_products(left.data(), right.data(), cols, {3, ptr, indices, nullptr}, 2, monitor, products);
    for (int64_t i = 0; i < 3; ++i) {
        for (int64_t q = ptr[i]; q < ptr[i + 1]; ++q) {
            double sum = 0;
            for (int64_t c = 0; c < cols; ++c) sum += double{left[i * cols + c]} * right[indices[q] * cols + c];
            CHECK(close(products[q], sum, 1e-5));
        }
    }
}

TEST(a_loop_does_every_task_once_and_hands_errors_on) {
    for (int threads : {1, 2, 7}) {
        std::vector<std::atomic<int>> done(1000);
        Monitor monitor;
        parallel_for(1000, threads, monitor, [&](int64_t task, int) { ++done[task]; });
        for (const auto& times : done) CHECK(times == 1);
        bool thrown = false;
        try {
            parallel_for(100, threads, monitor, [&](int64_t task, int) {
                if (task == 50) throw std::invalid_argument("fifty");
            });
        } catch (const std::invalid_argument&) {
            thrown = true;
        }
        CHECK(thrown);
    }
    Monitor stopped;
    stopped.stop = true;
    bool thrown = false;
    try {
        parallel_for(10, 2, stopped, [](int64_t, int) {});
    } catch (const Stopped&) {
        thrown = true;
    }
    CHECK(thrown);
}

}  // namespace ceiba
