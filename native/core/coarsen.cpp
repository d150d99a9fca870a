#include "core/coarsen.hpp"

#include <algorithm>
#include <utility>

namespace ceiba {
namespace {

using Item = std::pair<int32_t, float>;

void merge_parent(const Lists& children, int64_t first, int64_t last, std::vector<Item>& merged) {
    merged.clear();
    for (int64_t q = children.ptr[first]; q < children.ptr[last]; ++q) {
        merged.emplace_back(children.indices[q], children.weight != nullptr ? children.weight[q] : 1.0f);
    }
    // stable, so that weights are always added in the children's order
    std::stable_sort(merged.begin(), merged.end(), [](const Item& a, const Item& b) { return a.first < b.first; });
    size_t kept = 0;
    for (size_t m = 0; m < merged.size(); ++m) {
        if (kept > 0 && merged[kept - 1].first == merged[m].first) {
            merged[kept - 1].second += merged[m].second;
        } else {
            merged[kept++] = merged[m];
        }
    }
    merged.resize(kept);
}

}  // namespace

ListArrays coarsen(const Lists& children, const int64_t* child_ptr, int64_t parents, int threads, Monitor& monitor) {
    std::vector<ListArrays> parts(parents);
    parallel_for(parents, threads, monitor, [&](int64_t p, int) {
        std::vector<Item> merged;
        merge_parent(children, child_ptr[p], child_ptr[p + 1], merged);
        parts[p].indices.reserve(merged.size());
        for (const Item& item : merged) parts[p].indices.push_back(item.first);
        if (children.weight != nullptr) {
            parts[p].weight.reserve(merged.size());
            for (const Item& item : merged) parts[p].weight.push_back(item.second);
        }
    });
    ListArrays result;
    result.ptr.push_back(0);
    for (ListArrays& part : parts) {
        result.indices.insert(result.indices.end(), part.indices.begin(), part.indices.end());
        result.weight.insert(result.weight.end(), part.weight.begin(), part.weight.end());
        result.ptr.push_back(static_cast<int64_t>(result.indices.size()));
        part = ListArrays();
    }
    return result;
}

}  // namespace ceiba
