#include <cmath>

#include "bind/arrays.hpp"
#include "core/neighbor_votes.hpp"
#include "core/sparse_index.hpp"

namespace ceiba::bind {
namespace {

// Without dense features, and with finite values.
Csr sparse_rows(const Array<int64_t>& indptr, const Array<int32_t>& indices, const Array<float>& data, int64_t cols) {
    require(is_canonical(indptr, indices, data, cols, 1e15f), "CSR: not canonical, or a value is not finite");
    require(indptr.shape(0) <= (size_t{1} << 31), "CSR: too many rows");
    return {static_cast<int64_t>(indptr.shape(0)) - 1, cols, indptr.data(), indices.data(), data.data()};
}

// An index and the arrays it reads, which are checked once.
class BoundIndex {
   public:
    BoundIndex(Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, int64_t cols, Array<int64_t> list_ptr,
               Array<int32_t> list_rows, Array<uint8_t> list_weights, Array<float> list_step)
        : indptr_(indptr), indices_(indices), data_(data), list_ptr_(list_ptr), list_rows_(list_rows),
          list_weights_(list_weights), list_step_(list_step) {
        index_.matrix = sparse_rows(indptr, indices, data, cols);
        index_.norm = largest_norm(index_.matrix);
        const int64_t n_lists = static_cast<int64_t>(list_step.shape(0));
        require(n_lists == cols || n_lists == 2 * cols, "index: another number of lists than of features");
        require(static_cast<int64_t>(list_ptr.shape(0)) == n_lists + 1, "index: another number of offsets than of lists");
        require(list_weights.shape(0) == list_rows.shape(0), "index: rows and weights differ in length");
        lists(list_ptr, list_rows, index_.matrix.rows);
        for (int64_t j = 0; j < n_lists; ++j) {
            for (int64_t i = list_ptr.data()[j] + 1; i < list_ptr.data()[j + 1]; ++i) {
                require(list_rows.data()[i - 1] < list_rows.data()[i], "index: rows of a list do not ascend");
            }
            require(list_step.data()[j] >= 0 && list_step.data()[j] <= 1e15f, "index: a step is out of range");
        }
        index_.postings = {n_lists, list_ptr.data(), list_rows.data(), list_weights.data(), list_step.data()};
    }

    const SparseIndex& get() const { return index_; }

   private:
    Array<int64_t> indptr_;
    Array<int32_t> indices_;
    Array<float> data_;
    Array<int64_t> list_ptr_;
    Array<int32_t> list_rows_;
    Array<uint8_t> list_weights_;
    Array<float> list_step_;
    SparseIndex index_;
};

// The labels of rows, which are checked once.
class BoundVotes {
   public:
    BoundVotes(Array<int64_t> ptr, Array<int32_t> indices, int64_t labels) : ptr_(ptr), indices_(indices), n_labels_(labels) {
        require(labels >= 0 && labels <= (int64_t{1} << 31) - 1, "votes: number of labels out of range");
        labels_ = lists(ptr, indices, labels);
    }

    const Lists& labels() const { return labels_; }
    int64_t n_labels() const { return n_labels_; }

