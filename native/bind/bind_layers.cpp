#include "bind/arrays.hpp"
#include "bind/enums.hpp"
#include "core/layer_trainer.hpp"

namespace ceiba::bind {
namespace {

nb::dict to_dict(LayerArrays&& layer) {
    nb::dict d;
    d["chunk_row"] = to_numpy(std::move(layer.chunk_row));
    d["chunk_byte"] = to_numpy(std::move(layer.chunk_byte));
    d["chunk_bucket"] = to_numpy(std::move(layer.chunk_bucket));
    d["shift"] = to_numpy(std::move(layer.shift));
    d["bucket"] = to_numpy(std::move(layer.bucket));
    d["stream"] = to_numpy(std::move(layer.stream));
    d["value_type"] = static_cast<int>(layer.value_type);
    d["scale"] = to_numpy(std::move(layer.scale));
    d["bias"] = to_numpy(std::move(layer.bias));
    return d;
}

}  // namespace

void bind_layers(nb::module_& m) {
    using namespace nb::literals;

    m.attr("LOSSES") = numbers_by_name(kLossNames);
    m.attr("WEIGHT_DTYPES") = numbers_by_name(kValueTypeNames);
    m.attr("NARROW_CHILDREN") = kNarrowChildren;
    m.attr("PADDED_CHILDREN") = kPad;
    m.attr("SLACK_BYTES") = kSlack;

    m.def("train_parents",
          [](Array<int64_t> indptr, Array<int32_t> indices, Array<float> data, Matrix<float> dense, int64_t cols,
             Array<int64_t> matched_ptr, Array<int32_t> matched_indices, Array<int64_t> positive_ptr,
             Array<int32_t> positive_indices, nb::object relevance, Array<int64_t> child_ptr, int loss,
             float cost_positive, float cost_negative, float bias, float tolerance, int max_passes,
             Array<float> threshold, int value_type, uint64_t seed, int64_t first_parent, int lanes, int threads,
             nb::object progress) {
              const Csr x = csr(indptr, indices, data, dense, cols);
              const Lists matched = lists(matched_ptr, matched_indices, x.rows);
              Lists positive = lists(positive_ptr, positive_indices, x.rows);
              require_offsets(child_ptr, static_cast<size_t>(positive.count), "child offsets do not fit the children");
              require(static_cast<int64_t>(child_ptr.shape(0)) - 1 == matched.count,
                      "child offsets do not fit the parents");
              require(static_cast<int64_t>(threshold.shape(0)) == positive.count, "thresholds do not fit the children");
              require(first_parent >= 0 && (lanes == 8 || lanes == 16), "first parent or lanes out of range");
              require_number(loss, kLossNames, "unknown loss");
              require_number(value_type, kValueTypeNames, "unknown value type");
              for (int64_t p = 0; p < matched.count; ++p) {
                  for (int64_t i = matched.ptr[p] + 1; i < matched.ptr[p + 1]; ++i) {
                      require(matched.indices[i - 1] < matched.indices[i], "matched instances do not ascend");
                  }
              }
              Array<float> held;
              if (!relevance.is_none()) {
                  held = nb::cast<Array<float>>(relevance, false);
                  require(held.shape(0) == positive_indices.shape(0), "relevance and positives differ in length");
                  positive.weight = held.data();
              }
              LayerOptions options;
              options.solver = {static_cast<Loss>(loss), cost_positive, cost_negative, bias, tolerance, max_passes};
              options.threshold = threshold.data();
              options.seed = seed;
              options.first_parent = first_parent;
              options.lanes = lanes;
              options.threads = std::max(1, threads);
              LayerArrays layer;
              LayerWork work;
              SignalPoller(std::move(progress)).run([&](Monitor& monitor) {
                  auto parents = solve_parents(x, matched, positive, child_ptr.data(), options, monitor, work);
                  layer = pack(parents, x.cols, static_cast<ValueType>(value_type), options.threads, monitor);
              });
              nb::dict counts;
              counts["visits"] = work.visits;
              counts["updates"] = work.updates;
              counts["lines"] = work.lines;
              counts["unconverged"] = work.unconverged;
              return nb::make_tuple(to_dict(std::move(layer)), counts);
          },
          "indptr"_a.noconvert(), "indices"_a.noconvert(), "data"_a.noconvert(),
          "dense"_a.noconvert().none(), "cols"_a, "matched_ptr"_a.noconvert(), "matched_indices"_a.noconvert(),
          "positive_ptr"_a.noconvert(), "positive_indices"_a.noconvert(), "relevance"_a.none(),
          "child_ptr"_a.noconvert(), "loss"_a, "cost_positive"_a, "cost_negative"_a, "bias"_a, "tolerance"_a, "max_passes"_a,
          "threshold"_a.noconvert(), "value_type"_a, "seed"_a, "first_parent"_a, "lanes"_a, "threads"_a, "progress"_a = nb::none());
}

}  // namespace ceiba::bind
