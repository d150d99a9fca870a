#include "core/cluster.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/random.hpp"
#include "core/workspace.hpp"

namespace ceiba {
namespace {

// Children [first, last) of one node at `level`, whose labels stand at places [begin, end).
struct Segment {
    int level = 0;
    int64_t first = 0, last = 0;
    int64_t begin = 0, end = 0;
};

// Similarities of a row to the two centroids, whose coordinates stand in pairs.
struct Similarity {
    float left = 0.0f, right = 0.0f;
};

Similarity similarity(const Embeddings& z, int64_t row, const float* centroids) {
    Similarity s;
    if (z.dense != nullptr) {
        const float* value = z.dense + row * z.cols();
        for (int64_t f = 0; f < z.cols(); ++f) {
            s.left += value[f] * centroids[2 * f];
            s.right += value[f] * centroids[2 * f + 1];
        }
        return s;
    }
    for (int64_t j = z.sparse.indptr[row]; j < z.sparse.indptr[row + 1]; ++j) {
        const float* pair = centroids + 2 * static_cast<int64_t>(z.sparse.indices[j]);
        s.left += z.sparse.data[j] * pair[0];
        s.right += z.sparse.data[j] * pair[1];
    }
    return s;
}

template <class Visit>
void for_each_feature(const Embeddings& z, int64_t row, Visit visit) {
    if (z.dense != nullptr) {
        for (int64_t f = 0; f < z.cols(); ++f) visit(f, z.dense[row * z.cols() + f]);
    } else {
        for (int64_t j = z.sparse.indptr[row]; j < z.sparse.indptr[row + 1]; ++j) {
            visit(z.sparse.indices[j], z.sparse.data[j]);
        }
    }
}

// The sums of the rows on either side and their squared lengths, kept up to date row by row.
class Centroids {
   public:
    void start(int64_t cols) { sums_ = memory_.reserve(2 * cols); }

    void add(const Embeddings& z, int64_t row, int side, float sign) {
        double change = 0.0;
        for_each_feature(z, row, [&](int64_t f, float value) {
            float& sum = sums_[2 * f + side];
            change += sign * value * (2.0 * sum + sign * value);
            sum += sign * value;
        });
        norm2_[side] += change;
    }
    void clear(const Embeddings& z, const int32_t* rows, int64_t count) {
        for (int64_t i = 0; i < count; ++i) {
            for_each_feature(z, rows[i], [&](int64_t f, float) { sums_[2 * f] = sums_[2 * f + 1] = 0.0f; });
        }
        norm2_[0] = norm2_[1] = 0.0;
    }
    const float* sums() const { return sums_; }
    float scale(int side) const { return norm2_[side] > 0 ? static_cast<float>(1.0 / std::sqrt(norm2_[side])) : 0.0f; }

   private:
    Scratch<float> memory_;
    float* sums_ = nullptr;
    double norm2_[2] = {0.0, 0.0};
};

struct Scored {
    float score;
    int32_t label;
    // ties by label, so that the order does not depend on how the labels came in
    bool operator<(const Scored& other) const {
        return score != other.score ? score > other.score : label < other.label;
    }
};

struct Space {
    Centroids centroids;
    std::vector<Scored> scored, ranked;
    std::vector<uint8_t> side;
};

// Where the labels of segments stand: those of segment s at order[s.begin - offset], as rows of z.
struct Place {
    const Embeddings& z;
    int32_t* order;
    int64_t offset;
};

// A copy of some rows with features renumbered without gaps: the centroids of a small segment then fit the cache. The
// order of rows and of features stays, so nothing that is computed changes.
class LocalRows {
   public:
    LocalRows(const Csr& z, const int32_t* rows, int64_t count) {
        std::vector<uint64_t> seen((z.cols + 63) / 64, 0);
        indptr_.assign(1, 0);
        for (int64_t i = 0; i < count; ++i) {
            for (int64_t j = z.indptr[rows[i]]; j < z.indptr[rows[i] + 1]; ++j) {
                seen[z.indices[j] >> 6] |= uint64_t{1} << (z.indices[j] & 63);
            }
            indptr_.push_back(indptr_.back() + z.nnz(rows[i]));
        }
        std::vector<int32_t> rank(seen.size());
        int32_t features = 0;
        for (size_t w = 0; w < seen.size(); ++w) {
            rank[w] = features;
            features += __builtin_popcountll(seen[w]);
        }
        indices_.reserve(indptr_.back());
        data_.reserve(indptr_.back());
        for (int64_t i = 0; i < count; ++i) {
            for (int64_t j = z.indptr[rows[i]]; j < z.indptr[rows[i] + 1]; ++j) {
                const int32_t f = z.indices[j];
                const uint64_t below = seen[f >> 6] & ((uint64_t{1} << (f & 63)) - 1);
                indices_.push_back(rank[f >> 6] + static_cast<int32_t>(__builtin_popcountll(below)));
                data_.push_back(z.data[j]);
            }
        }
        view_.sparse = {count, features, indptr_.data(), indices_.data(), data_.data()};
    }
    const Embeddings& view() const { return view_; }

