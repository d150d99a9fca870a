#include "core/text/features.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ceiba {
namespace {

constexpr int64_t kBlockTexts = 256;

// Logarithms of the counts that nearly all n-grams have.
const std::vector<double>& small_logarithms() {
    static const std::vector<double> logs = [] {
        std::vector<double> values(256, 0.0);
        for (size_t c = 1; c < values.size(); ++c) values[c] = std::log(static_cast<double>(c));
        return values;
    }();
    return logs;
}

// Sorts the columns of a text, counts them and appends the row; `columns` is used up.
void append_row(std::vector<int32_t>& columns, const Weighing& w, SparseRows& out) {
    std::sort(columns.begin(), columns.end());
    const std::vector<double>& logs = small_logarithms();
    const size_t start = out.indices.size();
    double size[kKinds] = {0.0, 0.0};
    for (size_t i = 0; i < columns.size();) {
        const int32_t column = columns[i];
        size_t j = i;
        while (j < columns.size() && columns[j] == column) ++j;
        const size_t count = j - i;
        double value = static_cast<double>(count);
        if (w.sublinear) value = 1.0 + (count < logs.size() ? logs[count] : std::log(value));
        value *= w.idf[column];
        size[w.both && column >= w.first_character] += w.norm == Norm::l1 ? std::abs(value) : value * value;
        out.indices.push_back(column);
        out.data.push_back(static_cast<float>(value));
        i = j;
    }
    double scale[kKinds] = {w.weight[0], w.weight[1]};
    if (w.norm != Norm::none) {
        double whole = 0.0;
        for (int kind = 0; kind < kKinds; ++kind) {
            if (size[kind] > 0) whole += w.norm == Norm::l1 ? w.weight[kind] : w.weight[kind] * w.weight[kind];
        }
        if (w.norm == Norm::l2) whole = std::sqrt(whole);
        for (int kind = 0; kind < kKinds; ++kind) {
            const double length = w.norm == Norm::l1 ? size[kind] : std::sqrt(size[kind]);
            scale[kind] = length > 0 ? w.weight[kind] / length / whole : 0.0;
        }
    }
    for (size_t e = start; e < out.data.size(); ++e) {
        out.data[e] = static_cast<float>(out.data[e] * scale[w.both && out.indices[e] >= w.first_character]);
    }
    out.indptr.push_back(static_cast<int64_t>(out.indices.size()));
    columns.clear();
}

// Rows of blocks of texts, made side by side and put together in order. make(block, thread, rows) appends its rows.
template <class Make>
SparseRows gather(int64_t blocks, int threads, Monitor& monitor, Make make) {
    std::vector<SparseRows> parts(blocks);
    const auto run = [&](int64_t b, int thread) { make(b, thread, parts[b]); };
    if (blocks == 1) {
        run(0, 0);
    } else {
        parallel_for(blocks, threads, monitor, run);
    }
    SparseRows all;
    std::vector<int64_t> row(blocks + 1, 0), entry(blocks + 1, 0);
    for (int64_t b = 0; b < blocks; ++b) {
        row[b + 1] = row[b] + static_cast<int64_t>(parts[b].indptr.size());
        entry[b + 1] = entry[b] + static_cast<int64_t>(parts[b].indices.size());
    }
    all.indptr.resize(row[blocks] + 1, 0);
    if (blocks == 1) {
        all.indices = std::move(parts[0].indices);
        all.data = std::move(parts[0].data);
        std::copy(parts[0].indptr.begin(), parts[0].indptr.end(), all.indptr.begin() + 1);
        return all;
    }
    all.indices.resize(entry[blocks]);
    all.data.resize(entry[blocks]);
    parallel_for(blocks, threads, monitor, [&](int64_t b, int) {
        SparseRows part = std::move(parts[b]);
        std::copy(part.indices.begin(), part.indices.end(), all.indices.begin() + entry[b]);
        std::copy(part.data.begin(), part.data.end(), all.data.begin() + entry[b]);
        for (size_t i = 0; i < part.indptr.size(); ++i) all.indptr[row[b] + 1 + i] = entry[b] + part.indptr[i];
    });
    return all;
}

}  // namespace

