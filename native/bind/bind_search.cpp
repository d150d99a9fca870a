#include <nanobind/stl/vector.h>

#include "bind/arrays.hpp"
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
        v.chunk_dense = hold_exactly<int64_t>(d["chunk_dense"], v.parents + 1);
        v.chunk_bucket = hold_exactly<int64_t>(d["chunk_bucket"], v.parents + 1);
        v.shift = hold_exactly<uint8_t>(d["shift"], v.parents);
        v.is_dense = hold_exactly<uint8_t>(d["is_dense"], v.parents);
        v.bucket = hold<uint32_t>(d["bucket"], &v.buckets_length);
        v.key = hold<uint16_t>(d["key"], &v.keys_length);
        v.anchor = hold<int64_t>(d["anchor"], &v.anchors_length);
        v.stream = hold<uint8_t>(d["stream"], &v.stream_length);
        Array<uint16_t> narrow;
        const nb::object offset = d["offset"];  // outside of try_cast, which lets no KeyError through
        v.wide = !nb::try_cast(offset, narrow, false);
        if (v.wide) {
            v.offset32 = hold<uint32_t>(offset, &v.rows_length);
        } else {
            v.offset16 = hold<uint16_t>(offset, &v.rows_length);
        }
        const int type = nb::cast<int>(d["value_type"]);
        require(type >= 0 && type <= 2, "damaged model: unknown value type");
        v.value_type = static_cast<ValueType>(type);
        if (v.value_type == ValueType::float32) {
            v.dense = hold<float>(d["dense"], &v.dense_length);
        } else {
            v.dense = hold<uint16_t>(d["dense"], &v.dense_length);
        }
        if (v.value_type == ValueType::code8) v.codebook = hold_exactly<float>(d["codebook"], 256);
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
    require(beam >= 1 && k >= 0 && combine >= 0 && combine <= 3, "search options out of range");
    return {beam, k, static_cast<Combine>(combine), std::max(1, threads)};
}

nb::tuple hits_to_numpy(std::vector<int64_t>&& row_ptr, const std::vector<Hit>& hits) {
    std::vector<int32_t> ids(hits.size());
    std::vector<float> scores(hits.size());
    for (size_t h = 0; h < hits.size(); ++h) {
        ids[h] = hits[h].id;
        scores[h] = hits[h].score;
    }
    return nb::make_tuple(to_numpy(std::move(row_ptr)), to_numpy(std::move(ids)), to_numpy(std::move(scores)));
}

}  // namespace

void bind_search(nb::module_& m) {
    using namespace nb::literals;

    nb::class_<BoundSearcher>(m, "Searcher")
        .def(nb::init<nb::list, int64_t>(), "trees"_a, "labels"_a)
        .def("top_k",
             [](const BoundSearcher& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data,
                int64_t beam, int64_t k, int combine, nb::object filter, int threads, nb::object progress) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, searcher.features());
                 const SearchOptions options = search_options(beam, k, combine, threads);
                 Lists excluded;
                 Array<int64_t> filter_ptr;
                 Array<int32_t> filter_items;
                 if (!filter.is_none()) {
                     nb::tuple pair = nb::cast<nb::tuple>(filter);
                     filter_ptr = nb::cast<Array<int64_t>>(pair[0], false);
                     filter_items = nb::cast<Array<int32_t>>(pair[1], false);
                     excluded = lists(filter_ptr, filter_items, searcher.labels());
                     require(excluded.count == x.rows, "filter: one list per row is needed");
                 }
                 std::vector<int64_t> row_ptr;
                 std::vector<Hit> hits;
                 SearchWork work;
                 Watch(std::move(progress)).run([&](Monitor& monitor) {
                     searcher.top_k(x, options, filter.is_none() ? nullptr : &excluded, monitor, row_ptr, hits, &work);
                 });
                 nb::tuple found = hits_to_numpy(std::move(row_ptr), hits);
                 nb::dict counts;
                 counts["visits"] = work.visits;
                 counts["lookups"] = work.lookups;
                 counts["rows"] = work.rows;
                 counts["weights"] = work.weights;
                 return nb::make_tuple(found[0], found[1], found[2], counts);
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "beam"_a, "k"_a, "combine"_a,
             "filter"_a = nb::none(), "threads"_a = 1, "progress"_a = nb::none())
        .def("beam_nodes",
             [](const BoundSearcher& self, int64_t tree, int64_t depth, Array<int64_t> indptr, Array<int32_t> indices,
                Array<float> data, int64_t beam, int combine, int threads) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, searcher.features());
                 require(tree >= 0 && static_cast<size_t>(tree) < searcher.trees(), "no such tree");
                 require(depth >= 1 && depth <= searcher.depth(tree), "no such level");
                 std::vector<int64_t> row_ptr;
                 std::vector<Hit> hits;
                 Watch(nb::none()).run([&](Monitor& monitor) {
                     searcher.beam_nodes(tree, depth, x, search_options(beam, beam, combine, threads), monitor, row_ptr,
                                         hits);
                 });
                 return hits_to_numpy(std::move(row_ptr), hits);
             },
             "tree"_a, "depth"_a, "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "beam"_a,
             "combine"_a, "threads"_a = 1)
        .def("score_labels",
             [](const BoundSearcher& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data,
                Array<int64_t> ptr, Array<int32_t> items, int combine, int threads) {
                 const Searcher& searcher = self.get();
                 const Csr x = csr(indptr, indices, data, searcher.features());
                 const Lists candidates = lists(ptr, items, searcher.labels());
                 require(candidates.count == x.rows, "candidates: one list per row is needed");
                 std::vector<float> scores(items.shape(0));
                 Watch(nb::none()).run([&](Monitor& monitor) {
                     searcher.score_labels(x, candidates, search_options(1, 1, combine, threads), monitor,
                                           scores.data());
                 });
                 return to_numpy(std::move(scores));
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "ptr"_a.noconvert(),
             "items"_a.noconvert(), "combine"_a, "threads"_a = 1);
}

}  // namespace ceiba::bind
