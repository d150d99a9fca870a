// Lanes of floats on whatever vector width this build has, in the compilers' portable vector extension.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX__) || defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__) && !defined(CEIBA_PLAIN)  // CEIBA_PLAIN: the plain twins, for the tests
#include <arm_neon.h>
#define CEIBA_NEON 1
#endif

namespace ceiba {

#if defined(__AVX512F__)
inline constexpr int kNativeWidth = 16;
#elif defined(__AVX__)
inline constexpr int kNativeWidth = 8;
#else
inline constexpr int kNativeWidth = 4;
#endif

template <int W>
struct Vector;
template <>
struct Vector<16> {
    typedef float Float __attribute__((vector_size(64)));
    typedef int32_t Int __attribute__((vector_size(64)));
};
template <>
struct Vector<8> {
    typedef float Float __attribute__((vector_size(32)));
    typedef int32_t Int __attribute__((vector_size(32)));
};
template <>
struct Vector<4> {
    typedef float Float __attribute__((vector_size(16)));
    typedef int32_t Int __attribute__((vector_size(16)));
};

// Bit l of the result is the sign of lane l; `mask` lanes are 0 or -1.
inline uint32_t sign_bits(Vector<16>::Int mask) {
#if defined(__AVX512F__) && defined(__AVX512DQ__)
    return _mm512_movepi32_mask((__m512i)mask);
#else
    uint32_t bits = 0;
    for (int l = 0; l < 16; ++l) bits |= (static_cast<uint32_t>(mask[l]) >> 31) << l;
    return bits;
#endif
}
inline uint32_t sign_bits(Vector<8>::Int mask) {
#if defined(__AVX__)
    return static_cast<uint32_t>(_mm256_movemask_ps((__m256)mask));
#else
    uint32_t bits = 0;
    for (int l = 0; l < 8; ++l) bits |= (static_cast<uint32_t>(mask[l]) >> 31) << l;
    return bits;
#endif
}
inline uint32_t sign_bits(Vector<4>::Int mask) {
#if defined(__SSE2__)
    return static_cast<uint32_t>(_mm_movemask_ps((__m128)mask));
#elif defined(CEIBA_NEON)
    const uint32x4_t lane_bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32((uint32x4_t)mask, lane_bit));
#else
    uint32_t bits = 0;
    for (int l = 0; l < 4; ++l) bits |= (static_cast<uint32_t>(mask[l]) >> 31) << l;
    return bits;
#endif
}

template <int L>
struct MaskLanes;

// L floats as L / width native vectors; every operation is lane by lane.
template <int L>
struct Lanes {
    static constexpr int kWidth = L < kNativeWidth ? L : kNativeWidth;
    static constexpr int kParts = L / kWidth;
    using Float = typename Vector<kWidth>::Float;
    using Int = typename Vector<kWidth>::Int;

    Float part[kParts];

    static Lanes all(float value) {
        Lanes r;
        for (int p = 0; p < kParts; ++p) r.part[p] = Float{} + value;
        return r;
    }
    // Part by part: copied as a whole, several vectors go through memory in pieces that stall the loads after them.
    static Lanes load(const float* source) {
        Lanes r;
        for (int p = 0; p < kParts; ++p) std::memcpy(&r.part[p], source + p * kWidth, sizeof(Float));
        return r;
    }
    void store(float* target) const {
        for (int p = 0; p < kParts; ++p) std::memcpy(target + p * kWidth, &part[p], sizeof(Float));
    }

    friend Lanes operator+(Lanes a, const Lanes& b) {
        for (int p = 0; p < kParts; ++p) a.part[p] += b.part[p];
        return a;
    }
    friend Lanes operator-(Lanes a, const Lanes& b) {
        for (int p = 0; p < kParts; ++p) a.part[p] -= b.part[p];
        return a;
    }
    friend Lanes operator*(Lanes a, const Lanes& b) {
        for (int p = 0; p < kParts; ++p) a.part[p] *= b.part[p];
        return a;
    }
    friend Lanes operator*(Lanes a, float b) {
        for (int p = 0; p < kParts; ++p) a.part[p] *= b;
        return a;
    }
    friend MaskLanes<L> operator>(const Lanes& a, const Lanes& b) {
        MaskLanes<L> m;
        for (int p = 0; p < kParts; ++p) m.part[p] = a.part[p] > b.part[p];
        return m;
    }
    friend MaskLanes<L> operator<(const Lanes& a, const Lanes& b) { return b > a; }
    friend MaskLanes<L> operator==(const Lanes& a, const Lanes& b) {
        MaskLanes<L> m;
        for (int p = 0; p < kParts; ++p) m.part[p] = a.part[p] == b.part[p];
        return m;
    }
    friend MaskLanes<L> operator!=(const Lanes& a, const Lanes& b) {
        MaskLanes<L> m;
        for (int p = 0; p < kParts; ++p) m.part[p] = a.part[p] != b.part[p];
        return m;
    }
};

// One truth value per lane, as 0 or -1.
template <int L>
struct MaskLanes {
    static constexpr int kWidth = Lanes<L>::kWidth;
    static constexpr int kParts = Lanes<L>::kParts;
    using Int = typename Vector<kWidth>::Int;

    Int part[kParts];

    static MaskLanes from_bits(uint32_t bits) {
        MaskLanes m;
        for (int p = 0; p < kParts; ++p) {
            Int lane_bit;
            for (int l = 0; l < kWidth; ++l) lane_bit[l] = 1 << (p * kWidth + l);
            m.part[p] = ((Int{} + static_cast<int32_t>(bits)) & lane_bit) != 0;
        }
        return m;
    }
    uint32_t bits() const {
        uint32_t b = 0;
        for (int p = 0; p < kParts; ++p) b |= sign_bits(part[p]) << (p * kWidth);
        return b;
    }
    friend MaskLanes operator&(MaskLanes a, const MaskLanes& b) {
        for (int p = 0; p < kParts; ++p) a.part[p] &= b.part[p];
        return a;
    }
    friend MaskLanes operator|(MaskLanes a, const MaskLanes& b) {
        for (int p = 0; p < kParts; ++p) a.part[p] |= b.part[p];
        return a;
    }
};

template <int L>
inline Lanes<L> select(const MaskLanes<L>& mask, const Lanes<L>& yes, const Lanes<L>& no) {
    Lanes<L> r;
    for (int p = 0; p < Lanes<L>::kParts; ++p) r.part[p] = mask.part[p] ? yes.part[p] : no.part[p];
    return r;
}
template <int L>
inline Lanes<L> max(const Lanes<L>& a, const Lanes<L>& b) {
    return select(a > b, a, b);
}
template <int L>
inline Lanes<L> min(const Lanes<L>& a, const Lanes<L>& b) {
    return select(a < b, a, b);
}
template <int L>
inline Lanes<L> abs(const Lanes<L>& a) {
    return max(a, Lanes<L>::all(0.0f) - a);
}

}  // namespace ceiba