NgramCounter::NgramCounter(const CharTables& tables, const NgramOptions& options, bool keep, int threads)
    : tables_(tables), options_(options), keep_(keep), threads_(std::max(1, threads)), counted_(threads_) {}

void NgramCounter::count(const std::vector<Text>& texts, Monitor& monitor) {
    const int64_t n = texts.size(), tasks = (n + kBlockTexts - 1) / kBlockTexts;
    std::vector<Block> blocks(tasks);
    parallel_for(tasks, threads_, monitor, [&](int64_t task, int thread) {
        Counted& own = counted_[thread];
        Block& block = blocks[task];
        block.thread = thread;
        const auto soon = [&](int kind, uint64_t hash) { own.vocabulary[kind].prefetch(hash); };
        const auto id = [&](int kind, const uint8_t* bytes, int64_t length, uint64_t hash) {
            return options_.hashed > 0 ? options_.hashed_id(hash) : own.vocabulary[kind].add(bytes, length, hash);
        };
        for (int64_t t = task * kBlockTexts; t < std::min(n, (task + 1) * kBlockTexts); ++t) {
            own.splitter.split(tables_, options_, texts[t], own.ids, soon, id);
            ++own.texts;
            for (int kind = 0; kind < kKinds; ++kind) {
                const bool hashed = options_.hashed > 0 && options_.sizes[kind].most > 0;
                const size_t size = hashed ? options_.hashed : own.vocabulary[kind].size();
                own.documents[kind].resize(size, 0);
                own.total[kind].resize(size, 0);
                own.last[kind].resize(size, 0);
                for (int32_t i : own.ids[kind]) {
                    ++own.total[kind][i];
                    if (own.last[kind][i] != own.texts) ++own.documents[kind][i];
                    own.last[kind][i] = own.texts;
                }
                if (keep_) {
                    block.ids[kind].insert(block.ids[kind].end(), own.ids[kind].begin(), own.ids[kind].end());
                    block.ends[kind].push_back(static_cast<int64_t>(block.ids[kind].size()));
                }
                own.ids[kind].clear();
            }
        }
    });
    if (keep_) std::move(blocks.begin(), blocks.end(), std::back_inserter(blocks_));
}

void NgramCounter::finish() {
    for (int kind = 0; kind < kKinds; ++kind) {
        for (size_t thread = 0; thread < counted_.size(); ++thread) {
            Counted& own = counted_[thread];
            const int64_t size = own.documents[kind].size();
            own.final_id[kind].resize(size);
            if (thread == 0) {  // the first thread's ids stay
                if (options_.hashed > 0 && options_.sizes[kind].most > 0) {
                    own.documents[kind].resize(options_.hashed, 0);
                    own.total[kind].resize(options_.hashed, 0);
                    own.final_id[kind].resize(options_.hashed);
                }
                vocabulary_[kind] = std::move(own.vocabulary[kind]);
                documents_[kind] = std::move(own.documents[kind]);
                total_[kind] = std::move(own.total[kind]);
                std::iota(own.final_id[kind].begin(), own.final_id[kind].end(), 0);
                continue;
            }
            if (options_.hashed > 0) {  // all threads have the same ids
                std::iota(own.final_id[kind].begin(), own.final_id[kind].end(), 0);
                for (int64_t i = 0; i < size; ++i) {
                    documents_[kind][i] += own.documents[kind][i];
                    total_[kind][i] += own.total[kind][i];
                }
                continue;
            }
            for (int64_t i = 0; i < size; ++i) {
                const int32_t to = vocabulary_[kind].add(own.vocabulary[kind].bytes(i), own.vocabulary[kind].length(i));
                if (static_cast<size_t>(to) == documents_[kind].size()) {
                    documents_[kind].push_back(0);
                    total_[kind].push_back(0);
                }
                documents_[kind][to] += own.documents[kind][i];
                total_[kind][to] += own.total[kind][i];
                own.final_id[kind][i] = to;
            }
            own.vocabulary[kind].clear();
        }
    }
}

