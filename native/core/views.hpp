// Read-only views of arrays that the caller owns and has already checked.
#pragma once

#include <cstdint>

namespace ceiba {

// Compressed sparse rows; column ids ascend within a row. Dense columns, where there are any, are the last ones and
// stand apart, row after row.
struct Csr {
    int64_t rows = 0;
    int64_t cols = 0;
    const int64_t* indptr = nullptr;
    const int32_t* indices = nullptr;
    const float* data = nullptr;
    const float* dense = nullptr;  // rows x dense_cols
    int64_t dense_cols = 0;

    int64_t nnz(int64_t row) const { return indptr[row + 1] - indptr[row]; }  // without the dense ones
    int64_t size(int64_t row) const { return nnz(row) + dense_cols; }
    int64_t sparse_cols() const { return cols - dense_cols; }
    const float* dense_row(int64_t row) const { return dense + row * dense_cols; }
};

// One list of ascending instance ids per node, with a weight per entry where `weight` is set.
struct Lists {
    int64_t count = 0;
    const int64_t* ptr = nullptr;
    const int32_t* indices = nullptr;
    const float* weight = nullptr;

    int64_t size(int64_t list) const { return ptr[list + 1] - ptr[list]; }
};

}  // namespace ceiba
