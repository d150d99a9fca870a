// One level's weights as search reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/weights.hpp"

namespace ceiba {

// What a visit needs of a chunk, in one cache line.
struct alignas(64) Chunk {
    const uint8_t* bytes = nullptr;    // its records
    const uint32_t* bucket = nullptr;  // where they begin
    int64_t first_child = 0;
    int64_t children = 0;
    float scale = 1.0f;  // of float8 values
    int shift = 0;
};

// A layer's arrays as the caller holds them (mapped from disk or fresh from training).
struct LayerView {
    int64_t parents = 0;
    int64_t children = 0;
    int64_t features = 0;
    const int64_t* child_ptr = nullptr;
    const int64_t* chunk_row = nullptr;
    const int64_t* chunk_byte = nullptr;
    const int64_t* chunk_bucket = nullptr;
    const uint8_t* shift = nullptr;
    const uint32_t* bucket = nullptr;
    const uint8_t* stream = nullptr;
    const float* bias = nullptr;
    const float* scale = nullptr;  // per parent, of float8 values
    ValueType value_type = ValueType::float32;
    int64_t buckets_length = 0, stream_length = 0;  // array lengths, for the check

    int64_t chunk_children(int64_t p) const { return child_ptr[p + 1] - child_ptr[p]; }
    int64_t chunk_rows(int64_t p) const { return chunk_row[p + 1] - chunk_row[p]; }
    int64_t chunk_buckets(int64_t p) const { return chunk_bucket[p + 1] - chunk_bucket[p] - 1; }

    std::vector<Chunk> chunks;  // per parent; filled by validate()

    // Throws std::invalid_argument unless every offset and id is in range, so that search needs no checks.
    void validate();
};

// The record of one bucket, see weights.hpp.
struct Record {
    const uint8_t* keys;
    const uint8_t* entries;
    const uint8_t* first_row;
    int rows;

    Record(const uint8_t* at, int key_bytes, bool wide)
        : keys(at + 1), entries(keys + at[0] * key_bytes), first_row(entries + at[0] * (wide ? 4 : 1)), rows(at[0]) {}

    uint32_t key(int r, int key_bytes) const {
        if (key_bytes == 1) return keys[r];
        uint16_t k;
        std::memcpy(&k, keys + 2 * r, 2);
        return k;
    }
    uint32_t entries_of(int r, bool wide) const {
        if (!wide) return entries[r];
        uint32_t e;
        std::memcpy(&e, entries + 4 * r, 4);
        return e;
    }
};

// Calls visit(feature, entries, bytes) for each row of a chunk in the buckets [from, to); `bytes` are its children and
// values.
template <class Visit>
void for_each_row(const LayerView& layer, int64_t p, int64_t from, int64_t to, Visit visit) {
    const auto& [chunk, bucket, first_child, children, scale, shift] = layer.chunks[p];
    const int key_bytes = key_size(shift), value_bytes = value_size(layer.value_type);
    const bool wide = is_wide(children);
    const int64_t high = ~((int64_t{1} << (8 * key_bytes)) - 1);
    for (int64_t b = from; b < to; ++b) {
        if (bucket[b] == bucket[b + 1]) continue;
        const Record record(chunk + bucket[b], key_bytes, wide);
        const uint8_t* bytes = record.first_row;
        for (int r = 0; r < record.rows; ++r) {
            const uint32_t entries = record.entries_of(r, wide);
            visit(((b << shift) & high) | record.key(r, key_bytes), entries, bytes);
            bytes += row_bytes(entries, children, value_bytes);
        }
    }
}

}  // namespace ceiba
