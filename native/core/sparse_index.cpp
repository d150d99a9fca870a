#include "core/sparse_index.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/id_table.hpp"
#include "core/simd.hpp"

namespace ceiba {
namespace {

constexpr int64_t kBlock = 16384;      // rows whose sums are in the cache at once
constexpr int64_t kFewQueries = 8;     // searched by the caller's thread: starting another costs as much as a search
constexpr int64_t kSeedRows = 128;     // scored first at least, for a limit to begin with
constexpr int64_t kAhead = 8;          // rows asked for ahead of their scoring
constexpr int64_t kRowInEntries = 80;  // scoring a row costs about as much as so many entries of a list
constexpr int32_t kNoSeed = std::numeric_limits<int32_t>::max();

struct Row {
    int32_t id;
    float score;
};

bool ranks_before(const Row& a, const Row& b) { return a.score != b.score ? a.score > b.score : a.id < b.id; }

// The best rows so far, the last of them on top.
class BestRows {
   public:
    void reset(int64_t n, float least) {
        n_ = static_cast<size_t>(n);
        least_ = least;
        rows_.clear();
    }
    void offer(int32_t id, float score) {
        if (!(score > 0) || score < least_) return;
        const Row row{id, score};
        if (rows_.size() < n_) {
            rows_.push_back(row);
            std::push_heap(rows_.begin(), rows_.end(), ranks_before);
        } else if (ranks_before(row, rows_.front())) {
            std::pop_heap(rows_.begin(), rows_.end(), ranks_before);
            rows_.back() = row;
            std::push_heap(rows_.begin(), rows_.end(), ranks_before);
        }
    }
    size_t size() const { return n_; }  // n
    // A row of a lower score is not among the best.
    float limit() const { return rows_.size() < n_ ? least_ : std::max(least_, rows_.front().score); }

    const std::vector<Row>& sorted() {
        std::sort(rows_.begin(), rows_.end(), ranks_before);
        return rows_;
    }

   private:
    size_t n_ = 0;
    float least_ = 0;
    std::vector<Row> rows_;
};

// What a query says of its features.
class QueryTable {
   public:
    struct Value {
        float value = 0;
        int32_t seed = kNoSeed;  // when the feature's list was read for the first limit
    };

    void fill(const Csr& queries, int64_t q) {
        const int64_t size = queries.nnz(q);
        table_.reset(static_cast<size_t>(size));
        shift_ = 32 - 11;
        while (shift_ > 0 && (int64_t{1} << (32 - shift_)) < kBitsOfValue * size) --shift_;
        bits_.assign(size_t{1} << (32 - shift_ - 6), 0);
        for (int64_t j = queries.indptr[q]; j < queries.indptr[q + 1]; ++j) {
            const int32_t feature = queries.indices[j];
            table_[feature].value = queries.data[j];
            const uint32_t bit = bit_of(feature);
            bits_[bit >> 6] |= uint64_t{1} << (bit & 63);
        }
    }

    Value& operator[](int32_t feature) { return table_[feature]; }

    // The query times a row, and in which list the row was seen first while the first limit was sought. Most features of
    // a row are not the query's. The bits leave those out without a branch for each.
    double inner_product(const Csr& matrix, int64_t row, int32_t* seed = nullptr) const {
        double sum = 0;
        const int64_t end = matrix.indptr[row + 1];
        for (int64_t begin = matrix.indptr[row]; begin < end; begin += 64) {
            const int count = static_cast<int>(std::min<int64_t>(64, end - begin));
            uint64_t shared = 0;
            for (int j = 0; j < count; ++j) {
                const uint32_t bit = bit_of(matrix.indices[begin + j]);
                shared |= ((bits_[bit >> 6] >> (bit & 63)) & 1) << j;
            }
            for (; shared != 0; shared &= shared - 1) {
                const int64_t j = begin + std::countr_zero(shared);
                const Value* found = table_.find(matrix.indices[j]);
                if (found == nullptr) continue;
                const double product = static_cast<double>(found->value) * static_cast<double>(matrix.data[j]);
                sum += product;
                if (seed != nullptr && product > 0) *seed = std::min(*seed, found->seed);
            }
        }
        return sum;
    }

   private:
    static constexpr int64_t kBitsOfValue = 64;

    uint32_t bit_of(int32_t feature) const { return (static_cast<uint32_t>(feature) * 2246822519u) >> shift_; }

