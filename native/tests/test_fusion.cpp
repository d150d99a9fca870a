// What a fusion is made of: logistic regression, boosted trees, phrases of labels.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/boosted_trees.hpp"
#include "core/logistic.hpp"
#include "core/pair_features.hpp"
#include "core/parallel.hpp"
#include "core/random.hpp"
#include "core/text/label_phrases.hpp"
#include "tests/harness.hpp"

namespace ceiba {
namespace {

using test::close;

// Trees like a boosting's, whose nodes are split at random.
struct Forest {
    std::vector<int64_t> node_ptr{0}, leaf_ptr{0};
    std::vector<int32_t> feature, left, right;
    std::vector<double> threshold, leaf;

    Forest(int trees, int most_leaves, int features) {
        Random random(3, 1);
        for (int tree = 0; tree < trees; ++tree) {
            const int leaves = 1 + static_cast<int>(random.below(most_leaves));
            const size_t begin = left.size();
            std::vector<std::pair<size_t, bool>> child;  // the node that has leaf i, and whether on its left
            for (int node = 0; node + 1 < leaves; ++node) {
                feature.push_back(static_cast<int32_t>(random.below(features)));
                threshold.push_back(static_cast<double>(random.below(100)) / 100);
                left.push_back(0);
                right.push_back(0);
                const size_t at = begin + node;
                if (node > 0) {
                    const size_t split = random.below(static_cast<uint32_t>(child.size()));
                    (child[split].second ? left : right)[child[split].first] = node;
                    child[split] = {at, true};
                } else {
                    child.push_back({at, true});
                }
                child.push_back({at, false});
            }
            for (size_t i = 0; i < child.size(); ++i) {
                (child[i].second ? left : right)[child[i].first] = -1 - static_cast<int32_t>(i);
            }
            for (int i = 0; i < leaves; ++i) leaf.push_back(static_cast<double>(random.below(1000)) / 1000 - 0.5);
            node_ptr.push_back(static_cast<int64_t>(left.size()));
            leaf_ptr.push_back(static_cast<int64_t>(leaf.size()));
        }
    }

    TreeArrays arrays() const {
        return {static_cast<int64_t>(node_ptr.size()) - 1,
                node_ptr.data(),
                leaf_ptr.data(),
                feature.data(),
                threshold.data(),
                left.data(),
                right.data(),
                leaf.data()};
    }

