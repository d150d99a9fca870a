// From the instances of a level's nodes to those of their parents.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

struct ListArrays {
    std::vector<int64_t> ptr;
    std::vector<int32_t> indices;
    std::vector<float> weight;  // empty where the children have none
};

// Parent p's list is the union of its children's (child_ptr[p] .. child_ptr[p + 1]), ascending; weights are added up.
ListArrays coarsen(const Lists& children, const int64_t* child_ptr, int64_t parents, int threads, Monitor& monitor);

}  // namespace ceiba
