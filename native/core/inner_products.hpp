// Inner products of rows of one matrix with some rows of another.
#pragma once

#include <cstdint>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

// products[q] = row i of `left` times row others.indices[q] of `right`, for every q in list i; both have `cols` columns.
void inner_products(const float* left, const float* right, int64_t cols, const Lists& others, int threads,
                    Monitor& monitor, float* products);

}  // namespace ceiba
