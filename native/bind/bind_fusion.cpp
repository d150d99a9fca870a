#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/tuple.h>

#include <cmath>
#include <memory>
#include <tuple>

#include "bind/arrays.hpp"
#include "bind/texts.hpp"
#include "core/boosted_trees.hpp"
#include "core/logistic.hpp"
#include "core/pair_features.hpp"
#include "core/text/label_phrases.hpp"

namespace ceiba::bind {
namespace {

void require_finite(const Array<double>& values, bool positive, const char* what) {
    for (size_t i = 0; i < values.shape(0); ++i) {
        require(std::isfinite(values.data()[i]) && (!positive || values.data()[i] > 0), what);
    }
}

// Rankings of the same rows, each a tuple of offsets, labels and scores.
class Rankings {
   public:
    Rankings(const nb::list& given, int64_t rows, int64_t n_labels) {
        for (nb::handle each : given) {
            held_.push_back(nb::cast<std::tuple<Array<int64_t>, Array<int32_t>, Array<float>>>(each, false));
            const auto& [ptr, ids, scores] = held_.back();
            Lists view = lists(ptr, ids, n_labels);
            require(scores.shape(0) == ids.shape(0), "pairs: labels and scores differ in length");
            require(view.count == rows, "pairs: rankings of other rows");
            view.weight = scores.data();
            views_.push_back(view);
        }
    }
    const std::vector<Lists>& get() const { return views_; }

