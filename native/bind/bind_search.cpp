#include <nanobind/stl/vector.h>

#include <cmath>
#include <limits>

#include "bind/arrays.hpp"
#include "bind/enums.hpp"
#include "core/inner_products.hpp"
#include "core/searcher.hpp"

namespace ceiba::bind {
namespace {

// A searcher and the arrays it reads.
class BoundSearcher {
   public:
    BoundSearcher(nb::list trees, int64_t labels) : searcher_(views(trees), labels) {}

    const Searcher& get() const { return searcher_; }

   private:
    template <class T>
    const T* hold(nb::handle value, int64_t* length = nullptr) {
        Array<T> array;
        if (!nb::try_cast(value, array, false)) throw std::invalid_argument("damaged model: array of a wrong type");
        if (length != nullptr) *length = static_cast<int64_t>(array.shape(0));
        const T* data = array.data();
        held_.push_back(nb::borrow(value));
        return data;
    }

    template <class T>
    const T* hold_exactly(nb::handle value, int64_t length) {
        int64_t actual = 0;
        const T* data = hold<T>(value, &actual);
        require(actual == length, "damaged model: array of a wrong length");
        return data;
    }

    LayerView layer_view(nb::dict d, int64_t features) {
        LayerView v;
        int64_t length = 0;
        v.features = features;
        v.child_ptr = hold<int64_t>(d["child_ptr"], &length);
        require(length >= 1, "damaged model: a level without nodes");
        v.parents = length - 1;
        v.bias = hold<float>(d["bias"], &v.children);
        v.chunk_row = hold_exactly<int64_t>(d["chunk_row"], v.parents + 1);
        v.chunk_byte = hold_exactly<int64_t>(d["chunk_byte"], v.parents + 1);
        v.chunk_bucket = hold_exactly<int64_t>(d["chunk_bucket"], v.parents + 1);
        v.shift = hold_exactly<uint8_t>(d["shift"], v.parents);
        v.bucket = hold<uint32_t>(d["bucket"], &v.buckets_length);
        v.stream = hold<uint8_t>(d["stream"], &v.stream_length);
        const int type = nb::cast<int>(d["value_type"]);
        require_number(type, kValueTypeNames, "damaged model: unknown value type");
        v.value_type = static_cast<ValueType>(type);
        v.scale = hold_exactly<float>(d["scale"], v.parents);
        return v;
    }

    std::vector<TreeView> views(nb::list trees) {
        std::vector<TreeView> result;
        for (nb::handle item : trees) {
            nb::dict d = nb::cast<nb::dict>(item);
            TreeView tree;
            const int64_t features = nb::cast<int64_t>(d["features"]);
            for (nb::handle layer : nb::cast<nb::list>(d["layers"])) {
                tree.layers.push_back(layer_view(nb::cast<nb::dict>(layer), features));
            }
            tree.slot_label = hold<int32_t>(d["slot_label"], &tree.slots);
            result.push_back(std::move(tree));
        }
        return result;
    }

