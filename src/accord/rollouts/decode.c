/* What a decoding step does between its matrix products, in two passes over memory instead of some thirty
 * operations of a framework. Built by compiled.py with HEAD_SIZE (a multiple of 16) and IS_BF16 (whether the
 * products are bf16 or fp32); all arithmetic here is fp32. The torch code in slots.py is the same function
 * and what this is tested against.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ivec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint32_t uvec __attribute__((vector_size(64), aligned(4), may_alias));
typedef uint16_t hvec __attribute__((vector_size(32), aligned(2), may_alias));

#define LANES 16
#define INLINE static inline __attribute__((always_inline))

#if IS_BF16
typedef uint16_t low;
INLINE vec load_low(const low *from) {
    uvec wide = __builtin_convertvector(*(const hvec *)from, uvec) << 16;
    return (vec)wide;
}
INLINE void store_low(low *to, vec value) { /* to the nearest, ties to even; NaN stays NaN */
    uvec bits = (uvec)value;
    uvec rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uvec is_nan = (uvec)(value != value);
    rounded = (rounded & ~is_nan) | (is_nan & 0x7fc0u);
    *(hvec *)to = __builtin_convertvector(rounded, hvec);
}
#else
typedef float low;
INLINE vec load_low(const low *from) { return *(const vec *)from; }
INLINE void store_low(low *to, vec value) { *(vec *)to = value; }
#endif

INLINE vec larger(vec left, vec right) {
    ivec is_left = left > right;
    return (vec)(((ivec)left & is_left) | ((ivec)right & ~is_left));
}

/* All ones in the first `count` lanes. */
INLINE ivec first_lanes(int64_t count) {
    const ivec lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return lanes < (int32_t)(count < LANES ? count : LANES);
}

/* Lane i of the result combines lanes i and i + 8, i + 4, ... of the value; lane 0 all of them. */
#define ACROSS(value, combine)                                                                                    \
    value = combine(value, __builtin_shuffle(value, (ivec){8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7}));     \
    value = combine(value, __builtin_shuffle(value, (ivec){4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11}));     \
    value = combine(value, __builtin_shuffle(value, (ivec){2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13}));     \
    value = combine(value, __builtin_shuffle(value, (ivec){1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14}))

INLINE vec plus(vec left, vec right) { return left + right; }

INLINE float sum_of(vec value) {
    ACROSS(value, plus);
    return value[0];
}

/* exp for x <= 0, to about 1e-7 of the value (Cephes' expf); below -87 it is as good as 0. */
INLINE vec exp_of(vec x) {
    const float big = 12582912.0f; /* adding it rounds to a whole number */
    x = larger(x, x * 0.0f - 87.0f);
    vec whole = x * 1.44269504088896341f + big;
    whole = whole - big;
    vec rest = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    vec series = rest * 1.9875691500e-4f + 1.3981999507e-3f;
    series = series * rest + 8.3334519073e-3f;
    series = series * rest + 4.1665795894e-2f;
    series = series * rest + 1.6666665459e-1f;
    series = series * rest + 5.0000001201e-1f;
    series = series * rest * rest + rest + 1.0f;
    ivec power = (__builtin_convertvector(whole, ivec) + 127) << 23;
    return series * (vec)power;
}

/* Sums in flight at once: so many that a product need not wait for the one before. */
#define AHEAD 2
#define AT_ONCE 4

/* out[q][c] = sum over d of query[q][d] * keys[d][c], for n queries and `wide` vectors of columns (constants). */
INLINE void score_columns(
    int n, int wide, const float *queries, const float *keys, int64_t columns, float *out, int64_t out_stride) {
    vec sums[AT_ONCE][AHEAD];
    for (int q = 0; q < n; q++)
        for (int v = 0; v < wide; v++) sums[q][v] = (vec){0};
    for (int d = 0; d < HEAD_SIZE; d++)
        for (int v = 0; v < wide; v++) {
            vec column = *(const vec *)(keys + d * columns + v * LANES);
            for (int q = 0; q < n; q++) sums[q][v] += column * queries[q * HEAD_SIZE + d];
        }
    for (int q = 0; q < n; q++)
        for (int v = 0; v < wide; v++) *(vec *)(out + q * out_stride + v * LANES) = sums[q][v];
}

