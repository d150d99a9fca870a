#include "core/layer_view.hpp"

#include <cmath>
#include <cstring>
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

// Reads one row and returns whether its children ascend within the chunk and its length fits them.
bool row_is_sound(const LayerView& layer, int64_t begin, int64_t end, int64_t children) {
    const int64_t length = end - begin, value_bytes = value_size(layer.value_type);
    const uint8_t* row = layer.stream + begin;
    if (layer.wide) {
        if (length % (4 + value_bytes) != 0) return false;
        int64_t previous = -1;
        for (int64_t e = 0; e < length / (4 + value_bytes); ++e) {
            uint32_t child;
            std::memcpy(&child, row + 4 * e, 4);
            if (child <= previous || child >= children) return false;
            previous = child;
        }
        return true;
    }
    const int64_t mask_bytes = padded(children) / 8;
    if (length < mask_bytes * (1 + value_bytes)) {
        if (length % (1 + value_bytes) != 0) return false;
        int64_t previous = -1;
        for (int64_t e = 0; e < length / (1 + value_bytes); ++e) {
            if (row[e] <= previous || row[e] >= children) return false;
            previous = row[e];
        }
        return true;
    }
    int64_t entries = 0;
    for (int64_t b = 0; b < mask_bytes; ++b) {
        entries += __builtin_popcount(row[b]);
        for (int bit = 0; bit < 8; ++bit) {
            if ((row[b] >> bit & 1) && 8 * b + bit >= children) return false;
        }
    }
    return length == mask_bytes + entries * value_bytes;
}

void check_stream(const LayerView& layer, int64_t p) {
    const int64_t rows = layer.chunk_rows(p), children = layer.chunk_children(p);
    const int64_t bytes = layer.chunk_byte[p + 1] - layer.chunk_byte[p];
    const int64_t dense = layer.chunk_dense[p + 1] - layer.chunk_dense[p];
    require(layer.is_dense[p] <= 1, "chunk kind");
    if (layer.is_dense[p]) {
        require(bytes == 0 && dense == rows * padded(children), "dense chunk size");
        return;
    }
    require(dense == 0 && (rows > 0 || bytes == 0), "sparse chunk size");
    for (int64_t a = layer.chunk_anchor[p]; a < layer.chunk_anchor[p + 1]; ++a) {
        require(layer.anchor[a] >= 0 && layer.anchor[a] <= bytes, "anchors");
    }
    int64_t begin = layer.chunk_byte[p];
    require(rows == 0 || layer.row_start(p, 0) == begin, "row offsets");
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t end = layer.row_start(p, r + 1);
        require(begin <= end && end <= layer.chunk_byte[p + 1], "row offsets");
        require(row_is_sound(layer, begin, end, children), "rows");
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
    require(keys_length == rows_length + kKeySlack, "keys");
    require_offsets(chunk_row, parents, rows_length, "chunk rows");
    require(stream_length >= kSlack, "rows");
    require_offsets(chunk_byte, parents, stream_length - kSlack, "chunk bytes");
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
        check_stream(*this, p);
    }
    require_finite(bias, children, ValueType::float32, "intercepts");
    const ValueType dense_type = value_type == ValueType::float32 ? ValueType::float32 : ValueType::float16;
    require_finite(dense, dense_length, dense_type, "values");
    if (value_type == ValueType::code8) require_finite(codebook, 256, ValueType::float32, "codebook");
}

}  // namespace ceiba