    std::vector<nb::object> held_;
    Searcher searcher_;
};

SearchOptions search_options(int64_t beam, int64_t k, int combine, int threads) {
    require(beam >= 1 && k >= 0, "search options out of range");
    require_number(combine, kCombineNames, "unknown way to combine scores");
    return {beam, k, static_cast<Combine>(combine), std::max(1, threads)};
}

// Scores are logarithms in the core.
float finish(float score, bool logarithms) { return logarithms ? score : std::exp(score); }

// A lower limit of the score as the caller sees it, as a logarithm with room for rounding.
float core_limit(float least, bool logarithms) {
    if (!logarithms) least = std::log(std::max(least, 0.0f));
    return least - 1e-4f * (1.0f + std::abs(least));
}

// CSR-like arrays of the hits of at least that score. Each block is freed as it is copied.
nb::tuple hits_to_numpy(std::vector<RankedRows>&& blocks, bool logarithms, float least) {
    std::vector<int64_t> row_ptr(1, 0);
    std::vector<int32_t> ids;
    std::vector<float> scores;
    size_t rows = 0, hits = 0;
    for (const RankedRows& block : blocks) {
        rows += block.sizes.size();
        hits += block.hits.size();
    }
    row_ptr.reserve(rows + 1);
    ids.reserve(hits);
    scores.reserve(hits);
    for (RankedRows& block : blocks) {
        const Hit* hit = block.hits.data();
        for (const int64_t size : block.sizes) {
            for (const Hit* end = hit + size; hit != end; ++hit) {
                const float score = finish(hit->score, logarithms);
                if (score < least) continue;
                ids.push_back(hit->id);
                scores.push_back(score);
            }
            row_ptr.push_back(static_cast<int64_t>(ids.size()));
        }
        block = {};
    }
    return nb::make_tuple(to_numpy(std::move(row_ptr)), to_numpy(std::move(ids)), to_numpy(std::move(scores)));
}

// (rows x k) ids and scores; short rows end in -1 and -inf.
nb::tuple hits_to_rectangle(const std::vector<RankedRows>& blocks, size_t rows, size_t k, bool logarithms) {
    NewArray<int32_t> ids(rows, k);
    NewArray<float> scores(rows, k);
    size_t row = 0;
    for (const RankedRows& block : blocks) {
        const Hit* hit = block.hits.data();
        for (const int64_t size : block.sizes) {
            size_t to = k * row++;
            const size_t end_of_row = k * row;
            for (const Hit* end = hit + size; hit != end; ++hit, ++to) {
                ids.data()[to] = hit->id;
                scores.data()[to] = finish(hit->score, logarithms);
            }
            std::fill(ids.data() + to, ids.data() + end_of_row, -1);
            std::fill(scores.data() + to, scores.data() + end_of_row, -std::numeric_limits<float>::infinity());
        }
    }
    return nb::make_tuple(ids.release(), scores.release());
}

// The labels that rows may and must not get, held as long as the search runs. Each argument is None, an array of labels
// for all rows, or (offsets, labels) with a list for each.
class Filter {
   public:
    Filter(const nb::object& denied, const nb::object& allowed, int64_t rows, int64_t labels) {
        if (nb::isinstance<nb::tuple>(denied)) {
            filter_.denied_rows = denied_.hold(denied, rows, labels, "denied: one list per row is needed");
        } else if (!denied.is_none()) {
            filter_.denied = labels_of(denied, labels, "denied: no such label");
        }
        if (nb::isinstance<nb::tuple>(allowed)) {
            filter_.allowed_rows = allowed_.hold(allowed, rows, labels, "allowed: one list per row is needed");
        } else if (!allowed.is_none()) {
            filter_.restricted = true;
            filter_.allowed = labels_of(allowed, labels, "allowed: no such label");
        }
    }
    const LabelFilter& get() const { return filter_; }

   private:
    struct Rows {
        Array<int64_t> ptr;
        Array<int32_t> indices;
        Lists lists;

        const Lists* hold(nb::handle given, int64_t rows, int64_t labels, const char* what) {
            nb::tuple pair = nb::cast<nb::tuple>(given);
            ptr = nb::cast<Array<int64_t>>(pair[0], false);
            indices = nb::cast<Array<int32_t>>(pair[1], false);
            lists = bind::lists(ptr, indices, labels);
            require(lists.count == rows, what);
            return &lists;
        }
    };

    static std::vector<int32_t> labels_of(nb::handle given, int64_t labels, const char* what) {
        const auto array = nb::cast<Array<int32_t>>(given, false);
        std::vector<int32_t> list(array.data(), array.data() + array.shape(0));
        for (const int32_t label : list) require(label >= 0 && label < labels, what);
        return list;
    }

