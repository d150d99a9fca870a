#include "core/inner_products.hpp"

#include <algorithm>

#include "core/dense_block.hpp"

namespace ceiba {

void inner_products(const float* left, const float* right, int64_t cols, const Lists& others, int threads,
                    Monitor& monitor, float* products) {
    constexpr int64_t kRows = 16;                       // of a task, so that starting it costs little beside it
    constexpr int64_t kFewProducts = int64_t{1} << 22;  // a millisecond: no thread is worth starting
    const auto run = [&](int64_t task, int) {
        const int64_t last = std::min((task + 1) * kRows, others.count);
        for (int64_t i = task * kRows; i < last; ++i) {
            for (int64_t q = others.ptr[i]; q < others.ptr[i + 1]; ++q) {
                products[q] = inner_product(left + i * cols, right + others.indices[q] * cols, cols);
            }
        }
    };
    const int64_t tasks = (others.count + kRows - 1) / kRows;
    if (tasks == 1 && others.ptr[others.count] * cols <= kFewProducts) {
        run(0, 0);
    } else {
        parallel_for(tasks, threads, monitor, run);
    }
}

}  // namespace ceiba