    IdTable<Value> table_;
    std::vector<uint64_t> bits_;  // those of the query's features are set
    int shift_ = 0;
};

// Asks for memory that is read soon: the offsets of a row first, then its entries.
void prefetch_offsets(const Csr& matrix, int64_t row) { __builtin_prefetch(matrix.indptr + row); }
void prefetch_entries(const Csr& matrix, int64_t row) {
    __builtin_prefetch(matrix.indices + matrix.indptr[row]);
    __builtin_prefetch(matrix.data + matrix.indptr[row]);
}

// Calls use(place) for each of the rows, whose memory has been asked for before.
template <class RowAt, class Use>
void for_each_row(const Csr& matrix, int64_t count, RowAt row_at, Use use) {
    for (int64_t i = 0; i < std::min(2 * kAhead, count); ++i) prefetch_offsets(matrix, row_at(i));
    for (int64_t i = 0; i < std::min(kAhead, count); ++i) prefetch_entries(matrix, row_at(i));
    for (int64_t i = 0; i < count; ++i) {
        if (i + 2 * kAhead < count) prefetch_offsets(matrix, row_at(i + 2 * kAhead));
        if (i + kAhead < count) prefetch_entries(matrix, row_at(i + kAhead));
        use(i);
    }
}

// A list that a query reads.
struct Term {
    int32_t feature;
    const int32_t* rows;
    const uint8_t* weights;
    int64_t size;
    float step;     // what a unit of weight adds to a score at most
    double most;    // what the list adds to a score at most
    float value;    // the query's
    int64_t begin;  // entries below the block that is looked at
    int64_t end;    // and below the one after it
};

// Searches one query after the other.
//
// Lists are ordered by what they can add to a score. The last ones together add so little that a row in none of the
// first ones cannot be among the best (MaxScore; Turtle and Flood, "Query evaluation: strategies and optimizations",
// 1995). Only the first ones are read, a block of rows at a time, with sums of weights that are rounded up. Rows whose sum
// with the bound of the lists left out reaches the limit are scored exactly from the matrix; where these are many, other
// lists of the block are read first, one by one.
class RowSearch {
   public:
    explicit RowSearch(const SparseIndex& index) : index_(index), sums_(kBlock, 0.0f) {}

    const std::vector<Row>& run(const Csr& queries, int64_t q, int64_t n, int32_t exclude, float least) {
        n = std::clamp<int64_t>(n, 1, std::max<int64_t>(1, index_.matrix.rows));
        exclude_ = exclude;
        query_.fill(queries, q);
        take_terms(queries, q);
        first_limit(n, least);
        best_.reset(n, least);
        for (int64_t first = 0; first < index_.matrix.rows && !terms_.empty(); first += kBlock) search_block(first);
        return best_.sorted();
    }

   private:
    void take_terms(const Csr& queries, int64_t q) {
        terms_.clear();
        const PostingsView& lists = index_.postings;
        const int64_t features = index_.matrix.cols;
        for (int64_t j = queries.indptr[q]; j < queries.indptr[q + 1]; ++j) {
            const float value = queries.data[j];
            int64_t list = queries.indices[j];
            if (value < 0) list += features;
            if (value == 0 || list >= lists.lists || lists.ptr[list] == lists.ptr[list + 1]) continue;
            Term term{};
            term.feature = queries.indices[j];
            term.rows = lists.rows + lists.ptr[list];
            term.weights = lists.weights + lists.ptr[list];
            term.size = lists.ptr[list + 1] - lists.ptr[list];
            term.value = std::abs(value);
            term.step = term.value * lists.step[list];
            term.most = static_cast<double>(term.value) * lists.step[list] * 255;
            terms_.push_back(term);
        }
        std::sort(terms_.begin(), terms_.end(), [](const Term& a, const Term& b) {
            return a.most != b.most ? a.most > b.most : a.feature < b.feature;
        });
        // What lists from the j-th on add to a score at most: the sum of what each adds, and by Cauchy and Schwarz.
        rest_.assign(terms_.size() + 1, 0.0);
        double sum = 0, squares = 0;
        for (size_t j = terms_.size(); j-- > 0;) {
            sum += terms_[j].most;
            squares += static_cast<double>(terms_[j].value) * terms_[j].value;
            rest_[j] = std::min(sum, std::sqrt(squares) * index_.norm) * (1 + 1e-6);
        }
        slack_ = 1e-6 + 1.2e-7 * static_cast<double>(terms_.size());
        read_ = terms_.size();
    }

