#include "core/logistic.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/simd.hpp"

namespace ceiba {
namespace {

constexpr int64_t kTile = 128;        // rows that are standardized at once
constexpr int64_t kSliceRows = 4096;  // of a slice at least
constexpr int64_t kMostSlices = 64;
constexpr int kLanes = 16;
constexpr int kHalvings = 30;  // of a step

double sigmoid(double logit) {
    const double small = std::exp(-std::abs(logit));
    return (logit >= 0 ? 1.0 : small) / (1.0 + small);
}

// log(1 + exp(-m)), for m = the logit of the right target.
double log_loss(double margin) { return std::max(-margin, 0.0) + std::log1p(std::exp(-std::abs(margin))); }

class LogisticFit {
   public:
    LogisticFit(const LogisticData& data, double C, int threads, Monitor& monitor)
        : data_(data), cost_(C), threads_(threads), monitor_(monitor), features_(data.cols), unknowns_(data.cols + 1),
          padded_((unknowns_ + kLanes - 1) / kLanes * kLanes),
          slices_(std::clamp<int64_t>(data.rows / kSliceRows, 1, kMostSlices)) {}

    LogisticModel run(int64_t max_iterations, double tolerance) {
        LogisticModel model;
        standardize(model);
        model.coef.assign(features_, 0.0);
        logit_.assign(data_.rows, 0.0);
        step_logit_.assign(data_.rows, 0.0);
        double loss = objective(model, {}, 0);
        std::vector<double> step(unknowns_);
        while (model.iterations < max_iterations && !model.converged) {
            const std::vector<double> gradient = derivatives(model);
            solve(gradient, step);
            double decrement = 0;
            for (int64_t i = 0; i < unknowns_; ++i) decrement += gradient[i] * step[i];
            model.converged = !(decrement > tolerance * total_weight_ * cost_);
            logits_of_step(step);
            // As long a step as lowers the objective; the last one may not, for rounding.
            double size = 1;
            int halvings = 0;
            for (double next; halvings < kHalvings; ++halvings, size /= 2) {
                next = objective(model, step, size);
                if (!(next <= loss - 1e-4 * size * decrement)) continue;
                loss = next;
                break;
            }
            if (halvings == kHalvings) {
                model.converged = true;  // nothing lower can be told apart
                break;
            }
            for (int64_t j = 0; j < features_; ++j) model.coef[j] -= size * step[j];
            model.intercept -= size * step[features_];
            for (int64_t i = 0; i < data_.rows; ++i) logit_[i] -= size * step_logit_[i];
            ++model.iterations;
        }
        return model;
    }

   private:
    double weight(int64_t row) const { return data_.weight == nullptr ? 1.0 : data_.weight[row]; }

    // Calls body(slice, first row, last row); slices do not depend on the number of threads.
    template <class Body>
    void for_slices(Body body) {
        parallel_for(slices_, threads_, monitor_, [&](int64_t slice, int) {
            body(slice, slice * data_.rows / slices_, (slice + 1) * data_.rows / slices_);
        });
    }

    // Adds what each slice writes into `count` numbers, in the order of the slices.
    template <class Body>
    std::vector<double> sum_slices(int64_t count, Body body) {
        std::vector<double> parts(slices_ * count, 0.0);
        for_slices(
            [&](int64_t slice, int64_t first, int64_t last) { body(parts.data() + slice * count, first, last); });
        for (int64_t slice = 1; slice < slices_; ++slice) {
            for (int64_t i = 0; i < count; ++i) parts[i] += parts[slice * count + i];
        }
        parts.resize(count);
        return parts;
    }