   private:
    Array<int64_t> ptr_;
    Array<int32_t> indices_;
    int64_t n_labels_;
    Lists labels_;
};

Lists neighbor_lists(const BoundVotes& votes, const Array<int64_t>& ptr, const Array<int32_t>& rows,
                     const Array<float>& scores, double power, int threads) {
    Lists neighbors = lists(ptr, rows, votes.labels().count);
    require(scores.shape(0) == rows.shape(0), "votes: rows and scores differ in length");
    for (size_t i = 0; i < scores.shape(0); ++i) require(std::isfinite(scores.data()[i]), "votes: a score is not finite");
    require(power >= 0 && std::isfinite(power), "votes: power must be at least 0");
    require(threads >= 1, "votes: threads must be at least 1");
    neighbors.weight = scores.data();
    return neighbors;
}

}  // namespace

void bind_index(nb::module_& m) {
    using namespace nb::literals;

    m.def("invert_rows",
          [](Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, int64_t cols) {
              const Csr matrix = sparse_rows(indptr, indices, data, cols);
              Postings made;
              SignalPoller(nb::none()).run([&](Monitor& monitor) { made = invert(matrix, monitor); });
              return nb::make_tuple(to_numpy(std::move(made.ptr)), to_numpy(std::move(made.rows)),
                                    to_numpy(std::move(made.weights)), to_numpy(std::move(made.step)));
          },
          "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "cols"_a);

    m.def("merge_columns",
          [](Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, Array<int32_t> merged, int64_t columns) {
              const Csr matrix = sparse_rows(indptr, indices, data, static_cast<int64_t>(merged.shape(0)));
              require_ids(merged, columns, "merged: column out of range");
              MergedRows made;
              {
                  nb::gil_scoped_release release;
                  made = merge_columns(matrix, merged.data());
              }
              return nb::make_tuple(to_numpy(std::move(made.indptr)), to_numpy(std::move(made.indices)),
                                    to_numpy(std::move(made.data)));
          },
          "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "merged"_a.noconvert(), "columns"_a);

    nb::class_<BoundIndex>(m, "SparseIndex")
        .def(nb::init<Array<int64_t>, Array<int32_t>, Array<float>, int64_t, Array<int64_t>, Array<int32_t>,
                      Array<uint8_t>, Array<float>>(),
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "cols"_a, "list_ptr"_a.noconvert(),
             "list_rows"_a.noconvert(), "list_weights"_a.noconvert(), "list_step"_a.noconvert())
        .def("search",
             [](const BoundIndex& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, int64_t n,
                Array<int32_t> exclude, float least, int threads, nb::object progress) {
                 const SparseIndex& index = self.get();
                 const Csr queries = sparse_rows(indptr, indices, data, index.matrix.cols);
                 require(n >= 1, "search: n must be at least 1");
                 require(least >= 0, "search: least must be at least 0");
                 require(threads >= 1, "search: threads must be at least 1");
                 const int32_t* excluded = nullptr;
                 if (exclude.is_valid()) {
                     require(static_cast<int64_t>(exclude.shape(0)) == queries.rows, "search: one row to exclude per query");
                     excluded = exclude.data();
                 }
                 FoundRows found;
                 SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                     found = nearest_rows(index, queries, n, excluded, least, threads, monitor);
                 });
                 return nb::make_tuple(to_numpy(std::move(found.ptr)), to_numpy(std::move(found.rows)),
                                       to_numpy(std::move(found.scores)));
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "n"_a,
             "exclude"_a.noconvert().none(), "least"_a, "threads"_a, "progress"_a.none())
        .def("score",
             [](const BoundIndex& self, Array<int64_t> indptr, Array<int32_t> indices, Array<float> data,
                Array<int64_t> ptr, Array<int32_t> rows, int threads) {
                 const SparseIndex& index = self.get();
                 const Csr queries = sparse_rows(indptr, indices, data, index.matrix.cols);
                 const Lists pairs = lists(ptr, rows, index.matrix.rows);
                 require(pairs.count == queries.rows, "score: one list of rows per query is needed");
                 require(threads >= 1, "score: threads must be at least 1");
                 std::vector<float> scores(rows.shape(0));
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     score_rows(index.matrix, queries, pairs, threads, monitor, scores.data());
                 });
                 return to_numpy(std::move(scores));
             },
             "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "ptr"_a.noconvert(),
             "rows"_a.noconvert(), "threads"_a = 1);

    nb::class_<BoundVotes>(m, "NeighborVotes")
        .def(nb::init<Array<int64_t>, Array<int32_t>, int64_t>(), "ptr"_a.noconvert(), "indices"_a.noconvert(), "labels"_a)
        .def("rank",
             [](const BoundVotes& self, Array<int64_t> ptr, Array<int32_t> rows, Array<float> scores, double power,
                int64_t n, int threads) {
                 const Lists neighbors = neighbor_lists(self, ptr, rows, scores, power, threads);
                 require(n >= 1, "votes: n must be at least 1");
                 FoundRows found;
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     found = rank_votes(neighbors, self.labels(), power, n, threads, monitor);
                 });
                 return nb::make_tuple(to_numpy(std::move(found.ptr)), to_numpy(std::move(found.rows)),
                                       to_numpy(std::move(found.scores)));
             },
             "ptr"_a.noconvert(), "rows"_a.noconvert(), "scores"_a.noconvert(), "power"_a, "n"_a, "threads"_a = 1)
        .def("score",
             [](const BoundVotes& self, Array<int64_t> ptr, Array<int32_t> rows, Array<float> scores, double power,
                Array<int64_t> pair_ptr, Array<int32_t> labels, int threads) {
                 const Lists neighbors = neighbor_lists(self, ptr, rows, scores, power, threads);
                 const Lists pairs = lists(pair_ptr, labels, self.n_labels());
                 require(pairs.count == neighbors.count, "votes: one list of labels per query is needed");
                 std::vector<float> shares(labels.shape(0));
                 SignalPoller(nb::none()).run([&](Monitor& monitor) {
                     score_votes(neighbors, self.labels(), power, pairs, threads, monitor, shares.data());
                 });
                 return to_numpy(std::move(shares));
             },
             "ptr"_a.noconvert(), "rows"_a.noconvert(), "scores"_a.noconvert(), "power"_a, "pair_ptr"_a.noconvert(),
             "labels"_a.noconvert(), "threads"_a = 1);
}

}  // namespace ceiba::bind
