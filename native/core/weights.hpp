// The weights of one level in chunks, one chunk per parent: what the trainer writes, disk keeps and search maps.
//
// A chunk holds the rows (features) on which any child of the parent has a weight. Rows ascend by feature id and are
// cut into buckets of 2^shift ids, about eight rows each, so that a row is found by one table look-up and a short
// scan of 16-bit keys. A row is a run of bytes: first which children it has values for, then the values. Children are
// a list of ids while that is shorter than a bit per child, else the bits; the row's length tells which. A chunk where
// most children have a weight in most rows stores its rows whole instead, `stride` values each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace ceiba {

inline constexpr int kAnchorRows = 64;    // rows that share one absolute offset
inline constexpr int kRowsPerBucket = 8;   // wanted average
inline constexpr int kPad = 16;            // children are padded to a multiple of this where they are bits or whole rows
inline constexpr int kNarrowChildren = 240;
inline constexpr int kSlack = 64;          // bytes after the last row that vector loads may touch
inline constexpr int kKeySlack = 32;       // keys after the last, likewise

// A narrow layer counts the bytes of the up to 63 rows since an anchor in 16 bits, even where all are full.
static_assert((kAnchorRows - 1) * (kNarrowChildren / 8 + 4 * kNarrowChildren) <= 65535);

enum class ValueType : int { float32 = 0, float16 = 1, code8 = 2 };

// Arrays of one level; the names are those of the tensors on disk.
struct LayerArrays {
    std::vector<int64_t> chunk_row;     // parents + 1: first row of each chunk
    std::vector<int64_t> chunk_byte;    // parents + 1: first byte in `stream` of each sparse chunk
    std::vector<int64_t> chunk_dense;   // parents + 1: first value of each dense chunk
    std::vector<int64_t> chunk_bucket;  // parents + 1: first bucket offset
    std::vector<uint8_t> shift;         // parents: log2 of the feature ids in a bucket
    std::vector<uint8_t> is_dense;      // parents
    std::vector<uint32_t> bucket;       // rows of the chunk before each bucket, one more than buckets
    std::vector<uint16_t> key;          // rows: low 16 bits of the feature id; kKeySlack zeros follow
    std::vector<int64_t> anchor;        // bytes of the chunk before every 64th row (sparse chunks)
    std::vector<uint16_t> offset16;     // rows: bytes since the anchor; narrow layers (at most 240 children)
    std::vector<uint32_t> offset32;     // rows: the same for wide layers, whose rows list children as 32-bit ids
    std::vector<uint8_t> stream;        // the rows of all sparse chunks, and kSlack bytes more
    std::vector<uint8_t> dense_bytes;   // float32, or float16 when value_type is not float32
    std::vector<float> codebook;        // 256 values that the codes of code8 stand for
    std::vector<float> bias;            // children: intercepts
    ValueType value_type = ValueType::float32;
    bool wide = false;
};

// The weights of one parent's children as the solver leaves them: rows ascend by feature.
struct ParentWeights {
    std::vector<int32_t> feature;
    std::vector<uint32_t> row_end;  // entries up to and with each row
    std::vector<uint32_t> child;
    std::vector<float> value;
    std::vector<float> bias;
};

// Packs and frees the parents' weights.
LayerArrays pack(std::vector<ParentWeights>& parents, int64_t features, ValueType type, int threads, Monitor& monitor);

inline int value_size(ValueType type) { return type == ValueType::float32 ? 4 : type == ValueType::float16 ? 2 : 1; }

inline int64_t padded(int64_t children) { return (children + kPad - 1) / kPad * kPad; }

// Bytes of a row with `entries` values in a chunk of `children`.
inline int64_t row_bytes(int64_t entries, int64_t children, bool wide, int value_bytes) {
    const int64_t ids = wide ? 4 * entries : std::min<int64_t>(entries, padded(children) / 8);
    return ids + entries * value_bytes;
}

inline float half_to_float(uint16_t half) {
    // Shift exponent and mantissa into place; multiplying by 2^112 corrects the exponent bias, subnormals included.
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
    float value;
    __builtin_memcpy(&value, &magnitude, 4);
    value *= 0x1p112f;
    uint32_t bits;
    __builtin_memcpy(&bits, &value, 4);
    bits |= static_cast<uint32_t>(half & 0x8000) << 16;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

// Nearest half; values beyond its range become its largest finite value.
uint16_t float_to_half(float value);

}  // namespace ceiba
