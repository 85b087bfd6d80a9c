/* What an end of a stream counts, in the simulator as the endpoint programs do it in an emulation:
 * messages per bin of time, and per window (the measured part of a step) latencies and gaps.
 *
 * Latencies are kept in buckets, eight to a power of two: a value v below 8 is its own bucket;
 * else, with e the place of its highest bit, bucket (e - 2) * 8 + its three bits below that one.
 */
#ifndef LAB_MEASURE_H
#define LAB_MEASURE_H

#include <stdint.h>

#define MEASURE_BUCKETS 320 /* up to 2^42 ns */

typedef struct {
    int64_t messages, bytes, latency_sum_ns;
} measure_bin;

typedef struct {
    int64_t messages, bytes, latency_sum_ns, latency_min_ns, latency_max_ns;
    int64_t gaps, gap_sum_ns, gap_min_ns, gap_max_ns, last_ns;
    double gap_square_sum_us2;
    uint32_t bucket[MEASURE_BUCKETS];
} measure_window;

typedef struct {
    measure_bin *bin;
    int64_t bins;           /* room; those after the last message are 0 */
    measure_window *window; /* one for each, or 0 while none was used */
    int64_t messages, bytes;
} measure;

typedef struct {
    int64_t bin_ns;
    int64_t (*window)[2];   /* from, to before */
    int32_t windows, current;
} measure_plan;

void measure_free(measure *m);
/* Count a message; times never go back. */
void measure_add(measure *m, measure_plan *plan, int64_t now_ns, int64_t bytes, int64_t latency_ns);

#endif