    // Weighted mean and deviation of each column. A constant one has a scale of 1 and its value as mean, so that it
    // says nothing.
    void standardize(LogisticModel& model) {
        const std::vector<double> sums = sum_slices(features_ + 1, [&](double* sum, int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                for (int64_t j = 0; j < features_; ++j) sum[j] += weight(i) * data_.features[i * features_ + j];
                sum[features_] += weight(i);
            }
        });
        total_weight_ = sums[features_];
        model.mean.resize(features_);
        for (int64_t j = 0; j < features_; ++j) model.mean[j] = sums[j] / total_weight_;
        const std::vector<double> squares = sum_slices(features_, [&](double* sum, int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                for (int64_t j = 0; j < features_; ++j) {
                    const double difference = data_.features[i * features_ + j] - model.mean[j];
                    sum[j] += weight(i) * difference * difference;
                }
            }
        });
        model.scale.resize(features_);
        for (int64_t j = 0; j < features_; ++j) {
            model.scale[j] = std::sqrt(squares[j] / total_weight_);
            // rounding of the mean alone: a float has 24 bits
            if (model.scale[j] <= 1e-9 * std::abs(model.mean[j]) || model.scale[j] < 1e-45) model.scale[j] = 0;
        }
        mean_ = model.mean;
        factor_.resize(features_);
        for (int64_t j = 0; j < features_; ++j) {
            factor_[j] = model.scale[j] > 0 ? 1 / model.scale[j] : 0;
            if (model.scale[j] == 0) model.scale[j] = 1;
        }
    }

