/* The checksum of a frame in C: zlib's CRC-32 over its bytes without the checksum field, in two forms of one result.
 *
 * Facts:
 * - frames have some dozens of bytes to some hundreds: a call of zlib costs more than the sum;
 * - by tables, sixteen bytes a step ("slicing by 16"), on any processor;
 * - by carry-less products where the processor has them (x86: PCLMULQDQ), in less time. Sixteen bytes are a
 *   polynomial; multiplied by x^128 modulo the CRC's polynomial they add to the next sixteen ("folding"), and what is
 *   left at the end is reduced by Barrett's method. Bits are reflected, and so are the constants.
 *   Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction" (Intel, 2009).
 */
#ifndef TORQ_CHECKSUM_H
#define TORQ_CHECKSUM_H

#include <stdint.h>

enum { FRAME_HEADER = 32, FRAME_CHECKSUM_AT = 28 };

static uint32_t tables[16][256];

static inline uint32_t load32(const unsigned char *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void make_tables(void) {
    for (uint32_t number = 0; number < 256; number++) {
        uint32_t value = number;
        for (int bit = 0; bit < 8; bit++) value = (value >> 1) ^ (value & 1 ? 0xEDB88320u : 0);
        tables[0][number] = value;
    }
    for (int table = 1; table < 16; table++)
        for (int number = 0; number < 256; number++)
            tables[table][number] = (tables[table - 1][number] >> 8) ^ tables[0][tables[table - 1][number] & 255];
}

static inline uint32_t four(uint32_t word, int table) {
    return tables[table][word & 255] ^ tables[table - 1][word >> 8 & 255] ^ tables[table - 2][word >> 16 & 255]
         ^ tables[table - 3][word >> 24];
}

/* Goes on from `rest`, which is the complement of a CRC. */
static uint32_t crc(const unsigned char *at, const unsigned char *stop, uint32_t rest) {
    while (stop - at >= 16) {
        rest = four(load32(at) ^ rest, 15) ^ four(load32(at + 4), 11) ^ four(load32(at + 8), 7) ^ four(load32(at + 12), 3);
        at += 16;
    }
    if (stop - at >= 8) {
        rest = four(load32(at) ^ rest, 7) ^ four(load32(at + 4), 3);
        at += 8;
    }
    if (stop - at >= 4) {
        rest = four(load32(at) ^ rest, 3);
        at += 4;
    }
    while (at < stop) rest = rest >> 8 ^ tables[0][(rest ^ *at++) & 255];
    return rest;
}

static uint32_t crc_by_tables(const unsigned char *frame, int64_t size) {
    return ~crc(frame + FRAME_HEADER, frame + size, crc(frame, frame + FRAME_CHECKSUM_AT, 0xFFFFFFFFu));
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define FOLDING __attribute__((target("pclmul,sse4.1")))

/* Sixteen bytes, sixteen places further on: both halves times their power of x, and the bytes that stand there. */
FOLDING static inline __m128i folded(__m128i state, __m128i next) {
    const __m128i by_128 = _mm_set_epi64x(0x0CCAA009E, 0x1751997D0); /* x^96 and x^160 modulo P */
    __m128i low = _mm_clmulepi64_si128(state, by_128, 0x00), high = _mm_clmulepi64_si128(state, by_128, 0x11);
    return _mm_xor_si128(_mm_xor_si128(low, high), next);
}

/* The remainder of sixteen bytes. */
FOLDING static inline uint32_t reduced(__m128i state) {
    const __m128i by_64 = _mm_set_epi64x(0x163CD6124, 0x0CCAA009E);         /* x^64, x^96 */
    const __m128i barrett = _mm_set_epi64x(0x1F7011641, 0x1DB710641);       /* x^64 / P, P */
    const __m128i word = _mm_set_epi32(0, -1, 0, -1);
    state = _mm_xor_si128(_mm_clmulepi64_si128(state, by_64, 0x00), _mm_srli_si128(state, 8));
    __m128i low = _mm_clmulepi64_si128(_mm_and_si128(state, word), by_64, 0x10);
    state = _mm_xor_si128(low, _mm_srli_si128(state, 4));
    __m128i quotient = _mm_and_si128(_mm_clmulepi64_si128(_mm_and_si128(state, word), barrett, 0x10), word);
    return (uint32_t)_mm_extract_epi32(_mm_xor_si128(state, _mm_clmulepi64_si128(quotient, barrett, 0x00)), 1);
}

FOLDING static uint32_t crc_by_folding(const unsigned char *frame, int64_t size) {
    /* From n on: the first n bytes to the end; from 16 + n on: the others to the front; -1: zero. */
    static const signed char moves[48] = {
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
        15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};
    if (size < FRAME_HEADER + 4) return crc_by_tables(frame, size);
    const unsigned char *at = frame + FRAME_HEADER + 4, *stop = frame + size;
    __m128i state = _mm_xor_si128(_mm_loadu_si128((const __m128i *)frame), _mm_cvtsi32_si128(-1));
    __m128i around = _mm_loadu_si128((const __m128i *)(frame + 16)); /* the payload's first word for the checksum */
    state = folded(state, _mm_insert_epi32(around, (int)load32(frame + FRAME_HEADER), 3));
    for (; stop - at >= 16; at += 16) state = folded(state, _mm_loadu_si128((const __m128i *)at));
    int64_t rest = stop - at;
    if (rest) { /* the first `rest` bytes of the state fold over the others and the last of the frame */
        __m128i up = _mm_loadu_si128((const __m128i *)(moves + rest));
        __m128i down = _mm_loadu_si128((const __m128i *)(moves + 16 + rest));
        __m128i last = _mm_loadu_si128((const __m128i *)(stop - 16));
        __m128i kept = _mm_shuffle_epi8(state, down);
        last = _mm_blendv_epi8(kept, last, down); /* where nothing was moved to, down is negative */
        state = folded(_mm_shuffle_epi8(state, up), last);
    }
    return ~reduced(state);
}

static int can_fold(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
}
#else
static uint32_t crc_by_folding(const unsigned char *frame, int64_t size) { return crc_by_tables(frame, size); }
static int can_fold(void) { return 0; }
#endif

#endif
