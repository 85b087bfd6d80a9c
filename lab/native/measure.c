/* See measure.h. */
#include "measure.h"

#include <stdlib.h>
#include <string.h>

void measure_free(measure *m) {
    free(m->bin);
    free(m->window);
    *m = (measure){0};
}

static uint32_t bucket_of(int64_t value) {
    if (value < 8) return value > 0 ? (uint32_t)value : 0;
    int e = 63 - __builtin_clzll((uint64_t)value);
    uint32_t i = (uint32_t)(e - 2) * 8 + ((uint32_t)(value >> (e - 3)) & 7);
    return i < MEASURE_BUCKETS ? i : MEASURE_BUCKETS - 1;
}

static void into_bin(measure *m, int64_t index, int64_t bytes, int64_t latency_ns) {
    if (index >= m->bins) {
        int64_t room = index + index / 2 + 64;
        m->bin = realloc(m->bin, (size_t)room * sizeof *m->bin);
        if (!m->bin) abort();
        memset(m->bin + m->bins, 0, (size_t)(room - m->bins) * sizeof *m->bin);
        m->bins = room;
    }
    measure_bin *b = &m->bin[index];
    b->messages++;
    b->bytes += bytes;
    b->latency_sum_ns += latency_ns;
}

static void into_window(measure_window *w, int64_t now_ns, int64_t bytes, int64_t latency_ns) {
    if (w->messages == 0) {
        w->latency_min_ns = w->latency_max_ns = latency_ns;
    } else {
        int64_t gap = now_ns - w->last_ns;
        if (w->gaps == 0) w->gap_min_ns = w->gap_max_ns = gap;
        if (gap < w->gap_min_ns) w->gap_min_ns = gap;
        if (gap > w->gap_max_ns) w->gap_max_ns = gap;
        w->gaps++;
        w->gap_sum_ns += gap;
        w->gap_square_sum_us2 += (double)gap * (double)gap / 1e6;
    }
    if (latency_ns < w->latency_min_ns) w->latency_min_ns = latency_ns;
    if (latency_ns > w->latency_max_ns) w->latency_max_ns = latency_ns;
    w->messages++;
    w->bytes += bytes;
    w->latency_sum_ns += latency_ns;
    w->last_ns = now_ns;
    w->bucket[bucket_of(latency_ns)]++;
}

void measure_add(measure *m, measure_plan *plan, int64_t now_ns, int64_t bytes,
                 int64_t latency_ns) {
    m->messages++;
    m->bytes += bytes;
    if (plan->bin_ns > 0) into_bin(m, now_ns / plan->bin_ns, bytes, latency_ns);
    while (plan->current < plan->windows && now_ns >= plan->window[plan->current][1])
        plan->current++;
    if (plan->current == plan->windows || now_ns < plan->window[plan->current][0]) return;
    if (!m->window) m->window = calloc((size_t)plan->windows, sizeof *m->window);
    if (!m->window) abort();
    into_window(&m->window[plan->current], now_ns, bytes, latency_ns);
}
