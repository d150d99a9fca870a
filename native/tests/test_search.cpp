// Search over chunked weights against the weights as they were before they were packed, margin by margin.
#include <map>
#include <memory>
#include <numeric>

#include "core/searcher.hpp"
#include "core/weights.hpp"
#include "tests/harness.hpp"
#include "tests/problem.hpp"

namespace ceiba {
namespace {

using test::close;
using test::make_problem;
using test::Problem;

// Two levels of random weights: clusters, then labels.
struct Model {
    int64_t features, labels;
    std::vector<std::vector<int64_t>> child_ptr;
    std::vector<std::map<std::pair<int64_t, int32_t>, float>> weight;  // (node, feature) to value, per level
    std::vector<std::vector<float>> bias;
    std::vector<LayerArrays> arrays;
    std::vector<int32_t> slot_label;
    std::unique_ptr<Searcher> searcher;
};

float rounded(float value, ValueType type, float scale) {
    if (type == ValueType::float16) return half_to_float(float_to_half(value));
    if (type == ValueType::float8) return Float8(scale).decode(Float8(scale).encode(value));
    return value;
}

// `shares` of the children have a weight on a feature, one of them drawn per row: lists, bits and full rows occur.
Model make_model(int64_t features, int64_t clusters, int64_t per_cluster, ValueType type) {
    Model m;
    m.features = features;
    m.labels = clusters * per_cluster;
    m.child_ptr = {{0, clusters}, {0}};
    for (int64_t c = 1; c <= clusters; ++c) m.child_ptr[1].push_back(c * per_cluster);
    m.slot_label.resize(m.labels);
    for (int64_t s = 0; s < m.labels; ++s) m.slot_label[s] = static_cast<int32_t>((s * 7 + 3) % m.labels);
    std::vector<TreeView> trees(1);
    for (size_t level = 0; level < 2; ++level) {
        Random random(5, level);
        const auto& ptr = m.child_ptr[level];
        std::vector<ParentWeights> parents(ptr.size() - 1);
        m.weight.emplace_back();
        m.bias.emplace_back();
        for (size_t p = 0; p < parents.size(); ++p) {
            for (int64_t f = 0; f < features; ++f) {
                if (random.below(3) == 0) continue;
                const uint32_t share = 1 + random.below(4);
                const size_t before = parents[p].child.size();
                for (int64_t c = 0; c < ptr[p + 1] - ptr[p]; ++c) {
                    if (random.below(4) >= share) continue;
                    parents[p].child.push_back(static_cast<uint32_t>(c));
                    parents[p].value.push_back(static_cast<float>(random.below(2001)) / 1000 - 1.0005f);
                    m.weight[level][{ptr[p] + c, static_cast<int32_t>(f)}] = parents[p].value.back();
                }
                if (parents[p].child.size() == before) continue;
                parents[p].feature.push_back(static_cast<int32_t>(f));
                parents[p].row_end.push_back(static_cast<uint32_t>(parents[p].child.size()));
            }
            for (int64_t c = 0; c < ptr[p + 1] - ptr[p]; ++c) {
                parents[p].bias.push_back(static_cast<float>(random.below(1000)) / 1000 - 0.5f);
            }
            m.bias.back().insert(m.bias.back().end(), parents[p].bias.begin(), parents[p].bias.end());
        }
        Monitor monitor;
        m.arrays.push_back(pack(parents, features, type, 2, monitor));
        for (auto& [key, value] : m.weight[level]) {
            size_t p = 0;
            while (ptr[p + 1] <= key.first) ++p;
            value = rounded(value, type, m.arrays[level].scale[p]);
        }
    }
    for (size_t level = 0; level < 2; ++level) {
        const LayerArrays& a = m.arrays[level];
        LayerView v;
        v.parents = static_cast<int64_t>(m.child_ptr[level].size()) - 1;
        v.children = static_cast<int64_t>(a.bias.size());
        v.features = features;
        v.child_ptr = m.child_ptr[level].data();
        v.chunk_row = a.chunk_row.data();
        v.chunk_byte = a.chunk_byte.data();
        v.chunk_bucket = a.chunk_bucket.data();
        v.shift = a.shift.data();
        v.bucket = a.bucket.data();
        v.stream = a.stream.data();
        v.bias = a.bias.data();
        v.scale = a.scale.data();
        v.value_type = a.value_type;
        v.buckets_length = static_cast<int64_t>(a.bucket.size());
        v.stream_length = static_cast<int64_t>(a.stream.size());
        trees[0].layers.push_back(v);
    }
    trees[0].slot_label = m.slot_label.data();
    trees[0].slots = m.labels;
    m.searcher = std::make_unique<Searcher>(std::move(trees), m.labels);
    return m;
}

double log_score(Combine combine, double margin) {
    if (combine == Combine::sigmoid) return -std::log1p(std::exp(-margin));
    const double h = std::max(0.0, 1 - margin);
    return combine == Combine::l1_hinge ? -h : combine == Combine::l2_hinge ? -h * h : -h * h * h;
}

double margin_of(const Model& m, size_t level, int64_t node, const Problem& p, int64_t row) {
    double sum = m.bias[level][node];
    for (int64_t j = p.indptr[row]; j < p.indptr[row + 1]; ++j) {
        const auto found = m.weight[level].find({node, p.indices[j]});
        if (found != m.weight[level].end()) sum += double{found->second} * p.data[j];
    }
    return sum;
}

// Every label's score by the plain definition.
std::vector<double> plain_scores(const Model& m, const Problem& p, int64_t row, Combine combine, int64_t per_cluster) {
    std::vector<double> scores(m.labels);
    for (int64_t slot = 0; slot < m.labels; ++slot) {
        scores[m.slot_label[slot]] = log_score(combine, margin_of(m, 0, slot / per_cluster, p, row)) +
                                     log_score(combine, margin_of(m, 1, slot, p, row));
    }
    return scores;
}

// The hits of all rows, and where each row's begin.
struct Ranked {
    std::vector<int64_t> row_ptr{0};
    std::vector<Hit> hits;
};

Ranked top_k(const Searcher& searcher, const Csr& x, const SearchOptions& options, const LabelFilter& filter = {}) {
    Monitor monitor;
    Ranked found;
    for (const RankedRows& block : searcher.top_k(x, options, filter, monitor)) {
        for (int64_t size : block.sizes) found.row_ptr.push_back(found.row_ptr.back() + size);
        found.hits.insert(found.hits.end(), block.hits.begin(), block.hits.end());
    }
    return found;
}

void check_model(int64_t features, int64_t clusters, int64_t per_cluster, ValueType type, Combine combine) {
    const Model m = make_model(features, clusters, per_cluster, type);
    const Problem p = make_problem(10, 4, features);
    const SearchOptions options{clusters, 0, combine, 2};
    Monitor monitor;
    const auto [row_ptr, hits] = top_k(*m.searcher, p.x(), options);
    CHECK(static_cast<int64_t>(row_ptr.size()) == p.rows + 1);
    for (const Hit& hit : hits) test::add_to_digest(hit);
    for (int64_t row = 0; row < p.rows; ++row) {
        const auto expected = plain_scores(m, p, row, combine, per_cluster);
        CHECK(row_ptr[row + 1] - row_ptr[row] == m.labels);
        for (int64_t h = row_ptr[row]; h < row_ptr[row + 1]; ++h) {
            CHECK(close(hits[h].score, expected[hits[h].id], 2e-4));
            if (h > row_ptr[row]) CHECK(Better{}(hits[h - 1], hits[h]));
        }
        // one row alone is the batch's, bit for bit
        Csr single = p.x();
        single.rows = 1;
        single.indptr = p.indptr.data() + row;
        const std::vector<Hit> one = top_k(*m.searcher, single, options).hits;
        for (size_t h = 0; h < one.size(); ++h) {
            CHECK(one[h].id == hits[row_ptr[row] + h].id && one[h].score == hits[row_ptr[row] + h].score);
        }
    }

    // labels that are denied are left out, and the others stay in order
    std::vector<int64_t> ptr(p.rows + 1);
    std::iota(ptr.begin(), ptr.end(), 0);
    std::vector<int32_t> banned(p.rows);
    for (int64_t row = 0; row < p.rows; ++row) banned[row] = hits[row_ptr[row]].id;
    const Lists first{p.rows, ptr.data(), banned.data(), nullptr};
    LabelFilter filter;
    filter.denied_rows = &first;
    const auto [rest_ptr, rest] = top_k(*m.searcher, p.x(), options, filter);
    for (int64_t row = 0; row < p.rows; ++row) {
        for (int64_t h = rest_ptr[row]; h < rest_ptr[row + 1]; ++h) {
            CHECK(rest[h].id == hits[row_ptr[row] + 1 + h - rest_ptr[row]].id);
        }
    }

    // allowed labels alone are found, with a beam of one node too
    SearchOptions narrow = options;
    narrow.beam = 1;
    LabelFilter each;
    each.allowed_rows = &first;
    const auto [each_ptr, best] = top_k(*m.searcher, p.x(), narrow, each);
    for (int64_t row = 0; row < p.rows; ++row) {
        CHECK(each_ptr[row + 1] - each_ptr[row] == 1);
        CHECK(best[row].id == banned[row] && best[row].score == hits[row_ptr[row]].score);
    }
    LabelFilter all;
    all.restricted = true;
    all.allowed = {0, static_cast<int32_t>(m.labels - 1)};
    const auto [all_ptr, two] = top_k(*m.searcher, p.x(), narrow, all);
    for (int64_t row = 0; row < p.rows; ++row) {
        CHECK(all_ptr[row + 1] - all_ptr[row] == 2);
        for (int64_t h = all_ptr[row]; h < all_ptr[row + 1]; ++h) {
            CHECK(two[h].id == 0 || two[h].id == m.labels - 1);
        }
    }

    // scores of labels that are asked for
    std::vector<float> scores(p.rows);
    m.searcher->score_labels(0, p.x(), first, options, monitor, scores.data());
    for (int64_t row = 0; row < p.rows; ++row) CHECK(close(scores[row], hits[row_ptr[row]].score, 1e-5));
}

}  // namespace

TEST(search_is_the_plain_sum_float32) { check_model(60, 5, 13, ValueType::float32, Combine::l3_hinge); }
TEST(search_is_the_plain_sum_float16) { check_model(60, 5, 40, ValueType::float16, Combine::sigmoid); }
TEST(search_is_the_plain_sum_float8) { check_model(60, 5, 100, ValueType::float8, Combine::l2_hinge); }
TEST(search_of_wide_chunks) { check_model(30, 2, 300, ValueType::float8, Combine::l1_hinge); }
TEST(search_of_few_rows_among_many_features) { check_model(3000, 2, 3, ValueType::float16, Combine::l3_hinge); }

TEST(search_of_long_feature_ids) {  // two bytes of key: few features that lie far from one another
    std::vector<ParentWeights> parents(1);
    const std::vector<int32_t> features = {3, 70'000, 70'001, 200'000, 999'999};
    for (int32_t f : features) {
        parents[0].feature.push_back(f);
        parents[0].child.push_back(0);
        parents[0].value.push_back(static_cast<float>(parents[0].feature.size()));
        parents[0].row_end.push_back(static_cast<uint32_t>(parents[0].feature.size()));
    }
    parents[0].bias = {0.0f, -100.0f};
    Monitor monitor;
    const LayerArrays a = pack(parents, 1'000'000, ValueType::float32, 1, monitor);
    const int64_t child_ptr[] = {0, 2};
    LayerView v;
    v.parents = 1, v.children = 2, v.features = 1'000'000, v.child_ptr = child_ptr;
    v.chunk_row = a.chunk_row.data(), v.chunk_byte = a.chunk_byte.data(), v.chunk_bucket = a.chunk_bucket.data();
    v.shift = a.shift.data(), v.bucket = a.bucket.data(), v.stream = a.stream.data();
    v.bias = a.bias.data(), v.scale = a.scale.data(), v.value_type = a.value_type;
    v.buckets_length = static_cast<int64_t>(a.bucket.size()), v.stream_length = static_cast<int64_t>(a.stream.size());
    const int32_t slot_label[] = {0, 1};
    std::vector<TreeView> trees(1);
    trees[0].layers.push_back(v);
    trees[0].slot_label = slot_label, trees[0].slots = 2;
    const Searcher searcher(std::move(trees), 2);
    for (size_t n = 0; n < features.size(); ++n) {
        const int32_t index[] = {features[n] - 1, features[n]};
        const float data[] = {1.0f, 0.1f};
        const int64_t indptr[] = {0, 2};
        const auto hits = top_k(searcher, {1, 1'000'000, indptr, index, data}, {1, 1, Combine::l1_hinge, 1}).hits;
        const float before = n > 0 && features[n - 1] == features[n] - 1 ? static_cast<float>(n) : 0.0f;
        const float margin = before + 0.1f * static_cast<float>(n + 1);
        CHECK(hits.size() == 1 && hits[0].id == 0 && close(hits[0].score, -std::max(0.0f, 1 - margin), 1e-5));
    }
}

TEST(damaged_weights_are_refused) {
    Model m = make_model(40, 3, 20, ValueType::float16);
    m.arrays[1].stream[0] = 255;
    LayerView v;
    const LayerArrays& a = m.arrays[1];
    v.parents = 3, v.children = 60, v.features = 40, v.child_ptr = m.child_ptr[1].data();
    v.chunk_row = a.chunk_row.data(), v.chunk_byte = a.chunk_byte.data(), v.chunk_bucket = a.chunk_bucket.data();
    v.shift = a.shift.data(), v.bucket = a.bucket.data(), v.stream = a.stream.data();
    v.bias = a.bias.data(), v.scale = a.scale.data(), v.value_type = a.value_type;
    v.buckets_length = static_cast<int64_t>(a.bucket.size()), v.stream_length = static_cast<int64_t>(a.stream.size());
    bool refused = false;
    try {
        v.validate();
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    CHECK(refused);
}

}  // namespace ceiba
