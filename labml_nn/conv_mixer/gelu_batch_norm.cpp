// The four passes over memory of a GELU and the batch normalization behind it, explained in gelu_batch_norm.py.
//
// All tensors are [rows, channels], row after row: images in channels-last order, with their positions as rows.

#include <cstdint>
#include <cstring>
#include <vector>

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

Floats load(const float* from) {
    Floats values;
    std::memcpy(&values, from, sizeof(values));
    return values;
}

Floats load(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof(halves));
    return (Floats)(__builtin_convertvector(halves, Words) << 16);
}

void store(float* to, Floats values) { std::memcpy(to, &values, sizeof(values)); }

void store(BFloat16* to, Floats values) {
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

// x * P(x) and P(x) + x * p(x), where P is the normal distribution and p its density. The tail of P is the density times
// a polynomial in 1 / (1 + c |x|), right to 1e-7 (Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26).
inline Gelu gelu(Floats x) {
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

// The value alone, where it is rounded to bfloat16 anyway: the normal distribution as an odd polynomial around 1/2, fitted
// for |x| < 4.2 and constant beyond, right to 2e-5
inline Floats gelu_value(Floats x, BFloat16) {
    const Floats bound = Floats{} + 4.2f;
    const Floats inside = x > bound ? bound : (x < -bound ? -bound : x);
    const Floats square = inside * inside;
    Floats ratio = Floats{} + 5.997928374e-11f;
    ratio = ratio * square - 5.633219766e-09f;
    ratio = ratio * square + 2.343646073e-07f;
    ratio = ratio * square - 5.760726776e-06f;
    ratio = ratio * square + 9.457403295e-05f;
    ratio = ratio * square - 1.114146230e-03f;
    ratio = ratio * square + 9.830125885e-03f;
    ratio = ratio * square - 6.636036633e-02f;
    ratio = ratio * square + 3.989074363e-01f;
    return x * (0.5f + inside * ratio);
}

inline Floats gelu_value(Floats x, float) { return gelu(x).value; }

// Rows are summed in groups of this many, each group by itself, so that no sum grows long, and the result does not
// depend on the number of threads
constexpr int64_t GROUP = 256;

int64_t end_of(int64_t group, int64_t rows) { return (group + 1) * GROUP < rows ? (group + 1) * GROUP : rows; }

// `sums` is [groups, 3, channels]: a first value, and the sums of the differences to it and of their squares
template <typename T>
void activate(T* value, T* slope, float* sums, const T* in, int64_t rows, int64_t channels, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t group = 0; group < (rows + GROUP - 1) / GROUP; group++) {
        float* first = sums + group * 3 * channels;
        float* sum = first + channels;
        float* squares = sum + channels;
        for (int64_t row = group * GROUP; row < end_of(group, rows); row++)
            for (int64_t c = 0; c < channels; c += LANES) {
                const int64_t at = row * channels + c;
                const Gelu result = gelu(load(in + at));
                store(value + at, result.value);
                store(slope + at, result.slope);
                // Statistics are those of the values as they are stored
                const Floats stored = load(value + at);
                if (row == group * GROUP) store(first + c, stored);
                const Floats difference = stored - load(first + c);
                store(sum + c, load(sum + c) + difference);
                store(squares + c, load(squares + c) + difference * difference);
            }
    }
}

template <typename T>
void normalize(T* out, const T* value, const T* residual, const float* scale, const float* shift, int64_t rows,
               int64_t channels, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t at = row * channels + c;
            const Floats normal = load(value + at) * load(scale + c) + load(shift + c);
            store(out + at, residual ? normal + load(residual + at) : normal);
        }
}

// `sums` is [groups, 2, channels]: of the gradient, and of the gradient times the distance to the mean
template <typename T>
void sum_gradients(float* sums, const T* gradient, const T* value, const float* mean, int64_t rows, int64_t channels,
                   int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t group = 0; group < (rows + GROUP - 1) / GROUP; group++) {
        float* sum = sums + group * 2 * channels;
        float* product = sum + channels;
        for (int64_t row = group * GROUP; row < end_of(group, rows); row++)
            for (int64_t c = 0; c < channels; c += LANES) {
                const int64_t at = row * channels + c;
                const Floats g = load(gradient + at);
                store(sum + c, load(sum + c) + g);
                store(product + c, load(product + c) + g * (load(value + at) - load(mean + c)));
            }
    }
}

template <typename T>
void input_gradient(T* out, const T* gradient, const T* value, const T* slope, const float* a, const float* b,
                    const float* c0, int64_t rows, int64_t channels, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t at = row * channels + c;
            const Floats g = load(gradient + at) * load(a + c) + load(value + at) * load(b + c) + load(c0 + c);
            store(out + at, g * load(slope + at));
        }
}

// All that is left of the two in evaluation: one pass
template <typename T>
void evaluate(T* out, const T* in, const T* residual, const float* scale, const float* shift, int64_t rows,
              int64_t channels, int threads) {
#pragma omp parallel for num_threads(threads)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t at = row * channels + c;
            const Floats normal = gelu_value(load(in + at), T{}) * load(scale + c) + load(shift + c);
            store(out + at, residual ? normal + load(residual + at) : normal);
        }
}

}  // namespace

#define FOR_TYPE(NAME, T)                                                                                            \
    void activate_##NAME(T* value, T* slope, float* sums, const T* in, int64_t rows, int64_t channels, int threads) { \
        activate(value, slope, sums, in, rows, channels, threads);                                                   \
    }                                                                                                                \
    void normalize_##NAME(T* out, const T* value, const T* residual, const float* scale, const float* shift,         \
                          int64_t rows, int64_t channels, int threads) {                                             \
        normalize(out, value, residual, scale, shift, rows, channels, threads);                                      \
    }                                                                                                                \
    void sum_gradients_##NAME(float* sums, const T* gradient, const T* value, const float* mean, int64_t rows,       \
                              int64_t channels, int threads) {                                                       \
        sum_gradients(sums, gradient, value, mean, rows, channels, threads);                                         \
    }                                                                                                                \
    void input_gradient_##NAME(T* out, const T* gradient, const T* value, const T* slope, const float* a,            \
                               const float* b, const float* c, int64_t rows, int64_t channels, int threads) {        \
        input_gradient(out, gradient, value, slope, a, b, c, rows, channels, threads);                               \
    }                                                                                                                \
    void evaluate_##NAME(T* out, const T* in, const T* residual, const float* scale, const float* shift,             \
                         int64_t rows, int64_t channels, int threads) {                                              \
        evaluate(out, in, residual, scale, shift, rows, channels, threads);                                          \
    }

extern "C" {

int lanes() { return LANES; }

int group_size() { return static_cast<int>(GROUP); }

FOR_TYPE(float, float)
FOR_TYPE(bfloat16, BFloat16)
}
