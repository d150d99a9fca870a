// Trains the linear classifiers of one level of the tree.
#pragma once

#include <cstdint>
#include <vector>

#include "core/dual_solver.hpp"
#include "core/views.hpp"
#include "core/weights.hpp"

namespace ceiba {

struct LayerOptions {
    SolverOptions solver;
    const float* threshold = nullptr;  // per child: weights of smaller magnitude are dropped
    ValueType value_type = ValueType::float16;
    uint64_t seed = 0;
    int threads = 1;
};

struct LayerWork {
    int64_t visits = 0;
    int64_t updates = 0;
    int64_t lines = 0;  // cache lines of weights touched by the solver: visits and updates times features
    int64_t unconverged = 0;
};

// `matched` lists, per parent, the instances its children are trained on; `positive`, per child, its positives, where
// an instance that is not matched to the parent is passed over and `positive.weight` multiplies the cost. `child_ptr`
// (parents + 1) says which children belong to which parent.
LayerArrays train_layer(const Csr& x, const Lists& matched, const Lists& positive, const int64_t* child_ptr,
                        const LayerOptions& options, Monitor& monitor, LayerWork& work);

}  // namespace ceiba
