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

#if defined(__AVX2__) && defined(__F16C__) && !defined(__AVX512F__)
// Where the value of each of eight children stands among those of the children that a byte names; for the others a
// number that a shuffle takes for zero, doubled or not.
struct ExpandTable {
    alignas(64) uint8_t of[256][8] = {};
    constexpr ExpandTable() {
        for (int bits = 0; bits < 256; ++bits) {
            for (int l = 0, next = 0; l < 8; ++l) of[bits][l] = static_cast<uint8_t>((bits >> l) & 1 ? next++ : 0xc0);
        }
    }
};
inline constexpr ExpandTable kExpandTable;
#endif

// One thread's scorer. A row's sparse features are found through the chunk's buckets, or, where many rows visit the same
// chunk, through a table of all features into which the chunk was spread. Both add in the same order, so both give the
// same bits. Dense features are not looked up: nearly all of them are in the row, so that the chunk's rows of their ids,
// which stand together at its end, are walked.
class ChunkScorer {
   public:
    // Spreads a chunk's rows; score() with this chunk then uses the table until unspread().
    void spread(const LayerView& layer, int64_t parent, const Csr& x) {
        Place* table = table_.reserve(layer.features);
        const uint8_t* chunk = layer.chunks[parent].bytes;
        const int64_t end = sparse_buckets(layer, parent, x);
        for_each_row(layer, parent, 0, end, [&](int64_t feature, uint32_t entries, const uint8_t* bytes) {
            table[feature] = {static_cast<uint32_t>(bytes - chunk), entries};
        });
        spread_ = true;
    }
    void unspread(const LayerView& layer, int64_t parent, const Csr& x) {
        Place* table = table_.get();
        const int64_t end = sparse_buckets(layer, parent, x);
        for_each_row(layer, parent, 0, end, [&](int64_t feature, uint32_t, const uint8_t*) { table[feature] = {}; });
        spread_ = false;
    }

    // Margins of the parent's children, followed by up to padding.
    float* score(const LayerView& layer, int64_t parent, const Csr& x, int64_t row) {
        work.visits += 1;
        work.lookups += x.size(row);
        const Chunk& chunk = layer.chunks[parent];
        float* margin = margin_.reserve(padded(chunk.children));
        std::copy_n(layer.bias + chunk.first_child, chunk.children, margin);
        if (is_wide(chunk.children)) {
            add<true>(layer, parent, x, row, margin);
        } else {
            add<false>(layer, parent, x, row, margin);
        }
        return margin;
    }

    SearchWork work;

   private:
    // Where a feature's row begins in its chunk, and its entries; a row has at least one.
    struct Place {
        uint32_t at;
        uint32_t entries;
    };

    // A row of the chunk that a feature of the instance has, and the feature's value.
    struct Found {
        const uint8_t* bytes;
        uint32_t entries;
        float value;
    };

    // The buckets up to that of the last sparse feature, in which there may be dense ones too.
    static int64_t sparse_buckets(const LayerView& layer, int64_t parent, const Csr& x) {
        if (x.dense_cols == 0) return layer.chunk_buckets(parent);
        return ((x.sparse_cols() - 1) >> layer.chunks[parent].shift) + 1;
    }

    template <bool wide>
    void add(const LayerView& layer, int64_t parent, const Csr& x, int64_t row, float* margin) {
        switch (layer.value_type) {
            case ValueType::float32: return add<wide, float>(layer, parent, x, row, margin);
            case ValueType::float16: return add<wide, uint16_t>(layer, parent, x, row, margin);
            case ValueType::float8: return add<wide, uint8_t>(layer, parent, x, row, margin);
        }
    }

