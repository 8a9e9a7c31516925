// Vectors of numbers, as wide as the processor's registers, and how they come from memory and go back.

#pragma once

#include <cstdint>
#include <cstring>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif

struct BFloat16 {
    uint16_t bits;
};

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));
typedef int32_t Integers __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));

inline Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof(values));
    return values;
}

inline Floats load(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof(halves));
    return (Floats)(__builtin_convertvector(halves, Words) << 16);
}

inline void store(float* to, Floats values) { std::memcpy(to, &values, sizeof(values)); }

inline void store(BFloat16* to, Floats values) {
#ifdef __AVX512BF16__
    const auto halves = _mm512_cvtneps_pbh((__m512)values);
#else
    // Round to the nearest, ties to even; what is not a number stays so
    const Words bits = (Words)values;
    const Words rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Words not_a_number = (Words)(values != values);
    const auto halves = __builtin_convertvector((rounded & ~not_a_number) | (0x7fc0 & not_a_number), Halves);
#endif
    std::memcpy(to, &halves, sizeof(halves));
}

// Whether one instruction multiplies pairs of numbers of type T and adds them up
template <typename T>
constexpr bool PAIRED = false;
#ifdef __AVX512BF16__
template <>
constexpr bool PAIRED<BFloat16> = true;
#endif

// sum + a * b, or sum + a0 * b0 + a1 * b1 where elements hold pairs
template <typename T>
inline __attribute__((always_inline)) Floats multiply_add(Floats sum, Words a, Words b) {
#ifdef __AVX512BF16__
    if constexpr (PAIRED<T>) return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#endif
    return sum + (Floats)a * (Floats)b;
}

// Pairs of bfloat16 numbers that are loaded as floats; the first of a pair lies in the lower half
inline Words pair(Words first, Words second) { return (first >> 16) | second; }

}  // namespace
