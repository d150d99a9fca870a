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

bool finite_value(const uint8_t* at, ValueType type) {
    if (type == ValueType::float8) return true;
    if (type == ValueType::float16) {
        uint16_t half;
        std::memcpy(&half, at, 2);
        return (half & 0x7c00) != 0x7c00;
    }
    float value;
    std::memcpy(&value, at, 4);
    return std::isfinite(value);
}

// Whether the children of a row ascend within the chunk, and its values are finite.
bool row_is_sound(const LayerView& layer, const uint8_t* row, int64_t entries, int64_t children) {
    const int value_bytes = value_size(layer.value_type);
    const int64_t mask_bytes = padded(children) / 8;
    const bool wide = is_wide(children);
    const uint8_t* values = row + (wide ? 4 * entries : std::min(entries, mask_bytes));
    for (int64_t e = 0; e < entries; ++e) {
        if (!finite_value(values + e * value_bytes, layer.value_type)) return false;
    }
    if (!wide && entries >= mask_bytes) {
        int64_t bits = 0;
        for (int64_t b = 0; b < mask_bytes; ++b) {
            bits += __builtin_popcount(row[b]);
            if (8 * b + 8 > children && row[b] >> std::max<int64_t>(0, children - 8 * b) != 0) return false;
        }
        return bits == entries;
    }
    int64_t previous = -1;
    for (int64_t e = 0; e < entries; ++e) {
        uint32_t child = row[e];
        if (wide) std::memcpy(&child, row + 4 * e, 4);
        if (child <= previous || child >= children) return false;
        previous = child;
    }
    return true;
}

// Checks a bucket's record, which has to fill `bytes`, and returns its number of rows.
int64_t check_record(const LayerView& layer, int64_t p, int64_t b, const uint8_t* at, int64_t bytes) {
    const int shift = layer.shift[p], key_bytes = key_size(shift), value_bytes = value_size(layer.value_type);
    const int64_t children = layer.chunk_children(p);
    const bool wide = is_wide(children);
    const int64_t head = 1 + int64_t{at[0]} * (key_bytes + (wide ? 4 : 1));
    require(at[0] >= 1 && at[0] <= kMostRows && head <= bytes, "rows of a bucket");
    const Record record(at, key_bytes, wide);
    const int64_t high = ~((int64_t{1} << (8 * key_bytes)) - 1);
    int64_t previous = -1, left = bytes - head;
    const uint8_t* row = record.first_row;
    for (int r = 0; r < record.rows; ++r) {
        const int64_t feature = ((b << shift) & high) | record.key(r, key_bytes);
        require(feature >> shift == b && feature > previous && feature < layer.features, "feature ids");
        previous = feature;
        const int64_t entries = record.entries_of(r, wide);
        require(entries >= 1 && entries <= children, "entries of a row");
        const int64_t length = row_bytes(entries, children, value_bytes);
        require(length <= left && row_is_sound(layer, row, entries, children), "rows");
        left -= length;
        row += length;
    }
    require(left == 0, "length of a bucket");
    return record.rows;
}

void check_chunk(const LayerView& layer, int64_t p) {
    require(layer.shift[p] <= 16, "bucket width");
    require(layer.chunk_buckets(p) == (layer.features >> layer.shift[p]) + 1, "bucket count");
    const uint32_t* bucket = layer.bucket + layer.chunk_bucket[p];
    const int64_t bytes = layer.chunk_byte[p + 1] - layer.chunk_byte[p], buckets = layer.chunk_buckets(p);
    require(bucket[0] == 0 && bucket[buckets] == bytes, "bucket offsets");
    int64_t rows = 0;
    for (int64_t b = 0; b < buckets; ++b) {
        require(bucket[b] <= bucket[b + 1] && bucket[b + 1] <= bytes, "bucket offsets");
        if (bucket[b] == bucket[b + 1]) continue;
        rows += check_record(layer, p, b, layer.stream + layer.chunk_byte[p] + bucket[b], bucket[b + 1] - bucket[b]);
    }
    require(rows == layer.chunk_rows(p), "chunk rows");
}

}  // namespace

void LayerView::validate() {
    require_offsets(child_ptr, parents, children, "child offsets");
    require_offsets(chunk_row, parents, chunk_row[parents], "chunk rows");
    require(stream_length >= kSlack, "rows");
    require_offsets(chunk_byte, parents, stream_length - kSlack, "chunk bytes");
    require_offsets(chunk_bucket, parents, buckets_length, "chunk buckets");
    for (int64_t p = 0; p < parents; ++p) check_chunk(*this, p);
    for (int64_t c = 0; c < children; ++c) require(std::isfinite(bias[c]), "intercepts");
    for (int64_t p = 0; p < parents; ++p) {
        int exponent = 0;
        require(std::isnormal(scale[p]) && std::frexp(scale[p], &exponent) == 0.5f && exponent <= 121, "scale");
    }
    chunks.resize(parents);
    for (int64_t p = 0; p < parents; ++p) {
        chunks[p] = {
            stream + chunk_byte[p], bucket + chunk_bucket[p], child_ptr[p], chunk_children(p), scale[p], shift[p]};
    }
}

}  // namespace ceiba
