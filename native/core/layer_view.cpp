#include "core/layer_view.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace ceiba {
namespace {

void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(std::string("damaged weights: ") + what);
}

void require_offsets(const int64_t* ptr, int64_t count, int64_t end, const char* what) {
    require(ptr[0] == 0 && ptr[count] == end, what);
    for (int64_t p = 0; p < count; ++p) require(ptr[p] <= ptr[p + 1], what);
}

int64_t entry_start(const LayerView& layer, int64_t parent, int64_t row) {
    const int64_t at = layer.chunk_row[parent] + row;
    const int64_t anchor = layer.anchor[layer.chunk_anchor[parent] + row / kAnchorRows];
    return anchor + (layer.wide ? static_cast<int64_t>(layer.offset32[at]) : layer.offset16[at]);
}

void check_rows(const LayerView& layer, int64_t p) {
    const int shift = layer.shift[p];
    require(shift <= 16, "bucket width");
    const int64_t buckets = (layer.features >> shift) + 1;
    require(layer.chunk_bucket[p + 1] - layer.chunk_bucket[p] == buckets + 1, "bucket count");
    const uint32_t* bucket = layer.bucket + layer.chunk_bucket[p];
    const uint16_t* key = layer.key + layer.chunk_row[p];
    const int64_t rows = layer.chunk_rows(p);
    require(bucket[0] == 0 && bucket[buckets] == rows, "bucket offsets");
    for (int64_t b = 0; b < buckets; ++b) {
        require(bucket[b] <= bucket[b + 1] && bucket[b + 1] <= rows, "bucket offsets");
        int64_t previous = -1;
        for (int64_t r = bucket[b]; r < bucket[b + 1]; ++r) {
            const int64_t feature = (((b << shift) >> 16) << 16) | key[r];
            require(feature >> shift == b && feature > previous && feature < layer.features, "feature ids");
            previous = feature;
        }
    }
}

void check_entries(const LayerView& layer, int64_t p) {
    const int64_t rows = layer.chunk_rows(p), children = layer.chunk_children(p);
    const int64_t entries = layer.chunk_entry[p + 1] - layer.chunk_entry[p];
    const int64_t dense = layer.chunk_dense[p + 1] - layer.chunk_dense[p];
    require(layer.is_dense[p] <= 1, "chunk kind");
    if (layer.is_dense[p]) {
        require(entries == 0 && dense == rows * padded(children), "dense chunk size");
        return;
    }
    require(dense == 0 && (rows > 0 || entries == 0), "sparse chunk size");
    int64_t begin = rows > 0 ? entry_start(layer, p, 0) : 0;
    require(begin == 0, "row offsets");
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t end = r + 1 < rows ? entry_start(layer, p, r + 1) : entries;
        require(begin <= end && end <= entries, "row offsets");
        int64_t previous = -1;
        for (int64_t e = layer.chunk_entry[p] + begin; e < layer.chunk_entry[p] + end; ++e) {
            const int64_t child = layer.wide ? static_cast<int64_t>(layer.child32[e]) : layer.child8[e];
            require(child > previous && child < children, "child ids");
            previous = child;
        }
        begin = end;
    }
}

void require_finite(const void* values, int64_t count, ValueType type, const char* what) {
    bool finite = true;
    if (type == ValueType::float32) {
        const float* value = static_cast<const float*>(values);
        for (int64_t i = 0; i < count; ++i) finite &= std::isfinite(value[i]);
    } else {
        const uint16_t* value = static_cast<const uint16_t*>(values);
        for (int64_t i = 0; i < count; ++i) finite &= (value[i] & 0x7c00) != 0x7c00;
    }
    require(finite, what);
}

}  // namespace

void LayerView::validate() {
    require_offsets(child_ptr, parents, children, "child offsets");
    require_offsets(chunk_row, parents, rows_length, "chunk rows");
    require_offsets(chunk_entry, parents, entries_length, "chunk entries");
    require_offsets(chunk_dense, parents, dense_length, "chunk values");
    require_offsets(chunk_bucket, parents, buckets_length, "chunk buckets");
    chunk_anchor.assign(parents + 1, 0);
    for (int64_t p = 0; p < parents; ++p) {
        const int64_t anchors = is_dense[p] ? 0 : (chunk_rows(p) + kAnchorRows - 1) / kAnchorRows;
        chunk_anchor[p + 1] = chunk_anchor[p] + anchors;
        require(wide || chunk_children(p) <= kNarrowChildren, "number of children");
    }
    require(chunk_anchor[parents] == anchors_length, "anchors");
    for (int64_t p = 0; p < parents; ++p) {
        check_rows(*this, p);
        check_entries(*this, p);
    }
    require_finite(bias, children, ValueType::float32, "intercepts");
    const ValueType dense_type = value_type == ValueType::float32 ? ValueType::float32 : ValueType::float16;
    require_finite(dense, dense_length, dense_type, "values");
    if (value_type == ValueType::code8) {
        require_finite(codebook, 256, ValueType::float32, "codebook");
    } else {
        require_finite(value, entries_length, value_type, "values");
    }
}

}  // namespace ceiba
