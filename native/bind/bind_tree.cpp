#include <nanobind/stl/vector.h>

#include "bind/arrays.hpp"
#include "core/cluster.hpp"
#include "core/coarsen.hpp"
#include "core/embed.hpp"
#include "core/overlap.hpp"

namespace ceiba::bind {
namespace {

constexpr float kLargestScore = 1e15f;  // sums of larger ones leave no room for a difference

std::vector<std::vector<int64_t>> tree_levels(const std::vector<Array<int64_t>>& child_ptrs, int64_t labels) {
    require(!child_ptrs.empty(), "a tree has at least one level");
    std::vector<std::vector<int64_t>> levels;
    size_t parents = 1;
    for (const Array<int64_t>& ptr : child_ptrs) {
        require(ptr.shape(0) == parents + 1, "tree: a level's offsets do not match the level above");
        require_offsets(ptr, static_cast<size_t>(ptr.data()[parents]), "tree: child offsets do not ascend from 0");
        for (size_t p = 0; p < parents; ++p) {
            require(ptr.data()[p] < ptr.data()[p + 1], "tree: a node has no children");
        }
        levels.emplace_back(ptr.data(), ptr.data() + parents + 1);
        parents = static_cast<size_t>(ptr.data()[parents]);
    }
    require(static_cast<int64_t>(parents) == labels, "tree: the last level does not have one place per label");
    return levels;
}

}  // namespace

void bind_tree(nb::module_& m) {
    using namespace nb::literals;

    m.def("pifa",
          [](Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, Matrix<float> dense, int64_t cols,
             Array<int64_t> positive_ptr, Array<int32_t> positive_indices, int64_t keep, int threads, nb::object progress) {
              const Csr x = csr(indptr, indices, data, dense, cols);
              const Lists positive = lists(positive_ptr, positive_indices, x.rows);
              require(keep >= 0, "pifa: keep is negative");
              CsrArrays z;
              SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                  z = pifa(x, positive, keep, threads, monitor);
              });
              return nb::make_tuple(to_numpy(std::move(z.indptr)), to_numpy(std::move(z.indices)),
                                    to_numpy(std::move(z.data)));
          },
          "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "dense"_a.noconvert().none(),
          "cols"_a, "positive_ptr"_a.noconvert(), "positive_indices"_a.noconvert(), "keep"_a, "threads"_a,
          "progress"_a = nb::none());

    m.def("cluster_sparse",
          [](Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, int64_t cols,
             const std::vector<Array<int64_t>>& child_ptrs, int iterations, uint64_t seed, int threads, nb::object progress) {
              Embeddings z;
              z.sparse = csr(indptr, indices, data, {}, cols);
              const auto levels = tree_levels(child_ptrs, z.rows());
              require(iterations >= 1, "a split takes at least one iteration");
              std::vector<int32_t> order;
              SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                  order = cluster(z, levels, {iterations, seed, threads}, monitor);
              });
              return to_numpy(std::move(order));
          },
          "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(), "cols"_a, "child_ptrs"_a,
          "iterations"_a, "seed"_a, "threads"_a, "progress"_a = nb::none());

    m.def("cluster_dense",
          [](Matrix<float> rows, const std::vector<Array<int64_t>>& child_ptrs, int iterations, uint64_t seed, int threads,
             nb::object progress) {
              Embeddings z;
              z.sparse.rows = static_cast<int64_t>(rows.shape(0));
              z.sparse.cols = static_cast<int64_t>(rows.shape(1));
              z.dense = rows.data();
              const auto levels = tree_levels(child_ptrs, z.rows());
              require(iterations >= 1, "a split takes at least one iteration");
              std::vector<int32_t> order;
              SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                  order = cluster(z, levels, {iterations, seed, threads}, monitor);
              });
              return to_numpy(std::move(order));
          },
          "rows"_a.noconvert(), "child_ptrs"_a, "iterations"_a, "seed"_a, "threads"_a, "progress"_a = nb::none());

    m.def("coarsen",
          [](Array<int64_t> ptr, Array<int32_t> indices, nb::object weight, int64_t instances,
             Array<int64_t> child_ptr, int threads) {
              Lists children = lists(ptr, indices, instances);
              Array<float> held;
              if (!weight.is_none()) {
                  held = nb::cast<Array<float>>(weight, false);
                  require(held.shape(0) == indices.shape(0), "lists: weight and indices differ in length");
                  children.weight = held.data();
              }
              require_offsets(child_ptr, static_cast<size_t>(children.count), "child offsets do not fit the lists");
              ListArrays parents;
              SignalPoller(nb::none()).run([&](Monitor& monitor) {
                  parents = coarsen(children, child_ptr.data(), child_ptr.shape(0) - 1, threads, monitor);
              });
              nb::object weights = weight.is_none() ? nb::none() : to_numpy(std::move(parents.weight));
              return nb::make_tuple(to_numpy(std::move(parents.ptr)), to_numpy(std::move(parents.indices)), weights);
          },
          "ptr"_a.noconvert(), "indices"_a.noconvert(), "weight"_a.none(), "instances"_a, "child_ptr"_a.noconvert(),
          "threads"_a);

    m.def("assign_clusters",
          [](Array<int64_t> positive_ptr, Array<int32_t> positive_indices, Array<int64_t> indptr,
             Array<int32_t> indices, Array<float> data, int64_t clusters, Array<int64_t> primary_ptr,
             Array<int32_t> primary_indices, Array<double> label_weight, int overlap, double least,
             double capacity, bool coverage, double primary_drop_ratio, int threads) {
              const Csr matched = csr(indptr, indices, data, {}, clusters);
              const Lists positives = lists(positive_ptr, positive_indices, matched.rows);
              require(is_canonical(indptr, indices, data, clusters, kLargestScore), "scores: not a canonical CSR");
              const Lists primary = lists(primary_ptr, primary_indices, clusters);
              require(primary.count == positives.count, "primary clusters: one list per label is needed");
              require(static_cast<int64_t>(label_weight.shape(0)) == primary.count,
                      "label_weight does not have a number per label");
              for (size_t l = 0; l < label_weight.shape(0); ++l) {
                  require(std::isfinite(label_weight.data()[l]), "label_weight is not finite");  // for sorting
              }
              require(overlap >= 1 && threads >= 1, "overlap and threads are at least 1");
              Overlap found;
              SignalPoller(nb::none()).run([&](Monitor& monitor) {
                  found = assign_clusters(positives, matched, primary, label_weight.data(),
                                          {overlap, least, capacity, coverage, primary_drop_ratio, threads}, monitor);
              });
              return nb::make_tuple(to_numpy(std::move(found.ptr)), to_numpy(std::move(found.clusters)),
                                    to_numpy(std::move(found.cost)));
          },
          "positive_ptr"_a.noconvert(), "positive_indices"_a.noconvert(), "indptr"_a.noconvert(),
          "indices"_a.noconvert(), "data"_a.noconvert(), "clusters"_a, "primary_ptr"_a.noconvert(),
          "primary_indices"_a.noconvert(),
          "label_weight"_a.noconvert(), "overlap"_a, "least"_a, "capacity"_a, "coverage"_a, "primary_drop_ratio"_a, "threads"_a);
}

}  // namespace ceiba::bind
