// Which nodes of a tree a row may reach: those above a label that it may get.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/searcher.hpp"

namespace ceiba {

// The nodes of one tree above labels that all rows may get: one byte per node and level.
class AllowedNodes {
   public:
    AllowedNodes(const TreeView& tree, const LabelSlots& slots, const LabelFilter& labels);

    bool operator()(int64_t level, int64_t node) const { return levels_[level][node] != 0; }

   private:
    std::vector<std::vector<uint8_t>> levels_;  // without the root
};

// The filter of one tree and a block of rows.
class NodeFilter {
   public:
    // `all` is null where the filter has no lists for all rows.
    NodeFilter(const TreeView& tree, const LabelSlots& slots, const LabelFilter& labels, const AllowedNodes* all,
               int64_t first, int64_t rows);

    // Whether row `row` of the block may get a label below a node of the level; at the last level nodes are slots.
    bool allows(int64_t row, int64_t level, int64_t node) const {
        if (all_ != nullptr && !(*all_)(level, node)) return false;
        if (!allowed_.empty() && !has(allowed_[row][level], node)) return false;
        return denied_.empty() || !has(denied_[row][level], node);
    }

    // Whether a row may get so few labels that all are scored, however wide the beam.
    bool scores_all(int64_t row) const { return few_ || (!few_rows_.empty() && few_rows_[row] != 0); }

   private:
    using Levels = std::vector<std::vector<int32_t>>;  // ascending nodes of each level

    static bool has(const std::vector<int32_t>& nodes, int64_t node) {
        return std::binary_search(nodes.begin(), nodes.end(), static_cast<int32_t>(node));
    }

    // The slots of labels that a row may get, and the nodes above them.
    void walk_allowed(const Lists& labels, int64_t row, const Levels* denied, Levels& levels) const;
    // The slots of labels that a row must not get, and the nodes above them without another label.
    void walk_denied(const Lists& labels, int64_t row, Levels& levels) const;
    bool is_exhausted(const std::vector<int32_t>& denied, int64_t level, int64_t parent) const;
    void list_slots(const Lists& labels, int64_t row, std::vector<int32_t>& slots) const;

    const TreeView& tree_;
    const LabelSlots& slots_;
    const AllowedNodes* all_;
    bool few_ = false;
    std::vector<uint8_t> few_rows_;
    std::vector<Levels> allowed_, denied_;  // of each row
};

}  // namespace ceiba