    // All rows are found before any is added: the look-ups do not wait for each other's cache misses then. Rows of bits
    // are added before lists, so that the processor can guess which kind comes next.
    template <bool wide, class T>
    void add(const LayerView& layer, int64_t parent, const Csr& x, int64_t row, float* margin) {
        const Chunk chunk = layer.chunks[parent];
        const int64_t begin = x.indptr[row], end = x.indptr[row + 1];
        const uint32_t mask_bytes = static_cast<uint32_t>(padded(chunk.children) / 8);
        const int64_t most = end - begin + x.dense_cols;
        Found* const found = found_.reserve(most + 1);
        Found* masked = found;
        Found* listed = found + most;
        auto take = [&](const uint8_t* bytes, uint32_t entries, float value) {
            const bool is_mask = !wide && entries >= mask_bytes;
            *(is_mask ? masked : listed - 1) = {bytes, entries, value};
            masked += is_mask;
            listed -= !is_mask;
            __builtin_prefetch(bytes);
            work.rows += 1;
            work.weights += entries;
        };
        if (spread_) {
            const Place* table = table_.get();
            for (int64_t j = begin; j < end; ++j) {
                const Place place = table[x.indices[j]];
                if (place.entries > 0) take(chunk.bytes + place.at, place.entries, x.data[j]);
            }
        } else if (chunk.shift <= 8) {
            look_up<wide, T, 1>(chunk, x, begin, end, mask_bytes, take);
        } else {
            look_up<wide, T, 2>(chunk, x, begin, end, mask_bytes, take);
        }
        if (x.dense_cols > 0) {
            const int64_t first = x.sparse_cols();
            const float* value = x.dense_row(row);
            for_each_row(layer, parent, first >> chunk.shift, layer.chunk_buckets(parent),
                         [&](int64_t feature, uint32_t entries, const uint8_t* bytes) {
                             if (feature >= first && value[feature - first] != 0.0f) {
                                 take(bytes, entries, value[feature - first]);
                             }
                         });
        }
        add_all_masked<T>(chunk.scale, found, masked, mask_bytes, margin);
        using Id = std::conditional_t<wide, uint32_t, uint8_t>;
        for (const Found* f = found + most - 1; f >= listed; --f) {
            add_listed<Id, T>(f->bytes, f->entries, sizeof(T) == 1 ? chunk.scale * f->value : f->value, margin);
        }
    }

    template <bool wide, class T, int kKeyBytes, class Take>
    void look_up(const Chunk& chunk, const Csr& x, int64_t begin, int64_t end, uint32_t mask_bytes, Take take) {
        const int shift = chunk.shift;  // copies, which no store below can change
        const uint32_t* const bucket = chunk.bucket;
        const uint8_t* const bytes = chunk.bytes;
        // Records are asked for before any is read: their cache misses overlap, whichever way the branches below go.
        const uint8_t** records = records_.reserve(end - begin + 1);
        for (int64_t j = begin; j < end; ++j) {
            const uint32_t* place = bucket + (x.indices[j] >> shift);
            const uint8_t* at = bytes + place[0];
            __builtin_prefetch(at);
            records[j - begin] = place[0] == place[1] ? nullptr : at;
        }
        for (int64_t j = begin; j < end; ++j) {
            if (records[j - begin] == nullptr) continue;
            const int32_t feature = x.indices[j];
            const Record record(records[j - begin], kKeyBytes, wide);
            const int r = find_key<kKeyBytes>(record, static_cast<uint32_t>(feature));
            if (r < 0) continue;
            int64_t before = 0;
            if constexpr (wide) {
                for (int i = 0; i < r; ++i) before += int64_t{record.entries_of(i, true)} * (4 + sizeof(T));
            } else {
                before = narrow_bytes(record.entries, r, mask_bytes, sizeof(T));
            }
            take(record.first_row + before, record.entries_of(r, wide), x.data[j]);
        }
    }

