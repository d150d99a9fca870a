// Margins of one parent's children for one row: the inner loop of search.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/layer_view.hpp"
#include "core/views.hpp"
#include "core/workspace.hpp"

namespace ceiba {

// One thread's scorer. A row's features are found through the chunk's buckets, or, where many rows visit the same
// chunk, through a table of all features into which the chunk was spread. Both add in the order of the row's
// features, so both give the same bits.
class ChunkScorer {
   public:
    // Spreads a chunk's rows; score() with this chunk then uses the table until unspread().
    void spread(const LayerView& layer, int64_t parent) {
        uint32_t* table = table_.reserve(layer.features);
        for_each_row(layer, parent, [&](int64_t feature, uint32_t row) { table[feature] = row + 1; });
        spread_ = true;
    }
    void unspread(const LayerView& layer, int64_t parent) {
        uint32_t* table = table_.get();
        for_each_row(layer, parent, [&](int64_t feature, uint32_t) { table[feature] = 0; });
        spread_ = false;
    }

    // Margins of the parent's children, followed by up to padding.
    float* score(const LayerView& layer, int64_t parent, const Csr& x, int64_t row) {
        const int64_t children = layer.chunk_children(parent);
        float* margin = margin_.reserve(padded(children));
        std::copy_n(layer.bias + layer.child_ptr[parent], children, margin);
        if (spread_) {
            const uint32_t* table = table_.get();
            add(layer, parent, x, row, margin, [&](int32_t f) { return static_cast<int64_t>(table[f]) - 1; });
        } else {
            const int shift = layer.shift[parent];
            const uint32_t* bucket = layer.bucket + layer.chunk_bucket[parent];
            const uint16_t* key = layer.key + layer.chunk_row[parent];
            add(layer, parent, x, row, margin, [&](int32_t f) -> int64_t {
                const uint32_t* place = bucket + (f >> shift);
                const uint16_t wanted = static_cast<uint16_t>(f & 0xffff);
                for (uint32_t r = place[0]; r < place[1]; ++r) {
                    if (key[r] >= wanted) return key[r] == wanted ? static_cast<int64_t>(r) : -1;
                }
                return -1;
            });
        }
        return margin;
    }

   private:
    template <class Visit>
    static void for_each_row(const LayerView& layer, int64_t parent, Visit visit) {
        const int shift = layer.shift[parent];
        const uint32_t* bucket = layer.bucket + layer.chunk_bucket[parent];
        const uint16_t* key = layer.key + layer.chunk_row[parent];
        const int64_t buckets = (layer.features >> shift) + 1;
        for (int64_t b = 0; b < buckets; ++b) {
            const int64_t high = ((b << shift) >> 16) << 16;
            for (uint32_t r = bucket[b]; r < bucket[b + 1]; ++r) visit(high | key[r], r);
        }
    }

    template <class Find>
    void add(const LayerView& layer, int64_t parent, const Csr& x, int64_t row, float* margin, Find find) {
        if (layer.is_dense[parent]) {
            if (layer.value_type == ValueType::float32) {
                add_dense(layer, static_cast<const float*>(layer.dense), parent, x, row, margin, find);
            } else {
                add_dense(layer, static_cast<const uint16_t*>(layer.dense), parent, x, row, margin, find);
            }
            return;
        }
        auto with_values = [&](auto child, auto offset) {
            switch (layer.value_type) {
                case ValueType::float32: {
                    const float* value = static_cast<const float*>(layer.value);
                    return add_sparse(layer, child, offset, parent, x, row, margin, find,
                                      [value](int64_t e) { return value[e]; });
                }
                case ValueType::float16: {
                    const uint16_t* value = static_cast<const uint16_t*>(layer.value);
                    return add_sparse(layer, child, offset, parent, x, row, margin, find,
                                      [value](int64_t e) { return half_to_float(value[e]); });
                }
                case ValueType::code8: {
                    const uint8_t* code = static_cast<const uint8_t*>(layer.value);
                    const float* codebook = layer.codebook;
                    return add_sparse(layer, child, offset, parent, x, row, margin, find,
                                      [code, codebook](int64_t e) { return codebook[code[e]]; });
                }
            }
        };
        if (layer.wide) {
            with_values(layer.child32, layer.offset32);
        } else {
            with_values(layer.child8, layer.offset16);
        }
    }

    template <class T, class Find>
    static void add_dense(const LayerView& layer, const T* values, int64_t parent, const Csr& x, int64_t row,
                          float* __restrict margin, Find find) {
        const int64_t stride = padded(layer.chunk_children(parent));
        const T* chunk = values + layer.chunk_dense[parent];
        for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j) {
            const int64_t r = find(x.indices[j]);
            if (r < 0) continue;
            const T* weight = chunk + r * stride;
            const float v = x.data[j];
            for (int64_t c = 0; c < stride; c += kDensePad) {
                for (int l = 0; l < kDensePad; ++l) {
                    if constexpr (sizeof(T) == 4) {
                        margin[c + l] += v * weight[c + l];
                    } else {
                        margin[c + l] += v * half_to_float(weight[c + l]);
                    }
                }
            }
        }
    }

    template <class Child, class Offset, class Find, class Value>
    static void add_sparse(const LayerView& layer, const Child* child, const Offset* offset, int64_t parent,
                           const Csr& x, int64_t row, float* __restrict margin, Find find, Value value) {
        const int64_t rows = layer.chunk_rows(parent), first = layer.chunk_entry[parent];
        const int64_t entries = layer.chunk_entry[parent + 1] - first;
        const int64_t* anchor = layer.anchor + layer.chunk_anchor[parent];
        const Offset* start = offset + layer.chunk_row[parent];
        for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j) {
            const int64_t r = find(x.indices[j]);
            if (r < 0) continue;
            const int64_t begin = first + anchor[r / kAnchorRows] + start[r];
            const int64_t end = first + (r + 1 < rows ? anchor[(r + 1) / kAnchorRows] + start[r + 1] : entries);
            const float v = x.data[j];
            for (int64_t e = begin; e < end; ++e) margin[child[e]] += v * value(e);
        }
    }

    Scratch<uint32_t> table_;
    Scratch<float> margin_;
    bool spread_ = false;
};

}  // namespace ceiba
