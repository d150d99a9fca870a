// Which clusters a label stands in besides or in place of its home, learned from what a matcher returns for its
// positives.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

struct OverlapSettings {
    int overlap = 1;        // the most clusters of a label
    double least = 0;       // the least gain, as a share of the label's positives, that is worth a cluster
    double capacity = 0;    // the most labels times instances of a cluster that takes a label
    bool coverage = true;   // a positive counts for what its best cluster adds to those its label has; else always
    double leave_home = 0;  // a label leaves its home below this share of its positives' scores in a further cluster
    int threads = 1;
};

struct Overlap {
    std::vector<int64_t> ptr;       // per label, offsets into
    std::vector<int32_t> clusters;  // its clusters: those at home that it keeps, then others in the order of taking
    std::vector<double> cost;       // per cluster, its labels times its instances
};

// `home`: the clusters that each label starts from. `worth`: what a positive of each label counts. The (label, cluster)
// pair of most gain that a cluster still has room for is taken, again and again. The instances of a cluster are the
// positives of its labels. What leaving a home makes room for is not given away. Gains that are equal go to the
// lower label, then to the lower cluster.
Overlap assign_clusters(const Lists& positives, const Csr& matched, const Lists& home, const double* worth,
                        const OverlapSettings& settings, Monitor& monitor);

}  // namespace ceiba