    // The row with the feature's key, or -1; keys of a bucket differ.
    template <int kKeyBytes>
    [[gnu::always_inline]] static int find_key(const Record& record, uint32_t feature) {
#if defined(__SSE2__)
        constexpr int kAtOnce = 16 / kKeyBytes;
        const __m128i wanted =
            kKeyBytes == 1 ? _mm_set1_epi8(static_cast<char>(feature)) : _mm_set1_epi16(static_cast<short>(feature));
        for (int r = 0; r < record.rows; r += kAtOnce) {
            const __m128i keys = _mm_loadu_si128(reinterpret_cast<const __m128i*>(record.keys + r * kKeyBytes));
            const __m128i same = kKeyBytes == 1 ? _mm_cmpeq_epi8(keys, wanted) : _mm_cmpeq_epi16(keys, wanted);
            uint32_t equal = static_cast<uint32_t>(_mm_movemask_epi8(same));
            if (record.rows - r < kAtOnce) equal &= (1u << (kKeyBytes * (record.rows - r))) - 1;
            if (equal != 0) return r + __builtin_ctz(equal) / kKeyBytes;
        }
#elif defined(CEIBA_NEON)
        constexpr int kAtOnce = 16 / kKeyBytes;
        for (int r = 0; r < record.rows; r += kAtOnce) {
            const uint8x16_t keys = vld1q_u8(record.keys + r * kKeyBytes);
            uint8x16_t same;
            if constexpr (kKeyBytes == 1) {
                same = vceqq_u8(keys, vdupq_n_u8(static_cast<uint8_t>(feature)));
            } else {
                const uint16x8_t wanted = vdupq_n_u16(static_cast<uint16_t>(feature));
                same = vreinterpretq_u8_u16(vceqq_u16(vreinterpretq_u16_u8(keys), wanted));
            }
            // four bits for each byte: there is no instruction that gathers one bit of each
            const uint8x8_t narrow = vshrn_n_u16(vreinterpretq_u16_u8(same), 4);
            uint64_t equal = vget_lane_u64(vreinterpret_u64_u8(narrow), 0);
            if (record.rows - r < kAtOnce) equal &= (uint64_t{1} << (4 * kKeyBytes * (record.rows - r))) - 1;
            if (equal != 0) return r + __builtin_ctzll(equal) / (4 * kKeyBytes);
        }
#else
        const uint32_t wanted = kKeyBytes == 1 ? feature & 0xff : feature & 0xffff;
        for (int r = 0; r < record.rows; ++r) {
            if (record.key(r, kKeyBytes) == wanted) return r;
        }
#endif
        return -1;
    }

    // Bytes of the first `rows` rows of a narrow record.
    [[gnu::always_inline]] static int64_t narrow_bytes(const uint8_t* entries, int rows, uint32_t mask_bytes,
                                                       int value_bytes) {
#if defined(__SSE2__)
        alignas(32) static constexpr uint8_t kKeep[32] = {255, 255, 255, 255, 255, 255, 255, 255,
                                                          255, 255, 255, 255, 255, 255, 255, 255};
        const __m128i most = _mm_set1_epi8(static_cast<char>(mask_bytes)), zero = _mm_setzero_si128();
        __m128i ids = zero, values = zero;
        for (int r = 0; r < rows; r += 16) {
            const int beyond = std::max(0, 16 - (rows - r));
            const __m128i keep = _mm_loadu_si128(reinterpret_cast<const __m128i*>(kKeep + beyond));
            const __m128i e = _mm_and_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(entries + r)), keep);
            ids = _mm_add_epi64(ids, _mm_sad_epu8(_mm_min_epu8(e, most), zero));
            values = _mm_add_epi64(values, _mm_sad_epu8(e, zero));
        }
        ids = _mm_add_epi64(ids, _mm_unpackhi_epi64(ids, ids));
        values = _mm_add_epi64(values, _mm_unpackhi_epi64(values, values));
        return _mm_cvtsi128_si32(ids) + int64_t{value_bytes} * _mm_cvtsi128_si32(values);
#elif defined(CEIBA_NEON)
        const uint8x16_t most = vdupq_n_u8(static_cast<uint8_t>(mask_bytes));
        const uint8x16_t place = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        int64_t ids = 0, values = 0;
        for (int r = 0; r < rows; r += 16) {
            const uint8x16_t keep = vcltq_u8(place, vdupq_n_u8(static_cast<uint8_t>(std::min(16, rows - r))));
            const uint8x16_t e = vandq_u8(vld1q_u8(entries + r), keep);
            ids += vaddlvq_u8(vminq_u8(e, most));
            values += vaddlvq_u8(e);
        }
        return ids + int64_t{value_bytes} * values;
