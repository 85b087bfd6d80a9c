/* A queue of future events: a four-ary heap on (time, key).
 *
 * The key orders simultaneous events, and the order is part of what a seed stands for: first by a
 * pseudo-random function of seed, time, kind and index (so that ties fall differently from seed to
 * seed, and no port or circuit is always the first), then, for events of the same kind and index,
 * by the order in which they were put in.  It does not depend on how the queue is built.
 */
#ifndef LAB_EVENTS_H
#define LAB_EVENTS_H

#include <stdint.h>
#include <stdlib.h>

typedef struct {
    int64_t t;
    uint64_t key;
    uint32_t index;
    uint32_t kind : 4, value : 28;
} ev;

typedef struct {
    ev *at;
    uint32_t n, capacity;
    uint64_t inserted, seed;
} evq;

static inline uint64_t ev_mix(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline int ev_before(const ev *a, const ev *b) {
    return a->t != b->t ? a->t < b->t : a->key < b->key;
}

static inline ev ev_make(evq *q, int64_t t, uint32_t kind, uint32_t index, uint32_t value) {
    uint64_t what = (uint64_t)t * 0x9e3779b97f4a7c15ull ^ ((uint64_t)kind << 32 | index);
    uint64_t hash = ev_mix(what ^ q->seed * 0xd1342543de82ef95ull);
    return (ev){t, (hash & 0xffffffff00000000ull) | (uint32_t)q->inserted++, index, kind, value};
}

static inline void evq_add(evq *q, ev e) {
    if (q->n == q->capacity) {
        q->capacity = q->capacity ? q->capacity * 2 : 1024;
        q->at = realloc(q->at, q->capacity * sizeof *q->at);
        if (!q->at) abort();
    }
    uint32_t i = q->n++;
    while (i > 0) {
        uint32_t up = (i - 1) / 4;
        if (!ev_before(&e, &q->at[up])) break;
        q->at[i] = q->at[up];
        i = up;
    }
    q->at[i] = e;
}

static inline void evq_push(evq *q, int64_t t, uint32_t kind, uint32_t index, uint32_t value) {
    evq_add(q, ev_make(q, t, kind, index, value));
}

static inline ev evq_pop(evq *q) {
    ev top = q->at[0], last = q->at[--q->n];
    uint32_t i = 0;
    for (;;) {
        uint32_t down = 4 * i + 1, end = down + 4 < q->n ? down + 4 : q->n;
        if (down >= q->n) break;
        for (uint32_t c = down + 1; c < end; c++)
            if (ev_before(&q->at[c], &q->at[down])) down = c;
        if (!ev_before(&q->at[down], &last)) break;
        q->at[i] = q->at[down];
        i = down;
    }
    if (q->n) q->at[i] = last;
    return top;
}

#endif
