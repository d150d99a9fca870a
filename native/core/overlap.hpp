// Which clusters a label stands in besides or in place of its primary ones, learned from what a matcher returns for its
// positives.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

struct OverlapSettings {
    int overlap = 1;       // the most clusters of a label
    double least = 0;      // the least gain, as a share of the label's positives, that is worth a cluster
    double capacity = 0;   // the most labels times instances of a cluster that takes a label
    bool coverage = true;  // a positive counts for what its best cluster adds to those its label has; else always
    // a label leaves a primary cluster below this share of its positives' scores in a further cluster
    double primary_drop_ratio = 0;
    int threads = 1;
};

struct Overlap {
    std::vector<int64_t> ptr;       // per label, offsets into
    std::vector<int32_t> clusters;  // the primary ones that it keeps, then others in the order of taking
    std::vector<double> cost;       // per cluster, its labels times its instances
};

// `primary`: the clusters that each label starts from. `label_weight`: what a positive of each label counts. The pair
// of label and cluster with the most gain is taken, again and again, as long as the cluster has capacity. The instances of a cluster are the
// positives of its labels. Capacity that a dropped label leaves is not given away. Gains that are equal go to the
// lower label, then to the lower cluster.
Overlap assign_clusters(const Lists& positives, const Csr& matched, const Lists& primary, const double* label_weight,
                        const OverlapSettings& settings, Monitor& monitor);

}  // namespace ceiba
