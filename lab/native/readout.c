/* What the line cards say of themselves while they run.  See linecard.h. */
#include <string.h>
#include <sys/resource.h>

#include "linecard_in.h"

/* Messages whose last frame is in a line card or an adapter. */
static int64_t under_way(const fab *f) {
    int64_t messages = 0;
    for (uint32_t i = 0; i < f->frames_touched; i++)
        messages += f->frame[i].kind == FAB_DATA && f->frame[i].last;
    return messages;
}

/* Messages that were sent and whose last frame is nowhere: nothing that is under way will ever tell
 * their receivers that they are missing.  None can be named while switches hold frames. */
static int64_t lost_without_trace(const lc *l) {
    const lc_stats *s = &l->stats;
    if (s->into_switches != s->out_of_switches) return 0;
    return s->sent - s->delivered - s->dropped_endpoint - s->pdu_discarded_missing -
           s->pdu_discarded_crc - under_way(l->f);
}

void lc_get_stats(lc *l, lc_stats *out) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    *out = l->stats;
    out->now_ns = lc_present_ns(l, lc_clock_ns(CLOCK_MONOTONIC));
    out->rx_drops = l->wire ? wire_drops(l->wire) : 0;
    out->events_waiting = l->events.n;
    out->pdu_discarded_missing += lost_without_trace(l);
    for (uint32_t i = 0; i < l->f->vcs; i++) out->hold_expired += l->f->vc[i].hold_expired;
    for (uint32_t i = 0; i < l->f->ports; i++) out->queued_cells += l->f->port[i].queued_cells;
    out->cpu_s = (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 +
                 (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

const lc_vc_totals *lc_totals(const lc *l) { return l->totals; }

void lc_node_frames(const lc *l, uint32_t node, int64_t *in, int64_t *out) {
    *in = l->node_in[node];
    *out = l->node_out[node];
}
