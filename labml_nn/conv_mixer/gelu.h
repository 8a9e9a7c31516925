// GELU and its slope: as exact as 32 bits are, or as 16 bits need it.

#pragma once

#include "vectors.h"

namespace {

// 1 / x for x >= 1
inline Floats reciprocal(Floats x) {
#ifdef __AVX512F__
    // The processor's estimate, and a step of Newton's method
    const Floats estimate = (Floats)_mm512_rcp14_ps((__m512)x);
    return estimate * (2.0f - x * estimate);
#else
    return 1.0f / x;
#endif
}

// e^-x for x >= 0: a power of two for the whole part of the exponent, a polynomial for the rest
inline Floats exp_of_negative(Floats x) {
    // Behind 87 the result would be no normal number; it is 0 for all that follows
    const Floats y = (x < 87.0f ? x : Floats{} + 87.0f) * -1.44269504f;
    // Adding this number pushes the fraction out of the mantissa
    const Floats whole = (y + 12582912.0f) - 12582912.0f;
    const Floats f = y - whole;
    Floats power = 1.54035304e-4f * f + 1.33335581e-3f;
    power = power * f + 9.61812911e-3f;
    power = power * f + 5.55041087e-2f;
    power = power * f + 2.40226507e-1f;
    power = power * f + 6.93147181e-1f;
    power = power * f + 1.0f;
    return (Floats)((Integers)power + (__builtin_convertvector(whole, Integers) << 23));
}

struct Gelu {
    Floats value, slope;
};

// x * P(x) and P(x) + x * p(x), where P is the normal distribution and p its density. Whoever uses only one of them
// computes only that.
template <typename T>
Gelu gelu(Floats x);

// The tail of P is the density times a polynomial in 1 / (1 + c |x|), right to 1e-7 (Abramowitz and Stegun, Handbook of
// Mathematical Functions, 7.1.26)
template <>
inline Gelu gelu<float>(Floats x) {
    const Floats size = (Floats)((Words)x & 0x7fffffff);
    const Floats bell = exp_of_negative(x * x * 0.5f);
    const Floats t = reciprocal(1.0f + 0.231641888f * size);
    Floats tail = 0.5307027145f * t - 0.7265760135f;
    tail = tail * t + 0.7107068705f;
    tail = tail * t - 0.142248368f;
    tail = (tail * t + 0.127414796f) * t * bell;
    const Floats below = x < 0.0f ? tail : 1.0f - tail;
    return {x * below, below + x * bell * 0.398942280f};
}

// x, or the bound with the sign of x where that is smaller
inline Floats clamp(Floats x, float bound) {
#ifdef __AVX512F__
    return (Floats)_mm512_range_ps((__m512)x, (__m512)(Floats{} + bound), 0b0010);
#else
    const Floats most = Floats{} + bound;
    return x > most ? most : (x < -most ? -most : x);
#endif
}

// Both are 1/2 and an odd function, for which a polynomial was fitted with the smallest greatest error for |x| < 4.1,
// and with the limits 0 and 1 at the ends, where they stay. P is right to 4e-5 and the slope to 4e-4; rounding to
// 16 bits changes numbers just below 1 by up to 2e-3.
template <>
inline Gelu gelu<BFloat16>(Floats x) {
    const Floats inside = clamp(x, 4.1f), square = inside * inside;
    Floats p = -1.295238108e-09f * square + 1.053993907e-07f;
    p = p * square - 3.730787052e-06f;
    p = p * square + 7.642802467e-05f;
    p = p * square - 1.022469752e-03f;
    p = p * square + 9.585734572e-03f;
    p = p * square - 6.606988046e-02f;
    p = p * square + 3.988077323e-01f;
    Floats s = -1.388692498e-08f * square + 1.070079136e-06f;
    s = s * square - 3.521936460e-05f;
    s = s * square + 6.507477814e-04f;
    s = s * square - 7.464661314e-03f;
    s = s * square + 5.523290539e-02f;
    s = s * square - 2.611241435e-01f;
    s = s * square + 7.963809947e-01f;
    return {x * (0.5f + inside * p), 0.5f + inside * s};
}

}  // namespace
