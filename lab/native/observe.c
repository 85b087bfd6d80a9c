/* See observe.h. */
#include "observe.h"

void observe_event(observer *o, int64_t t, int32_t kind, uint32_t port, uint32_t vc, uint32_t hop) {
    event_row *r = series_add(o->events);
    if (!r) return;
    *r = (event_row){t, (int32_t)port, vc == FAB_NONE ? -1 : (int32_t)vc, kind, (int32_t)hop};
}

void observe_queues(observer *o, const fab *f, int64_t t) {
    for (uint32_t i = 0; i < f->queues; i++) {
        const fab_queue *q = &f->queue[i];
        if (q->cells == 0) continue;
        queue_row *r = series_add(o->queues);
        if (r) *r = (queue_row){t, (int32_t)q->port, (int32_t)q->vc, q->cells, q->frames};
    }
    for (uint32_t i = 0; i < f->ports; i++) {
        const fab_port *p = &f->port[i];
        if (p->queued_cells == 0) continue;
        queue_row *r = series_add(o->queues);
        if (r) *r = (queue_row){t, (int32_t)i, -1, p->queued_cells, p->active_queues};
    }
}

void observe_links(observer *o, const fab *f, int64_t t) {
    for (uint32_t i = 0; i < f->ports; i++) {
        const fab_port *p = &f->port[i];
        port_totals *s = &o->sampled[i];
        if (p->frames == s->frames && p->control_cells == s->control_cells) continue;
        link_row *r = series_add(o->links);
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
