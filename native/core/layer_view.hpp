// One level's weights as search reads them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/weights.hpp"

namespace ceiba {

// A layer's arrays as the caller holds them (mapped from disk or fresh from training).
struct LayerView {
    int64_t parents = 0;
    int64_t children = 0;
    int64_t features = 0;
    const int64_t* child_ptr = nullptr;
    const int64_t* chunk_row = nullptr;
    const int64_t* chunk_byte = nullptr;
    const int64_t* chunk_dense = nullptr;
    const int64_t* chunk_bucket = nullptr;
    const uint8_t* shift = nullptr;
    const uint8_t* is_dense = nullptr;
    const uint32_t* bucket = nullptr;
    const uint16_t* key = nullptr;
    const int64_t* anchor = nullptr;
    const uint16_t* offset16 = nullptr;
    const uint32_t* offset32 = nullptr;
    const uint8_t* stream = nullptr;
    const void* dense = nullptr;
    const float* codebook = nullptr;
    const float* bias = nullptr;
    ValueType value_type = ValueType::float32;
    bool wide = false;
    // array lengths, for the check
    int64_t buckets_length = 0, rows_length = 0, keys_length = 0, anchors_length = 0, stream_length = 0, dense_length = 0;

    std::vector<int64_t> chunk_anchor;  // parents + 1, filled by validate()

    int64_t chunk_children(int64_t p) const { return child_ptr[p + 1] - child_ptr[p]; }
    int64_t chunk_rows(int64_t p) const { return chunk_row[p + 1] - chunk_row[p]; }

    // Where row r of a sparse chunk begins in `stream`; r may be one past the last.
    int64_t row_start(int64_t p, int64_t r) const {
        if (r >= chunk_rows(p)) return chunk_byte[p + 1];
        const int64_t at = chunk_row[p] + r;
        return chunk_byte[p] + anchor[chunk_anchor[p] + r / kAnchorRows] +
               (wide ? static_cast<int64_t>(offset32[at]) : offset16[at]);
    }

    // Throws std::invalid_argument unless every offset and id is in range, so that search needs no checks.
    void validate();
};

}  // namespace ceiba
