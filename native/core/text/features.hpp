// Texts to TF-IDF features: learning which n-grams there are, and weighing those of a text.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/parallel.hpp"
#include "core/text/ngrams.hpp"
#include "core/text/vocabulary.hpp"

namespace ceiba {

enum class Norm : int { none = 0, l1 = 1, l2 = 2 };
inline constexpr const char* kNormNames[] = {"none", "l1", "l2"};  // by number

// How counts become features. Columns below `first_character` are words.
struct Weighing {
    bool sublinear = true;
    Norm norm = Norm::l2;
    double weight[kKinds] = {1.0, 1.0};
    bool both = false;  // whether there are columns of both kinds, each normalised before they are weighted
    int32_t first_character = 0;
    const float* idf = nullptr;
};

struct SparseRows {
    std::vector<int64_t> indptr;
    std::vector<int32_t> indices;
    std::vector<float> data;
};

// Counts the n-grams of texts and gives each an id where it is first seen.
class NgramCounter {
   public:
    // With `keep`, the n-grams of every text are kept for rows().
    NgramCounter(const CharTables& tables, const NgramOptions& options, bool keep, int threads);

    void count(const std::vector<Text>& texts, Monitor& monitor);

    // Brings what the threads counted together; then the ids of a kind are 0 up to size(kind).
    void finish();
    int64_t size(int kind) const { return static_cast<int64_t>(documents_[kind].size()); }
    const std::vector<int64_t>& documents(int kind) const { return documents_[kind]; }  // texts each n-gram is in
    const std::vector<int64_t>& total(int kind) const { return total_[kind]; }          // times it occurs
    const Vocabulary& vocabulary(int kind) const { return vocabulary_[kind]; }
    void sort(int kind, std::vector<int32_t>& ids) const;  // by bytes, that is by code points

    // The features of the texts kept. columns[kind][id] is the column of an n-gram, or -1.
    SparseRows rows(const std::vector<int32_t> (&columns)[kKinds], const Weighing& weighing, Monitor& monitor) const;

   private:
    struct Block {  // consecutive texts, counted by one thread under its own ids
        int thread = 0;
        std::vector<int32_t> ids[kKinds];
        std::vector<int64_t> ends[kKinds];
    };
    struct Counted {
        NgramSplitter splitter;
        Vocabulary vocabulary[kKinds];
        std::vector<int64_t> documents[kKinds], total[kKinds], last[kKinds];
        int64_t texts = 0;
        std::vector<int32_t> ids[kKinds];
        std::vector<int32_t> final_id[kKinds];
    };

    const CharTables& tables_;
    NgramOptions options_;
    bool keep_;
    int threads_;
    std::vector<Counted> counted_;
    std::vector<Block> blocks_;
    Vocabulary vocabulary_[kKinds];
    std::vector<int64_t> documents_[kKinds], total_[kKinds];
};

// The features of texts under fixed vocabularies; several calls may run at once.
class TextFeatures {
   public:
    // N-grams of a kind have the columns in their order, words first.
    TextFeatures(const CharTables& tables, const NgramOptions& options, Vocabulary (&&vocabulary)[kKinds],
                 std::vector<float>&& idf, Weighing weighing);

    SparseRows rows(const std::vector<Text>& texts, int threads, Monitor& monitor) const;

   private:
    const CharTables& tables_;
    NgramOptions options_;
    Vocabulary vocabulary_[kKinds];
    std::vector<float> idf_;
    Weighing weighing_;
};

}  // namespace ceiba
