// NumPy arrays in and out, checked once at this boundary.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "core/parallel.hpp"
#include "core/views.hpp"

namespace ceiba::bind {

namespace nb = nanobind;

template <class T>
using Array = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <class T>
using Matrix = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

inline void require(bool condition, const char* what) {
    if (!condition) throw std::invalid_argument(what);
}

// A new NumPy array of memory of its own. For a few values this takes half the time of an array that is made of a
// capsule, whose type NumPy reads from a string.
template <class T>
class NewArray {
   public:
    explicit NewArray(size_t size) : NewArray(nb::int_(size)) {}
    NewArray(size_t rows, size_t columns) : NewArray(nb::make_tuple(rows, columns)) {}

    T* data() const { return data_; }
    nb::object release() { return std::move(array_); }

   private:
    explicit NewArray(nb::object shape) {
        static const Makers& makers = *new Makers();  // never destroyed: Python may be gone by then
        array_ = makers.empty(shape, makers.dtype);
        Py_buffer view;
        if (PyObject_GetBuffer(array_.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
        data_ = static_cast<T*>(view.buf);
        PyBuffer_Release(&view);
    }

    struct Makers {
        nb::object empty = nb::module_::import_("numpy").attr("empty");
        nb::object dtype = nb::module_::import_("numpy").attr("dtype")(nb::dtype<T>().code == kFloat ? kFloats : kInts);
        static constexpr uint8_t kFloat = static_cast<uint8_t>(nb::dlpack::dtype_code::Float);
        static constexpr const char* kFloats = sizeof(T) == 4 ? "f4" : "f8";
        static constexpr const char* kInts = sizeof(T) == 4 ? "i4" : "i8";
    };

    nb::object array_;
    T* data_ = nullptr;
};

inline constexpr size_t kFewBytes = 4096;

// A NumPy array that owns what was a vector.
template <class T>
nb::object to_numpy(std::vector<T>&& values) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, int32_t> || std::is_same_v<T, int64_t>) {
        if (values.size() * sizeof(T) <= kFewBytes) {
            NewArray<T> array(values.size());
            std::copy(values.begin(), values.end(), array.data());
            return array.release();
        }
    }
    auto* held = new std::vector<T>(std::move(values));
    nb::capsule owner(held, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, T, nb::ndim<1>>(held->data(), {held->size()}, owner));
}

inline void require_offsets(const Array<int64_t>& ptr, size_t end, const char* what) {
    require(ptr.shape(0) >= 1 && ptr.data()[0] == 0, what);
    for (size_t i = 0; i + 1 < ptr.shape(0); ++i) require(ptr.data()[i] <= ptr.data()[i + 1], what);
    require(ptr.data()[ptr.shape(0) - 1] == static_cast<int64_t>(end), what);
}

inline void require_ids(const Array<int32_t>& ids, int64_t limit, const char* what) {
    uint32_t highest = 0;  // negative ids become large ones
    for (size_t i = 0; i < ids.shape(0); ++i) highest = std::max(highest, static_cast<uint32_t>(ids.data()[i]));
    require(ids.shape(0) == 0 || static_cast<int64_t>(highest) < limit, what);
}

// `cols` counts the dense columns too; `dense` may be None.
inline Csr csr(const Array<int64_t>& indptr, const Array<int32_t>& indices, const Array<float>& data,
               const Matrix<float>& dense, int64_t cols) {
    require_offsets(indptr, indices.shape(0), "CSR: indptr does not ascend from 0 to the number of entries");
    require(data.shape(0) == indices.shape(0), "CSR: indices and data differ in length");
    Csr x{static_cast<int64_t>(indptr.shape(0)) - 1, cols, indptr.data(), indices.data(), data.data()};
    if (dense.is_valid()) {
        require(static_cast<int64_t>(dense.shape(0)) == x.rows, "CSR: dense part of another number of rows");
        require(static_cast<int64_t>(dense.shape(1)) <= cols, "CSR: dense part of more columns than there are");
        x.dense = dense.data();
        x.dense_cols = static_cast<int64_t>(dense.shape(1));
    }
    require_ids(indices, x.sparse_cols(), "CSR: column index out of range");
    return x;
}

// Whether the arrays are a canonical CSR, columns ascending without duplicates, of values of at most `largest`. With
// NaN the comparison fails.
inline bool is_canonical(const Array<int64_t>& indptr, const Array<int32_t>& indices, const Array<float>& data,
                         int64_t cols, float largest) {
    const int64_t rows = static_cast<int64_t>(indptr.shape(0)) - 1, entries = indices.shape(0);
    if (rows < 0 || data.shape(0) != indices.shape(0)) return false;
    const int64_t* ptr = indptr.data();
    const int32_t* column = indices.data();
    if (ptr[0] != 0 || ptr[rows] != entries) return false;
    for (int64_t i = 0; i < rows; ++i) {
        if (ptr[i] > ptr[i + 1] || ptr[i + 1] > entries) return false;
        int64_t previous = -1;
        bool sound = true;
        for (int64_t j = ptr[i]; j < ptr[i + 1]; ++j) {
            sound &= column[j] > previous;
            previous = column[j];
        }
        if (!sound || previous >= cols) return false;
    }
    bool sound = true;
    for (int64_t j = 0; j < entries; ++j) sound &= std::abs(data.data()[j]) <= largest;
    return sound;
}

// `limit`: one more than the largest id allowed.
inline Lists lists(const Array<int64_t>& ptr, const Array<int32_t>& indices, int64_t limit) {
    require_offsets(ptr, indices.shape(0), "lists: ptr does not ascend from 0 to the number of indices");
    require_ids(indices, limit, "lists: id out of range");
    return {static_cast<int64_t>(ptr.shape(0)) - 1, ptr.data(), indices.data(), nullptr};
}

// Polls Python's signals, and a callable with the work done so far, from the thread that waits for long work.
class SignalPoller {
   public:
    explicit SignalPoller(nb::object progress)
        : progress_(std::move(progress)), monitor_([this](int64_t done) { return poll(done); }) {}

    // Runs `work(monitor)` without the interpreter lock; rethrows what Python raised meanwhile.
    template <class Work>
    void run(Work work) {
        try {
            nb::gil_scoped_release release;
            work(monitor_);
        } catch (const Stopped&) {
            if (raised_) std::rethrow_exception(raised_);
            throw;
        }
    }

   private:
    bool poll(int64_t done) {
        nb::gil_scoped_acquire acquire;
        try {
            if (PyErr_CheckSignals() != 0) throw nb::python_error();
            if (!progress_.is_none()) progress_(done);
            return true;
        } catch (...) {
            raised_ = std::current_exception();
            return false;
        }
    }

    nb::object progress_;
    Monitor monitor_;
    std::exception_ptr raised_;
};

}  // namespace ceiba::bind