#else
        int64_t ids = 0, values = 0;
        for (int r = 0; r < rows; ++r) {
            ids += std::min<uint32_t>(entries[r], mask_bytes);
            values += entries[r];
        }
        return ids + value_bytes * values;
#endif
    }

    template <class T>
    static float decode(const uint8_t* at) {
        T value;
        std::memcpy(&value, at, sizeof(T));
        if constexpr (sizeof(T) == 4) return value;
        if constexpr (sizeof(T) == 2) return half_to_float(value);
        if constexpr (sizeof(T) == 1) return kFloat8Units.value[value];
    }

    template <class Id, class T>
    static void add_listed(const uint8_t* ids, uint32_t entries, float v, float* __restrict margin) {
        const uint8_t* values = ids + entries * sizeof(Id);
        for (uint32_t e = 0; e < entries; ++e) {
            Id child;
            std::memcpy(&child, ids + e * sizeof(Id), sizeof(Id));
            margin[child] += v * decode<T>(values + e * sizeof(T));
        }
    }

    template <class T>
    static void add_all_masked(float scale, const Found* from, const Found* to, uint32_t mask_bytes,
                               float* __restrict margin) {
#if defined(__AVX512F__)
        if constexpr (sizeof(T) < 4) {
            switch (mask_bytes / 2) {
                case 1: return add_in_registers<T, 1>(scale, from, to, margin);
                case 2: return add_in_registers<T, 2>(scale, from, to, margin);
                case 3: return add_in_registers<T, 3>(scale, from, to, margin);
                case 4: return add_in_registers<T, 4>(scale, from, to, margin);
                case 5: return add_in_registers<T, 5>(scale, from, to, margin);
                case 6: return add_in_registers<T, 6>(scale, from, to, margin);
                case 7: return add_in_registers<T, 7>(scale, from, to, margin);
                case 8: return add_in_registers<T, 8>(scale, from, to, margin);
                default: break;
            }
        }
#endif
        for (const Found* f = from; f < to; ++f) add_masked<T>(scale, *f, mask_bytes, margin);
    }

#if defined(__AVX512F__)
    // Sums of up to 128 children stay in registers over all rows.
    template <class T, int kGroups>
    static void add_in_registers(float scale, const Found* from, const Found* to, float* __restrict margin) {
        __m512 sum[kGroups];
        for (int g = 0; g < kGroups; ++g) sum[g] = _mm512_loadu_ps(margin + 16 * g);
        for (const Found* f = from; f < to; ++f) {
            const uint8_t* values = f->bytes + 2 * kGroups;
            const __m512 v = _mm512_set1_ps(f->value);
#pragma GCC unroll 8
            for (int g = 0; g < kGroups; ++g) {
                uint16_t bits;
                std::memcpy(&bits, f->bytes + 2 * g, 2);
                sum[g] = _mm512_fmadd_ps(spread_values<T>(scale, values, bits), v, sum[g]);
                values += sizeof(T) * __builtin_popcount(bits);
            }
        }
        for (int g = 0; g < kGroups; ++g) _mm512_storeu_ps(margin + 16 * g, sum[g]);
    }

    // The next values, spread to the children that `bits` names.
    template <class T>
    static __m512 spread_values(float scale, const uint8_t* values, uint16_t bits) {
        if constexpr (sizeof(T) == 2) {
            const auto packed = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(values)));
            return _mm512_maskz_expand_ps(bits, packed);
        } else {
            const auto packed = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(values)));
            return decode_float8(_mm512_maskz_expand_epi32(bits, packed), scale);
        }
    }
