/* See crc32.h. */
#include "crc32.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define GENERATOR 0x04c11db7u
#define SLICES 8

static uint32_t table[SLICES][256]; /* table[k][b]: byte b followed by k zero bytes */

static void make_table(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t r = b << 24;
        for (int i = 0; i < 8; i++) r = r & 0x80000000u ? r << 1 ^ GENERATOR : r << 1;
        table[0][b] = r;
    }
    for (int k = 1; k < SLICES; k++)
        for (uint32_t b = 0; b < 256; b++) {
            uint32_t r = table[k - 1][b];
            table[k][b] = r << 8 ^ table[0][r >> 24];
        }
}

uint32_t crc32_add_plain(uint32_t state, const uint8_t *p, size_t n) {
    for (; n >= SLICES; n -= SLICES, p += SLICES)
        state = table[7][p[0] ^ state >> 24] ^ table[6][p[1] ^ (state >> 16 & 255)] ^
                table[5][p[2] ^ (state >> 8 & 255)] ^ table[4][p[3] ^ (state & 255)] ^
                table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    while (n--) state = state << 8 ^ table[0][*p++ ^ state >> 24];
    return state;
}

#if defined(__x86_64__)

static int can_fold;
static uint64_t by_512[2], by_128[2]; /* x^(d+64) and x^d modulo the generator */

static uint32_t power_of_x(int exponent) {
    uint32_t r = 1;
    while (exponent--) r = r & 0x80000000u ? r << 1 ^ GENERATOR : r << 1;
    return r;
}

static void prepare_folding(void) {
    by_512[0] = power_of_x(512 + 64);
    by_512[1] = power_of_x(512);
    by_128[0] = power_of_x(128 + 64);
    by_128[1] = power_of_x(128);
    can_fold = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("ssse3");
}

/* The first byte of a block is the highest power of its polynomial. */
__attribute__((target("ssse3"))) static inline __m128i block(const uint8_t *p) {
    const __m128i reverse = _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), reverse);
}

/* What is congruent to `high` moved up by the distance of the constants, and added to `low`. */
__attribute__((target("pclmul"))) static inline __m128i fold(__m128i high, __m128i by,
                                                             __m128i low) {
    __m128i a = _mm_clmulepi64_si128(high, by, 0x01); /* upper half times by[0] */
    __m128i b = _mm_clmulepi64_si128(high, by, 0x10); /* lower half times by[1] */
    return _mm_xor_si128(low, _mm_xor_si128(a, b));
}

__attribute__((target("pclmul,ssse3"))) static uint32_t add_folding(uint32_t state,
                                                                    const uint8_t *p, size_t n) {
    const __m128i wide = _mm_set_epi64x((int64_t)by_512[1], (int64_t)by_512[0]);
    const __m128i near = _mm_set_epi64x((int64_t)by_128[1], (int64_t)by_128[0]);
    __m128i x0 = _mm_xor_si128(block(p), _mm_set_epi32((int)state, 0, 0, 0));
    __m128i x1 = block(p + 16), x2 = block(p + 32), x3 = block(p + 48);
    for (p += 64, n -= 64; n >= 64; p += 64, n -= 64) {
        x0 = fold(x0, wide, block(p));
        x1 = fold(x1, wide, block(p + 16));
        x2 = fold(x2, wide, block(p + 32));
        x3 = fold(x3, wide, block(p + 48));
    }
    x0 = fold(fold(fold(x0, near, x1), near, x2), near, x3);
    for (; n >= 16; p += 16, n -= 16) x0 = fold(x0, near, block(p));
    uint8_t rest[16];
    _mm_storeu_si128((__m128i *)rest, x0);
    for (int i = 0; i < 8; i++) {
        uint8_t other = rest[i];
        rest[i] = rest[15 - i];
        rest[15 - i] = other;
    }
    return crc32_add_plain(crc32_add_plain(0, rest, sizeof rest), p, n);
}

uint32_t crc32_add(uint32_t state, const uint8_t *data, size_t bytes) {
    if (can_fold && bytes >= 64) return add_folding(state, data, bytes);
    return crc32_add_plain(state, data, bytes);
}

#else

static void prepare_folding(void) {}

uint32_t crc32_add(uint32_t state, const uint8_t *data, size_t bytes) {
    return crc32_add_plain(state, data, bytes);
}

#endif

void crc32_prepare(void) {
    if (table[0][1]) return;
    make_table();
    prepare_folding();
}