   private:
    std::vector<int64_t> indptr_;
    std::vector<int32_t> indices_;
    std::vector<float> data_;
    Embeddings view_;
};

class Clusterer {
   public:
    Clusterer(const Embeddings& z, const std::vector<std::vector<int64_t>>& levels, const ClusterOptions& options,
              Monitor& monitor)
        : z_(z), levels_(levels), options_(options), monitor_(monitor), order_(z.rows()), starts_(levels.size()),
          spaces_(std::max(1, options.threads)) {
        std::iota(order_.begin(), order_.end(), 0);
        // starts_[t][c]: first place of the labels below child c of level t, with one past the end
        const int bottom = static_cast<int>(levels.size()) - 1;
        for (int t = bottom - 1; t >= 0; --t) {
            const std::vector<int64_t>& ptr = levels[t + 1];
            starts_[t].resize(ptr.size());
            for (size_t c = 0; c < ptr.size(); ++c) starts_[t][c] = t + 1 == bottom ? ptr[c] : starts_[t + 1][ptr[c]];
        }
    }

    // Large segments are split level by level, a single one by all threads; small ones are then taken to the bottom,
    // each by one thread.
    std::vector<int32_t> run() {
        std::vector<Segment> segments, small;
        if (levels_.size() > 1) push_children(0, 0, segments);
        while (!segments.empty()) {
            const auto is_small = [&](const Segment& s) { return z_.dense == nullptr && s.end - s.begin <= kSmall; };
            const auto large_end = std::stable_partition(segments.begin(), segments.end(), std::not_fn(is_small));
            small.insert(small.end(), large_end, segments.end());
            segments.erase(large_end, segments.end());
            largest_first(segments);
            std::vector<Segment> halves(2 * segments.size());
            const Place place{z_, order_.data(), 0};
            if (segments.size() < static_cast<size_t>(options_.threads)) {
                for (size_t s = 0; s < segments.size(); ++s) {
                    split(place, segments[s], spaces_[0], options_.threads, &halves[2 * s]);
                }
            } else {
                parallel_for(segments.size(), options_.threads, monitor_, [&](int64_t s, int thread) {
                    split(place, segments[s], spaces_[thread], 1, &halves[2 * s]);
                });
            }
            segments.clear();
            push_halves(halves, segments);
        }
        largest_first(small);
        parallel_for(small.size(), options_.threads, monitor_,
                     [&](int64_t s, int thread) { split_to_bottom(small[s], spaces_[thread]); });
        return std::move(order_);
    }

   private:
    static constexpr int64_t kSmall = 2048;  // labels of a segment whose rows are worth a copy

    static void largest_first(std::vector<Segment>& segments) {
        std::stable_sort(segments.begin(), segments.end(),
                         [](const Segment& a, const Segment& b) { return a.end - a.begin > b.end - b.begin; });
    }

    void split_to_bottom(const Segment& whole, Space& space) {
        int32_t* labels = order_.data() + whole.begin;
        const int64_t count = whole.end - whole.begin;
        std::sort(labels, labels + count);
        const std::vector<int32_t> rows(labels, labels + count);
        const LocalRows local(z_.sparse, labels, count);
        std::vector<int32_t> order(count);
        std::iota(order.begin(), order.end(), 0);
        const Place place{local.view(), order.data(), whole.begin};
        std::vector<Segment> segments{whole}, halves(2);
        while (!segments.empty()) {
            const Segment s = segments.back();
            segments.pop_back();
            split(place, s, space, 1, halves.data());
            push_halves(halves, segments);
        }
        for (int64_t i = 0; i < count; ++i) labels[i] = rows[order[i]];
    }

    // Halves that hold a single child go on with that child's own children.
    void push_halves(const std::vector<Segment>& halves, std::vector<Segment>& segments) {
        for (const Segment& half : halves) {
            if (half.last - half.first > 1) {
                segments.push_back(half);
            } else {
                push_children(half.level + 1, half.first, segments);
            }
        }
    }

    // Node `node` of level t is to be divided among its own children; nodes with one child are passed through.
    void push_children(int level, int64_t node, std::vector<Segment>& segments) {
        const int bottom = static_cast<int>(levels_.size()) - 1;
        if (level >= bottom) {
            monitor_.done += levels_[bottom][node + 1] - levels_[bottom][node];
            return;
        }
        Segment s;
        s.level = level;
        s.first = levels_[level][node];
        s.last = levels_[level][node + 1];
        s.begin = starts_[level][s.first];
        s.end = starts_[level][s.last];
        if (s.last - s.first > 1) {
            segments.push_back(s);
        } else {
            push_children(level + 1, s.first, segments);
        }
    }

