/* The line cards' instruments: rows into series, no system calls.  See linecard.h. */
#include "linecard_in.h"

void lc_observe_event(lc *l, int32_t kind, uint32_t port, uint32_t vc, uint32_t hop) {
    event_row *r = series_add(&l->series[LC_EVENTS]);
    if (!r) return;
    *r = (event_row){l->at_ns, (int32_t)port, vc == FAB_NONE ? -1 : (int32_t)vc, kind,
                     (int32_t)hop};
}

static void count(histogram *h, double us) {
    if (us <= 500)
        h->le_500++;
    else if (us <= 1000)
        h->le_1000++;
    else if (us <= 2000)
        h->le_2000++;
    else if (us <= 5000)
        h->le_5000++;
    else if (us <= 10000)
        h->le_10000++;
    else
        h->gt_10000++;
}

void lc_observe_late(lc *l, int64_t late_virtual_ns) {
    double us = (double)late_virtual_ns * l->o.dilation / 1e3;
    l->late.handed++;
    l->late_sum_us += us;
    if (us > l->late.late_max_us) l->late.late_max_us = (float)us;
    count(&l->late.late, us);
}

void lc_observe_crossing(lc *l, int64_t real_ns) {
    double us = (double)real_ns / 1e3;
    l->late.crossed++;
    l->cross_sum_us += us;
    if (us > l->late.cross_max_us) l->late.cross_max_us = (float)us;
    count(&l->late.cross, us);
}

static void sample_queues(lc *l, int64_t t) {
    const fab *f = l->f;
    for (uint32_t i = 0; i < f->queues; i++) {
        const fab_queue *q = &f->queue[i];
        if (q->cells == 0) continue;
        queue_row *r = series_add(&l->series[LC_QUEUES]);
        if (r) *r = (queue_row){t, (int32_t)q->port, (int32_t)q->vc, q->cells, q->frames};
    }
    for (uint32_t i = 0; i < f->ports; i++) {
        const fab_port *p = &f->port[i];
        if (p->queued_cells == 0) continue;
        queue_row *r = series_add(&l->series[LC_QUEUES]);
        if (r) *r = (queue_row){t, (int32_t)i, -1, p->queued_cells, p->active_queues};
    }
}

static void sample_links(lc *l, int64_t t) {
    for (uint32_t i = 0; i < l->f->ports; i++) {
        const fab_port *p = &l->f->port[i];
        port_totals *s = &l->sampled[i];
        if (p->frames == s->frames && p->control_cells == s->control_cells) continue;
        link_row *r = series_add(&l->series[LC_LINKS]);
        if (r)
            *r = (link_row){t,
                            p->busy_ns - s->busy_ns,
                            p->wait_ns - s->wait_ns,
                            (int32_t)i,
                            (int32_t)(p->frames - s->frames),
                            (int32_t)(p->cells - s->cells),
                            (int32_t)(p->control_cells - s->control_cells)};
        *s = (port_totals){p->frames, p->cells, p->busy_ns, p->control_cells, p->wait_ns};
    }
}

static void sample_lateness(lc *l, int64_t t) {
    lateness_row *now = &l->late;
    if (!now->handed && !now->crossed) return;
    now->t_ns = t;
    if (now->handed) now->late_mean_us = (float)(l->late_sum_us / now->handed);
    if (now->crossed) now->cross_mean_us = (float)(l->cross_sum_us / now->crossed);
    lateness_row *r = series_add(&l->series[LC_LATENESS]);
    if (r) *r = *now;
    *now = (lateness_row){0};
    l->late_sum_us = l->cross_sum_us = 0;
}

void lc_observe_sample(lc *l) {
    if (l->sample_ns <= 0 || l->now_ns < l->next_sample_ns) return;
    sample_queues(l, l->now_ns);
    sample_links(l, l->now_ns);
    sample_lateness(l, l->now_ns);
    l->next_sample_ns = l->now_ns - l->now_ns % l->sample_ns + l->sample_ns;
}
