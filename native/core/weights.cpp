#include "core/weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ceiba {

uint16_t float_to_half(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
    const float magnitude = std::min(std::abs(value), 65504.0f);
    if (magnitude < 0x1p-14f) {  // subnormal: a multiple of 2^-24
        return static_cast<uint16_t>(sign | static_cast<uint16_t>(std::lrint(magnitude * 0x1p24f)));
    }
    std::memcpy(&bits, &magnitude, 4);
    bits += 0x0fffu + ((bits >> 13) & 1);  // round to nearest, ties to even
    const uint32_t half = (bits - (112u << 23)) >> 13;
    return static_cast<uint16_t>(sign | std::min(half, 0x7bffu));
}

namespace {

struct ChunkPlan {
    bool dense = false;
    int shift = 16;
    int64_t buckets = 1;
};

ChunkPlan plan_chunk(const ParentWeights& parent, int64_t features, int sparse_value_bytes, int dense_value_bytes) {
    ChunkPlan plan;
    const int64_t rows = parent.feature.size(), entries = parent.value.size();
    const int64_t wanted = std::max<int64_t>(1, rows / kRowsPerBucket);
    while (plan.shift > 0 && (features >> plan.shift) < wanted) --plan.shift;
    plan.buckets = (features >> plan.shift) + 1;
    // Whole rows cost a multiplication each instead of a scattered addition, so they may take a little more room.
    const double sparse_bytes = static_cast<double>(entries) * (sparse_value_bytes + 1) + 2.0 * rows;
    const double dense_bytes = static_cast<double>(rows) * padded(parent.bias.size()) * dense_value_bytes;
    plan.dense = rows > 0 && dense_bytes <= 1.25 * sparse_bytes;
    return plan;
}

// 127 magnitudes from the smallest to the largest in geometric steps, each sign, and zero: the relative error of a
// weight is then at most half a step (under 3% for a range of 1000), whatever its size.
struct Codebook {
    float low = 1.0f, log_step = 1.0f;
    std::vector<float> values = std::vector<float>(256, 0.0f);

