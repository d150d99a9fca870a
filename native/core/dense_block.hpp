// Dense values times lines of weights, for several instances at once: the solver's arithmetic on embeddings.
//
// An instance of d dense values costs d lines of L weights, whether they are read (its margin) or written (its step). A
// visit alone is bound by those loads and stores; a block of visits shares them, since margins at the weights before
// the block are corrected by the inner products of the block's own instances to what each visit would have seen.
#pragma once

#include <array>
#include <cstdint>

#include "core/simd.hpp"

namespace ceiba {

// Instances in a block, so that their sums of L lanes take eight registers, or four where there are but sixteen narrow
// ones; and lines at once, so that there are as many sums where each takes few registers.
template <int L>
inline constexpr int kDenseBlock = Lanes<L>::kParts > 2 ? 2 : 4;
template <int L, int kRows>
inline constexpr int kLinesAtOnce = 8 / (kRows * Lanes<L>::kParts) > 1 ? 8 / (kRows * Lanes<L>::kParts) : 1;

// sums[r] = row r (of `cols` values) times the lines of `weight`.
template <int L, int kRows>
inline void dense_margins(const std::array<const float*, kRows>& rows, int64_t cols, const float* weight,
                          std::array<Lanes<L>, kRows>& sums) {
    constexpr int kLines = kLinesAtOnce<L, kRows>;
    Lanes<L> sum[kRows][kLines];
    for (int r = 0; r < kRows; ++r) {
        for (int u = 0; u < kLines; ++u) sum[r][u] = Lanes<L>::all(0.0f);
    }
    int64_t j = 0;
    for (; j + kLines <= cols; j += kLines) {
        for (int u = 0; u < kLines; ++u) {
            const auto line = Lanes<L>::load(weight + L * (j + u));
            for (int r = 0; r < kRows; ++r) sum[r][u] = sum[r][u] + line * rows[r][j + u];
        }
    }
    for (; j < cols; ++j) {
        const auto line = Lanes<L>::load(weight + L * j);
        for (int r = 0; r < kRows; ++r) sum[r][0] = sum[r][0] + line * rows[r][j];
    }
    for (int r = 0; r < kRows; ++r) {
        for (int u = 1; u < kLines; ++u) sum[r][0] = sum[r][0] + sum[r][u];
        sums[r] = sum[r][0];
    }
}

// Adds to the lines of `weight` each row times its step.
template <int L, int kRows>
inline void add_dense(const float* const* rows, int64_t cols, const Lanes<L>* steps, float* weight) {
    Lanes<L> step[kRows];
    for (int r = 0; r < kRows; ++r) step[r] = steps[r];
    for (int64_t j = 0; j < cols; ++j) {
        auto line = Lanes<L>::load(weight + L * j);
        for (int r = 0; r < kRows; ++r) line = line + step[r] * rows[r][j];
        line.store(weight + L * j);
    }
}

// The same for any number of rows up to a block.
template <int L>
inline void add_dense(int count, const float* const* rows, int64_t cols, const Lanes<L>* steps, float* weight) {
    if (count == 1) return add_dense<L, 1>(rows, cols, steps, weight);
    if (count == 2) return add_dense<L, 2>(rows, cols, steps, weight);
    if constexpr (kDenseBlock<L> > 2) {
        if (count == 3) return add_dense<L, 3>(rows, cols, steps, weight);
        if (count == 4) return add_dense<L, 4>(rows, cols, steps, weight);
    }
}

inline float inner_product(const float* a, const float* b, int64_t count) {
    using F = Lanes<16>;
    F sum = F::all(0.0f), other = sum;
    int64_t j = 0;
    for (; j + 32 <= count; j += 32) {
        sum = sum + F::load(a + j) * F::load(b + j);
        other = other + F::load(a + j + 16) * F::load(b + j + 16);
    }
    float lane[16], total = 0.0f;
    (sum + other).store(lane);
    for (float part : lane) total += part;
    for (; j < count; ++j) total += a[j] * b[j];
    return total;
}

}  // namespace ceiba