#endif

    // Ends with the last value: frequent labels stand first in a chunk, and rare ones have few features.
    template <class T>
    static void add_masked(float scale, const Found& found, uint32_t mask_bytes, float* __restrict margin) {
        const uint8_t* mask = found.bytes;
        const uint8_t* values = mask + mask_bytes;
        const uint8_t* const end = values + sizeof(T) * found.entries;
        const float v = found.value, scaled = sizeof(T) == 1 ? scale * v : v;  // for weights decoded at a scale of 1
#if defined(__AVX2__) && defined(__F16C__) && !defined(__AVX512F__)
        if constexpr (sizeof(T) < 4) {
            const __m256 factor = _mm256_set1_ps(v);
            for (; values < end; ++mask, margin += 8) {
                const __m256 weight = spread_eight<T>(scale, values, *mask);
                _mm256_storeu_ps(margin, _mm256_fmadd_ps(weight, factor, _mm256_loadu_ps(margin)));
                values += sizeof(T) * __builtin_popcount(*mask);
            }
            return;
        }
#endif
        for (; values < end; mask += 2, margin += 16) {
            uint16_t bits;
            std::memcpy(&bits, mask, 2);
#if defined(__AVX512F__)
            if constexpr (sizeof(T) < 4) {
                const __m512 weight = spread_values<T>(scale, values, bits);
                _mm512_storeu_ps(margin, _mm512_fmadd_ps(weight, _mm512_set1_ps(v), _mm512_loadu_ps(margin)));
                values += sizeof(T) * __builtin_popcount(bits);
                continue;
            }
#endif
            if (bits == 0xffff) {
                for (int l = 0; l < 16; ++l) margin[l] += scaled * decode<T>(values + l * sizeof(T));
                values += 16 * sizeof(T);
                continue;
            }
            for (uint32_t left = bits; left != 0; left &= left - 1, values += sizeof(T)) {
                margin[__builtin_ctz(left)] += scaled * decode<T>(values);
            }
        }
    }

#if defined(__AVX2__) && defined(__F16C__) && !defined(__AVX512F__)
    // The next values, spread to the children that `bits` names; zero for the others.
    template <class T>
    static __m256 spread_eight(float scale, const uint8_t* values, uint8_t bits) {
        const __m128i places = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(kExpandTable.of[bits]));
        if constexpr (sizeof(T) == 2) {
            const __m128i twice = _mm_unpacklo_epi8(places, places);
            const __m128i bytes = _mm_add_epi8(_mm_add_epi8(twice, twice), _mm_set1_epi16(0x0100));
            const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
            return _mm256_cvtph_ps(_mm_shuffle_epi8(packed, bytes));
        } else {
            const __m128i packed = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(values));
            return decode_float8(_mm256_cvtepu8_epi32(_mm_shuffle_epi8(packed, places)), scale);
        }
    }

    // Float8::decode of eight codes from `scale` up.
    static __m256 decode_float8(__m256i code, float scale) {
        const __m256i magnitude = _mm256_and_si256(code, _mm256_set1_epi32(0x7f));
        const __m256i base = _mm256_castps_si256(_mm256_set1_ps(scale));
        const __m256i size = _mm256_add_epi32(_mm256_slli_epi32(magnitude, 19), base);
        const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(code, _mm256_set1_epi32(0x80)), 24);
        const __m256i none = _mm256_cmpeq_epi32(magnitude, _mm256_setzero_si256());
        return _mm256_castsi256_ps(_mm256_andnot_si256(none, _mm256_or_si256(size, sign)));
    }
#endif

#if defined(__AVX512F__)
    // Float8::decode of 16 codes from `scale` up.
    static __m512 decode_float8(__m512i code, float scale) {
        const __m512i magnitude = _mm512_and_si512(code, _mm512_set1_epi32(0x7f));
        const __m512i base = _mm512_castps_si512(_mm512_set1_ps(scale));
        const __m512i size = _mm512_add_epi32(_mm512_slli_epi32(magnitude, 19), base);
        const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(code, _mm512_set1_epi32(0x80)), 24);
        const __mmask16 some = _mm512_test_epi32_mask(magnitude, magnitude);
        return _mm512_castsi512_ps(_mm512_maskz_or_epi32(some, size, sign));
    }
#endif

    Scratch<Place> table_;
    Scratch<float> margin_;
    Scratch<Found> found_;
    Scratch<const uint8_t*> records_;
    bool spread_ = false;
};

}  // namespace ceiba
