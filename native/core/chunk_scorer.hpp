// Margins of one parent's children for one row: the inner loop of search.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/layer_view.hpp"
#include "core/simd.hpp"
#include "core/views.hpp"
#include "core/workspace.hpp"

namespace ceiba {

// What a search did.
struct SearchWork {
    int64_t visits = 0;   // chunks scored for a row
    int64_t lookups = 0;  // features looked up
    int64_t rows = 0;     // of those, found
    int64_t weights = 0;  // weights added

    void operator+=(const SearchWork& other) {
        visits += other.visits;
        lookups += other.lookups;
        rows += other.rows;
        weights += other.weights;
    }
};

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
        work.visits += 1;
        work.lookups += x.nnz(row);
        const int64_t children = layer.chunk_children(parent);
        float* margin = margin_.reserve(padded(children));
        std::copy_n(layer.bias + layer.child_ptr[parent], children, margin);
        if (spread_) {
            const uint32_t* table = table_.get();
            find_rows(layer, parent, x, row, [&](int32_t f) { return static_cast<int64_t>(table[f]) - 1; });
        } else {
            const int shift = layer.shift[parent];
            const uint32_t* bucket = layer.bucket + layer.chunk_bucket[parent];
            const uint16_t* key = layer.key + layer.chunk_row[parent];
            find_rows(layer, parent, x, row, [&](int32_t f) {
                const uint32_t* place = bucket + (f >> shift);
                return find_key(key, place[0], place[1], static_cast<uint16_t>(f & 0xffff));
            });
        }
        work.rows += found_count_;
        if (layer.is_dense[parent]) {
            if (layer.value_type == ValueType::float32) {
                add_dense(layer, static_cast<const float*>(layer.dense), parent, margin);
            } else {
                add_dense(layer, static_cast<const uint16_t*>(layer.dense), parent, margin);
            }
            return margin;
        }
        switch (layer.value_type) {
            case ValueType::float32:
                add_sparse<float>(layer, parent, margin, [](float value) { return value; });
                break;
            case ValueType::float16: add_sparse<uint16_t>(layer, parent, margin, half_to_float); break;
            case ValueType::code8: {
                const float* codebook = layer.codebook;
                add_sparse<uint8_t>(layer, parent, margin, [codebook](uint8_t code) { return codebook[code]; });
                break;
            }
        }
        return margin;
    }

    SearchWork work;

   private:
    // A row of the chunk that a feature of the instance has, where its bytes are, and the feature's value.
    struct Found {
        int64_t begin;
        int64_t length;
        float value;
    };

    // All rows are found before any is added: the look-ups do not wait for each other's cache misses then.
    template <class Find>
    void find_rows(const LayerView& layer, int64_t parent, const Csr& x, int64_t row, Find find) {
        Found* found = found_.reserve(x.nnz(row) + 1);
        int64_t count = 0;
        const bool dense = layer.is_dense[parent];
        for (int64_t j = x.indptr[row]; j < x.indptr[row + 1]; ++j) {
            const int64_t r = find(x.indices[j]);
            if (r < 0) continue;
            found[count++] = {r, 0, x.data[j]};
        }
        found_count_ = count;
        if (dense) return;
        for (int64_t i = 0; i < count; ++i) {
            const int64_t r = found[i].begin;
            found[i].begin = layer.row_start(parent, r);
            found[i].length = layer.row_start(parent, r + 1) - found[i].begin;
            __builtin_prefetch(layer.stream + found[i].begin);
        }
    }

    // The row in [from, to) with the key, or -1; keys of a bucket differ.
    static int64_t find_key(const uint16_t* key, uint32_t from, uint32_t to, uint16_t wanted) {
#if defined(__AVX2__)
        const __m256i all = _mm256_set1_epi16(static_cast<int16_t>(wanted));
        for (uint32_t r = from; r < to; r += 16) {
            const __m256i keys = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(key + r));
            uint32_t equal = static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi16(keys, all)));
            if (to - r < 16) equal &= (1u << (2 * (to - r))) - 1;
            if (equal != 0) return r + __builtin_ctz(equal) / 2;
        }
