// The two loops of a depth-wise convolution on a CPU, explained in depth_wise.py.
//
// Images are in channels-last order, [images, height, width, channels], so that neighbours in memory are channels of one
// position, and one vector instruction serves LANES channels. A unit of work is one image and LANES channels: it is
// copied into a small padded *plane* that stays in the cache while all taps pass over it.
//
// Where the processor multiplies pairs of bfloat16 numbers (AVX512-BF16), an element of a plane holds a position of
// *two* neighbouring rows, and one instruction does the work of two rows of taps.
//
// Compiled once per kernel size, with -DKERNEL_SIZE=k.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr int K = KERNEL_SIZE;

#ifdef __AVX512F__
constexpr int LANES = 16;
// Sums that are in flight at a time: enough to hide how long a multiply-add takes, few enough for the registers
constexpr int TILE = 16;
#else
constexpr int LANES = 8;
constexpr int TILE = 8;
#endif
// Rows of an image are cut into tiles of TILE positions, and the rest into smaller ones, down to this
constexpr int SMALLEST_TILE = 4;

struct BFloat16 {
    uint16_t bits;
};

typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef uint32_t Words __attribute__((vector_size(LANES * 4)));
typedef uint16_t Halves __attribute__((vector_size(LANES * 2)));

// One number of each of LANES channels, as the bits of a float
Words load(const float* from) {
    Words words;
    std::memcpy(&words, from, sizeof(words));
    return words;
}

