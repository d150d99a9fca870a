// The enumerations of the core: their names and numbers for Python, and the check of a number that comes back.
#pragma once

#include "bind/arrays.hpp"

namespace ceiba::bind {

// From name to number. `names` holds the names in the order of their numbers.
template <size_t N>
nb::dict numbers_by_name(const char* const (&names)[N]) {
    nb::dict numbers;
    for (size_t i = 0; i < N; ++i) numbers[names[i]] = static_cast<int>(i);
    return numbers;
}

template <size_t N>
void require_number(int number, const char* const (&)[N], const char* what) {
    require(number >= 0 && number < static_cast<int>(N), what);
}

}  // namespace ceiba::bind
