#include "core/overlap.hpp"

#include <algorithm>
#include <queue>

namespace ceiba {
namespace {

struct Candidate {
    double gain;
    int32_t cluster;
};

bool better(const Candidate& a, const Candidate& b) {
    return a.gain != b.gain ? a.gain > b.gain : a.cluster < b.cluster;
}

// A set of (cluster, instance) pairs: open addressing, grown by doubling.
class Pairs {
   public:
    explicit Pairs(size_t expected) {
        size_t size = 64;
        while (size < 2 * expected) size *= 2;
        slots_.assign(size, kEmpty);
    }

    bool contains(int64_t key) const { return slots_[find(key)] == key; }

    bool insert(int64_t key) {
        if (2 * (count_ + 1) > slots_.size()) grow();
        int64_t& slot = slots_[find(key)];
        if (slot == key) return false;
        slot = key;
        ++count_;
        return true;
    }

   private:
    static constexpr int64_t kEmpty = -1;

    size_t find(int64_t key) const {
        uint64_t hash = static_cast<uint64_t>(key) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 32;
        size_t at = hash & (slots_.size() - 1);
        while (slots_[at] != kEmpty && slots_[at] != key) at = (at + 1) & (slots_.size() - 1);
        return at;
    }

    void grow() {
        std::vector<int64_t> old(2 * slots_.size(), kEmpty);
        old.swap(slots_);
        for (const int64_t key : old) {
            if (key != kEmpty) slots_[find(key)] = key;
        }
    }

    std::vector<int64_t> slots_;
    size_t count_ = 0;
};

class Assigner {
   public:
    Assigner(const Lists& positives, const Csr& matched, const Lists& primary, const double* label_weight,
             const OverlapSettings& settings)
        : positives_(positives), matched_(matched), primary_(primary), label_weight_(label_weight), settings_(settings),
          clusters_(positives.count), candidates_(positives.count), next_(positives.count, 0),
          reached_(settings.coverage ? positives.ptr[positives.count] : 0, 0.0f), labels_(matched.cols, 0),
          instances_(matched.cols, 0), members_(positives.ptr[positives.count]) {}

    Overlap run(Monitor& monitor) {
        for (int64_t l = 0; l < positives_.count; ++l) {
            for (int64_t h = primary_.ptr[l]; h < primary_.ptr[l + 1]; ++h) add(l, primary_.indices[h]);
        }
        if (settings_.overlap > 1) {
            std::vector<std::vector<double>> sums(settings_.threads, std::vector<double>(matched_.cols, 0.0));
            parallel_for(positives_.count, settings_.threads, monitor, [&](int64_t l, int thread) {
                if (!may_take(l)) return;
                for (const int32_t c : clusters_[l]) reach(l, c);
                list(l, sums[thread]);
            });
            take_all(sums[0], monitor);
            if (settings_.primary_drop_ratio > 0) drop_primaries(monitor);
        }
        return result();
    }

   private:
    template <class Body>
    void each(int64_t label, Body body) const {
        for (int64_t q = positives_.ptr[label]; q < positives_.ptr[label + 1]; ++q) body(q, positives_.indices[q]);
    }

    int64_t key(int32_t cluster, int32_t instance) const { return cluster * matched_.rows + instance; }

    float score(int32_t instance, int32_t cluster) const {
        const int32_t* first = matched_.indices + matched_.indptr[instance];
        const int32_t* last = matched_.indices + matched_.indptr[instance + 1];
        const int32_t* found = std::lower_bound(first, last, cluster);
        return found != last && *found == cluster ? matched_.data[found - matched_.indices] : 0.0f;
    }

    bool may_take(int64_t label) const { return static_cast<int>(clusters_[label].size()) < settings_.overlap; }

    void add(int64_t label, int32_t cluster) {
        each(label, [&](int64_t, int32_t i) { instances_[cluster] += members_.insert(key(cluster, i)); });
        ++labels_[cluster];
        clusters_[label].push_back(cluster);
    }

    // Notes how well a cluster that the label now has is reached by its positives.
    void reach(int64_t label, int32_t cluster) {
        if (!settings_.coverage) return;
        each(label, [&](int64_t q, int32_t i) { reached_[q] = std::max(reached_[q], score(i, cluster)); });
    }

    // Lists what each cluster that the label does not have would add, best first. `sums` is all zero before and after.
    void list(int64_t label, std::vector<double>& sums) {
        std::vector<Candidate>& found = candidates_[label];
        std::vector<int32_t> touched;
        each(label, [&](int64_t q, int32_t i) {
            const float had = settings_.coverage ? reached_[q] : 0.0f;
            for (int64_t m = matched_.indptr[i]; m < matched_.indptr[i + 1]; ++m) {
                if (matched_.data[m] <= had) continue;
                double& sum = sums[matched_.indices[m]];
                if (sum == 0.0) touched.push_back(matched_.indices[m]);
                sum += static_cast<double>(matched_.data[m]) - had;
            }
        });
        found.clear();
        const double least = settings_.least * static_cast<double>(positives_.size(label));
        for (const int32_t c : touched) {
            const bool own = std::find(clusters_[label].begin(), clusters_[label].end(), c) != clusters_[label].end();
            if (!own && sums[c] >= least) found.push_back({sums[c] * label_weight_[label], c});
            sums[c] = 0.0;
        }
        std::sort(found.begin(), found.end(), better);
        next_[label] = 0;
    }