    Codebook(float smallest, float largest) {
        low = smallest;
        log_step = std::max(std::log(largest / smallest) / 126.0f, 1e-6f);
        for (int c = 0; c < 127; ++c) {
            values[1 + c] = smallest * std::exp(log_step * static_cast<float>(c));
            values[129 + c] = -values[1 + c];
        }
    }
    uint8_t code(float value) const {
        if (value == 0.0f) return 0;
        const float place = std::log(std::abs(value) / low) / log_step;
        const int c = std::clamp(static_cast<int>(std::lrint(place)), 0, 126);
        return static_cast<uint8_t>((value > 0 ? 1 : 129) + c);
    }
};

template <class T>
void write(std::vector<uint8_t>& bytes, int64_t index, T value) {
    std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

}  // namespace

LayerArrays pack(std::vector<ParentWeights>& parents, int64_t features, ValueType type, int threads, Monitor& monitor) {
    const int64_t count = parents.size();
    const int value_bytes = type == ValueType::float32 ? 4 : type == ValueType::float16 ? 2 : 1;
    const int dense_value_bytes = type == ValueType::float32 ? 4 : 2;

    LayerArrays layer;
    layer.value_type = type;
    std::vector<ChunkPlan> plans(count);
    std::vector<int64_t> child_start(count + 1, 0), anchor_start(count + 1, 0);
    float smallest = std::numeric_limits<float>::max(), largest = 0.0f;
    layer.chunk_row.assign(count + 1, 0);
    layer.chunk_entry.assign(count + 1, 0);
    layer.chunk_dense.assign(count + 1, 0);
    layer.chunk_bucket.assign(count + 1, 0);
    layer.shift.resize(count);
    layer.is_dense.resize(count);
    for (int64_t p = 0; p < count; ++p) {
        const ParentWeights& parent = parents[p];
        const int64_t rows = parent.feature.size(), children = parent.bias.size();
        layer.wide |= children > kNarrowChildren;
        plans[p] = plan_chunk(parent, features, value_bytes, dense_value_bytes);
        layer.shift[p] = static_cast<uint8_t>(plans[p].shift);
        layer.is_dense[p] = plans[p].dense;
        layer.chunk_row[p + 1] = layer.chunk_row[p] + rows;
        layer.chunk_bucket[p + 1] = layer.chunk_bucket[p] + plans[p].buckets + 1;
        child_start[p + 1] = child_start[p] + children;
        anchor_start[p + 1] = anchor_start[p];
        layer.chunk_entry[p + 1] = layer.chunk_entry[p];
        layer.chunk_dense[p + 1] = layer.chunk_dense[p];
        if (plans[p].dense) {
            layer.chunk_dense[p + 1] += rows * padded(children);
        } else {
            layer.chunk_entry[p + 1] += parent.value.size();
            anchor_start[p + 1] += (rows + kAnchorRows - 1) / kAnchorRows;
            if (type == ValueType::code8) {
                for (float v : parent.value) {
                    if (v == 0.0f) continue;
                    smallest = std::min(smallest, std::abs(v));
                    largest = std::max(largest, std::abs(v));
                }
            }
        }
    }

    const int64_t rows = layer.chunk_row[count], entries = layer.chunk_entry[count];
    layer.bucket.resize(layer.chunk_bucket[count]);
    layer.key.resize(rows);
    layer.anchor.resize(anchor_start[count]);
    (layer.wide ? layer.offset32.resize(rows) : layer.offset16.resize(rows));
    (layer.wide ? layer.child32.resize(entries) : layer.child8.resize(entries));
    layer.value_bytes.resize(entries * value_bytes);
    layer.dense_bytes.resize(layer.chunk_dense[count] * dense_value_bytes);
    layer.bias.resize(child_start[count]);
    const Codebook codebook(largest > 0 ? smallest : 1.0f, largest > 0 ? largest : 2.0f);
    if (type == ValueType::code8) layer.codebook = codebook.values;

    parallel_for(count, threads, monitor, [&](int64_t p, int) {
        ParentWeights parent = std::move(parents[p]);
        parents[p] = ParentWeights();
        const ChunkPlan& plan = plans[p];
        const int64_t chunk_rows = parent.feature.size(), first_row = layer.chunk_row[p];
        uint32_t* bucket = layer.bucket.data() + layer.chunk_bucket[p];
        int64_t filled = 0;
        for (int64_t r = 0; r < chunk_rows; ++r) {
            const int64_t place = static_cast<int64_t>(parent.feature[r]) >> plan.shift;
            while (filled <= place) bucket[filled++] = static_cast<uint32_t>(r);
            layer.key[first_row + r] = static_cast<uint16_t>(parent.feature[r] & 0xffff);
        }
        while (filled <= plan.buckets) bucket[filled++] = static_cast<uint32_t>(chunk_rows);
        std::copy(parent.bias.begin(), parent.bias.end(), layer.bias.begin() + child_start[p]);

        const int64_t first = plan.dense ? layer.chunk_dense[p] : layer.chunk_entry[p], stride = padded(parent.bias.size());
        uint32_t begin = 0, anchor = 0;
        for (int64_t r = 0; r < chunk_rows; ++r) {
            const uint32_t end = parent.row_end[r];
            if (!plan.dense) {
                if (r % kAnchorRows == 0) {
                    anchor = begin;
                    layer.anchor[anchor_start[p] + r / kAnchorRows] = begin;
                }
                if (layer.wide) {
                    layer.offset32[first_row + r] = begin - anchor;
                } else {
                    layer.offset16[first_row + r] = static_cast<uint16_t>(begin - anchor);
                }
            }
            for (uint32_t e = begin; e < end; ++e) {
                const float v = parent.value[e];
                const uint32_t child = parent.child[e];
                if (plan.dense) {
                    const int64_t at = first + r * stride + child;
                    if (type == ValueType::float32) {
                        write(layer.dense_bytes, at, v);
                    } else {
                        write(layer.dense_bytes, at, float_to_half(v));
                    }
                    continue;
                }
                const int64_t at = first + e;
                if (layer.wide) {
                    layer.child32[at] = child;
                } else {
                    layer.child8[at] = static_cast<uint8_t>(child);
                }
                if (type == ValueType::float32) {
                    write(layer.value_bytes, at, v);
                } else if (type == ValueType::float16) {
                    write(layer.value_bytes, at, float_to_half(v));
                } else {
                    write(layer.value_bytes, at, codebook.code(v));
                }
            }
            begin = end;
        }
    });
    return layer;
}

}  // namespace ceiba
