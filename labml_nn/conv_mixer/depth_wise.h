// A depth-wise convolution for one image and LANES channels at a time, explained in depth_wise.py.
//
// Images are in channels-last order, [images, height, width, channels], so that neighbours in memory are channels of one
// position, and one vector instruction serves LANES channels. A unit of work is one image and LANES channels: it is
// copied into a small padded *plane* that stays in the cache while all taps pass over it.
//
// Where the processor multiplies pairs of bfloat16 numbers (AVX512-BF16), an element of a plane holds a position of
// *two* neighbouring rows, and one instruction does the work of two rows of taps.
//
// Compiled once per kernel size, with -DKERNEL_SIZE=k.

#pragma once

#include <algorithm>
#include <vector>

#include "vectors.h"

namespace {

constexpr int K = KERNEL_SIZE;

// Sums that are in flight at a time: enough to hide how long a multiply-add takes, few enough for the registers.
// There are twice as many registers where they hold 16 numbers.
constexpr int TILE = LANES;
// Rows of an image are cut into tiles of TILE positions, and the rest into smaller ones, down to this
constexpr int SMALLEST_TILE = 4;

// How many rows one element of a plane holds
template <typename T>
constexpr int ROWS = PAIRED<T> ? 2 : 1;

template <typename T>
constexpr int TAP_ROWS = (K + ROWS<T> - 1) / ROWS<T>;

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
            const Words u = upper_inside ? (Words)load(upper + x * s.channels) : zero;
            if constexpr (ROWS<T> == 2)
                plane[before + x] = pair(u, lower_inside ? (Words)load(lower + x * s.channels) : zero);
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
            const Words upper = (Words)load(weight + (i * ROWS<T> * K + j) * channels);
            if constexpr (ROWS<T> == 2) {
                const Words lower = i * 2 + 1 < K ? (Words)load(weight + ((i * 2 + 1) * K + j) * channels) : Words{};
                taps[i * K + j] = pair(upper, lower & 0xffff0000);
            } else {
                taps[i * K + j] = upper;
            }
        }
}

// WIDTH neighbouring positions of the result: every tap is loaded once and multiplies all of them. `put(t, sum)` takes
// each result.
template <typename T, int WIDTH, typename Put>
inline __attribute__((always_inline)) void convolve_tile(const Words* plane, int64_t columns, const Words* taps,
                                                         Floats bias, int64_t valid, Put put) {
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
        if (t < valid) put(t, sums[t]);
}

// All positions of an image, LANES channels of it; `put(position, sum)` takes each result
template <typename T, typename Put>
void convolve_plane(const Words* plane, const Words* taps, Floats bias, const Shape& s, Put put) {
    const int64_t columns = s.padded_width();
    for (int64_t y = 0; y < s.height; y++, plane += columns) {
        const auto put_in_row = [&](int64_t x) { return [=](int t, Floats sum) { put(y * s.width + x + t, sum); }; };
        int64_t x = 0;
        for (; x + TILE <= s.width; x += TILE)
            convolve_tile<T, TILE>(plane + x, columns, taps, bias, TILE, put_in_row(x));
        for (; x < s.width; x += SMALLEST_TILE)
            convolve_tile<T, SMALLEST_TILE>(plane + x, columns, taps, bias, s.width - x, put_in_row(x));
    }
}

}  // namespace
