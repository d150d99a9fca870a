// A small generator whose streams depend only on the seed and the place they are used for, never on threads.
#pragma once

#include <cstdint>
#include <utility>

namespace ceiba {

class Random {
   public:
    Random(uint64_t seed, uint64_t a, uint64_t b = 0) {
        state_ = mix(mix(mix(seed + 0x9e3779b97f4a7c15ull) ^ a) ^ (b + 0xd1b54a32d192ed03ull));
    }

    // SplitMix64 (Steele, Lea and Flood, 2014).
    uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15ull); }

    // Uniform in [0, n) for n < 2^32, by multiplication instead of division (Lemire, 2019; the bias is below 2^-32 n).
    uint32_t below(uint32_t n) { return static_cast<uint32_t>(((next() >> 32) * n) >> 32); }

    template <class T>
    void shuffle(T* items, uint32_t n) {
        for (uint32_t i = n; i > 1; --i) std::swap(items[i - 1], items[below(i)]);
    }

   private:
    static uint64_t mix(uint64_t z) {
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

    uint64_t state_;
};

}  // namespace ceiba
