// Label embeddings from instances.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

struct CsrArrays {
    std::vector<int64_t> indptr;
    std::vector<int32_t> indices;
    std::vector<float> data;
};

// PIFA (positive instance feature aggregation; Zhang et al. 2021, section 3): row l is the sum of the rows of x of
// label l's positives, scaled to length 1. A label without positives, or whose positives are empty, has an empty row.
// Only the `keep` entries of largest magnitude of a row are kept (0: all), of equal ones those of lower features.
CsrArrays pifa(const Csr& x, const Lists& positive, int64_t keep, int threads, Monitor& monitor);

}  // namespace ceiba