/* mixed[q][d] += sum over c of weight[q][c] * values[c][d], for n queries and `wide` vectors of d (constants). */
INLINE void mix_entries(
    int n, int wide, const float *weights, int64_t stride, const float *values, int64_t count, float *mixed) {
    vec sums[AT_ONCE][AHEAD];
    for (int q = 0; q < n; q++)
        for (int v = 0; v < wide; v++) sums[q][v] = *(vec *)(mixed + q * HEAD_SIZE + v * LANES);
    for (int64_t c = 0; c < count; c++)
        for (int v = 0; v < wide; v++) {
            vec entries = *(const vec *)(values + c * HEAD_SIZE + v * LANES);
            for (int q = 0; q < n; q++) sums[q][v] += entries * weights[q * stride + c];
        }
    for (int q = 0; q < n; q++)
        for (int v = 0; v < wide; v++) *(vec *)(mixed + q * HEAD_SIZE + v * LANES) = sums[q][v];
}

/* Calls with the counts as constants, so that the sums stay in registers. */
#define FOR_EACH_COUNT(n, call)                                                                                   \
    switch (n) {                                                                                                  \
    case 1: call(1); break;                                                                                       \
    case 2: call(2); break;                                                                                       \
    case 3: call(3); break;                                                                                       \
    default: call(4);                                                                                             \
    }

/* Scores of n queries against `count` columns, rounded up to whole vectors. */
static void score(
    int n, const float *queries, const float *keys, int64_t columns, int64_t count, float *out, int64_t out_stride) {
    for (int q = 0; q < n; q += AT_ONCE) {
        const float *some = queries + q * HEAD_SIZE;
        float *to = out + q * out_stride;
        int64_t c = 0;
#define WIDE(k) score_columns(k, AHEAD, some, keys + c, columns, to + c, out_stride)
#define NARROW(k) score_columns(k, 1, some, keys + c, columns, to + c, out_stride)
        for (; c + LANES < count; c += AHEAD * LANES) FOR_EACH_COUNT(n - q, WIDE)
        for (; c < count; c += LANES) FOR_EACH_COUNT(n - q, NARROW)
#undef WIDE
#undef NARROW
    }
}

/* Adds `count` weighed values to each of n mixed rows. */
static void mix(int n, const float *weights, int64_t stride, const float *values, int64_t count, float *mixed) {
    for (int q = 0; q < n; q += AT_ONCE) {
        const float *some = weights + q * stride;
        int d = 0;
#define WIDE(k) mix_entries(k, AHEAD, some, stride, values + d, count, mixed + q * HEAD_SIZE + d)
#define NARROW(k) mix_entries(k, 1, some, stride, values + d, count, mixed + q * HEAD_SIZE + d)
        for (; d + LANES < HEAD_SIZE; d += AHEAD * LANES) FOR_EACH_COUNT(n - q, WIDE)
        for (; d < HEAD_SIZE; d += LANES) FOR_EACH_COUNT(n - q, NARROW)
#undef WIDE
#undef NARROW
    }
}

/* In each lane the largest of `tops` and of a row's first `count` entries there. */
INLINE vec top_of(const float *row, int64_t count, vec tops) {
    for (int64_t c = 0; c < count; c += LANES) {
        ivec counts = first_lanes(count - c);
        vec entries = (vec)((*(const ivec *)(row + c) & counts) | ((ivec)tops & ~counts));
        tops = larger(tops, entries);
    }
    return tops;
}

/* exp(entry - top) in place for the first `count` entries, 0 in the rest of the last vector; adds to `total`. */
INLINE vec exponentiate(float *row, int64_t count, vec top, vec total) {
    for (int64_t c = 0; c < count; c += LANES) {
        vec weight = (vec)((ivec)exp_of(*(vec *)(row + c) - top) & first_lanes(count - c));
        *(vec *)(row + c) = weight;
        total += weight;
    }
    return total;
}

/* x cos + rotate_half(x) sin, the first half of sin negated; times scale. */
INLINE void rotate(const low *from, const float *cosine, const float *sine, float scale, float *to) {
    float plain[HEAD_SIZE];
    for (int d = 0; d < HEAD_SIZE; d += LANES) *(vec *)(plain + d) = load_low(from + d);
    const int half = HEAD_SIZE / 2;
    for (int d = 0; d < half; d++) {
        to[d] = (plain[d] * cosine[d] + plain[half + d] * sine[d]) * scale;
        to[half + d] = (plain[half + d] * cosine[half + d] + plain[d] * sine[half + d]) * scale;
    }
}

/* A grid of slots [prompt, width] in progress; see LlamaSlots. All sizes in entries, pointers to the first layer. */
typedef struct {
    int64_t n_prompts, width, n_keys, n_shared, longest, columns, n_new, n_threads;
    const int64_t *lengths;   /* [prompt] tokens of each prompt, at most `longest` */
    const float *prefix_keys; /* [layer, prompt, kv head, d, longest] */
    const float *prefix_values; /* [layer, prompt, kv head, longest, d] */
    float *own_keys;          /* [layer, prompt, kv head, slot, d, columns] */
    float *own_values;        /* [layer, prompt, kv head, slot, columns, d] */
} Slots;

