// Texts as Python holds them.
#pragma once

#include <vector>

#include "bind/arrays.hpp"
#include "core/text/chars.hpp"

namespace ceiba::bind {

// Python strings seen in place. The tuple keeps them alive, whatever happens to the list they came in.
class Texts {
   public:
    explicit Texts(nb::handle texts) : held_(nb::steal(PySequence_Tuple(texts.ptr()))) {
        if (!held_.is_valid()) throw nb::python_error();
        const Py_ssize_t n = PyTuple_GET_SIZE(held_.ptr());
        views_.reserve(n);
        for (Py_ssize_t i = 0; i < n; ++i) {
            PyObject* text = PyTuple_GET_ITEM(held_.ptr(), i);
            if (!PyUnicode_Check(text)) throw nb::type_error("texts must be str");
            if (PyUnicode_READY(text) != 0) throw nb::python_error();
            views_.push_back({PyUnicode_DATA(text), static_cast<int>(PyUnicode_KIND(text)), PyUnicode_GET_LENGTH(text),
                              PyUnicode_IS_ASCII(text) != 0});
        }
    }
    const std::vector<Text>& get() const { return views_; }

   private:
    nb::object held_;
    std::vector<Text> views_;
};

}  // namespace ceiba::bind
