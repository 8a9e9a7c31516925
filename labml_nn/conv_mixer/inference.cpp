// A ConvMixer in evaluation, all of it in one call, explained in inference.py.
//
// An image goes through all layers before the next one comes, so that its features never leave the cache of the
// processor core. Features are [positions, channels]. With as many images as threads or more, each thread takes images
// of its own; with fewer, all threads share each image, by channels.
//
// Weights of dense layers are packed: [panels, words, PANEL] elements of 32 bits, one float or two bfloat16 numbers that
// belong to neighbouring inputs. PANEL outputs are computed at a time.
//
// Compiled once per kernel size, with -DKERNEL_SIZE=k.

#include <omp.h>

#include <type_traits>

#include "depth_wise.h"
#include "gelu.h"

namespace {

constexpr int PANEL = 2 * LANES;
// Rows that are multiplied by a panel at a time: with two vectors each, their sums fill most of the registers
constexpr int DENSE_ROWS = LANES == 16 ? 12 : 4;
constexpr int64_t ROWS_IN_CACHE = 22 * DENSE_ROWS;

// How many numbers make a word of 32 bits
template <typename T>
constexpr int PER_WORD = sizeof(uint32_t) / sizeof(T);

template <typename T>
inline Words repeated(const T* from) {
    uint32_t word;
    std::memcpy(&word, from, sizeof(word));
    return Words{} + word;
}

// sum + a * b for all numbers of a word
template <typename T>
inline __attribute__((always_inline)) Floats multiply_add_words(Floats sum, Words a, Words b) {
    if constexpr (PAIRED<T> || PER_WORD<T> == 1) return multiply_add<T>(sum, a, b);
    return sum + (Floats)(a << 16) * (Floats)(b << 16) + (Floats)(a & 0xffff0000) * (Floats)(b & 0xffff0000);
}

template <typename T, bool IS_GELU>
inline Floats activation(Floats x) {
    if constexpr (IS_GELU) return gelu<T>(x).value;
    return x > 0.0f ? x : Floats{};
}

// What part of the channels a thread works on, and with how many others
struct Part {
    int index, of;
    int64_t begin(int64_t blocks) const { return blocks * index / of; }
    int64_t end(int64_t blocks) const { return blocks * (index + 1) / of; }
    void wait_for_others() const {
        if (of > 1) {
#pragma omp barrier
        }
    }
};

template <typename T>
struct Dense {
    const uint32_t* weights;
    const float *bias, *scale, *shift;
    int64_t inputs, outputs;
    int64_t words() const { return inputs / PER_WORD<T>; }
};

template <typename T, bool IS_GELU, int ROWS_AT_ONCE>
void dense_tile(T* out, const T* in, const Dense<T>& dense, int64_t panel) {
    const int64_t c = panel * PANEL;
    const uint32_t* weights = dense.weights + panel * dense.words() * PANEL;
    Floats sums[ROWS_AT_ONCE][2];
#pragma GCC unroll 16
    for (int r = 0; r < ROWS_AT_ONCE; r++)
        for (int v = 0; v < 2; v++) sums[r][v] = load(dense.bias + c + v * LANES);
    for (int64_t word = 0; word < dense.words(); word++, weights += PANEL) {
        Words w[2];
        std::memcpy(w, weights, sizeof(w));
#pragma GCC unroll 16
        for (int r = 0; r < ROWS_AT_ONCE; r++) {
            const Words x = repeated(in + r * dense.inputs + word * PER_WORD<T>);
            sums[r][0] = multiply_add_words<T>(sums[r][0], x, w[0]);
            sums[r][1] = multiply_add_words<T>(sums[r][1], x, w[1]);
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < ROWS_AT_ONCE; r++)
        for (int v = 0; v < 2; v++) {
            const int64_t at = c + v * LANES;
            const Floats y = activation<T, IS_GELU>(sums[r][v]) * load(dense.scale + at) + load(dense.shift + at);
            store(out + r * dense.outputs + at, y);
        }
}

// out = activation(in * weights + bias) * scale + shift
template <typename T, bool IS_GELU>
void apply(T* out, const T* in, const Dense<T>& dense, int64_t rows, Part part) {
    const int64_t panels = dense.outputs / PANEL;
    // Many rows are taken in blocks that stay in the cache while all panels pass over them
    for (int64_t block = 0; block < rows; block += ROWS_IN_CACHE)
        for (int64_t panel = part.begin(panels); panel < part.end(panels); panel++) {
            int64_t row = block;
            const auto tile = [&](auto at_once) {
                constexpr int n = decltype(at_once)::value;
                for (; row + n <= std::min(rows, block + ROWS_IN_CACHE); row += n)
                    dense_tile<T, IS_GELU, n>(out + row * dense.outputs, in + row * dense.inputs, dense, panel);
            };
            tile(std::integral_constant<int, DENSE_ROWS>{});
            tile(std::integral_constant<int, 4>{});
            tile(std::integral_constant<int, 1>{});
        }
}

// The depth-wise convolution and what follows it. `weights` is [K, K, channels].
struct DepthWise {
    const float *weights, *bias, *scale;
};

// out = activation(convolution(in)) * scale + in
template <typename T, bool IS_GELU>
void apply(T* out, const T* in, const DepthWise& layer, const Shape& s, std::vector<Words>& plane, Part part) {
    const int64_t rows = s.height + K - 1, blocks = s.channels / LANES;
    plane.resize(rows * s.padded_width());
    Words taps[TAP_ROWS<T> * K];
    for (int64_t c = part.begin(blocks) * LANES; c < part.end(blocks) * LANES; c += LANES) {
        fill_plane(plane.data(), in + c, s, rows, s.padded_width(), (K - 1) / 2, 1);
        fill_taps<T>(taps, layer.weights + c, s.channels);
        const Floats scale = load(layer.scale + c);
        convolve_plane<T>(plane.data(), taps, load(layer.bias + c), s, [=](int64_t position, Floats sum) {
            const int64_t at = position * s.channels + c;
            store(out + at, activation<T, IS_GELU>(sum) * scale + load(in + at));
        });
    }
}

// A patch becomes a row: channel by channel, as the weights of the embedding are
template <typename T>
void patches(T* out, const T* image, const Shape& s, int64_t in_channels, int64_t edge, int64_t row_length,
             Part part) {
    const int64_t image_width = s.width * edge, image_height = s.height * edge;
    for (int64_t y = part.begin(s.height); y < part.end(s.height); y++)
        for (int64_t x = 0; x < s.width; x++) {
            T* row = out + (y * s.width + x) * row_length;
            T* to = row;
            for (int64_t c = 0; c < in_channels; c++)
                for (int64_t i = 0; i < edge; i++, to += edge) {
                    const T* from = image + (c * image_height + y * edge + i) * image_width + x * edge;
                    std::copy(from, from + edge, to);
                }
            std::fill(to, row + row_length, T{});
        }
}

// The sizes of a model and where its weights are. Arrays of layers follow each other.
template <typename T>
struct Model {
    int64_t layers, in_channels, patch_size;
    Dense<T> embedding, point_wise;
    DepthWise depth_wise;

    int64_t channels() const { return embedding.outputs; }
    DepthWise depth_wise_of(int64_t layer) const {
        const int64_t at = layer * channels();
        return {depth_wise.weights + at * K * K, depth_wise.bias + at, depth_wise.scale + at};
    }
    Dense<T> point_wise_of(int64_t layer) const {
        const int64_t at = layer * channels();
        return {point_wise.weights + at * point_wise.words(), point_wise.bias + at, point_wise.scale + at,
                point_wise.shift + at, channels(), channels()};
    }
};

template <typename T>
struct Features {
    std::vector<T> patches, now, next;
    Features(const Model<T>& model, const Shape& s)
        : patches(s.height * s.width * model.embedding.inputs),
          now(s.height * s.width * s.channels),
          next(s.height * s.width * s.channels) {}
};

// The features of an image, averaged over its positions
template <typename T, bool IS_GELU>
void features_of_image(float* out, const T* image, const Model<T>& model, const Shape& s, Features<T>& features,
                       std::vector<Words>& plane, Part part) {
    const int64_t positions = s.height * s.width;
    patches(features.patches.data(), image, s, model.in_channels, model.patch_size, model.embedding.inputs, part);
    part.wait_for_others();
    T *now = features.now.data(), *next = features.next.data();
    apply<T, IS_GELU>(now, features.patches.data(), model.embedding, positions, part);
    for (int64_t layer = 0; layer < model.layers; layer++) {
        part.wait_for_others();
        apply<T, IS_GELU>(next, now, model.depth_wise_of(layer), s, plane, part);
        part.wait_for_others();
        apply<T, IS_GELU>(now, next, model.point_wise_of(layer), positions, part);
    }
    part.wait_for_others();
    const int64_t blocks = s.channels / LANES;
    for (int64_t c = part.begin(blocks) * LANES; c < part.end(blocks) * LANES; c += LANES) {
        Floats sum = {};
        for (int64_t position = 0; position < positions; position++) sum += load(now + position * s.channels + c);
        store(out + c, sum / float(positions));
    }
}

template <typename T, bool IS_GELU>
void features_of_images(float* out, const T* images, const Model<T>& model, const Shape& s, int threads) {
    const int64_t image_size = model.in_channels * s.height * s.width * model.patch_size * model.patch_size;
    const bool is_shared = s.images < threads;
    Features<T> shared(model, is_shared ? s : Shape{0, 0, 0, 0});
#pragma omp parallel num_threads(threads)
    {
        std::vector<Words> plane;
        if (is_shared) {
            const Part part{omp_get_thread_num(), omp_get_num_threads()};
            for (int64_t n = 0; n < s.images; n++) {
                features_of_image<T, IS_GELU>(out + n * s.channels, images + n * image_size, model, s, shared, plane,
                                              part);
                part.wait_for_others();
            }
        } else {
            Features<T> own(model, s);
#pragma omp for schedule(dynamic)
            for (int64_t n = 0; n < s.images; n++)
                features_of_image<T, IS_GELU>(out + n * s.channels, images + n * image_size, model, s, own, plane,
                                              Part{0, 1});
        }
    }
}

}  // namespace

#define FOR_TYPE(NAME, T)                                                                                              \
    void features_##NAME(float* out, const T* images, const uint32_t* embedding, const float* embedding_bias,          \
                         const float* embedding_scale, const float* embedding_shift, const float* depth_wise,          \
                         const float* depth_wise_bias, const float* depth_wise_scale, const uint32_t* point_wise,      \
                         const float* point_wise_bias, const float* point_wise_scale, const float* point_wise_shift,   \
                         int64_t n, int64_t height, int64_t width, int64_t channels, int64_t layers,                   \
                         int64_t in_channels, int64_t patch_size, int64_t patch_length, int is_gelu, int threads) {    \
        const Model<T> model{                                                                                          \
            layers,                                                                                                    \
            in_channels,                                                                                               \
            patch_size,                                                                                                \
            {embedding, embedding_bias, embedding_scale, embedding_shift, patch_length, channels},                     \
            {point_wise, point_wise_bias, point_wise_scale, point_wise_shift, channels, channels},                     \
            {depth_wise, depth_wise_bias, depth_wise_scale}};                                                          \
        const Shape shape{n, height, width, channels};                                                                 \
        (is_gelu ? features_of_images<T, true> : features_of_images<T, false>)(out, images, model, shape, threads);    \
    }

extern "C" {

int panel() { return PANEL; }

FOR_TYPE(float, float)
FOR_TYPE(bfloat16, BFloat16)
}
