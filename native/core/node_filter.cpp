#include "core/node_filter.hpp"

namespace ceiba {
namespace {

constexpr int64_t kScoredAll = 1000;  // so few labels a row may get are all scored

int64_t parent_of(const LayerView& layer, int64_t node) {
    return std::upper_bound(layer.child_ptr, layer.child_ptr + layer.parents + 1, node) - layer.child_ptr - 1;
}

}  // namespace

AllowedNodes::AllowedNodes(const TreeView& tree, const LabelSlots& slots, const LabelFilter& labels) {
    const int64_t depth = static_cast<int64_t>(tree.layers.size());
    const uint8_t open = labels.restricted ? 0 : 1;
    for (const LayerView& layer : tree.layers) levels_.emplace_back(layer.children, open);
    auto mark = [&](const std::vector<int32_t>& list, uint8_t value) {
        for (const int32_t label : list) {
            for (int64_t s = slots.ptr[label]; s < slots.ptr[label + 1]; ++s)
                levels_[depth - 1][slots.slots[s]] = value;
        }
    };
    mark(labels.allowed, 1);
    mark(labels.denied, 0);
    for (int64_t t = depth - 1; t > 0; --t) {
        const LayerView& layer = tree.layers[t];
        for (int64_t p = 0; p < layer.parents; ++p) {
            const auto begin = levels_[t].begin() + layer.child_ptr[p],
                       end = levels_[t].begin() + layer.child_ptr[p + 1];
            levels_[t - 1][p] = std::find(begin, end, uint8_t{1}) != end;
        }
    }
}

NodeFilter::NodeFilter(const TreeView& tree, const LabelSlots& slots, const LabelFilter& labels,
                       const AllowedNodes* all, int64_t first, int64_t rows)
    : tree_(tree), slots_(slots), all_(all),
      few_(labels.restricted && static_cast<int64_t>(labels.allowed.size()) <= kScoredAll) {
    if (labels.denied_rows != nullptr) {
        denied_.resize(rows);
        for (int64_t i = 0; i < rows; ++i) walk_denied(*labels.denied_rows, first + i, denied_[i]);
    }
    if (labels.allowed_rows != nullptr) {
        allowed_.resize(rows);
        few_rows_.resize(rows);
        for (int64_t i = 0; i < rows; ++i) {
            walk_allowed(*labels.allowed_rows, first + i, denied_.empty() ? nullptr : &denied_[i], allowed_[i]);
            few_rows_[i] = labels.allowed_rows->size(first + i) <= kScoredAll;
        }
    }
}

void NodeFilter::walk_allowed(const Lists& labels, int64_t row, const Levels* denied, Levels& levels) const {
    const int64_t depth = static_cast<int64_t>(tree_.layers.size());
    levels.resize(depth);
    std::vector<int32_t>& bottom = levels[depth - 1];
    list_slots(labels, row, bottom);
    const auto out = [&](int32_t slot) {
        return (all_ != nullptr && !(*all_)(depth - 1, slot)) || (denied != nullptr && has((*denied)[depth - 1], slot));
    };
    bottom.erase(std::remove_if(bottom.begin(), bottom.end(), out), bottom.end());
    for (int64_t t = depth - 1; t > 0; --t) {
        const LayerView& layer = tree_.layers[t];
        for (const int32_t node : levels[t]) {
            std::vector<int32_t>& above = levels[t - 1];
            if (!above.empty() && node < layer.child_ptr[above.back() + 1]) continue;
            above.push_back(static_cast<int32_t>(parent_of(layer, node)));
        }
    }
}

void NodeFilter::walk_denied(const Lists& labels, int64_t row, Levels& levels) const {
    const int64_t depth = static_cast<int64_t>(tree_.layers.size());
    levels.resize(depth);
    list_slots(labels, row, levels[depth - 1]);
    for (int64_t t = depth - 1; t > 0; --t) {
        const LayerView& layer = tree_.layers[t];
        int64_t parent = -1;
        for (const int32_t node : levels[t]) {
            if (parent >= 0 && node < layer.child_ptr[parent + 1]) continue;
            parent = parent_of(layer, node);
            if (is_exhausted(levels[t], t, parent)) levels[t - 1].push_back(static_cast<int32_t>(parent));
        }
    }
}

bool NodeFilter::is_exhausted(const std::vector<int32_t>& denied, int64_t level, int64_t parent) const {
    const LayerView& layer = tree_.layers[level];
    for (int64_t child = layer.child_ptr[parent]; child < layer.child_ptr[parent + 1]; ++child) {
        if (!has(denied, child) && (all_ == nullptr || (*all_)(level, child))) return false;
    }
    return true;
}

void NodeFilter::list_slots(const Lists& labels, int64_t row, std::vector<int32_t>& slots) const {
    for (int64_t q = labels.ptr[row]; q < labels.ptr[row + 1]; ++q) {
        const int32_t label = labels.indices[q];
        slots.insert(slots.end(), slots_.slots.begin() + slots_.ptr[label],
                     slots_.slots.begin() + slots_.ptr[label + 1]);
    }
    std::sort(slots.begin(), slots.end());
}

}  // namespace ceiba
