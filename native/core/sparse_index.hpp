// Exact search for the rows of a sparse matrix with the largest inner products: an inverted index with pruning.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba {

// The lists of an inverted index. List j has the rows, ascending, whose value of feature j is positive. If the matrix has
// negative values there are twice as many lists, and list D + j has the rows whose value of feature j is negative.
struct Postings {
    std::vector<int64_t> ptr;
    std::vector<int32_t> rows;
    std::vector<uint8_t> weights;  // magnitudes in steps of their list, rounded up
    std::vector<float> step;       // of each list
};

struct PostingsView {
    int64_t lists = 0;
    const int64_t* ptr = nullptr;
    const int32_t* rows = nullptr;
    const uint8_t* weights = nullptr;
    const float* step = nullptr;
};

// Ranked rows of each query, as CSR-like arrays.
struct FoundRows {
    std::vector<int64_t> ptr{0};
    std::vector<int32_t> rows;
    std::vector<float> scores;
};

// The rankings of parts one after the other; the parts are emptied.
FoundRows join(std::vector<FoundRows>& parts);

Postings invert(const Csr& matrix, Monitor& monitor);

// The length of the longest row.
double largest_norm(const Csr& matrix);

// The rows of a matrix and their lists. Nothing here changes, so any number of threads may search at once.
struct SparseIndex {
    Csr matrix;
    PostingsView postings;
    double norm = 0;  // at least that of any row
};

// The n best rows of each query by inner product, of those above 0 and of `least` at least. Equal scores are in the order
// of the rows. A score is a sum in double precision in the order of the features, rounded to float. `exclude`: a row that
// each query must not get, -1 for none; nullptr for none at all.
FoundRows nearest_rows(const SparseIndex& index, const Csr& queries, int64_t n, const int32_t* exclude, float least,
                       int threads, Monitor& monitor);

// scores[q] = query i times row pairs.indices[q] of the matrix, for every q in list i.
void score_rows(const Csr& matrix, const Csr& queries, const Lists& pairs, int threads, Monitor& monitor,
                float* scores);

// Sparse rows as vectors.
struct MergedRows {
    std::vector<int64_t> indptr{0};
    std::vector<int32_t> indices;
    std::vector<float> data;
};

// The features added up in the columns that `merged` names, and every row brought to length 1.
MergedRows merge_columns(const Csr& matrix, const int32_t* merged);

}  // namespace ceiba