Words load(const BFloat16* from) {
    Halves halves;
    std::memcpy(&halves, from, sizeof(halves));
    return __builtin_convertvector(halves, Words) << 16;
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

#ifdef __AVX512BF16__
template <typename T>
constexpr bool PAIRED = std::is_same<T, BFloat16>::value;
#else
template <typename T>
constexpr bool PAIRED = false;
#endif

// How many rows one element of a plane holds
template <typename T>
constexpr int ROWS = PAIRED<T> ? 2 : 1;

template <typename T>
constexpr int TAP_ROWS = (K + ROWS<T> - 1) / ROWS<T>;

// sum + a * b, or sum + a0 * b0 + a1 * b1 where elements hold pairs
template <typename T>
inline __attribute__((always_inline)) Floats multiply_add(Floats sum, Words a, Words b) {
#ifdef __AVX512BF16__
    if constexpr (PAIRED<T>) return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#endif
    return sum + (Floats)a * (Floats)b;
}

// Elements hold the upper row in their lower half
inline Words pair(Words upper, Words lower) { return (upper >> 16) | lower; }

struct Shape {
    int64_t images, height, width, channels;
    int64_t rounded_width() const { return (width + SMALLEST_TILE - 1) / SMALLEST_TILE * SMALLEST_TILE; }
    int64_t padded_width() const { return rounded_width() + K - 1; }
    int64_t image_size() const { return height * width * channels; }
};

// Copies LANES channels of an image, with `before` rows and columns of zeros in front. Row i of the plane starts with
// row i * step of the padded image.
template <typename T>
void fill_plane(Words* plane, const T* image, const Shape& s, int64_t rows, int64_t columns, int before, int step) {
    const Words zero = {};
    for (int64_t i = 0; i < rows; i++, plane += columns) {
        const int64_t y = i * step - before;
        const bool upper_inside = y >= 0 && y < s.height;
        const bool lower_inside = ROWS<T> == 2 && y + 1 >= 0 && y + 1 < s.height;
        if (!upper_inside && !lower_inside) {
            std::fill(plane, plane + columns, zero);
            continue;
        }
        std::fill(plane, plane + before, zero);
        const T* upper = image + y * s.width * s.channels;
        const T* lower = upper + s.width * s.channels;
        for (int64_t x = 0; x < s.width; x++) {
            const Words u = upper_inside ? load(upper + x * s.channels) : zero;
            if constexpr (ROWS<T> == 2)
                plane[before + x] = pair(u, lower_inside ? load(lower + x * s.channels) : zero);
            else
                plane[before + x] = u;
        }
        std::fill(plane + before + s.width, plane + columns, zero);
    }
}

// The filters of LANES channels, laid out like a plane. `weight` is [K, K, channels].
template <typename T>
void fill_taps(Words* taps, const float* weight, int64_t channels) {
    for (int i = 0; i < TAP_ROWS<T>; i++)
        for (int j = 0; j < K; j++) {
            const Words upper = load(weight + (i * ROWS<T> * K + j) * channels);
            if constexpr (ROWS<T> == 2) {
                const Words lower = i * 2 + 1 < K ? load(weight + ((i * 2 + 1) * K + j) * channels) : Words{};
                taps[i * K + j] = pair(upper, lower & 0xffff0000);
            } else {
                taps[i * K + j] = upper;
            }
        }
}

// WIDTH neighbouring positions of the result: every tap is loaded once and multiplies all of them
template <typename T, int WIDTH>
void convolve_tile(T* out, const Words* plane, int64_t columns, const Words* taps, Floats bias, int64_t channels,
                   int64_t valid) {
    Floats sums[WIDTH];
#pragma GCC unroll 16
    for (int t = 0; t < WIDTH; t++) sums[t] = bias;
    for (int i = 0; i < TAP_ROWS<T>; i++, plane += ROWS<T> * columns)
        for (int j = 0; j < K; j++) {
            const Words tap = taps[i * K + j];
#pragma GCC unroll 16
            for (int t = 0; t < WIDTH; t++) sums[t] = multiply_add<T>(sums[t], plane[j + t], tap);
        }
#pragma GCC unroll 16
    for (int t = 0; t < WIDTH; t++)
        if (t < valid) store(out + t * channels, sums[t]);
}

template <typename T>
void convolve(T* out, const T* images, const float* weight, const float* bias, const Shape& s, int before,
              int threads) {
    const int64_t blocks = s.channels / LANES, rows = s.height + K - 1, columns = s.padded_width();
#pragma omp parallel num_threads(threads)
    {
        std::vector<Words> plane(rows * columns);
        Words taps[TAP_ROWS<T> * K];
#pragma omp for collapse(2)
        for (int64_t n = 0; n < s.images; n++)
            for (int64_t block = 0; block < blocks; block++) {
                const int64_t c = block * LANES;
                fill_plane(plane.data(), images + n * s.image_size() + c, s, rows, columns, before, 1);
                fill_taps<T>(taps, weight + c, s.channels);
                const Floats b = bias ? (Floats)load(bias + c) : Floats{};
                for (int64_t y = 0; y < s.height; y++) {
                    const Words* from = plane.data() + y * columns;
                    T* to = out + n * s.image_size() + y * s.width * s.channels + c;
                    int64_t x = 0;
                    for (; x + TILE <= s.width; x += TILE)
                        convolve_tile<T, TILE>(to + x * s.channels, from + x, columns, taps, b, s.channels, TILE);
                    for (; x < s.width; x += SMALLEST_TILE)
                        convolve_tile<T, SMALLEST_TILE>(to + x * s.channels, from + x, columns, taps, b, s.channels,
                                                        s.width - x);
                }
            }
    }
}

// One row of taps, summed over WIDTH positions: a number of the input is loaded once and meets every tap of the row
template <typename T, int WIDTH>
inline void correlate_tile(Floats* sums, const Words* plane, const Words* gradient) {
    Words g[WIDTH];
#pragma GCC unroll 16
    for (int t = 0; t < WIDTH; t++) g[t] = gradient[t];
#pragma GCC unroll 64
    for (int i = 0; i < WIDTH + K - 1; i++) {
        const Words x = plane[i];
#pragma GCC unroll 64
        for (int j = 0; j < K; j++)
            if (i - j >= 0 && i - j < WIDTH) sums[j] = multiply_add<T>(sums[j], x, g[i - j]);
    }
}

// Adds what one image contributes to the gradient of LANES filters, and of their biases behind them, to `out`,
// [K * K + 1, channels]
template <typename T>
void correlate(float* out, const Words* plane, const Words* gradient, const Shape& s) {
    const int64_t columns = s.padded_width(), gradient_columns = s.rounded_width();
    const int64_t gradient_rows = (s.height + ROWS<T> - 1) / ROWS<T>;
    for (int i = 0; i < K; i++) {
        Floats sums[K];
        for (int j = 0; j < K; j++) sums[j] = (Floats)load(out + (i * K + j) * s.channels);
        for (int64_t y = 0; y < gradient_rows; y++) {
            const Words* from = plane + (y * ROWS<T> + i) * columns;
            const Words* g = gradient + y * gradient_columns;
            int64_t x = 0;
            for (; x + TILE <= gradient_columns; x += TILE) correlate_tile<T, TILE>(sums, from + x, g + x);
            for (; x < gradient_columns; x += SMALLEST_TILE)
                correlate_tile<T, SMALLEST_TILE>(sums, from + x, g + x);
        }
        for (int j = 0; j < K; j++) store(out + (i * K + j) * s.channels, sums[j]);
    }
    const Words one = PAIRED<T> ? Words{} + 0x3f803f80 : (Words)(Floats{} + 1.0f);
    Floats bias = (Floats)load(out + K * K * s.channels);
    for (int64_t i = 0; i < gradient_rows * gradient_columns; i++) bias = multiply_add<T>(bias, gradient[i], one);
    store(out + K * K * s.channels, bias);
}

// Adds to `out`, [groups, K * K + 1, channels]. Each group of images has a sum of its own, so that the result does not
// depend on the number of threads.
template <typename T>
void weight_gradient(float* out, const T* images, const T* gradients, const Shape& s, int before, int64_t groups,
                     int threads) {
    const int64_t rows = s.height + K - 1, columns = s.padded_width();
    const int64_t gradient_rows = (s.height + ROWS<T> - 1) / ROWS<T>, gradient_columns = s.rounded_width();
#pragma omp parallel num_threads(threads)
    {
        std::vector<Words> plane(rows * columns), gradient(gradient_rows * gradient_columns);
#pragma omp for
        for (int64_t group = 0; group < groups; group++)
            for (int64_t n = group; n < s.images; n += groups)
                for (int64_t c = 0; c < s.channels; c += LANES) {
                    const int64_t at = n * s.image_size() + c;
                    fill_plane(plane.data(), images + at, s, rows, columns, before, 1);
                    fill_plane(gradient.data(), gradients + at, s, gradient_rows, gradient_columns, 0, ROWS<T>);
                    correlate<T>(out + group * (K * K + 1) * s.channels + c, plane.data(), gradient.data(), s);
                }
    }
}

}  // namespace

extern "C" {

int lanes() { return LANES; }

void convolve_float(float* out, const float* images, const float* weight, const float* bias, int64_t n, int64_t h,
                    int64_t w, int64_t c, int before, int threads) {
    convolve(out, images, weight, bias, Shape{n, h, w, c}, before, threads);
}

void convolve_bfloat16(BFloat16* out, const BFloat16* images, const float* weight, const float* bias, int64_t n,
                       int64_t h, int64_t w, int64_t c, int before, int threads) {
    convolve(out, images, weight, bias, Shape{n, h, w, c}, before, threads);
}

void weight_gradient_float(float* out, const float* images, const float* gradients, int64_t n, int64_t h, int64_t w,
                           int64_t c, int before, int64_t groups, int threads) {
    weight_gradient(out, images, gradients, Shape{n, h, w, c}, before, groups, threads);
}

void weight_gradient_bfloat16(float* out, const BFloat16* images, const BFloat16* gradients, int64_t n, int64_t h,
                              int64_t w, int64_t c, int before, int64_t groups, int threads) {
    weight_gradient(out, images, gradients, Shape{n, h, w, c}, before, groups, threads);
}
}
