// The four passes over memory of a GELU and the batch normalization behind it, explained in gelu_batch_norm.py.
//
// Features are [rows, channels], row after row: images in channels-last order, with their positions as rows.

#include <cmath>
#include <vector>

#include "gelu.h"

namespace {

// Rows are summed in groups of this many, each group by itself, so that no sum grows long, and the result does not
// depend on the number of threads
constexpr int64_t GROUP = 256;

int64_t groups_of(int64_t rows) { return (rows + GROUP - 1) / GROUP; }

int64_t end_of(int64_t group, int64_t rows) { return (group + 1) * GROUP < rows ? (group + 1) * GROUP : rows; }

inline void add(float* sum, Floats values) { store(sum, load(sum) + values); }

// `sums` is [3, channels]: a first value, and the sums of the differences to it and of their squares. Differences to a
// value that is not far off lose no digits.
template <typename T>
void sum_values(float* sums, const T* in, int64_t rows, int64_t channels) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const Floats value = gelu<T>(load(in + row * channels + c)).value;
            if (row == 0) store(sums + c, value);
            const Floats difference = value - load(sums + c);
            add(sums + channels + c, difference);
            add(sums + 2 * channels + c, difference * difference);
        }
}

// Mean and variance of one channel: groups are put together by their means and sums of squared distances to them
void statistics(float* mean, float* variance, const float* sums, int64_t rows, int64_t channels) {
    double total = 0;
    for (int64_t group = 0; group < groups_of(rows); group++) {
        const float* s = sums + group * 3 * channels;
        total += double(s[0]) * (end_of(group, rows) - group * GROUP) + s[channels];
    }
    const double middle = total / rows;
    double squares = 0;
    for (int64_t group = 0; group < groups_of(rows); group++) {
        const float* s = sums + group * 3 * channels;
        const double n = end_of(group, rows) - group * GROUP, difference = s[channels];
        const double distance = s[0] + difference / n - middle;
        squares += s[2 * channels] - difference * difference / n + n * distance * distance;
    }
    *mean = float(middle);
    *variance = float(squares / rows);
}

template <typename T>
void forward(T* out, float* mean, float* variance, const T* in, const T* residual, const float* weight,
             const float* bias, float eps, int64_t rows, int64_t channels, int threads) {
    std::vector<float> sums(groups_of(rows) * 3 * channels), scale(channels), shift(channels);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
        for (int64_t group = 0; group < groups_of(rows); group++)
            sum_values(sums.data() + group * 3 * channels, in + group * GROUP * channels,
                       end_of(group, rows) - group * GROUP, channels);
#pragma omp for
        for (int64_t c = 0; c < channels; c++) {
            statistics(mean + c, variance + c, sums.data() + c, rows, channels);
            scale[c] = weight[c] / std::sqrt(variance[c] + eps);
            shift[c] = bias[c] - mean[c] * scale[c];
        }
#pragma omp for
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < channels; c += LANES) {
                const int64_t at = row * channels + c;
                const Floats y = gelu<T>(load(in + at)).value * load(&scale[c]) + load(&shift[c]);
                store(out + at, residual ? y + load(residual + at) : y);
            }
    }
}

// `sums` is [2, channels]: of the gradient, and of the gradient times the distance to the mean
template <typename T>
void sum_gradients(float* sums, const T* gradient, const T* in, const float* mean, int64_t rows, int64_t channels) {
    for (int64_t row = 0; row < rows; row++)
        for (int64_t c = 0; c < channels; c += LANES) {
            const int64_t at = row * channels + c;
            const Floats g = load(gradient + at);
            add(sums + c, g);
            add(sums + channels + c, g * (gelu<T>(load(in + at)).value - load(mean + c)));
        }
}

template <typename T>
void backward(T* out, float* weight_gradient, float* bias_gradient, const T* gradient, const T* in,
              const float* weight, const float* mean, const float* variance, float eps, int64_t rows,
              int64_t channels, int threads) {
    std::vector<float> sums(groups_of(rows) * 2 * channels), a(channels), b(channels), c0(channels);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for
        for (int64_t group = 0; group < groups_of(rows); group++)
            sum_gradients(sums.data() + group * 2 * channels, gradient + group * GROUP * channels,
                          in + group * GROUP * channels, mean, end_of(group, rows) - group * GROUP, channels);
#pragma omp for
        for (int64_t c = 0; c < channels; c++) {
            double total = 0, product = 0;
            for (int64_t group = 0; group < groups_of(rows); group++) {
                total += sums[(group * 2) * channels + c];
                product += sums[(group * 2 + 1) * channels + c];
            }
            const double inverse = 1 / std::sqrt(double(variance[c]) + eps);
            bias_gradient[c] = float(total);
            weight_gradient[c] = float(product * inverse);
            a[c] = float(weight[c] * inverse);
            b[c] = float(-a[c] * inverse * inverse * product / rows);
            c0[c] = float(-a[c] * total / rows - double(b[c]) * mean[c]);
        }
#pragma omp for
        for (int64_t row = 0; row < rows; row++)
            for (int64_t c = 0; c < channels; c += LANES) {
                const int64_t at = row * channels + c;
                const Gelu activation = gelu<T>(load(in + at));
                const Floats g = load(gradient + at) * load(&a[c]) + activation.value * load(&b[c]) + load(&c0[c]);
                store(out + at, g * activation.slope);
            }
    }
}

}  // namespace

#define FOR_TYPE(NAME, T)                                                                                              \
    void forward_##NAME(T* out, float* mean, float* variance, const T* in, const T* residual, const float* weight,     \
                        const float* bias, float eps, int64_t rows, int64_t channels, int threads) {                   \
        forward(out, mean, variance, in, residual, weight, bias, eps, rows, channels, threads);                        \
    }                                                                                                                  \
    void backward_##NAME(T* out, float* weight_gradient, float* bias_gradient, const T* gradient, const T* in,         \
                         const float* weight, const float* mean, const float* variance, float eps, int64_t rows,       \
                         int64_t channels, int threads) {                                                              \
        backward(out, weight_gradient, bias_gradient, gradient, in, weight, mean, variance, eps, rows, channels,       \
                 threads);                                                                                             \
    }

extern "C" {

int lanes() { return LANES; }

FOR_TYPE(float, float)
FOR_TYPE(bfloat16, BFloat16)
}
