#include "core/weights.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>

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

float Float8::scale_for(float largest) {
    if (!(largest > 0.0f)) return 1.0f;
    return std::ldexp(1.0f, std::clamp(std::ilogb(largest) - 7, -126, 120));
}

uint8_t Float8::encode(float value) const {
    const float magnitude = std::abs(value);
    const uint8_t sign = std::signbit(value) ? 0x80 : 0;
    float scale;
    std::memcpy(&scale, &base_, 4);
    if (magnitude < 0x1.1p-1f * scale) return 0;  // nearer to 0 than to the smallest magnitude, 17/16 of the scale
    uint32_t bits;
    std::memcpy(&bits, &magnitude, 4);
    bits = std::max(bits, base_);
    bits += 0x3ffffu + ((bits >> 19) & 1);  // round to nearest, ties to even
    return sign | static_cast<uint8_t>(std::clamp((bits - base_) >> 19, 1u, 127u));
}

namespace {

struct ChunkPlan {
    int shift = 16;
    int64_t buckets = 1;
    int64_t bytes = 0;
};

int64_t most_rows(const std::vector<int32_t>& feature, int shift) {
    int64_t most = 0, begin = 0;
    const int64_t rows = feature.size();
    for (int64_t r = 0; r < rows; ++r) {
        if (feature[r] >> shift != feature[begin] >> shift) begin = r;
        most = std::max(most, r + 1 - begin);
    }
    return most;
}

ChunkPlan plan_chunk(const ParentWeights& parent, int64_t features, int value_bytes) {
    ChunkPlan plan;
    const int64_t rows = parent.feature.size(), children = parent.bias.size();
    const int64_t wanted = std::max<int64_t>(1, rows / kRowsPerBucket);
    while (plan.shift > 0 && (features >> plan.shift) < wanted) --plan.shift;
    while (plan.shift > 0 && most_rows(parent.feature, plan.shift) > kMostRows) --plan.shift;
    plan.buckets = (features >> plan.shift) + 1;
    int64_t previous = -1;
    uint32_t begin = 0;
    for (int64_t r = 0; r < rows; ++r) {
        const int64_t place = static_cast<int64_t>(parent.feature[r]) >> plan.shift;
        plan.bytes += (place != previous) + key_size(plan.shift) + (is_wide(children) ? 4 : 1);
        plan.bytes += row_bytes(parent.row_end[r] - begin, children, value_bytes);
        previous = place;
        begin = parent.row_end[r];
    }
    if (plan.bytes > std::numeric_limits<uint32_t>::max()) {
        throw std::length_error("the weights of one parent's children take more than 4 GiB");
    }
    return plan;
}

template <class T>
uint8_t* put(uint8_t* to, T value) {
    std::memcpy(to, &value, sizeof(T));
    return to + sizeof(T);
}

float largest_magnitude(const std::vector<float>& values) {
    float largest = 0.0f;
    for (float v : values) largest = std::max(largest, std::abs(v));
    return largest;
}

// Writes the records of one chunk.
class ChunkWriter {
   public:
    ChunkWriter(ValueType type, float scale) : type_(type), float8_(scale) {}

    void write(const ParentWeights& parent, const ChunkPlan& plan, uint32_t* bucket, uint8_t* chunk) const {
        const int64_t rows = parent.feature.size();
        uint8_t* to = chunk;
        int64_t first = 0;
        for (int64_t b = 0; b < plan.buckets; ++b) {
            bucket[b] = static_cast<uint32_t>(to - chunk);
            int64_t last = first;
            while (last < rows && (static_cast<int64_t>(parent.feature[last]) >> plan.shift) == b) ++last;
            if (last > first) to = record(to, parent, plan.shift, first, last);
            first = last;
        }
        bucket[plan.buckets] = static_cast<uint32_t>(to - chunk);
    }

