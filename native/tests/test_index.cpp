// Nearest rows and their votes against all inner products, on any number of threads.
#include <algorithm>
#include <map>

#include "core/neighbor_votes.hpp"
#include "core/sparse_index.hpp"
#include "tests/harness.hpp"
#include "tests/problem.hpp"

namespace ceiba {
namespace {

using test::close;
using test::make_problem;
using test::Problem;

struct Index {
    explicit Index(const Problem& p) {
        Monitor monitor;
        postings = invert(p.x(), monitor);
        view.matrix = p.x();
        view.postings = {static_cast<int64_t>(postings.step.size()), postings.ptr.data(), postings.rows.data(),
                         postings.weights.data(), postings.step.data()};
        view.norm = largest_norm(view.matrix);
    }
    Postings postings;
    SparseIndex view;
};

float product(const Problem& p, int64_t a, int64_t b) {
    double sum = 0;
    for (int64_t j = p.indptr[a]; j < p.indptr[a + 1]; ++j) {
        sum += static_cast<double>(p.data[j]) * static_cast<double>(p.at(b, p.indices[j]));
    }
    return static_cast<float>(sum);
}

}  // namespace

TEST(nearest_rows_are_exact) {
    const Problem p = make_problem(30, 10, 60);
    const Index index(p);
    for (int threads : {1, 4}) {
        Monitor monitor;
        const FoundRows found = nearest_rows(index.view, p.x(), 7, nullptr, 0.0f, threads, monitor);
        CHECK(static_cast<int64_t>(found.ptr.size()) == p.rows + 1);
        for (int64_t q = 0; q < p.rows; q += 17) {
            std::vector<std::pair<float, int32_t>> all;
            for (int64_t row = 0; row < p.rows; ++row) all.push_back({-product(p, q, row), static_cast<int32_t>(row)});
            std::sort(all.begin(), all.end());
            for (int64_t i = found.ptr[q]; i < found.ptr[q + 1]; ++i) {
                const auto& expected = all[i - found.ptr[q]];
                CHECK(found.rows[i] == expected.second && found.scores[i] == -expected.first);
            }
        }
        std::vector<float> scores(found.rows.size());
        score_rows(index.view.matrix, p.x(), {p.rows, found.ptr.data(), found.rows.data(), nullptr}, threads, monitor,
                   scores.data());
        CHECK(scores == found.scores);
        for (float score : found.scores) test::add_to_digest(score);
    }
}

TEST(a_row_does_not_find_itself) {
    const Problem p = make_problem(20, 10, 60);
    const Index index(p);
    std::vector<int32_t> exclude(p.rows);
    for (int64_t row = 0; row < p.rows; ++row) exclude[row] = static_cast<int32_t>(row);
    for (int threads : {1, 4}) {
        Monitor monitor;
        const FoundRows found = nearest_rows(index.view, p.x(), 5, exclude.data(), 0.1f, threads, monitor);
        for (int64_t q = 0; q < p.rows; ++q) {
            for (int64_t i = found.ptr[q]; i < found.ptr[q + 1]; ++i)
                CHECK(found.rows[i] != q && found.scores[i] >= 0.1f);
        }
    }
}

TEST(votes_are_shares) {
    const Problem p = make_problem(40, 10, 60);  // row r has the labels r mod 40, and r mod 7
    const Index index(p);
    std::vector<int64_t> label_ptr{0};
    std::vector<int32_t> labels;
    for (int32_t row = 0; row < p.rows; ++row) {
        const int32_t a = row % 40, b = row % 7;
        labels.push_back(std::min(a, b));
        if (a != b) labels.push_back(std::max(a, b));
        label_ptr.push_back(static_cast<int64_t>(labels.size()));
    }
    const Lists of_rows{p.rows, label_ptr.data(), labels.data(), nullptr};
    Monitor monitor;
    const FoundRows near = nearest_rows(index.view, p.x(), 15, nullptr, 0.0f, 2, monitor);
    const Lists neighbors{p.rows, near.ptr.data(), near.rows.data(), near.scores.data()};
    FoundRows first;
    for (int threads : {1, 4}) {
        const FoundRows found = rank_votes(neighbors, of_rows, 2.0, 6, threads, monitor);
        std::vector<float> scores(found.rows.size());
        score_votes(neighbors, of_rows, 2.0, {p.rows, found.ptr.data(), found.rows.data(), nullptr}, threads, monitor,
                    scores.data());
        CHECK(scores == found.scores);
        for (int64_t q = 0; q < p.rows; q += 23) {
            std::map<int32_t, double> votes;
            double total = 0;
            for (int64_t i = near.ptr[q]; i < near.ptr[q + 1]; ++i) {
                const double weight = std::pow(near.scores[i], 2.0);
                total += weight;
                for (int64_t j = label_ptr[near.rows[i]]; j < label_ptr[near.rows[i] + 1]; ++j)
                    votes[labels[j]] += weight;
            }
            for (int64_t i = found.ptr[q]; i < found.ptr[q + 1]; ++i) {
                CHECK(close(found.scores[i], votes[found.rows[i]] / total, 1e-6));
                CHECK(i == found.ptr[q] || found.scores[i - 1] >= found.scores[i]);
            }
        }
        if (threads == 1) first = found;
        CHECK(found.rows == first.rows && found.scores == first.scores && found.ptr == first.ptr);
    }
}

TEST(merged_columns_are_added_up) {
    const int64_t indptr[] = {0, 3, 3, 4};
    const int32_t indices[] = {0, 1, 3, 2}, merged[] = {1, 0, 4, 1};
    const float data[] = {1, 4, 2, -7};
    const MergedRows rows = merge_columns({3, 4, indptr, indices, data}, merged);
    CHECK(rows.indptr == (std::vector<int64_t>{0, 2, 2, 3}) && rows.indices == (std::vector<int32_t>{0, 1, 4}));
    CHECK(rows.data == (std::vector<float>{0.8f, 0.6f, -1.0f}));
}

}  // namespace ceiba