    void score(const Embeddings& z, const int32_t* rows, int64_t count, Space& space, int threads) {
        const float left = space.centroids.scale(0), right = space.centroids.scale(1);
        const float* sums = space.centroids.sums();
        Scored* scored = space.scored.data();
        auto range = [&](int64_t from, int64_t to) {
            for (int64_t i = from; i < to; ++i) {
                const Similarity near = similarity(z, rows[i], sums);
                scored[i] = {near.left * left - near.right * right, rows[i]};
            }
        };
        const int64_t block = 512;
        if (threads == 1) {
            range(0, count);
            return;
        }
        parallel_for((count + block - 1) / block, threads, monitor_,
                     [&](int64_t b, int) { range(b * block, std::min(count, (b + 1) * block)); });
    }

    // Rounds of balanced 2-means over `rows`, `left_count` of which go left. The centroids at first are the sums of the
    // rows of `seeds`. Leaves the side of each row in space.side, and the centroids those of the sides.
    void rounds(const Embeddings& z, const int32_t* rows, int64_t count, int64_t left_count, const int32_t* seeds,
                int64_t seed_count, int most, Space& space, int threads) {
        space.scored.resize(count);
        space.side.assign(count, 2);
        for (int round = 0; round < most; ++round) {
            monitor_.check();
            score(z, rows, count, space, threads);
            std::vector<Scored>& scored = space.scored;
            std::vector<uint8_t>& side = space.side;
            // the row at the cut is found on a copy: scored stays in step with rows
            std::vector<Scored>& ranked = space.ranked;
            ranked.assign(scored.begin(), scored.end());
            std::nth_element(ranked.begin(), ranked.begin() + left_count, ranked.end());
            const Scored cut = ranked[left_count];
            if (round == 0) space.centroids.clear(z, seeds, seed_count);  // they stand for their sides no longer
            int64_t moved = 0;
            for (int64_t i = 0; i < count; ++i) {
                const uint8_t to = scored[i] < cut ? 0 : 1;
                if (side[i] == to) continue;
                if (side[i] != 2) space.centroids.add(z, rows[i], side[i], -1.0f);
                space.centroids.add(z, rows[i], to, 1.0f);
                side[i] = to;
                ++moved;
            }
            if (moved == 0) break;
        }
    }

    void split(const Place& place, const Segment& s, Space& space, int threads, Segment* halves) {
        const Embeddings& z = place.z;
        const int64_t count = s.end - s.begin;
        const int64_t middle = (s.first + s.last) / 2;
        const int64_t left_count = starts_[s.level][middle] - s.begin;
        space.centroids.start(z.cols());
        int32_t* labels = place.order + (s.begin - place.offset);
        std::sort(labels, labels + count);

        Random random(options_.seed, static_cast<uint64_t>(s.begin), static_cast<uint64_t>(s.end));
        const uint32_t a = random.below(static_cast<uint32_t>(count));
        uint32_t b = random.below(static_cast<uint32_t>(count - 1));
        b += b >= a;
        std::vector<int32_t> seeds{labels[a], labels[b]};
        space.centroids.add(z, seeds[0], 0, 1.0f);
        space.centroids.add(z, seeds[1], 1, 1.0f);
        int most = options_.max_iterations;
        if (count > 2 * kSample) {
            // two centroids need no more than a sample; a few rounds of all labels then settle them
            std::vector<int32_t> sample(kSample);
            for (int64_t i = 0; i < kSample; ++i) sample[i] = labels[i * count / kSample];
            const int64_t left = std::clamp<int64_t>(left_count * kSample / count, 1, kSample - 1);
            rounds(z, sample.data(), kSample, left, seeds.data(), 2, most, space, threads);
            seeds = std::move(sample);
            most = std::min(most, kRoundsAfterSample);
        }
        rounds(z, labels, count, left_count, seeds.data(), seeds.size(), most, space, threads);
        space.centroids.clear(z, labels, count);

        std::vector<int32_t> sorted(labels, labels + count);
        int64_t left = 0, right = left_count;
        for (int64_t i = 0; i < count; ++i) labels[space.side[i] == 0 ? left++ : right++] = sorted[i];
        halves[0] = {s.level, s.first, middle, s.begin, s.begin + left_count};
        halves[1] = {s.level, middle, s.last, s.begin + left_count, s.end};
    }

    static constexpr int64_t kSample = 16384;
    static constexpr int kRoundsAfterSample = 4;

    const Embeddings& z_;
    const std::vector<std::vector<int64_t>>& levels_;
    const ClusterOptions& options_;
    Monitor& monitor_;
    std::vector<int32_t> order_;
    std::vector<std::vector<int64_t>> starts_;
    std::vector<Space> spaces_;
};

}  // namespace

std::vector<int32_t> cluster(const Embeddings& z, const std::vector<std::vector<int64_t>>& levels,
                             const ClusterOptions& options, Monitor& monitor) {
    return Clusterer(z, levels, options, monitor).run();
}

}  // namespace ceiba
