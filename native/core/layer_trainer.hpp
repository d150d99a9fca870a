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
    uint64_t seed = 0;
    int64_t first_parent = 0;  // the number within the level of the first parent given
    int lanes = 16;            // children solved at once: 8 or 16
    int threads = 1;
};

struct LayerWork {
    int64_t visits = 0;
    int64_t updates = 0;
    int64_t lines = 0;  // cache lines of weights touched by the solver: visits and updates times features
    int64_t unconverged = 0;
};

// Solves the classifiers of a range of a level's parents. `matched` lists, per parent, the instances its children are
// trained on; `positive`, per child, its positives, where an instance that is not matched to the parent is passed over
// and `positive.weight` multiplies the cost. `child_ptr` (parents + 1) says which children belong to which parent. What
// a parent's children get depends on nothing but that parent's lists and its number within the level.
std::vector<ParentWeights> solve_parents(const Csr& x, const Lists& matched, const Lists& positive,
                                         const int64_t* child_ptr, const LayerOptions& options, Monitor& monitor,
                                         LayerWork& work);

}  // namespace ceiba