    // The objective after a step of that size.
    double objective(const LogisticModel& model, const std::vector<double>& step, double size) {
        const std::vector<double> loss = sum_slices(1, [&](double* sum, int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                if (weight(i) == 0) continue;
                const double logit = logit_[i] - size * step_logit_[i];
                *sum += weight(i) * log_loss(data_.target[i] ? logit : -logit);
            }
        });
        double squares = 0;
        for (int64_t j = 0; j < features_; ++j) {
            const double coef = model.coef[j] - (step.empty() ? 0.0 : size * step[j]);
            squares += coef * coef;
        }
        return cost_ * loss[0] + squares / 2;
    }

    void logits_of_step(const std::vector<double>& step) {
        std::vector<double> factor(features_);
        for (int64_t j = 0; j < features_; ++j) factor[j] = factor_[j] * step[j];
        for_slices([&](int64_t, int64_t first, int64_t last) {
            for (int64_t i = first; i < last; ++i) {
                const float* x = data_.features + i * features_;
                double sum = step[features_];
                for (int64_t j = 0; j < features_; ++j) sum += factor[j] * (x[j] - mean_[j]);
                step_logit_[i] = sum;
            }
        });
    }

    // The gradient; the matrix of second derivatives goes to hessian_, which is in single precision up to the sums over
    // tiles, since it only steers the steps.
    std::vector<double> derivatives(const LogisticModel& model) {
        const int64_t area = padded_ * padded_;
        std::vector<double> sums = sum_slices(unknowns_ + area, [&](double* sum, int64_t first, int64_t last) {
            std::vector<float> tile(kTile * padded_, 0.0f);
            for (int64_t begin = first; begin < last; begin += kTile) {
                const int64_t end = std::min(begin + kTile, last);
                for (int64_t i = begin; i < end; ++i) {
                    const float* x = data_.features + i * features_;
                    const double p = sigmoid(logit_[i]), w = weight(i);
                    const double slope = w * (p - data_.target[i]), root = std::sqrt(w * p * (1 - p));
                    float* row = tile.data() + (i - begin) * padded_;
                    for (int64_t j = 0; j < features_; ++j) {
                        const double z = (x[j] - mean_[j]) * factor_[j];
                        sum[j] += slope * z;
                        row[j] = static_cast<float>(root * z);
                    }
                    sum[features_] += slope;
                    row[features_] = static_cast<float>(root);
                }
                add_products(tile.data(), end - begin, sum + unknowns_);
            }
        });
        for (double& value : sums) value *= cost_;
        for (int64_t j = 0; j < features_; ++j) sums[j] += model.coef[j];
        hessian_.assign(sums.begin() + unknowns_, sums.end());
        for (int64_t j = 0; j < features_; ++j) hessian_[j * padded_ + j] += 1;
        sums.resize(unknowns_);
        return sums;
    }

    // sum += transposed tile times tile, on and right of the diagonal.
    void add_products(const float* tile, int64_t rows, double* sum) const {
        constexpr int kAtOnce = 4;
        for (int64_t i = 0; i < padded_; i += kAtOnce) {
            for (int64_t j = i / kLanes * kLanes; j < padded_; j += kLanes) {
                Lanes<kLanes> products[kAtOnce];
                for (auto& product : products) product = Lanes<kLanes>::all(0);
                for (int64_t r = 0; r < rows; ++r) {
                    const float* row = tile + r * padded_;
                    const Lanes<kLanes> right = Lanes<kLanes>::load(row + j);
                    for (int a = 0; a < kAtOnce; ++a) products[a] = products[a] + right * row[i + a];
                }
                float values[kLanes];
                for (int a = 0; a < kAtOnce; ++a) {
                    products[a].store(values);
                    for (int l = 0; l < kLanes; ++l) sum[(i + a) * padded_ + j + l] += values[l];
                }
            }
        }
    }

    // step = hessian_^-1 gradient, by Cholesky's decomposition. A ridge helps where rounding left the matrix indefinite.
    void solve(const std::vector<double>& gradient, std::vector<double>& step) const {
        double largest = 0;
        for (int64_t i = 0; i < unknowns_; ++i) largest = std::max(largest, hessian_[i * padded_ + i]);
        for (double ridge = 1e-12 * largest;; ridge = ridge * 100 + 1e-300) {
            std::vector<double> lower(unknowns_ * unknowns_, 0.0);
            if (!decompose(lower, ridge)) continue;
            for (int64_t i = 0; i < unknowns_; ++i) {
                double value = gradient[i];
                for (int64_t k = 0; k < i; ++k) value -= lower[i * unknowns_ + k] * step[k];
                step[i] = value / lower[i * unknowns_ + i];
            }
            for (int64_t i = unknowns_; i-- > 0;) {
                for (int64_t k = i + 1; k < unknowns_; ++k) step[i] -= lower[k * unknowns_ + i] * step[k];
                step[i] /= lower[i * unknowns_ + i];
            }
            return;
        }
    }

    bool decompose(std::vector<double>& lower, double ridge) const {
        for (int64_t i = 0; i < unknowns_; ++i) {
            for (int64_t k = 0; k <= i; ++k) {
                double value = hessian_[k * padded_ + i] + (i == k ? ridge : 0.0);
                for (int64_t j = 0; j < k; ++j) value -= lower[i * unknowns_ + j] * lower[k * unknowns_ + j];
                if (i != k) {
                    lower[i * unknowns_ + k] = value / lower[k * unknowns_ + k];
                } else if (value > 0) {
                    lower[i * unknowns_ + i] = std::sqrt(value);
                } else {
                    return false;
                }
            }
        }
        return true;
    }

    const LogisticData& data_;
    const double cost_;
    const int threads_;
    Monitor& monitor_;
    const int64_t features_, unknowns_, padded_, slices_;
    double total_weight_ = 0;
    std::vector<double> mean_, factor_;  // a standardized value is (x - mean) times factor
    std::vector<double> logit_, step_logit_;
    std::vector<double> hessian_;
};

}  // namespace

LogisticModel fit_logistic(const LogisticData& data, double C, int64_t max_iterations, double tolerance, int threads,
                           Monitor& monitor) {
    return LogisticFit(data, C, threads, monitor).run(max_iterations, tolerance);
}

int64_t logistic_probability(const float* features, int64_t rows, int64_t cols, const double* mean, const double* scale,
                             const double* coef, double intercept, float* probability) {
    std::vector<double> factor(cols);
    for (int64_t j = 0; j < cols; ++j) factor[j] = coef[j] / scale[j];
    int64_t first = -1;
    for (int64_t i = 0; i < rows; ++i) {
        const float* x = features + i * cols;
        double logit = intercept;
        for (int64_t j = 0; j < cols; ++j) logit += factor[j] * (x[j] - mean[j]);
        if (first < 0 && !std::isfinite(logit)) first = i;
        probability[i] = static_cast<float>(sigmoid(logit));
    }
    return first;
}

}  // namespace ceiba
