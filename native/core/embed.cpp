#include "core/embed.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/workspace.hpp"

namespace ceiba {
namespace {

constexpr int64_t kLabelsPerTask = 64;

struct Accumulator {
    Scratch<float> sum;
    std::vector<uint64_t> seen;
    std::vector<float> sizes;
};

// Cuts the row that begins at `start` of the arrays down to its `keep` largest entries, in place.
void keep_largest(CsrArrays& part, size_t start, size_t keep, std::vector<float>& sizes) {
    const size_t count = part.data.size() - start;
    if (keep == 0 || count <= keep) return;
    sizes.resize(count);
    for (size_t e = 0; e < count; ++e) sizes[e] = std::abs(part.data[start + e]);
    std::nth_element(sizes.begin(), sizes.begin() + (keep - 1), sizes.end(), std::greater<float>());
    const float smallest = sizes[keep - 1];
    size_t room = keep;  // for entries of exactly that size
    for (size_t e = start; e < part.data.size(); ++e) room -= std::abs(part.data[e]) > smallest;
    size_t to = start;
    for (size_t e = start; e < part.data.size(); ++e) {
        const float size = std::abs(part.data[e]);
        if (size < smallest || (size == smallest && room == 0)) continue;
        room -= size == smallest;
        part.indices[to] = part.indices[e];
        part.data[to++] = part.data[e];
    }
    part.indices.resize(to);
    part.data.resize(to);
}

}  // namespace

CsrArrays pifa(const Csr& x, const Lists& positive, int64_t keep, int threads, Monitor& monitor) {
    const int64_t labels = positive.count, tasks = (labels + kLabelsPerTask - 1) / kLabelsPerTask;
    std::vector<CsrArrays> parts(tasks);
    std::vector<Accumulator> spaces(std::max(1, threads));

    parallel_for(tasks, threads, monitor, [&](int64_t task, int thread) {
        float* sum = spaces[thread].sum.reserve(x.cols);
        std::vector<uint64_t>& seen = spaces[thread].seen;
        seen.resize((x.cols + 63) / 64, 0);
        CsrArrays& part = parts[task];
        const int64_t last = std::min(labels, (task + 1) * kLabelsPerTask);
        for (int64_t label = task * kLabelsPerTask; label < last; ++label) {
            for (int64_t q = positive.ptr[label]; q < positive.ptr[label + 1]; ++q) {
                const int64_t row = positive.indices[q];
                const float weight = positive.weight != nullptr ? positive.weight[q] : 1.0f;
                for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j) {
                    const int32_t f = x.indices[j];
                    sum[f] += weight * x.data[j];
                    seen[f >> 6] |= uint64_t{1} << (f & 63);
                }
                const float* dense = x.dense_row(row);
                float* dense_sum = sum + x.sparse_cols();
                for (int64_t j = 0; j < x.dense_cols; ++j) dense_sum[j] += weight * dense[j];
            }
            if (positive.size(label) > 0) {
                for (int64_t f = x.sparse_cols(); f < x.cols; ++f) seen[f >> 6] |= uint64_t{1} << (f & 63);
            }
            const size_t start = part.indices.size();
            for (size_t w = 0; w < seen.size(); ++w) {
                for (uint64_t left = seen[w]; left != 0; left &= left - 1) {
                    const int32_t f = static_cast<int32_t>(w * 64 + __builtin_ctzll(left));
                    if (sum[f] != 0.0f) {
                        part.indices.push_back(f);
                        part.data.push_back(sum[f]);
                    }
                    sum[f] = 0.0f;
                }
                seen[w] = 0;
            }
            keep_largest(part, start, static_cast<size_t>(keep), spaces[thread].sizes);
            double norm2 = 0.0;
            for (size_t e = start; e < part.data.size(); ++e) norm2 += static_cast<double>(part.data[e]) * part.data[e];
            const float scale = norm2 > 0 ? static_cast<float>(1.0 / std::sqrt(norm2)) : 0.0f;
            for (size_t e = start; e < part.data.size(); ++e) part.data[e] *= scale;
            part.indptr.push_back(static_cast<int64_t>(part.indices.size()));
        }
        monitor.done += last - task * kLabelsPerTask;
    });

    CsrArrays z;
    z.indptr.reserve(labels + 1);
    z.indptr.push_back(0);
    int64_t total = 0;
    for (const CsrArrays& part : parts) total += part.indices.size();
    z.indices.reserve(total);
    z.data.reserve(total);
    for (CsrArrays& part : parts) {
        const int64_t base = z.indices.size();
        for (int64_t end : part.indptr) z.indptr.push_back(base + end);
        z.indices.insert(z.indices.end(), part.indices.begin(), part.indices.end());
        z.data.insert(z.data.end(), part.data.begin(), part.data.end());
        part = CsrArrays();
    }
    return z;
}

}  // namespace ceiba
