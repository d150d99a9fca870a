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
    int64_t bytes = 0;  // of the rows, if sparse
};

ChunkPlan plan_chunk(const ParentWeights& parent, int64_t features, bool wide, int value_bytes,
                     int dense_value_bytes) {
    ChunkPlan plan;
    const int64_t rows = parent.feature.size(), children = parent.bias.size();
    const int64_t wanted = std::max<int64_t>(1, rows / kRowsPerBucket);
    while (plan.shift > 0 && (features >> plan.shift) < wanted) --plan.shift;
    plan.buckets = (features >> plan.shift) + 1;
    uint32_t begin = 0;
    for (uint32_t end : parent.row_end) {
        plan.bytes += row_bytes(end - begin, children, wide, value_bytes);
        begin = end;
    }
    // Whole rows are read faster, so they may take a little more room.
    const double dense_bytes = static_cast<double>(rows) * padded(children) * dense_value_bytes;
    plan.dense = rows > 0 && dense_bytes <= 1.25 * (plan.bytes + 2.0 * rows);
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
uint8_t* put(uint8_t* to, T value) {
    std::memcpy(to, &value, sizeof(T));
    return to + sizeof(T);
}

// Writes rows of one chunk.
class RowWriter {
   public:
    RowWriter(ValueType type, bool wide, const Codebook& codebook) : type_(type), wide_(wide), codebook_(codebook) {}

    uint8_t* sparse(uint8_t* to, const uint32_t* child, const float* value, int64_t entries, int64_t children) const {
        const int64_t mask_bytes = padded(children) / 8;
        if (wide_) {
            for (int64_t e = 0; e < entries; ++e) to = put(to, child[e]);
        } else if (entries < mask_bytes) {
            for (int64_t e = 0; e < entries; ++e) to = put(to, static_cast<uint8_t>(child[e]));
        } else {
            std::fill_n(to, mask_bytes, uint8_t{0});
            for (int64_t e = 0; e < entries; ++e) to[child[e] / 8] |= static_cast<uint8_t>(1u << (child[e] % 8));
            to += mask_bytes;
        }
        for (int64_t e = 0; e < entries; ++e) {
            if (type_ == ValueType::float32) {
                to = put(to, value[e]);
            } else if (type_ == ValueType::float16) {
                to = put(to, float_to_half(value[e]));
            } else {
                to = put(to, codebook_.code(value[e]));
            }
        }
        return to;
    }

    void whole(uint8_t* to, const uint32_t* child, const float* value, int64_t entries) const {
        for (int64_t e = 0; e < entries; ++e) {
            if (type_ == ValueType::float32) {
                put(to + 4 * child[e], value[e]);
            } else {
                put(to + 2 * child[e], float_to_half(value[e]));
            }
        }
    }

   private:
    ValueType type_;
    bool wide_;
    const Codebook& codebook_;
};

}  // namespace

