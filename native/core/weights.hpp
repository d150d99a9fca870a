// The weights of one level in chunks, one chunk per parent: what the trainer writes, disk keeps and search maps.
//
// A chunk holds the rows (features) on which any child of the parent has a weight. Rows ascend by feature id and are
// cut into buckets of 2^shift ids, about a dozen rows each, so that a row is found by one table look-up and a short
// scan of 16-bit keys. A row's entries are (child, value) pairs; a chunk where most children have a weight in most rows
// stores its rows whole instead, `stride` values each.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace ceiba {

inline constexpr int kAnchorRows = 256;   // rows that share one absolute entry offset
inline constexpr int kRowsPerBucket = 12; // wanted average
inline constexpr int kDensePad = 16;      // rows of a dense chunk are padded to a multiple of this many children
inline constexpr int kNarrowChildren = 255;

enum class ValueType : int { float32 = 0, float16 = 1, code8 = 2 };

// Arrays of one level; the names are those of the tensors on disk.
struct LayerArrays {
    std::vector<int64_t> chunk_row;     // parents + 1: first row of each chunk
    std::vector<int64_t> chunk_entry;   // parents + 1: first entry of each sparse chunk
    std::vector<int64_t> chunk_dense;   // parents + 1: first value of each dense chunk
    std::vector<int64_t> chunk_bucket;  // parents + 1: first bucket offset
    std::vector<uint8_t> shift;         // parents: log2 of the feature ids in a bucket
    std::vector<uint8_t> is_dense;      // parents
    std::vector<uint32_t> bucket;       // rows of the chunk before each bucket, one more than buckets
    std::vector<uint16_t> key;          // rows: low 16 bits of the feature id
    std::vector<int64_t> anchor;        // entries of the chunk before every 256th row (sparse chunks)
    std::vector<uint16_t> offset16;     // rows: entries since the anchor; narrow layers (at most 255 children)
    std::vector<uint32_t> offset32;     // rows: the same for wide layers
    std::vector<uint8_t> child8;        // entries: child index within the parent; narrow layers
    std::vector<uint32_t> child32;      // entries: the same for wide layers
    std::vector<uint8_t> value_bytes;   // entries: values of `value_type`
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

inline int64_t padded(int64_t children) { return (children + kDensePad - 1) / kDensePad * kDensePad; }

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
