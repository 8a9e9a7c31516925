// The loops of a depth-wise convolution and of its gradients, explained in depth_wise.py.

#include "depth_wise.h"

namespace {

// Fetch a part of an image into the cache while another image is worked on. Channels of one position are far from those
// of the next, which the processor does not see coming.
template <typename T>
inline void prefetch(const T* image, const Shape& s, int64_t c) {
    const int64_t part = s.image_size() * LANES / s.channels;
    for (int64_t i = 0; i < part; i += 64 / sizeof(T)) __builtin_prefetch(image + c / LANES * part + i, 0, 2);
}

// `bias` and `residual` are added where there are some
template <typename T>
void convolve(T* out, const T* images, const float* weight, const float* bias, const T* residual, const Shape& s,
              int before, int threads) {
    const int64_t rows = s.height + K - 1, columns = s.padded_width();
#pragma omp parallel num_threads(threads)
    {
        std::vector<Words> plane(rows * columns);
        Words taps[TAP_ROWS<T> * K];
#pragma omp for collapse(2)
        for (int64_t n = 0; n < s.images; n++)
            for (int64_t c = 0; c < s.channels; c += LANES) {
                fill_plane(plane.data(), images + n * s.image_size() + c, s, rows, columns, before, 1);
                fill_taps<T>(taps, weight + c, s.channels);
                const int64_t image = n * s.image_size() + c;
                if (n + 1 < s.images) {
                    prefetch(images + (n + 1) * s.image_size(), s, c);
                    if (residual) prefetch(residual + (n + 1) * s.image_size(), s, c);
                }
                convolve_plane<T>(plane.data(), taps, bias ? load(bias + c) : Floats{}, s,
                                  [=](int64_t position, Floats sum) {
                                      const int64_t at = image + position * s.channels;
                                      store(out + at, residual ? sum + load(residual + at) : sum);
                                  });
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
        for (int j = 0; j < K; j++) sums[j] = load(out + (i * K + j) * s.channels);
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
    Floats bias = load(out + K * K * s.channels);
    for (int64_t i = 0; i < gradient_rows * gradient_columns; i++) bias = multiply_add<T>(bias, gradient[i], one);
    store(out + K * K * s.channels, bias);
}

// The images are dealt to this many groups with a sum each, so that the result does not depend on the number of threads
constexpr int64_t GROUPS = 16;

// The gradients of the filters, [channels, K, K], and of the biases, [channels]
template <typename T>
void weight_gradient(T* out, T* bias_out, const T* images, const T* gradients, const Shape& s, int before,
                     int threads) {
    const int64_t rows = s.height + K - 1, columns = s.padded_width();
    const int64_t gradient_rows = (s.height + ROWS<T> - 1) / ROWS<T>, gradient_columns = s.rounded_width();
    const int64_t size = (K * K + 1) * s.channels;
    std::vector<float> sums(GROUPS * size);
#pragma omp parallel num_threads(threads)
    {
        std::vector<Words> plane(rows * columns), gradient(gradient_rows * gradient_columns);
#pragma omp for
        for (int64_t group = 0; group < GROUPS; group++)
            for (int64_t n = group; n < s.images; n += GROUPS)
                for (int64_t c = 0; c < s.channels; c += LANES) {
                    const int64_t at = n * s.image_size() + c;
                    if (n + GROUPS < s.images) {
                        prefetch(images + (n + GROUPS) * s.image_size(), s, c);
                        prefetch(gradients + (n + GROUPS) * s.image_size(), s, c);
                    }
                    fill_plane(plane.data(), images + at, s, rows, columns, before, 1);
                    fill_plane(gradient.data(), gradients + at, s, gradient_rows, gradient_columns, 0, ROWS<T>);
                    correlate<T>(sums.data() + group * size + c, plane.data(), gradient.data(), s);
                }
        // Add up the groups. The taps of LANES channels come as vectors, and each goes to a place of its own.
#pragma omp for
        for (int64_t c = 0; c < s.channels; c += LANES)
            for (int tap = 0; tap <= K * K; tap++) {
                Floats total = {};
                for (int64_t group = 0; group < GROUPS; group++)
                    total += load(sums.data() + group * size + tap * s.channels + c);
                T rounded[LANES];
                store(rounded, total);
                for (int lane = 0; lane < LANES; lane++)
                    (tap < K * K ? out[(c + lane) * K * K + tap] : bias_out[c + lane]) = rounded[lane];
            }
    }
}

}  // namespace

#define FOR_TYPE(NAME, T)                                                                                            \
    void convolve_##NAME(T* out, const T* images, const float* weight, const float* bias, const T* residual,         \
                         int64_t n, int64_t h, int64_t w, int64_t c, int before, int threads) {                      \
        convolve(out, images, weight, bias, residual, Shape{n, h, w, c}, before, threads);                           \
    }                                                                                                                \
    void weight_gradient_##NAME(T* out, T* bias_out, const T* images, const T* gradients, int64_t n, int64_t h,      \
                                int64_t w, int64_t c, int before, int threads) {                                     \
        weight_gradient(out, bias_out, images, gradients, Shape{n, h, w, c}, before, threads);                       \
    }

extern "C" {

int lanes() { return LANES; }

FOR_TYPE(float, float)
FOR_TYPE(bfloat16, BFloat16)
}