void NgramCounter::sort(int kind, std::vector<int32_t>& ids) const {
    const Vocabulary& v = vocabulary_[kind];
    struct Keyed {
        uint64_t prefix;  // the first eight bytes, which decide most comparisons
        int32_t id;
    };
    std::vector<Keyed> keyed(ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
        uint64_t prefix = 0;
        const int64_t length = v.length(ids[i]);
        for (int64_t b = 0; b < 8; ++b) prefix = prefix << 8 | (b < length ? v.bytes(ids[i])[b] : 0);
        keyed[i] = {prefix, ids[i]};
    }
    std::sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
        if (a.prefix != b.prefix) return a.prefix < b.prefix;
        const int64_t la = v.length(a.id), lb = v.length(b.id);
        const int order = std::memcmp(v.bytes(a.id), v.bytes(b.id), std::min(la, lb));
        return order != 0 ? order < 0 : la < lb;
    });
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = keyed[i].id;
}

SparseRows NgramCounter::rows(const std::vector<int32_t> (&columns)[kKinds], const Weighing& weighing,
                              Monitor& monitor) const {
    std::vector<std::vector<int32_t>> found(threads_);
    return gather(static_cast<int64_t>(blocks_.size()), threads_, monitor, [&](int64_t b, int thread, SparseRows& out) {
        const Block& block = blocks_[b];
        const Counted& own = counted_[block.thread];
        for (size_t t = 0; t < block.ends[0].size(); ++t) {
            for (int kind = 0; kind < kKinds; ++kind) {
                for (int64_t i = t == 0 ? 0 : block.ends[kind][t - 1]; i < block.ends[kind][t]; ++i) {
                    const int32_t column = columns[kind][own.final_id[kind][block.ids[kind][i]]];
                    if (column >= 0) found[thread].push_back(column);
                }
            }
            append_row(found[thread], weighing, out);
        }
    });
}

TextFeatures::TextFeatures(const CharTables& tables, const NgramOptions& options, Vocabulary (&&vocabulary)[kKinds],
                           std::vector<float>&& idf, Weighing weighing)
    : tables_(tables), options_(options), vocabulary_{std::move(vocabulary[0]), std::move(vocabulary[1])},
      idf_(std::move(idf)), weighing_(weighing) {
    weighing_.idf = idf_.data();
}

SparseRows TextFeatures::rows(const std::vector<Text>& texts, int threads, Monitor& monitor) const {
    const int64_t n = texts.size(), blocks = (n + kBlockTexts - 1) / kBlockTexts;
    struct Space {
        NgramSplitter splitter;
        std::vector<int32_t> ids[kKinds];
    };
    std::vector<Space> spaces(std::clamp<int64_t>(threads, 1, std::max<int64_t>(1, blocks)));
    if (blocks == 0) return {{0}, {}, {}};
    const auto soon = [&](int kind, uint64_t hash) { vocabulary_[kind].prefetch(hash); };
    const auto id = [&](int kind, const uint8_t* bytes, int64_t length, uint64_t hash) {
        const int32_t i = options_.hashed > 0 ? options_.hashed_id(hash) : vocabulary_[kind].find(bytes, length, hash);
        return i < 0 || kind == 0 ? i : i + weighing_.first_character;
    };
    return gather(blocks, static_cast<int>(spaces.size()), monitor, [&](int64_t b, int thread, SparseRows& out) {
        Space& space = spaces[thread];
        for (int64_t t = b * kBlockTexts; t < std::min(n, (b + 1) * kBlockTexts); ++t) {
            space.splitter.split(tables_, options_, texts[t], space.ids, soon, id);
            space.ids[0].insert(space.ids[0].end(), space.ids[1].begin(), space.ids[1].end());
            space.ids[1].clear();
            append_row(space.ids[0], weighing_, out);
        }
        monitor.done += std::min(n, (b + 1) * kBlockTexts) - b * kBlockTexts;
    });
}

}  // namespace ceiba