    // A limit that n rows reach: rows of the lists that say most are scored.
    void first_limit(int64_t n, float least) {
        best_.reset(n, least);
        const int64_t budget = std::max(kSeedRows, 4 * n);
        int64_t seen = 0;
        for (size_t j = 0; j < terms_.size() && seen < budget; ++j) {
            const Term& term = terms_[j];
            const int64_t count = std::min(term.size, budget - seen);
            seen += count;
            const int32_t order = static_cast<int32_t>(j);
            query_[term.feature].seed = order;
            for_each_row(
                index_.matrix, count, [&](int64_t i) { return term.rows[i]; },
                [&](int64_t i) {
                    int32_t seed = kNoSeed;
                    const double score = query_.inner_product(index_.matrix, term.rows[i], &seed);
                    if (seed >= order && term.rows[i] != exclude_) best_.offer(term.rows[i], static_cast<float>(score));
                });
        }
        first_limit_ = best_.limit();
    }

    // Sums below it cannot be those of a row among the best.
    float sum_limit() {
        const double limit = std::max(first_limit_, best_.limit());
        const double lower = limit - limit * slack_ - 1e-35;
        while (read_ > 0 && rest_[read_ - 1] < lower) --read_;  // the limit never falls
        return static_cast<float>(lower);
    }

    void search_block(int64_t first) {
        const float limit = sum_limit();
        const int64_t last = std::min(first + kBlock, index_.matrix.rows);
        int64_t entries = 0;
        for (size_t j = 0; j < read_; ++j) entries += add(terms_[j], first, last);
        if (entries == 0) return;
        float rest = static_cast<float>(rest_[read_]);
        gather(first, last, limit - rest, entries);
        rest = refine(first, last, limit, rest);
        std::fill(sums_.begin(), sums_.begin() + (last - first), 0.0f);
        // Those of the largest sums first: after them few others reach the limit.
        const size_t head = std::min(best_.size(), candidates_.size());
        const auto larger = [](const Row& a, const Row& b) { return a.score > b.score; };
        if (head < candidates_.size()) {
            std::nth_element(candidates_.begin(), candidates_.begin() + head, candidates_.end(), larger);
        }
        score(0, head);
        if (head == candidates_.size()) return;
        const float raised = sum_limit() - rest;
        const auto rest_end = std::remove_if(candidates_.begin() + head, candidates_.end(),
                                             [&](const Row& row) { return row.score < raised; });
        score(head, static_cast<size_t>(rest_end - candidates_.begin()));
    }

    // Scores some candidates exactly.
    void score(size_t begin, size_t end) {
        const Row* rows = candidates_.data() + begin;
        for_each_row(
            index_.matrix, static_cast<int64_t>(end - begin), [&](int64_t i) { return rows[i].id; },
            [&](int64_t i) {
                if (rows[i].id == exclude_) return;
                best_.offer(rows[i].id, static_cast<float>(query_.inner_product(index_.matrix, rows[i].id)));
            });
    }

    // Adds a list's entries of a block to the sums; returns how many these are.
    int64_t add(Term& term, int64_t first, int64_t last) {
        int64_t i = term.end;
        if (i < term.size && term.rows[i] < first) {  // blocks went by while the list was not read
            i = std::lower_bound(term.rows + i, term.rows + term.size, first) - term.rows;
        }
        term.begin = i;
        float* sums = sums_.data() - first;
        for (; i < term.size && term.rows[i] < last; ++i) sums[term.rows[i]] += term.step * term.weights[i];
        term.end = i;
        return i - term.begin;
    }

    // The rows of a block that a list read has and whose sum reaches a limit, each once.
    void gather(int64_t first, int64_t last, float limit, int64_t entries) {
        candidates_.clear();
        if (limit > 0 && 2 * entries > last - first) {
            using F = Lanes<16>;
            const F needed = F::all(limit);
            for (int64_t i = 0; i < last - first; i += 16) {  // sums behind the last row are 0
                uint32_t enough = ~(F::load(sums_.data() + i) < needed).bits() & 0xffff;
                for (; enough != 0; enough &= enough - 1) {
                    const int64_t row = i + std::countr_zero(enough);
                    candidates_.push_back({static_cast<int32_t>(first + row), sums_[row]});
                }
            }
            return;
        }
        float* sums = sums_.data() - first;
        for (size_t j = 0; j < read_; ++j) {
            for (int64_t i = terms_[j].begin; i < terms_[j].end; ++i) {
                float& sum = sums[terms_[j].rows[i]];
                if (sum < limit || sum == kTaken) continue;
                candidates_.push_back({terms_[j].rows[i], sum});
                sum = kTaken;
            }
        }
        for (const Row& row : candidates_) sums[row.id] = row.score;
    }