   private:
    uint8_t* record(uint8_t* to, const ParentWeights& parent, int shift, int64_t first, int64_t last) const {
        const int64_t children = parent.bias.size();
        const bool wide = is_wide(children);
        to = put(to, static_cast<uint8_t>(last - first));
        for (int64_t r = first; r < last; ++r) {
            const int32_t feature = parent.feature[r];
            to =
                key_size(shift) == 1 ? put(to, static_cast<uint8_t>(feature)) : put(to, static_cast<uint16_t>(feature));
        }
        for (int64_t r = first; r < last; ++r) {
            const uint32_t entries = parent.row_end[r] - (r > 0 ? parent.row_end[r - 1] : 0);
            to = wide ? put(to, entries) : put(to, static_cast<uint8_t>(entries));
        }
        const int64_t mask_bytes = padded(children) / 8;
        for (int64_t r = first; r < last; ++r) {
            const uint32_t begin = r > 0 ? parent.row_end[r - 1] : 0, end = parent.row_end[r];
            const uint32_t* child = parent.child.data();
            if (wide) {
                for (uint32_t e = begin; e < end; ++e) to = put(to, child[e]);
            } else if (end - begin < mask_bytes) {
                for (uint32_t e = begin; e < end; ++e) to = put(to, static_cast<uint8_t>(child[e]));
            } else {
                std::fill_n(to, mask_bytes, uint8_t{0});
                for (uint32_t e = begin; e < end; ++e) to[child[e] / 8] |= static_cast<uint8_t>(1u << (child[e] % 8));
                to += mask_bytes;
            }
            for (uint32_t e = begin; e < end; ++e) to = value(to, parent.value[e]);
        }
        return to;
    }

    uint8_t* value(uint8_t* to, float v) const {
        if (type_ == ValueType::float32) return put(to, v);
        if (type_ == ValueType::float16) return put(to, float_to_half(v));
        return put(to, float8_.encode(v));
    }

    ValueType type_;
    Float8 float8_;
};

}  // namespace

LayerArrays pack(std::vector<ParentWeights>& parents, int64_t features, ValueType type, int threads, Monitor& monitor) {
    const int64_t count = parents.size();
    LayerArrays layer;
    layer.value_type = type;
    std::vector<ChunkPlan> plans(count);
    parallel_for(count, threads, monitor,
                 [&](int64_t p, int) { plans[p] = plan_chunk(parents[p], features, value_size(type)); });

    std::vector<int64_t> child_start(count + 1, 0);
    layer.chunk_row.assign(count + 1, 0);
    layer.chunk_byte.assign(count + 1, 0);
    layer.chunk_bucket.assign(count + 1, 0);
    layer.shift.resize(count);
    layer.scale.assign(count, 1.0f);
    for (int64_t p = 0; p < count; ++p) {
        layer.shift[p] = static_cast<uint8_t>(plans[p].shift);
        layer.chunk_row[p + 1] = layer.chunk_row[p] + static_cast<int64_t>(parents[p].feature.size());
        layer.chunk_byte[p + 1] = layer.chunk_byte[p] + plans[p].bytes;
        layer.chunk_bucket[p + 1] = layer.chunk_bucket[p] + plans[p].buckets + 1;
        child_start[p + 1] = child_start[p] + static_cast<int64_t>(parents[p].bias.size());
    }
    layer.bucket.resize(layer.chunk_bucket[count]);
    layer.stream.resize(layer.chunk_byte[count] + kSlack);
    layer.bias.resize(child_start[count]);
    parallel_for(count, threads, monitor, [&](int64_t p, int) {
        const ParentWeights parent = std::move(parents[p]);
        parents[p] = ParentWeights();
        std::copy(parent.bias.begin(), parent.bias.end(), layer.bias.begin() + child_start[p]);
        if (type == ValueType::float8) layer.scale[p] = Float8::scale_for(largest_magnitude(parent.value));
        ChunkWriter(type, layer.scale[p])
            .write(parent, plans[p], layer.bucket.data() + layer.chunk_bucket[p],
                   layer.stream.data() + layer.chunk_byte[p]);
    });
    return layer;
}

}  // namespace ceiba
