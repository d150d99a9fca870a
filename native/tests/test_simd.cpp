// Lanes and masks against plain loops; numbers in 8 and 16 bits; the level of the processor.
#include <cstring>

#include "core/cpu_level.hpp"
#include "core/simd.hpp"
#include "core/weights.hpp"
#include "tests/harness.hpp"

namespace ceiba {
namespace {

template <int L>
void check_arithmetic() {
    float a[L], b[L], found[L];
    for (int l = 0; l < L; ++l) {
        a[l] = 0.75f * static_cast<float>(l % 5) - 1.5f;
        b[l] = 0.5f * static_cast<float>(l % 7) - 1.0f;
    }
    a[1] = b[1];
    const auto x = Lanes<L>::load(a), y = Lanes<L>::load(b);
    const auto each = [&](const Lanes<L>& lanes, auto expected) {
        lanes.store(found);
        for (int l = 0; l < L; ++l) CHECK(found[l] == expected(a[l], b[l]));
    };
    each(x + y, [](float p, float q) { return p + q; });
    each(x - y, [](float p, float q) { return p - q; });
    each(x * y, [](float p, float q) { return p * q; });
    each(x * 3.0f, [](float p, float) { return p * 3.0f; });
    each(max(x, y), [](float p, float q) { return p > q ? p : q; });
    each(min(x, y), [](float p, float q) { return p < q ? p : q; });
    each(abs(x), [](float p, float) { return std::abs(p); });
    each(select(x < y, x, y), [](float p, float q) { return p < q ? p : q; });
    each(Lanes<L>::all(2.5f), [](float, float) { return 2.5f; });

    const auto each_bit = [&](const MaskLanes<L>& mask, auto expected) {
        for (int l = 0; l < L; ++l) CHECK((mask.bits() >> l & 1u) == static_cast<uint32_t>(expected(a[l], b[l])));
        CHECK(mask.bits() >> (L - 1) <= 1u);
    };
    each_bit(x > y, [](float p, float q) { return p > q; });
    each_bit(x < y, [](float p, float q) { return p < q; });
    each_bit(x == y, [](float p, float q) { return p == q; });
    each_bit(x != y, [](float p, float q) { return p != q; });
}

template <int L>
void check_masks() {
    for (uint32_t bits = 0; bits < (1u << L); ++bits) {
        const auto mask = MaskLanes<L>::from_bits(bits);
        CHECK(mask.bits() == bits);
        const uint32_t other = (bits * 0x9e37u >> 3) & ((1u << L) - 1);
        CHECK((mask & MaskLanes<L>::from_bits(other)).bits() == (bits & other));
        CHECK((mask | MaskLanes<L>::from_bits(other)).bits() == (bits | other));
    }
}

}  // namespace

TEST(lanes_are_plain_arithmetic) {
    check_arithmetic<16>();
    check_arithmetic<8>();
    check_arithmetic<4>();
}

TEST(masks_are_their_bits) {
    check_masks<16>();
    check_masks<8>();
    check_masks<4>();
}

TEST(lanes_keep_nan_and_infinity) {
    float values[16], found[16];
    for (int l = 0; l < 16; ++l) values[l] = l % 2 == 0 ? NAN : INFINITY;
    const auto x = Lanes<16>::load(values);
    CHECK((x == x).bits() == 0xaaaau);
    CHECK((x > Lanes<16>::all(0.0f)).bits() == 0xaaaau);
    (x + Lanes<16>::all(1.0f)).store(found);
    for (int l = 0; l < 16; ++l) CHECK(l % 2 == 0 ? std::isnan(found[l]) : std::isinf(found[l]));
}

TEST(halves_go_there_and_back) {
    for (uint32_t half = 0; half < 0x10000; ++half) {
        if ((half & 0x7c00) == 0x7c00) continue;
        CHECK(float_to_half(half_to_float(static_cast<uint16_t>(half))) == half);
    }
    CHECK(half_to_float(0x3c00) == 1.0f && half_to_float(0xc000) == -2.0f && half_to_float(1) == 0x1p-24f);
    CHECK(half_to_float(float_to_half(1e9f)) == 65504.0f);
}

TEST(float8_is_a_32nd_off_at_most) {
    const Float8 codec(Float8::scale_for(3.0f));
    for (int n = -3000; n <= 3000; ++n) {
        const float value = static_cast<float>(n) / 1000;
        const float decoded = codec.decode(codec.encode(value));
        if (std::abs(value) > 0.05f) CHECK(std::abs(decoded - value) <= std::abs(value) / 32 + 1e-6f);
    }
    for (int code = 0; code < 256; ++code) {
        const float value = codec.decode(static_cast<uint8_t>(code));
        CHECK(codec.decode(codec.encode(value)) == value);
    }
}

TEST(the_level_is_what_the_compiler_says) {
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
    __builtin_cpu_init();
    const int level = __builtin_cpu_supports("x86-64-v4")   ? 4
                      : __builtin_cpu_supports("x86-64-v3") ? 3
                      : __builtin_cpu_supports("x86-64-v2") ? 2
                                                            : 1;
    CHECK(cpu_level() == level);
#elif !defined(__x86_64__)
    CHECK(cpu_level() == 0);
#endif
}

}  // namespace ceiba
