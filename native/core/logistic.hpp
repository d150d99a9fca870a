// Logistic regression on few features and many rows, by Newton's method.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace ceiba {

struct LogisticData {
    int64_t rows = 0;
    int64_t cols = 0;
    const float* features = nullptr;  // row after row
    const uint8_t* target = nullptr;  // 0 or 1
    const double* weight = nullptr;   // of each row; nullptr: 1
};

// The logit of a row is intercept + the sum of coef (x - mean) / scale.
struct LogisticModel {
    std::vector<double> mean;
    std::vector<double> scale;
    std::vector<double> coef;
    double intercept = 0;
    int64_t iterations = 0;
    bool converged = false;
};

// Minimizes C times the weighted log-loss plus half the squared length of coef. Rows of both targets have a weight above
// 0. Weighted sums are taken in the order of the rows within slices that depend on their number alone, so that threads
// do not change the result.
LogisticModel fit_logistic(const LogisticData& data, double C, int64_t max_iterations, double tolerance, int threads,
                           Monitor& monitor);

// Writes the probability of each row. Returns the first row that has no finite logit, or -1.
int64_t logistic_probability(const float* features, int64_t rows, int64_t cols, const double* mean, const double* scale,
                             const double* coef, double intercept, float* probability);

}  // namespace ceiba
