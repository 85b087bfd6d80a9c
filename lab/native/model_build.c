/* The model's construction, and the accounting that must hold at any time.  See model.h. */
#include <stdlib.h>

#include "model.h"

static void all_frames_free(fab *f) {
    f->free_frame = FAB_NONE;
    f->frames_used = f->frames_touched = 0;
}

static fab_port idle_port(fab_port p) {
    return (fab_port){.node = p.node,
                      .peer = p.peer,
                      .cell_ns = p.cell_ns,
                      .min_service_ns = p.min_service_ns,
                      .propagation_ns = p.propagation_ns,
                      .current = FAB_NONE,
                      .control_head = FAB_NONE,
                      .control_tail = FAB_NONE,
                      .sending = FAB_NONE};
}

static fab_queue empty_queue(fab_queue q) {
    return (fab_queue){.port = q.port,
                       .vc = q.vc,
                       .hop = q.hop,
                       .input = q.input,
                       .head = FAB_NONE,
                       .tail = FAB_NONE,
                       .next = FAB_NONE,
                       .prev = FAB_NONE};
}

void fab_clear(fab *f, int32_t flow_control) {
    f->params.flow_control = flow_control;
    f->actions = 0;
    all_frames_free(f);
    for (uint32_t i = 0; i < f->nodes; i++)
        f->node[i] = (fab_node){.kind = f->node[i].kind, .buffer_cells = f->node[i].buffer_cells};
    for (uint32_t i = 0; i < f->ports; i++) {
        uint8_t cut = f->port[i].cut;
        f->port[i] = idle_port(f->port[i]);
        f->port[i].cut = cut;
    }
    for (uint32_t i = 0; i < f->queues; i++) f->queue[i] = empty_queue(f->queue[i]);
    for (uint32_t i = 0; i < f->vcs; i++) {
        fab_vc *v = &f->vc[i];
        v->quenched_by = 0;
        v->hold_until_ns = v->hold_expired = 0;
        v->hold_timer = 0;
    }
}

/* ---- construction ---- */

fab *fab_new(const fab_params *params, uint32_t max_nodes, uint32_t max_ports, uint32_t max_vcs,
             uint32_t max_queues, uint32_t max_frames) {
    fab *f = calloc(1, sizeof *f);
    if (!f) return 0;
    f->params = *params;
    f->max_nodes = max_nodes;
    f->max_ports = max_ports;
    f->max_vcs = max_vcs;
    f->max_queues = max_queues;
    f->max_frames = max_frames;
    f->node = calloc(max_nodes, sizeof *f->node);
    f->port = calloc(max_ports, sizeof *f->port);
    f->vc = calloc(max_vcs, sizeof *f->vc);
    f->queue = calloc(max_queues, sizeof *f->queue);
    f->frame = calloc(max_frames, sizeof *f->frame);
    if (!f->node || !f->port || !f->vc || !f->queue || !f->frame) {
        fab_free(f);
        return 0;
    }
    all_frames_free(f);
    return f;
}

void fab_free(fab *f) {
    if (!f) return;
    free(f->node);
    free(f->port);
    free(f->vc);
    free(f->queue);
    free(f->frame);
    free(f);
}

uint32_t fab_add_node(fab *f, int32_t kind, int32_t buffer_cells) {
    if (f->nodes == f->max_nodes) return FAB_NONE;
    f->node[f->nodes] = (fab_node){.kind = kind, .buffer_cells = buffer_cells};
    return f->nodes++;
}

uint32_t fab_add_port(fab *f, uint32_t node, uint32_t peer, int64_t cell_ns,
                      int64_t min_service_ns, int64_t propagation_ns) {
    if (f->ports == f->max_ports) return FAB_NONE;
    f->port[f->ports] = idle_port((fab_port){.node = node,
                                             .peer = peer,
                                             .cell_ns = cell_ns,
                                             .min_service_ns = min_service_ns,
                                             .propagation_ns = propagation_ns});
    return f->ports++;
}

uint32_t fab_add_vc(fab *f, const uint32_t *port, uint32_t hops) {
    if (f->vcs == f->max_vcs || f->queues + hops > f->max_queues) return FAB_NONE;
    if (hops == 0 || hops > FAB_MAX_HOPS) return FAB_NONE;
    for (uint32_t h = 1; h < hops; h++)
        if (f->port[port[h - 1]].peer != f->port[port[h]].node) return FAB_NONE;
    f->vc[f->vcs] =
        (fab_vc){.first_queue = f->queues, .hops = hops, .reverse = FAB_NONE, .open = 1};
    for (uint32_t h = 0; h < hops; h++)
        f->queue[f->queues++] = empty_queue((fab_queue){
            .port = port[h], .vc = f->vcs, .hop = h, .input = h ? port[h - 1] : FAB_NONE});
    return f->vcs++;
}

void fab_pair(fab *f, uint32_t vc, uint32_t reverse) {
    f->vc[vc].reverse = reverse;
    f->vc[reverse].reverse = vc;
}

void fab_close_vc(fab *f, uint32_t vc) { f->vc[vc].open = 0; }

/* ---- check ---- */

static int check_queue(const fab *f, const fab_queue *q) {
    int32_t frames = 0, cells = 0, messages = 0;
    for (uint32_t i = q->head; i != FAB_NONE; i = f->frame[i].next) {
        frames++;
        cells += f->frame[i].cells;
        messages += f->frame[i].last;
        if (f->frame[i].next == FAB_NONE && i != q->tail) return 1;
    }
    const fab_port *p = &f->port[q->port];
    if (p->sending != FAB_NONE && p->sending != FAB_CONTROL && &f->queue[p->sending] == q) {
        cells += p->sending_cells;
        messages += p->sending_last;
    }
    if (frames != q->frames || cells != q->cells || messages != q->messages) return 2;
    if ((q->next != FAB_NONE) != (q->frames > 0 && !q->held)) return 3;
    return 0;
}

int fab_check(const fab *f) {
    for (uint32_t i = 0; i < f->queues; i++) {
        int broken = check_queue(f, &f->queue[i]);
        if (broken) return broken;
    }
    for (uint32_t n = 0; n < f->nodes; n++) {
        const fab_node *node = &f->node[n];
        int64_t used = 0;
        for (uint32_t i = 0; i < f->queues; i++)
            if (f->port[f->queue[i].port].node == n) used += f->queue[i].cells;
        if (used != node->used_cells) return 4;
        if (node->kind == FAB_SWITCH && used > node->buffer_cells) return 5;
    }
    for (uint32_t p = 0; p < f->ports; p++) {
        const fab_port *port = &f->port[p];
        int64_t queued = 0, input = 0;
        int idle = 1;
        for (uint32_t i = 0; i < f->queues; i++) {
            if (f->queue[i].port == p) queued += f->queue[i].cells;
            if (f->queue[i].input == p) input += f->queue[i].cells;
            if (f->queue[i].port == p && f->queue[i].frames > 0 && !f->queue[i].held) idle = 0;
        }
        if (queued != port->queued_cells) return 6;
        if (input != port->input_cells) return 7;
        if (!idle && port->sending == FAB_NONE && !port->stopped && !port->cut)
            return 8; /* work waits at a free port: not work-conserving */
    }
    return 0;
}