   private:
    std::vector<std::tuple<Array<int64_t>, Array<int32_t>, Array<float>>> held_;
    std::vector<Lists> views_;
};

void require_ascending(const Lists& pairs) {
    bool sound = true;
    for (int64_t row = 0; row < pairs.count; ++row) {
        for (int64_t i = pairs.ptr[row] + 1; i < pairs.ptr[row + 1]; ++i) sound &= pairs.indices[i - 1] < pairs.indices[i];
    }
    require(sound, "pairs: labels of a row do not ascend");
}

// Phrases with the tables they read.
struct BoundPhrases {
    std::shared_ptr<CharTables> tables;
    std::unique_ptr<LabelPhrases> phrases;
};

}  // namespace

void bind_fusion(nb::module_& m) {
    using namespace nb::literals;

    m.def("fit_logistic",
          [](Matrix<float> features, Array<uint8_t> target, Array<double> weight, double C, int64_t max_iterations,
             double tolerance, int threads, nb::object progress) {
              const size_t rows = features.shape(0), cols = features.shape(1);
              require(target.shape(0) == rows, "logistic: one target per row is needed");
              require(C > 0 && std::isfinite(C), "logistic: C must be above 0");
              require(max_iterations >= 1 && tolerance >= 0 && threads >= 1, "logistic: options out of range");
              require(cols >= 1 && cols <= 4096, "logistic: 1 to 4096 features are possible");
              LogisticData data{static_cast<int64_t>(rows), static_cast<int64_t>(cols), features.data(), target.data()};
              if (weight.is_valid()) {
                  require(weight.shape(0) == rows, "logistic: one weight per row is needed");
                  data.weight = weight.data();
              }
              bool has[2] = {false, false};
              for (size_t i = 0; i < rows; ++i) {
                  require(target.data()[i] <= 1, "logistic: targets are 0 and 1");
                  const double w = data.weight == nullptr ? 1.0 : data.weight[i];
                  require(w >= 0 && std::isfinite(w), "logistic: a weight is negative or not finite");
                  has[target.data()[i]] |= w > 0;
              }
              require(has[0] && has[1], "logistic: rows of both targets are needed");
              bool finite = true;
              for (size_t i = 0; i < rows * cols; ++i) finite &= std::isfinite(features.data()[i]);
              require(finite, "logistic: a feature is not finite");
              LogisticModel model;
              SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                  model = fit_logistic(data, C, max_iterations, tolerance, threads, monitor);
              });
              return nb::make_tuple(to_numpy(std::move(model.mean)), to_numpy(std::move(model.scale)),
                                    to_numpy(std::move(model.coef)), model.intercept, model.iterations, model.converged);
          },
          "features"_a.noconvert(), "target"_a.noconvert(), "weight"_a.noconvert().none(), "C"_a, "max_iterations"_a,
          "tolerance"_a, "threads"_a, "progress"_a.none());

    m.def("logistic_probability",
          [](Matrix<float> features, Array<double> mean, Array<double> scale, Array<double> coef, double intercept) {
              const size_t rows = features.shape(0), cols = features.shape(1);
              require(mean.shape(0) == cols && scale.shape(0) == cols && coef.shape(0) == cols,
                      "logistic: another number of features");
              require_finite(mean, false, "logistic: a mean is not finite");
              require_finite(scale, true, "logistic: a scale is not a number above 0");
              require_finite(coef, false, "logistic: a coefficient is not finite");
              require(std::isfinite(intercept), "logistic: the intercept is not finite");
              std::vector<float> probability(rows);
              int64_t bad = -1;
              {
                  nb::gil_scoped_release release;
                  bad = logistic_probability(features.data(), rows, cols, mean.data(), scale.data(), coef.data(),
                                             intercept, probability.data());
              }
              if (bad >= 0) throw std::invalid_argument("logistic: row " + std::to_string(bad) + " has a feature that is not finite");
              return to_numpy(std::move(probability));
          },
          "features"_a.noconvert(), "mean"_a.noconvert(), "scale"_a.noconvert(), "coef"_a.noconvert(), "intercept"_a);

    m.def("union_of_rankings",
          [](const nb::list& rankings, int64_t rows, int64_t n_labels) {
              require(rows >= 0 && rows < (int64_t{1} << 31), "pairs: number of rows out of range");
              const Rankings found(rankings, rows, n_labels);
              LabelPairs pairs = union_of(found.get(), rows);
              return nb::make_tuple(to_numpy(std::move(pairs.ptr)), to_numpy(std::move(pairs.labels)));
          },
          "rankings"_a, "rows"_a, "n_labels"_a);

    m.def("look_up_pairs",
          [](const nb::list& rankings, Array<int64_t> ptr, Array<int32_t> labels, Array<float> ranks, float added,
             int64_t n_labels) {
              const Lists pairs = lists(ptr, labels, n_labels);
              require_ascending(pairs);
              require(ranks.shape(0) >= 1, "pairs: a value for each rank is needed");
              const Rankings found(rankings, pairs.count, n_labels);
              const size_t sources = found.get().size(), count = labels.shape(0);
              NewArray<float> score(sources, count), rank(sources, count);
              for (size_t i = 0; i < sources; ++i) {
                  look_up(found.get()[i], pairs, ranks.data(), static_cast<int64_t>(ranks.shape(0)) - 1, added,
                          score.data() + i * count, rank.data() + i * count);
              }
              return nb::make_tuple(score.release(), rank.release());
          },
          "rankings"_a, "ptr"_a.noconvert(), "labels"_a.noconvert(), "ranks"_a.noconvert(), "added"_a, "n_labels"_a);

    m.def("join_features",
          [](Matrix<float> score, Matrix<float> rank, const nb::list& blocks, Matrix<float> of_labels,
             Array<int32_t> labels) {
              const size_t sources = score.shape(0), pairs = labels.shape(0);
              require(score.shape(1) == pairs && rank.shape(0) == sources && rank.shape(1) == pairs,
                      "pairs: scores and ranks of other pairs");
              require_ids(labels, static_cast<int64_t>(of_labels.shape(0)), "pairs: label out of range");
              size_t width = 2 * sources + of_labels.shape(1);
              std::vector<Matrix<float>> held;
              std::vector<FeatureBlock> views;
              for (nb::handle each : blocks) {
                  held.push_back(nb::cast<Matrix<float>>(each, false));
                  require(held.back().shape(0) == pairs, "pairs: features of other pairs");
                  views.push_back({held.back().data(), static_cast<int64_t>(held.back().shape(1))});
                  width += held.back().shape(1);
              }
              NewArray<float> features(pairs, width);
              join_features(score.data(), rank.data(), static_cast<int64_t>(sources), views,
                            {of_labels.data(), static_cast<int64_t>(of_labels.shape(1))}, labels.data(),
                            static_cast<int64_t>(pairs), features.data());
              return features.release();
          },
          "score"_a.noconvert(), "rank"_a.noconvert(), "blocks"_a, "of_labels"_a.noconvert(), "labels"_a.noconvert());

    m.def("pad_rankings",
          [](Array<int64_t> ptr, Array<int32_t> labels, Array<float> scores, int64_t width) {
              Lists rankings = lists(ptr, labels, int64_t{1} << 31);
              require(scores.shape(0) == labels.shape(0), "pairs: labels and scores differ in length");
              require(width >= 0, "pairs: width must be at least 0");
              rankings.weight = scores.data();
              const size_t rows = static_cast<size_t>(rankings.count), columns = static_cast<size_t>(width);
              NewArray<int32_t> padded(rows, columns);
              NewArray<float> values(rows, columns);
              pad_rankings(rankings, width, padded.data(), values.data());
              return nb::make_tuple(padded.release(), values.release());
          },
          "ptr"_a.noconvert(), "labels"_a.noconvert(), "scores"_a.noconvert(), "width"_a);

    m.def("rank_pairs",
          [](Array<int64_t> ptr, Array<int32_t> labels, Array<float> scores, int64_t n, float least) {
              Lists pairs = lists(ptr, labels, int64_t{1} << 31);
              require(scores.shape(0) == labels.shape(0), "pairs: labels and scores differ in length");
              require(n >= 0 && !std::isnan(least), "pairs: options out of range");
              bool sound = true;
              for (size_t i = 0; i < scores.shape(0); ++i) sound &= !std::isnan(scores.data()[i]);
              require(sound, "pairs: a score is no number");
              pairs.weight = scores.data();
              FoundRows found = rank_pairs(pairs, n, least);
              return nb::make_tuple(to_numpy(std::move(found.ptr)), to_numpy(std::move(found.rows)),
                                    to_numpy(std::move(found.scores)));
          },
          "ptr"_a.noconvert(), "labels"_a.noconvert(), "scores"_a.noconvert(), "n"_a, "least"_a);

    nb::class_<BoostedTrees>(m, "BoostedTrees")
        .def("__init__",
             [](BoostedTrees* self, Array<int64_t> node_ptr, Array<int64_t> leaf_ptr, Array<int32_t> feature,
                Array<double> threshold, Array<int32_t> left, Array<int32_t> right, Array<double> leaf,
                int64_t features) {
                 const size_t nodes = feature.shape(0);
                 require_offsets(node_ptr, nodes, "trees: offsets of nodes do not fit");
                 require_offsets(leaf_ptr, leaf.shape(0), "trees: offsets of leaves do not fit");
                 require(node_ptr.shape(0) == leaf_ptr.shape(0), "trees: nodes and leaves are of different trees");
                 require(threshold.shape(0) == nodes && left.shape(0) == nodes && right.shape(0) == nodes,
                         "trees: one threshold and two children per node are needed");
                 require(features >= 1 && features <= 4096, "trees: 1 to 4096 features are possible");
                 const TreeArrays arrays{static_cast<int64_t>(node_ptr.shape(0)) - 1, node_ptr.data(), leaf_ptr.data(),
                                         feature.data(), threshold.data(), left.data(), right.data(), leaf.data()};
                 new (self) BoostedTrees(arrays, features);
             },
             "node_ptr"_a.noconvert(), "leaf_ptr"_a.noconvert(), "feature"_a.noconvert(), "threshold"_a.noconvert(),
             "left"_a.noconvert(), "right"_a.noconvert(), "leaf"_a.noconvert(), "features"_a)
        .def("sum",
             [](const BoostedTrees& self, Matrix<float> features) {
                 require(static_cast<int64_t>(features.shape(1)) == self.features(), "trees: another number of features");
                 std::vector<double> sums(features.shape(0));
                 {
                     nb::gil_scoped_release release;
                     self.sum(features.data(), static_cast<int64_t>(features.shape(0)), sums.data());
                 }
                 return to_numpy(std::move(sums));
             },
             "features"_a.noconvert());

    nb::class_<BoundPhrases>(m, "LabelPhrases")
        .def("__init__",
             [](BoundPhrases* self, std::shared_ptr<CharTables> tables, nb::handle texts, Array<int32_t> row_label) {
                 const Texts views(texts);
                 const int32_t* label = row_label.data();
                 require(row_label.shape(0) == views.get().size(), "phrases: one label per text is needed");
                 require(std::is_sorted(label, label + row_label.shape(0)), "phrases: labels do not ascend");
                 std::vector<int32_t> labels(label, label + row_label.shape(0));
                 std::unique_ptr<LabelPhrases> phrases;
                 {
                     nb::gil_scoped_release release;
                     phrases = std::make_unique<LabelPhrases>(*tables, views.get(), std::move(labels));
                 }
                 new (self) BoundPhrases{std::move(tables), std::move(phrases)};
             },
             "tables"_a, "texts"_a, "row_label"_a.noconvert())
        .def("measure",
             [](const BoundPhrases& self, nb::handle texts, Array<int64_t> ptr, Array<int32_t> labels, int threads) {
                 const Texts views(texts);
                 const Lists pairs = lists(ptr, labels, int64_t{1} << 31);
                 require(pairs.count == static_cast<int64_t>(views.get().size()), "phrases: one list of labels per text");
                 require(threads >= 1, "phrases: threads must be at least 1");
                 NewArray<float> values(labels.shape(0), kWordForms * kPhraseMeasures);
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     self.phrases->measure(views.get(), pairs, threads, monitor, values.data());
                 });
                 return values.release();
             },
             "texts"_a, "ptr"_a.noconvert(), "labels"_a.noconvert(), "threads"_a = 1);
}

}  // namespace ceiba::bind