    // Reads further lists while that costs less than to score the candidates, and keeps those whose sum still reaches
    // the limit. Returns what the lists that were not read add at most.
    float refine(int64_t first, int64_t last, float limit, float rest) {
        int64_t others = 0, added = 0;  // entries
        for (size_t j = read_; j < terms_.size(); ++j) others += terms_[j].size;
        for (size_t j = read_; j < terms_.size(); ++j) {
            const int64_t of_block = others * (last - first) / index_.matrix.rows;
            if (static_cast<int64_t>(candidates_.size()) * kRowInEntries <= of_block) break;
            others -= terms_[j].size;
            added += add(terms_[j], first, last);
            const int64_t worth =
                4 * static_cast<int64_t>(candidates_.size());  // entries to look at all candidates for
            if (added < worth && j + 1 < terms_.size()) continue;
            added = 0;
            rest = static_cast<float>(rest_[j + 1]);
            const float* sums = sums_.data() - first;
            for (Row& row : candidates_) row.score = sums[row.id];
            std::erase_if(candidates_, [&](const Row& row) { return row.score < limit - rest; });
        }
        return rest;
    }

    static constexpr float kTaken = std::numeric_limits<float>::max();

    const SparseIndex& index_;
    std::vector<float> sums_;
    QueryTable query_;
    std::vector<Term> terms_;
    std::vector<double> rest_;  // what the lists from the j-th on add at most
    double slack_ = 0;          // for the rounding of sums
    size_t read_ = 0;           // lists that are read
    float first_limit_ = 0;
    int32_t exclude_ = -1;
    BestRows best_;
    std::vector<Row> candidates_;
};

}  // namespace

FoundRows join(std::vector<FoundRows>& parts) {
    FoundRows found;
    size_t total = 0;
    for (const FoundRows& part : parts) total += part.rows.size();
    found.rows.reserve(total);
    found.scores.reserve(total);
    for (FoundRows& part : parts) {
        const int64_t before = static_cast<int64_t>(found.rows.size());
        for (size_t q = 1; q < part.ptr.size(); ++q) found.ptr.push_back(before + part.ptr[q]);
        found.rows.insert(found.rows.end(), part.rows.begin(), part.rows.end());
        found.scores.insert(found.scores.end(), part.scores.begin(), part.scores.end());
        part = {};
    }
    return found;
}

double largest_norm(const Csr& matrix) {
    double most = 0;
    for (int64_t row = 0; row < matrix.rows; ++row) {
        double squares = 0;
        for (int64_t j = matrix.indptr[row]; j < matrix.indptr[row + 1]; ++j) {
            squares += static_cast<double>(matrix.data[j]) * matrix.data[j];
        }
        most = std::max(most, squares);
    }
    return std::sqrt(most) * (1 + 1e-12);
}

Postings invert(const Csr& matrix, Monitor& monitor) {
    const int64_t entries = matrix.indptr[matrix.rows];
    const bool negative = std::any_of(matrix.data, matrix.data + entries, [](float value) { return value < 0; });
    const size_t lists = static_cast<size_t>(matrix.cols) * (negative ? 2 : 1);
    const auto list_of = [&](int64_t j) { return matrix.indices[j] + (matrix.data[j] < 0 ? matrix.cols : 0); };
    Postings result;
    result.ptr.assign(lists + 1, 0);
    result.step.assign(lists, 0.0f);
    for (int64_t j = 0; j < entries; ++j) {
        if (matrix.data[j] == 0) continue;
        ++result.ptr[list_of(j) + 1];
        float& most = result.step[list_of(j)];
        most = std::max(most, std::abs(matrix.data[j]));
    }
    monitor.check();
    for (size_t list = 0; list < lists; ++list) {
        result.ptr[list + 1] += result.ptr[list];
        float& step = result.step[list];
        if (step > 0) step = std::nextafter(step / 255, std::numeric_limits<float>::infinity());
    }
    result.rows.resize(static_cast<size_t>(result.ptr[lists]));
    result.weights.resize(result.rows.size());
    std::vector<int64_t> next(result.ptr.begin(), result.ptr.end() - 1);
    for (int64_t row = 0; row < matrix.rows; ++row) {
        if (row % kBlock == 0) monitor.check();
        for (int64_t j = matrix.indptr[row]; j < matrix.indptr[row + 1]; ++j) {
            if (matrix.data[j] == 0) continue;
            const int64_t list = list_of(j);
            const double steps = std::ceil(std::abs(static_cast<double>(matrix.data[j])) / result.step[list]);
            result.rows[next[list]] = static_cast<int32_t>(row);
            result.weights[next[list]++] = static_cast<uint8_t>(std::min(steps, 255.0));
        }
    }
    return result;
}

FoundRows nearest_rows(const SparseIndex& index, const Csr& queries, int64_t n, const int32_t* exclude, float least,
                       int threads, Monitor& monitor) {
    const auto append = [](FoundRows& to, const std::vector<Row>& rows) {
        for (const Row& row : rows) {
            to.rows.push_back(row.id);
            to.scores.push_back(row.score);
        }
        to.ptr.push_back(static_cast<int64_t>(to.rows.size()));
    };
    const auto excluded = [&](int64_t q) { return exclude == nullptr ? -1 : exclude[q]; };
    if (queries.rows <= kFewQueries) {
        FoundRows found;
        RowSearch search(index);
        for (int64_t q = 0; q < queries.rows; ++q) append(found, search.run(queries, q, n, excluded(q), least));
        return found;
    }
    constexpr int64_t kQueries = 64;  // of a task
    std::vector<FoundRows> parts((queries.rows + kQueries - 1) / kQueries);
    parallel_for(static_cast<int64_t>(parts.size()), threads, monitor, [&](int64_t task, int) {
        RowSearch search(index);
        const int64_t last = std::min((task + 1) * kQueries, queries.rows);
        for (int64_t q = task * kQueries; q < last && !monitor.stop.load(std::memory_order_relaxed); ++q) {
            append(parts[task], search.run(queries, q, n, excluded(q), least));
        }
        monitor.done += last - task * kQueries;
    });
    return join(parts);
}

void score_rows(const Csr& matrix, const Csr& queries, const Lists& pairs, int threads, Monitor& monitor,
                float* scores) {
    const auto run = [&](int64_t begin, int64_t end) {
        QueryTable query;
        for (int64_t q = begin; q < end; ++q) {
            query.fill(queries, q);
            const int32_t* rows = pairs.indices + pairs.ptr[q];
            float* to = scores + pairs.ptr[q];
            for_each_row(
                matrix, pairs.size(q), [&](int64_t i) { return rows[i]; },
                [&](int64_t i) { to[i] = static_cast<float>(query.inner_product(matrix, rows[i])); });
        }
    };
    if (queries.rows <= kFewQueries) return run(0, queries.rows);
    constexpr int64_t kQueries = 64;
    parallel_for((queries.rows + kQueries - 1) / kQueries, threads, monitor,
                 [&](int64_t task, int) { run(task * kQueries, std::min((task + 1) * kQueries, queries.rows)); });
}

MergedRows merge_columns(const Csr& matrix, const int32_t* merged) {
    struct Entry {
        int32_t column;
        float value;
    };
    MergedRows rows;
    rows.indices.reserve(static_cast<size_t>(matrix.indptr[matrix.rows]));
    rows.data.reserve(static_cast<size_t>(matrix.indptr[matrix.rows]));
    std::vector<Entry> row;
    for (int64_t i = 0; i < matrix.rows; ++i) {
        row.clear();
        for (int64_t j = matrix.indptr[i]; j < matrix.indptr[i + 1]; ++j) {
            row.push_back({merged[matrix.indices[j]], matrix.data[j]});
        }
        std::stable_sort(row.begin(), row.end(), [](const Entry& a, const Entry& b) { return a.column < b.column; });
        const size_t begin = rows.indices.size();
        double squares = 0;
        for (size_t j = 0; j < row.size();) {
            const int32_t column = row[j].column;
            float sum = row[j].value;
            for (++j; j < row.size() && row[j].column == column; ++j) sum += row[j].value;
            rows.indices.push_back(column);
            rows.data.push_back(sum);
            squares += static_cast<double>(sum) * static_cast<double>(sum);
        }
        const double length = squares > 0 ? std::sqrt(squares) : 1.0;
        for (size_t j = begin; j < rows.data.size(); ++j) rows.data[j] = static_cast<float>(rows.data[j] / length);
        rows.indptr.push_back(static_cast<int64_t>(rows.indices.size()));
    }
    return rows;
}

}  // namespace ceiba
