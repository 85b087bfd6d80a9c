/* The simulator's queue of future events: the heap of events.h, and lanes beside it.
 *
 * Most events come a constant time after the present one: a cell is out after its cell time, and
 * at the next switch a latency later.  Events pushed with the same delay fall due in the order of
 * pushing, so each such delay gets a lane, a plain ring; whatever finds no lane goes to the heap.
 * The order of events is that of events.h, whichever way they take.
 */
#ifndef LAB_AGENDA_H
#define LAB_AGENDA_H

#include "events.h"

#define AGENDA_LANES 8
#define AGENDA_LANE_EVENTS 1024 /* stays in the cache; a full lane sends the rest to the heap */

typedef struct {
    int64_t delay;
    uint32_t head, n;
    ev *at;
} agenda_lane;

typedef struct {
    evq heap;
    int64_t next_t[AGENDA_LANES]; /* of each lane, INT64_MAX when it is empty */
    agenda_lane lane[AGENDA_LANES];
} agenda;

#define AGENDA_MASK (AGENDA_LANE_EVENTS - 1)

static inline int agenda_init(agenda *a, uint64_t seed) {
    *a = (agenda){.heap = {.seed = seed}};
    for (int i = 0; i < AGENDA_LANES; i++) {
        a->next_t[i] = INT64_MAX;
        a->lane[i].at = malloc(AGENDA_LANE_EVENTS * sizeof(ev));
        if (!a->lane[i].at) return -1;
    }
    return 0;
}

static inline void agenda_free(agenda *a) {
    for (int i = 0; i < AGENDA_LANES; i++) free(a->lane[i].at);
    free(a->heap.at);
}

static inline void agenda_to_lane(agenda *a, uint32_t i, ev e) {
    agenda_lane *l = &a->lane[i];
    uint32_t place = l->n++;
    while (place > 0) { /* simultaneous ones by their keys */
        ev *before = &l->at[(l->head + place - 1) & AGENDA_MASK];
        if (before->t < e.t || before->key < e.key) break;
        l->at[(l->head + place) & AGENDA_MASK] = *before;
        place--;
    }
    l->at[(l->head + place) & AGENDA_MASK] = e;
    a->next_t[i] = l->at[l->head].t;
}

/* At a time that has no fellows: into the heap. */
static inline void agenda_push(agenda *a, int64_t t, uint32_t kind, uint32_t index,
                               uint32_t value) {
    evq_push(&a->heap, t, kind, index, value);
}

/* After a delay that many others have as well. */
static inline void agenda_after(agenda *a, int64_t now, int64_t delay, uint32_t kind,
                                uint32_t index, uint32_t value) {
    ev e = ev_make(&a->heap, now + delay, kind, index, value);
    uint32_t i = (uint32_t)((uint64_t)delay * 0x9e3779b97f4a7c15ull >> 61);
    for (uint32_t tries = 0; tries < 4; tries++, i = (i + 1) % AGENDA_LANES) {
        agenda_lane *l = &a->lane[i];
        if (l->n == 0) l->delay = delay;
        if (l->delay != delay) continue;
        if (l->n == AGENDA_LANE_EVENTS) break;
        agenda_to_lane(a, i, e);
        return;
    }
    evq_add(&a->heap, e);
}

/* The next event; 0 when there is none before `until`. */
static inline int agenda_pop(agenda *a, int64_t until, ev *out) {
    uint32_t best = 0;
    int64_t t = a->next_t[0];
    for (uint32_t i = 1; i < AGENDA_LANES; i++) {
        if (a->next_t[i] > t) continue;
        if (a->next_t[i] == t && t != INT64_MAX) {
            const agenda_lane *l = &a->lane[i], *b = &a->lane[best];
            if (l->at[l->head].key > b->at[b->head].key) continue;
        }
        t = a->next_t[i];
        best = i;
    }
    agenda_lane *l = &a->lane[best];
    if (a->heap.n && (l->n == 0 || ev_before(&a->heap.at[0], &l->at[l->head]))) {
        if (a->heap.at[0].t >= until) return 0;
        *out = evq_pop(&a->heap);
        return 1;
    }
    if (l->n == 0 || t >= until) return 0;
    *out = l->at[l->head];
    l->head = (l->head + 1) & AGENDA_MASK;
    l->n--;
    a->next_t[best] = l->n ? l->at[l->head].t : INT64_MAX;
    return 1;
}

#endif
