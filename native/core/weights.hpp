// The weights of one level in chunks, one chunk per parent: what the trainer writes, disk keeps and search maps.
//
// A chunk holds the rows (features) on which any child of the parent has a weight, ascending by feature id and cut into
// buckets of 2^shift ids, some eight rows each. `bucket` says where a bucket's record begins, so that a row is found
// by one look-up and one vector comparison, and all of a record that a look-up reads lies side by side:
//
//     rows        1 byte: how many; a bucket without rows has no record
//     keys        rows x 1 byte, or 2 where shift is above 8: the low bits of the feature ids
//     entries     rows x 1 byte, or 4 in a wide chunk: how many children have a weight
//     per row     which children: a list of 1-byte ids while that is shorter than a bit per child, else the bits
//                 (a wide chunk lists 4-byte ids always); then their values
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/parallel.hpp"

namespace ceiba {

inline constexpr int kRowsPerBucket = 8;     // wanted at most, on average
inline constexpr int kMostRows = 64;         // in any bucket
inline constexpr int kPad = 16;              // children are padded to a multiple of this where they are bits
inline constexpr int kNarrowChildren = 240;  // a larger chunk is wide
inline constexpr int kSlack = 64;            // bytes after the last record that vector loads may touch

enum class ValueType : int { float32 = 0, float16 = 1, float8 = 2 };
inline constexpr const char* kValueTypeNames[] = {"float32", "float16", "float8"};  // by number

// Arrays of one level; the names are those of the tensors on disk.
struct LayerArrays {
    std::vector<int64_t> chunk_row;     // parents + 1: rows before each chunk
    std::vector<int64_t> chunk_byte;    // parents + 1: first byte in `stream` of each chunk
    std::vector<int64_t> chunk_bucket;  // parents + 1: first bucket of each chunk
    std::vector<uint8_t> shift;         // parents: log2 of the feature ids in a bucket
    std::vector<uint32_t> bucket;       // where in its chunk the record of each bucket begins; one more than buckets
    std::vector<uint8_t> stream;        // the records of all chunks, and kSlack bytes more
    std::vector<float> bias;            // children: intercepts
    std::vector<float> scale;           // parents: of float8 values
    ValueType value_type = ValueType::float32;
};

// The weights of one parent's children as the solver leaves them: rows ascend by feature.
struct ParentWeights {
    std::vector<int32_t> feature;
    std::vector<uint32_t> row_end;  // entries up to and with each row
    std::vector<uint32_t> child;
    std::vector<float> value;
    std::vector<float> bias;
};

// Packs and frees the parents' weights. A chunk depends on its parent alone, so that parents can be packed in any
// blocks. Throws std::length_error for a chunk of more than 4 GiB.
LayerArrays pack(std::vector<ParentWeights>& parents, int64_t features, ValueType type, int threads, Monitor& monitor);

inline int value_size(ValueType type) { return type == ValueType::float32 ? 4 : type == ValueType::float16 ? 2 : 1; }

inline int key_size(int shift) { return shift <= 8 ? 1 : 2; }

inline int64_t padded(int64_t children) { return (children + kPad - 1) / kPad * kPad; }

// Bytes of a row with `entries` values in a chunk of `children`.
inline bool is_wide(int64_t children) { return children > kNarrowChildren; }

inline int64_t row_bytes(int64_t entries, int64_t children, int value_bytes) {
    const int64_t ids = is_wide(children) ? 4 * entries : std::min<int64_t>(entries, padded(children) / 8);
    return ids + entries * value_bytes;
}

inline float half_to_float(uint16_t half) {
    // Shift exponent and mantissa into place; multiplying by 2^112 corrects the exponent bias, subnormals included.
    const uint32_t magnitude = static_cast<uint32_t>(half & 0x7fff) << 13;
    float value;
    std::memcpy(&value, &magnitude, 4);
    value *= 0x1p112f;
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    bits |= static_cast<uint32_t>(half & 0x8000) << 16;
    std::memcpy(&value, &bits, 4);
    return value;
}

// Nearest half; values beyond its range become its largest finite value.
uint16_t float_to_half(float value);

// A sign, 3 bits of exponent and 4 of mantissa: 127 magnitudes over eight powers of two from `scale` up, at most 1/32
// off. Code 0 is zero, which stands for what is below about half the scale.
class Float8 {
   public:
    // `scale` is a power of two.
    explicit Float8(float scale) { std::memcpy(&base_, &scale, 4); }

    // The scale for values up to `largest`.
    static float scale_for(float largest);

    uint32_t base() const { return base_; }
    uint8_t encode(float value) const;
    float decode(uint8_t code) const {
        const uint32_t magnitude = code & 0x7f;
        if (magnitude == 0) return 0.0f;
        const uint32_t bits = (base_ + (magnitude << 19)) | static_cast<uint32_t>(code & 0x80) << 24;
        float value;
        std::memcpy(&value, &bits, 4);
        return value;
    }

   private:
    uint32_t base_;  // the bits of the scale
};

// What each float8 stands for at a scale of 1.
struct Float8Units {
    alignas(64) float value[256] = {};
    constexpr Float8Units() {
        for (uint32_t code = 1; code < 256; ++code) {
            const uint32_t magnitude = code & 0x7f, one = 127u << 23;
            if (magnitude > 0) value[code] = std::bit_cast<float>((one + (magnitude << 19)) | (code & 0x80) << 24);
        }
    }
};
inline constexpr Float8Units kFloat8Units;

}  // namespace ceiba