    double sum(const float* row) const {
        double total = 0;
        for (size_t tree = 0; tree + 1 < node_ptr.size(); ++tree) {
            int32_t child = node_ptr[tree] == node_ptr[tree + 1] ? -1 : 0;
            while (child >= 0) {
                const int64_t node = node_ptr[tree] + child;
                child = row[feature[node]] <= threshold[node] ? left[node] : right[node];
            }
            total += leaf[leaf_ptr[tree] - 1 - child];
        }
        return total;
    }
};

bool refused(const Forest& forest, int features) {
    try {
        const BoostedTrees trees(forest.arrays(), features);
        return false;
    } catch (const std::invalid_argument&) {
        return true;
    }
}

}  // namespace

TEST(a_regression_does_not_depend_on_threads) {
    constexpr int64_t kRows = 20000, kCols = 5;
    Random random(0, 1);
    std::vector<float> features(kRows * kCols);
    std::vector<uint8_t> target(kRows);
    for (int64_t i = 0; i < kRows; ++i) {
        float sum = 0;
        for (int64_t j = 0; j < kCols; ++j) {
            features[i * kCols + j] = static_cast<float>(random.below(1000)) / 1000;
            sum += features[i * kCols + j] * static_cast<float>(j - 2);
        }
        target[i] = sum + static_cast<float>(random.below(1000)) / 1000 > 0.5f;
    }
    LogisticModel first;
    for (int threads : {1, 4}) {
        Monitor monitor;
        const LogisticModel model =
            fit_logistic({kRows, kCols, features.data(), target.data(), nullptr}, 1.0, 50, 1e-10, threads, monitor);
        CHECK(model.converged && model.coef[0] < 0 && model.coef[4] > 0);
        if (threads == 1) first = model;
        CHECK(model.coef == first.coef && model.intercept == first.intercept);
    }
    std::vector<float> probability(kRows);
    CHECK(logistic_probability(features.data(), kRows, kCols, first.mean.data(), first.scale.data(), first.coef.data(),
                               first.intercept, probability.data()) == -1);
    double mean = 0, share = 0;  // the same where there is an intercept
    for (int64_t i = 0; i < kRows; ++i) {
        mean += probability[i];
        share += target[i];
    }
    CHECK(close(mean / kRows, share / kRows, 1e-5));
}

TEST(trees_are_summed_as_they_are_walked) {
    constexpr int kFeatures = 6;
    const Forest forest(40, kMostLeaves, kFeatures);
    const BoostedTrees trees(forest.arrays(), kFeatures);
    Random random(1, 1);
    std::vector<float> rows(77 * kFeatures);
    for (float& value : rows) value = static_cast<float>(random.below(100)) / 100;
    std::vector<double> sums(77);
    trees.sum(rows.data(), 77, sums.data());
    for (int64_t i = 0; i < 77; ++i) {
        CHECK(sums[i] == forest.sum(rows.data() + i * kFeatures));
        test::add_to_digest(sums[i]);
    }
}

TEST(several_threads_may_ask_the_same_trees) {
    constexpr int kFeatures = 6;
    const Forest forest(40, kMostLeaves, kFeatures);
    const BoostedTrees trees(forest.arrays(), kFeatures);
    const std::vector<int64_t> ptr{0, 2, 3};
    const std::vector<int32_t> labels{1, 5, 2};
    const std::vector<float> score{0.9f, 0.5f, 0.4f}, ranks{0, 10, 20};
    const Lists lists{2, ptr.data(), labels.data(), score.data()};
    const std::vector<float> rows(77 * kFeatures, 0.5f);
    std::vector<std::vector<double>> sums(16);
    Monitor monitor;
    parallel_for(16, 4, monitor, [&](int64_t task, int) {
        sums[task].resize(77);
        trees.sum(rows.data(), 77, sums[task].data());
        const LabelPairs pairs = union_of({lists, lists}, 2);
        std::vector<float> found(pairs.labels.size()), rank(pairs.labels.size());
        look_up(lists, {2, pairs.ptr.data(), pairs.labels.data(), nullptr}, ranks.data(), 2, 0, found.data(),
                rank.data());
        sums[task].push_back(found[0]);
    });
    for (const auto& each : sums) CHECK(each == sums[0]);
}

TEST(arrays_that_are_no_trees_are_refused) {
    CHECK(!refused(Forest(3, 8, 4), 4));
    CHECK(refused(Forest(3, 8, 4), 1));
    CHECK(refused(Forest(20, 2 * kMostLeaves, 4), 4));
    for (int32_t child : {0, 100, -100}) {
        Forest forest(5, 8, 4);
        forest.left.back() = child;
        CHECK(refused(forest, 4));
    }
}

TEST(phrases_of_labels_in_texts) {
    const CharTables tables({{'0', '9' + 1, 'a', 'z' + 1, 0xe9, 0xea}, {' ', ' ' + 1}, {}, {}, {}, {}, {}}, {}, {0},
                            {});
    const auto views = [](const std::vector<std::string>& texts) {
        std::vector<Text> all;
        for (const auto& text : texts) all.push_back({text.data(), 1, static_cast<int64_t>(text.size())});
        return all;
    };
    const std::vector<std::string> names = {"red apples", "", "cars", "automobile"};
    const LabelPhrases phrases(tables, views(names), {0, 1, 2, 2});
    std::vector<std::string> texts;
    for (int i = 0; i < 200; ++i) texts.push_back(i % 2 == 0 ? "a red apple or red apple" : "automobil\xe9 car");
    std::vector<int64_t> ptr{0};
    std::vector<int32_t> labels;
    for (int i = 0; i < 200; ++i) {
        for (int32_t label : {0, 1, 2}) labels.push_back(label);
        ptr.push_back(static_cast<int64_t>(labels.size()));
    }
    for (int threads : {1, 4}) {
        Monitor monitor;
        std::vector<float> values(labels.size() * kWordForms * kPhraseMeasures, -1.0f);
        phrases.measure(views(texts), {200, ptr.data(), labels.data(), nullptr}, threads, monitor, values.data());
        for (size_t i = 0; i < 200; i += 2) {
            const float* red = values.data() + 3 * i * 6;
            CHECK(close(red[0], std::log(3.0), 1e-6) && close(red[1], 1 - 2.0 / 26, 1e-6) && red[2] == 1);
            CHECK(std::count(red + 6, red + 18, 0.0f) == 12);
            const float* car = values.data() + (3 * (i + 1) + 2) * 6;
            CHECK(car[0] > 0 && car[2] == 1 && close(car[4], 1, 1e-6));  // "car" whole, "autom" first
        }
    }
}

TEST(pairs_of_rankings) {
    const std::vector<int64_t> a_ptr{0, 2, 2}, b_ptr{0, 1, 3};
    const std::vector<int32_t> a{5, 1}, b{1, 7, 2};
    const std::vector<float> a_score{0.9f, 0.5f}, b_score{0.4f, 0.8f, 0.8f};
    const std::vector<Lists> rankings{{2, a_ptr.data(), a.data(), a_score.data()},
                                      {2, b_ptr.data(), b.data(), b_score.data()}};
    const LabelPairs pairs = union_of(rankings, 2);
    CHECK(pairs.ptr == (std::vector<int64_t>{0, 2, 4}) && pairs.labels == (std::vector<int32_t>{1, 5, 2, 7}));
    const Lists view{2, pairs.ptr.data(), pairs.labels.data(), nullptr};
    const std::vector<float> ranks{0, 10, 20};
    std::vector<float> score(4), rank(4);
    look_up(rankings[1], view, ranks.data(), 2, 0, score.data(), rank.data());
    CHECK(score == (std::vector<float>{0.4f, 0, 0.8f, 0.8f}) && rank == (std::vector<float>{0, 20, 10, 0}));
    look_up(rankings[1], view, ranks.data(), 1, 0, score.data(), rank.data());  // the first of each row alone
    CHECK(score == (std::vector<float>{0.4f, 0, 0, 0.8f}) && rank == (std::vector<float>{0, 10, 10, 0}));
    look_up(rankings[1], view, ranks.data(), 2, 0, score.data(), rank.data());
    const FoundRows found = rank_pairs({2, pairs.ptr.data(), pairs.labels.data(), score.data()}, 1, 0.5f);
    CHECK(found.ptr == (std::vector<int64_t>{0, 0, 1}) && found.rows == (std::vector<int32_t>{2}));
    std::vector<int32_t> padded(4);
    std::vector<float> values(4);
    pad_rankings({2, found.ptr.data(), found.rows.data(), found.scores.data()}, 2, padded.data(), values.data());
    CHECK(padded == (std::vector<int32_t>{-1, -1, 2, -1}) && values[2] == 0.8f && values[3] < -1e30f);
}

TEST(features_are_joined) {
    const std::vector<float> score{1, 2, 3, 4}, rank{5, 6, 7, 8}, block{9, 10}, of_labels{0, 11, 0, 12};
    const std::vector<int32_t> labels{3, 1};
    std::vector<float> features(12);
    join_features(score.data(), rank.data(), 2, {{block.data(), 1}}, {of_labels.data(), 1}, labels.data(), 2,
                  features.data());
    CHECK(features == (std::vector<float>{1, 5, 3, 7, 9, 12, 2, 6, 4, 8, 10, 11}));
}

}  // namespace ceiba