#else
        for (uint32_t r = from; r < to; ++r) {
            if (key[r] >= wanted) return key[r] == wanted ? static_cast<int64_t>(r) : -1;
        }
#endif
        return -1;
    }

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

    template <class T>
    void add_dense(const LayerView& layer, const T* values, int64_t parent, float* __restrict margin) {
        const int64_t stride = padded(layer.chunk_children(parent));
        const T* chunk = values + layer.chunk_dense[parent];
        work.weights += stride * found_count_;
        for (int64_t i = 0; i < found_count_; ++i) {
            const T* weight = chunk + found_.get()[i].begin * stride;
            const float v = found_.get()[i].value;
            for (int64_t c = 0; c < stride; c += kPad) {
                for (int l = 0; l < kPad; ++l) {
                    if constexpr (sizeof(T) == 4) {
                        margin[c + l] += v * weight[c + l];
                    } else {
                        margin[c + l] += v * half_to_float(weight[c + l]);
                    }
                }
            }
        }
    }

    template <class T, class Decode>
    void add_sparse(const LayerView& layer, int64_t parent, float* __restrict margin, Decode decode) {
        const int64_t mask_bytes = padded(layer.chunk_children(parent)) / 8;
        const int64_t first_masked = mask_bytes * static_cast<int64_t>(1 + sizeof(T));
        for (int64_t i = 0; i < found_count_; ++i) {
            const Found& row = found_.get()[i];
            const uint8_t* children = layer.stream + row.begin;
            if (layer.wide) {
                const int64_t entries = row.length / static_cast<int64_t>(4 + sizeof(T));
                add_listed<uint32_t, T>(children, entries, row.value, margin, decode);
                work.weights += entries;
            } else if (row.length < first_masked) {
                const int64_t entries = row.length / static_cast<int64_t>(1 + sizeof(T));
                add_listed<uint8_t, T>(children, entries, row.value, margin, decode);
                work.weights += entries;
            } else {
                add_masked<T>(children, mask_bytes, row.value, margin, decode);
                work.weights += (row.length - mask_bytes) / static_cast<int64_t>(sizeof(T));
            }
        }
    }

    template <class Id, class T, class Decode>
    static void add_listed(const uint8_t* ids, int64_t entries, float v, float* __restrict margin, Decode decode) {
        const uint8_t* values = ids + entries * sizeof(Id);
        for (int64_t e = 0; e < entries; ++e) {
            Id child;
            T value;
            std::memcpy(&child, ids + e * sizeof(Id), sizeof(Id));
            std::memcpy(&value, values + e * sizeof(T), sizeof(T));
            margin[child] += v * decode(value);
        }
    }

    template <class T, class Decode>
    static void add_masked(const uint8_t* mask, int64_t mask_bytes, float v, float* __restrict margin, Decode decode) {
        const uint8_t* values = mask + mask_bytes;
        for (int64_t b = 0; b < mask_bytes; b += 2, margin += 16) {
            uint16_t bits;
            std::memcpy(&bits, mask + b, 2);
#if defined(__AVX512F__)
            if constexpr (sizeof(T) == 2) {  // 16 halves, spread to the children they belong to
                const __m512 packed = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
                const Lanes<16>::Float spread = _mm512_maskz_expand_ps(bits, packed);
                (Lanes<16>::load(margin) + Lanes<16>{{spread}} * v).store(margin);
                values += 2 * __builtin_popcount(bits);
                continue;
            }
#endif
            for (uint32_t left = bits; left != 0; left &= left - 1, values += sizeof(T)) {
                T value;
                std::memcpy(&value, values, sizeof(T));
                margin[__builtin_ctz(left)] += v * decode(value);
            }
        }
    }

    Scratch<uint32_t> table_;
    Scratch<float> margin_;
    Scratch<Found> found_;
    int64_t found_count_ = 0;
    bool spread_ = false;
};

}  // namespace ceiba