LayerArrays pack(std::vector<ParentWeights>& parents, int64_t features, ValueType type, int threads, Monitor& monitor) {
    const int64_t count = parents.size();
    const int value_bytes = value_size(type);
    const int dense_value_bytes = type == ValueType::float32 ? 4 : 2;

    LayerArrays layer;
    layer.value_type = type;
    for (const ParentWeights& parent : parents) {
        layer.wide |= static_cast<int64_t>(parent.bias.size()) > kNarrowChildren;
    }
    std::vector<ChunkPlan> plans(count);
    std::vector<int64_t> child_start(count + 1, 0), anchor_start(count + 1, 0);
    float smallest = std::numeric_limits<float>::max(), largest = 0.0f;
    layer.chunk_row.assign(count + 1, 0);
    layer.chunk_byte.assign(count + 1, 0);
    layer.chunk_dense.assign(count + 1, 0);
    layer.chunk_bucket.assign(count + 1, 0);
    layer.shift.resize(count);
    layer.is_dense.resize(count);
    for (int64_t p = 0; p < count; ++p) {
        const ParentWeights& parent = parents[p];
        const int64_t rows = parent.feature.size(), children = parent.bias.size();
        plans[p] = plan_chunk(parent, features, layer.wide, value_bytes, dense_value_bytes);
        const bool dense = plans[p].dense;
        layer.shift[p] = static_cast<uint8_t>(plans[p].shift);
        layer.is_dense[p] = dense;
        layer.chunk_row[p + 1] = layer.chunk_row[p] + rows;
        layer.chunk_bucket[p + 1] = layer.chunk_bucket[p] + plans[p].buckets + 1;
        layer.chunk_byte[p + 1] = layer.chunk_byte[p] + (dense ? 0 : plans[p].bytes);
        layer.chunk_dense[p + 1] = layer.chunk_dense[p] + (dense ? rows * padded(children) : 0);
        child_start[p + 1] = child_start[p] + children;
        anchor_start[p + 1] = anchor_start[p] + (dense ? 0 : (rows + kAnchorRows - 1) / kAnchorRows);
        if (type == ValueType::code8 && !dense) {
            for (float v : parent.value) {
                smallest = std::min(smallest, std::abs(v));
                largest = std::max(largest, std::abs(v));
            }
        }
    }

    const int64_t rows = layer.chunk_row[count];
    layer.bucket.resize(layer.chunk_bucket[count]);
    layer.key.resize(rows + kKeySlack);
    layer.anchor.resize(anchor_start[count]);
    (layer.wide ? layer.offset32.resize(rows) : layer.offset16.resize(rows));
    layer.stream.resize(layer.chunk_byte[count] + kSlack);
    layer.dense_bytes.resize(layer.chunk_dense[count] * dense_value_bytes);
    layer.bias.resize(child_start[count]);
    const Codebook codebook(largest > 0 ? smallest : 1.0f, largest > 0 ? largest : 2.0f);
    if (type == ValueType::code8) layer.codebook = codebook.values;
    const RowWriter writer(type, layer.wide, codebook);

    parallel_for(count, threads, monitor, [&](int64_t p, int) {
        ParentWeights parent = std::move(parents[p]);
        parents[p] = ParentWeights();
        const ChunkPlan& plan = plans[p];
        const int64_t chunk_rows = parent.feature.size(), first_row = layer.chunk_row[p];
        const int64_t children = parent.bias.size(), stride = padded(children);
        uint32_t* bucket = layer.bucket.data() + layer.chunk_bucket[p];
        int64_t filled = 0;
        for (int64_t r = 0; r < chunk_rows; ++r) {
            const int64_t place = static_cast<int64_t>(parent.feature[r]) >> plan.shift;
            while (filled <= place) bucket[filled++] = static_cast<uint32_t>(r);
            layer.key[first_row + r] = static_cast<uint16_t>(parent.feature[r] & 0xffff);
        }
        while (filled <= plan.buckets) bucket[filled++] = static_cast<uint32_t>(chunk_rows);
        std::copy(parent.bias.begin(), parent.bias.end(), layer.bias.begin() + child_start[p]);

        uint8_t* const chunk = layer.stream.data() + layer.chunk_byte[p];
        uint8_t* const dense = layer.dense_bytes.data() + layer.chunk_dense[p] * dense_value_bytes;
        uint8_t* to = chunk;
        int64_t anchor = 0;
        uint32_t begin = 0;
        for (int64_t r = 0; r < chunk_rows; ++r) {
            const uint32_t end = parent.row_end[r];
            const uint32_t* child = parent.child.data() + begin;
            const float* value = parent.value.data() + begin;
            if (plan.dense) {
                writer.whole(dense + r * stride * dense_value_bytes, child, value, end - begin);
            } else {
                if (r % kAnchorRows == 0) {
                    anchor = to - chunk;
                    layer.anchor[anchor_start[p] + r / kAnchorRows] = anchor;
                }
                const int64_t offset = to - chunk - anchor;
                if (layer.wide) {
                    layer.offset32[first_row + r] = static_cast<uint32_t>(offset);
                } else {
                    layer.offset16[first_row + r] = static_cast<uint16_t>(offset);
                }
                to = writer.sparse(to, child, value, end - begin, children);
            }
            begin = end;
        }
    });
    return layer;
}

}  // namespace ceiba