/* Attention of one new token a slot: rotates queries and keys, stores keys and values, mixes values.
 * joint [slot, (query heads + 2 kv heads) * d], cosine and sine [slot, d], mixed [slot, query heads * d]. */
void accord_attend(const Slots *slots, int64_t layer, const low *joint, const float *cosine, const float *sine,
                   float scale, low *mixed) {
    const int64_t n_keys = slots->n_keys, shared = slots->n_shared, width = slots->width;
    const int64_t longest = slots->longest, columns = slots->columns, n_new = slots->n_new;
    const int64_t units = slots->n_prompts * n_keys, n_queries = n_keys * shared;
    const int64_t row_size = (n_queries + 2 * n_keys) * HEAD_SIZE, stride = longest + columns;
#pragma omp parallel for num_threads(slots->n_threads) schedule(static) if (slots->n_threads > 1)
    for (int64_t unit = 0; unit < units; unit++) {
        const int64_t prompt = unit / n_keys, head = unit % n_keys, place = layer * units + unit;
        const int64_t length = slots->lengths[prompt];
        const float *prefix_keys = slots->prefix_keys + place * HEAD_SIZE * longest;
        const float *prefix_values = slots->prefix_values + place * HEAD_SIZE * longest;
        float *scratch = malloc(sizeof(float) * shared * (stride + 2 * HEAD_SIZE));
        float *queries = scratch + shared * stride, *sums = queries + shared * HEAD_SIZE;
        for (int64_t w = 0; w < width; w++) {
            const int64_t slot = prompt * width + w;
            const low *row = joint + slot * row_size;
            const float *turn = cosine + slot * HEAD_SIZE, *tilt = sine + slot * HEAD_SIZE;
            float *own_keys = slots->own_keys + (place * width + w) * HEAD_SIZE * columns;
            float *own_values = slots->own_values + (place * width + w) * HEAD_SIZE * columns;
            float key[HEAD_SIZE];
            rotate(row + (n_queries + head) * HEAD_SIZE, turn, tilt, 1.0f, key);
            for (int d = 0; d < HEAD_SIZE; d++) own_keys[d * columns + n_new] = key[d];
            for (int d = 0; d < HEAD_SIZE; d += LANES)
                *(vec *)(own_values + n_new * HEAD_SIZE + d) =
                    load_low(row + (n_queries + n_keys + head) * HEAD_SIZE + d);
            for (int64_t q = 0; q < shared; q++)
                rotate(row + (head * shared + q) * HEAD_SIZE, turn, tilt, scale, queries + q * HEAD_SIZE);
            score(shared, queries, prefix_keys, longest, length, scratch, stride);
            score(shared, queries, own_keys, columns, n_new + 1, scratch + longest, stride);
            float totals[shared];
            for (int64_t q = 0; q < shared; q++) {
                float *given = scratch + q * stride, *drawn = given + longest;
                vec top = top_of(drawn, n_new + 1, top_of(given, length, (vec){0} + drawn[0]));
                ACROSS(top, larger);
                vec total = exponentiate(given, length, top, (vec){0});
                totals[q] = 1.0f / sum_of(exponentiate(drawn, n_new + 1, top, total));
            }
            memset(sums, 0, sizeof(float) * shared * HEAD_SIZE);
            mix(shared, scratch, stride, prefix_values, length, sums);
            mix(shared, scratch + longest, stride, own_values, n_new + 1, sums);
            low *to = mixed + (slot * n_queries + head * shared) * HEAD_SIZE;
            for (int64_t d = 0; d < shared * HEAD_SIZE; d += LANES)
                store_low(to + d, *(vec *)(sums + d) * totals[d / HEAD_SIZE]);
        }
        free(scratch);
    }
}

/* stream [row, width] += added where there is any; normed = stream / sqrt(mean of squares + eps) * weight. */
void accord_add_norm(int64_t rows, int64_t width, float *stream, const low *added, const float *weight, float eps,
                     low *normed, int64_t n_threads) {
#pragma omp parallel for num_threads(n_threads) schedule(static) if (n_threads > 1)
    for (int64_t row = 0; row < rows; row++) {
        float *own = stream + row * width;
        vec squares = {0};
        for (int64_t d = 0; d < width; d += LANES) {
            vec value = *(vec *)(own + d);
            if (added) {
                value += load_low(added + row * width + d);
                *(vec *)(own + d) = value;
            }
            squares += value * value;
        }
        float scale = 1.0f / __builtin_sqrtf(sum_of(squares) / (float)width + eps);
        for (int64_t d = 0; d < width; d += LANES)
            store_low(normed + row * width + d, *(vec *)(own + d) * scale * *(const vec *)(weight + d));
    }
}