    // Takes the label into the cluster if the capacity allows. It never will where it does not now: clusters only fill.
    bool take(int64_t label, int32_t cluster) {
        int64_t more = 0;
        each(label, [&](int64_t, int32_t i) { more += !members_.contains(key(cluster, i)); });
        const double cost = static_cast<double>(labels_[cluster] + 1) * static_cast<double>(instances_[cluster] + more);
        if (cost > settings_.capacity) return false;
        add(label, cluster);
        return true;
    }

    void take_all(std::vector<double>& sums, Monitor& monitor) {
        struct Head {
            Candidate candidate;
            int64_t label;
        };
        const auto worse = [](const Head& a, const Head& b) {
            if (a.candidate.gain != b.candidate.gain) return a.candidate.gain < b.candidate.gain;
            return a.label > b.label;
        };
        std::priority_queue<Head, std::vector<Head>, decltype(worse)> heads(worse);
        const auto offer = [&](int64_t label) {
            std::vector<Candidate>& own = candidates_[label];
            if (next_[label] < own.size()) {
                heads.push({own[next_[label]++], label});
            } else {
                std::vector<Candidate>().swap(own);
            }
        };
        for (int64_t l = 0; l < positives_.count; ++l) offer(l);
        std::vector<std::vector<int32_t>> full(positives_.count);
        for (int64_t n = 0; !heads.empty(); ++n) {
            if (n % 1024 == 0) {
                monitor.poll_when_due();
                monitor.check();
            }
            const Head head = heads.top();
            heads.pop();
            const int64_t l = head.label;
            if (!take(l, head.candidate.cluster)) {
                full[l].push_back(head.candidate.cluster);
            } else if (!may_take(l)) {
                std::vector<Candidate>().swap(candidates_[l]);
                continue;
            } else if (settings_.coverage) {
                reach(l, head.candidate.cluster);
                list(l, sums);
                std::erase_if(candidates_[l], [&](const Candidate& candidate) {
                    return std::find(full[l].begin(), full[l].end(), candidate.cluster) != full[l].end();
                });
            }
            offer(l);
        }
    }

    double sum(int64_t label, int32_t cluster) const {
        double total = 0.0;
        each(label, [&](int64_t, int32_t i) { total += score(i, cluster); });
        return total;
    }

    // Takes labels out of the primary clusters that one of their further clusters is much better than.
    void drop_primaries(Monitor& monitor) {
        parallel_for(positives_.count, settings_.threads, monitor, [&](int64_t l, int) {
            std::vector<int32_t>& own = clusters_[l];
            const size_t n_primary = static_cast<size_t>(primary_.size(l));
            double best = 0.0;
            for (size_t c = n_primary; c < own.size(); ++c) best = std::max(best, sum(l, own[c]));
            const auto further = own.begin() + static_cast<std::ptrdiff_t>(n_primary);
            const double least = settings_.primary_drop_ratio * best;
            own.erase(std::remove_if(own.begin(), further, [&](int32_t c) { return sum(l, c) < least; }), further);
        });
        count_anew();
    }

    // Counts the labels and the instances of the clusters.
    void count_anew() {
        std::vector<std::vector<int64_t>> labels(matched_.cols);
        for (int64_t l = 0; l < positives_.count; ++l) {
            for (const int32_t c : clusters_[l]) labels[c].push_back(l);
        }
        std::vector<int32_t> last(matched_.rows, -1);  // the cluster that last counted each instance
        for (int32_t c = 0; c < static_cast<int32_t>(matched_.cols); ++c) {
            labels_[c] = static_cast<int64_t>(labels[c].size());
            instances_[c] = 0;
            for (const int64_t l : labels[c]) {
                each(l, [&](int64_t, int32_t i) {
                    instances_[c] += last[i] != c;
                    last[i] = c;
                });
            }
        }
    }

    Overlap result() const {
        Overlap found;
        found.ptr.push_back(0);
        for (const std::vector<int32_t>& own : clusters_) {
            found.clusters.insert(found.clusters.end(), own.begin(), own.end());
            found.ptr.push_back(static_cast<int64_t>(found.clusters.size()));
        }
        for (int64_t c = 0; c < matched_.cols; ++c) {
            found.cost.push_back(static_cast<double>(labels_[c]) * static_cast<double>(instances_[c]));
        }
        return found;
    }

    const Lists& positives_;
    const Csr& matched_;
    const Lists& primary_;
    const double* label_weight_;
    const OverlapSettings& settings_;
    std::vector<std::vector<int32_t>> clusters_;      // per label, primary ones first
    std::vector<std::vector<Candidate>> candidates_;  // per label, best first
    std::vector<size_t> next_;                        // per label, the first candidate not yet offered
    std::vector<float> reached_;                      // per positive, the best score among its label's clusters
    std::vector<int64_t> labels_, instances_;         // per cluster
    Pairs members_;                                   // instances of each cluster
};

}  // namespace

Overlap assign_clusters(const Lists& positives, const Csr& matched, const Lists& primary, const double* label_weight,
                        const OverlapSettings& settings, Monitor& monitor) {
    return Assigner(positives, matched, primary, label_weight, settings).run(monitor);
}

}  // namespace ceiba
