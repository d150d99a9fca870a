#include <cmath>

#include "bind/arrays.hpp"
#include "core/logistic.hpp"

namespace ceiba::bind {
namespace {

void require_finite(const Array<double>& values, bool positive, const char* what) {
    for (size_t i = 0; i < values.shape(0); ++i) {
        require(std::isfinite(values.data()[i]) && (!positive || values.data()[i] > 0), what);
    }
}

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
}

}  // namespace ceiba::bind