    Rows denied_, allowed_;
    LabelFilter filter_;
};

}  // namespace

void bind_search(nb::module_& m) {
    using namespace nb::literals;

    m.attr("COMBINE") = numbers_by_name(kCombineNames);

    nb::class_<BoundSearcher>(m, "Searcher")
        .def(nb::init<nb::list, int64_t>(), "trees"_a, "labels"_a)
        .def("top_k",
             [](const BoundSearcher& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data,
                Matrix<float> dense, int64_t beam, int64_t k, int combine, nb::object denied, int threads,
                nb::object progress, bool logarithms, float least, nb::object allowed) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, dense, searcher.features());
                 SearchOptions options = search_options(beam, k, combine, threads);
                 options.least = core_limit(least, logarithms);
                 const Filter filter(denied, allowed, x.rows, searcher.labels());
                 std::vector<RankedRows> blocks;
                 SearchWork work;
                 SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                     blocks = searcher.top_k(x, options, filter.get(), monitor, &work);
                 });
                 nb::tuple found = hits_to_numpy(std::move(blocks), logarithms, least);
                 nb::dict counts;
                 counts["visits"] = work.visits;
                 counts["lookups"] = work.lookups;
                 counts["rows"] = work.rows;
                 counts["weights"] = work.weights;
                 return nb::make_tuple(found[0], found[1], found[2], counts);
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "dense"_a.noconvert().none(),
             "beam"_a, "k"_a, "combine"_a, "denied"_a = nb::none(), "threads"_a = 1, "progress"_a = nb::none(),
             "logarithms"_a = true, "least"_a = -std::numeric_limits<float>::infinity(), "allowed"_a = nb::none())
        .def("rank",
             [](const BoundSearcher& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data,
                Matrix<float> dense, int64_t beam, int64_t k, int combine, nb::object denied, int threads,
                nb::object progress, bool logarithms, nb::object allowed) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, dense, searcher.features());
                 const SearchOptions options = search_options(beam, k, combine, threads);
                 require(k >= 1, "a ranking has at least one place");
                 const Filter filter(denied, allowed, x.rows, searcher.labels());
                 std::vector<RankedRows> blocks;
                 SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                     blocks = searcher.top_k(x, options, filter.get(), monitor);
                 });
                 return hits_to_rectangle(blocks, x.rows, static_cast<size_t>(k), logarithms);
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "dense"_a.noconvert().none(),
             "beam"_a, "k"_a, "combine"_a, "denied"_a.none(), "threads"_a, "progress"_a.none(), "logarithms"_a,
             "allowed"_a = nb::none())
        .def("beam_nodes",
             [](const BoundSearcher& self, int64_t tree, int64_t depth, Array<int64_t> indptr, Array<int32_t> indices,
                Array<float> data, Matrix<float> dense, int64_t beam, int combine, int threads, bool logarithms) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, dense, searcher.features());
                 require(tree >= 0 && static_cast<size_t>(tree) < searcher.trees(), "no such tree");
                 require(depth >= 1 && depth <= searcher.depth(tree), "no such level");
                 std::vector<RankedRows> blocks;
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     blocks = searcher.beam_nodes(tree, depth, x, search_options(beam, beam, combine, threads), monitor);
                 });
                 return hits_to_numpy(std::move(blocks), logarithms, -std::numeric_limits<float>::infinity());
             },
             "tree"_a, "depth"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(),
             "dense"_a.noconvert().none(), "beam"_a, "combine"_a, "threads"_a = 1, "logarithms"_a = true)
        .def("score_labels",
             [](const BoundSearcher& self, int64_t tree, Array<int64_t> indptr, Array<int32_t> indices,
                Array<float> data, Matrix<float> dense, Array<int64_t> ptr, Array<int32_t> labels, int combine,
                int threads, bool logarithms) {
                 const Searcher& searcher = self.get();
                 require(tree < static_cast<int64_t>(searcher.trees()), "no such tree");
                 const Csr x = csr(indptr, indices, data, dense, searcher.features());
                 const Lists candidates = lists(ptr, labels, searcher.labels());
                 require(candidates.count == x.rows, "candidates: one list per row is needed");
                 std::vector<float> scores(labels.shape(0));
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     searcher.score_labels(tree, x, candidates, search_options(1, 1, combine, threads), monitor,
                                           scores.data());
                 });
                 for (float& score : scores) score = finish(score, logarithms);
                 return to_numpy(std::move(scores));
             },
             "tree"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(),
             "dense"_a.noconvert().none(), "ptr"_a.noconvert(), "labels"_a.noconvert(), "combine"_a, "threads"_a = 1,
             "logarithms"_a = true);

    m.def("inner_products",
          [](Matrix<float> left, Matrix<float> right, Array<int64_t> ptr, Array<int32_t> indices, int threads) {
              const Lists others = lists(ptr, indices, right.shape(0));
              require(others.count == static_cast<int64_t>(left.shape(0)), "inner products: one list per row is needed");
              require(left.shape(1) == right.shape(1), "inner products: rows of different lengths");
              require(threads >= 1, "inner products: threads must be at least 1");
              std::vector<float> products(indices.shape(0));
              SignalPoller(nb::none()).run([&](Monitor& monitor) {
                  inner_products(left.data(), right.data(), left.shape(1), others, threads, monitor, products.data());
              });
              return to_numpy(std::move(products));
          },
          "left"_a.noconvert(), "right"_a.noconvert(), "ptr"_a.noconvert(), "indices"_a.noconvert(), "threads"_a = 1);
}

}  // namespace ceiba::bind
