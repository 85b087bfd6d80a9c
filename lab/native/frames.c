/* The simulator's adapters: messages cut into frames on their way out, put together on their way
 * in.  See virtual.h. */
#include "virtual_in.h"

/* ---- messages ---- */

static uint32_t new_message(vd *d) {
    uint32_t i = d->free_message;
    if (i != FAB_NONE) {
        d->free_message = d->message[i].next_free;
        return i;
    }
    uint32_t had = d->messages, want = had ? had * 2 : 4096;
    d->message = realloc(d->message, want * sizeof *d->message);
    if (!d->message) abort();
    d->messages = want;
    for (i = had; i < want; i++) d->message[i].next_free = i + 1 < want ? i + 1 : FAB_NONE;
    d->free_message = had + 1;
    return had;
}

static vd_message *message_of(vd *d, uint32_t frame, uint32_t *part) {
    uint64_t user = (uint64_t)d->f->frame[frame].user;
    *part = (uint32_t)(user >> 32);
    return &d->message[(uint32_t)user];
}

static void forget_frame(vd *d, uint32_t frame) {
    uint32_t i = (uint32_t)(uint64_t)d->f->frame[frame].user;
    if (--d->message[i].frames == 0) {
        d->message[i].next_free = d->free_message;
        d->free_message = i;
    }
    fab_drop_frame(d->f, frame);
}

void vd_lose(vd *d, uint32_t frame) { forget_frame(d, frame); }

/* ---- out ---- */

static uint32_t host_of_sender(const vd *d, uint32_t vc) {
    return d->f->port[d->f->queue[d->f->vc[vc].first_queue].port].node;
}

static int32_t cells_of(const vd *d, int64_t bytes) {
    int64_t payload = d->o.cell_payload_bytes;
    return (int32_t)((bytes + d->o.trailer_bytes + payload - 1) / payload);
}

static int32_t next_cells(const vd *d, const vd_sender *s) {
    return s->cells_left < d->o.frame_cells ? s->cells_left : d->o.frame_cells;
}

/* The next frame of the message that is being cut enters the adapter's queue. */
static int enter(vd *d, uint32_t vc) {
    vd_sender *s = &d->sender[vc];
    uint32_t frame = fab_take_frame(d->f);
    if (frame == FAB_NONE) {
        d->broken = VD_NO_FRAMES;
        return -1;
    }
    fab_frame *fr = &d->f->frame[frame];
    vd_message *m = &d->message[s->message];
    fr->vc = vc;
    fr->hop = 0;
    fr->cells = next_cells(d, s);
    fr->message_cells = s->part == 0 ? s->cells_left : 0;
    fr->last = fr->cells == s->cells_left;
    fr->user = (int64_t)((uint64_t)s->part << 32 | s->message);
    m->frames++;
    s->part++;
    s->cells_left -= fr->cells;
    if (s->cells_left == 0) {
        m->frames--; /* the one that stood for those still to be cut */
        s->message = FAB_NONE;
    }
    d->count.frames_sent++;
    fab_arrive(d->f, frame, d->now); /* an adapter is bounded by its window, not by memory */
    vd_settle(d);
    return 0;
}

/* Cut on, as far as that takes the processor no time. */
static void cut(vd *d, uint32_t vc) {
    vd_sender *s = &d->sender[vc];
    while (s->message != FAB_NONE) {
        int64_t *busy_ns = &d->ni_free_ns[host_of_sender(d, vc)];
        int64_t work = ni_send_work(&d->o.costs, d->message[s->message].bytes, next_cells(d, s),
                                    s->part == 0);
        if (!ni_at_once(*busy_ns, d->now, work)) {
            agenda_push(&d->events, ni_done_ns(busy_ns, d->now, work), EV_CUT, vc, 0);
            return;
        }
        if (enter(d, vc) < 0) return;
    }
}

void vd_cut_done(vd *d, uint32_t vc) {
    if (enter(d, vc) < 0) return;
    cut(d, vc);
    vd_feed(d, vc);
}

void vd_feed(vd *d, uint32_t vc) {
    vd_sender *s = &d->sender[vc];
    while (s->message == FAB_NONE && s->in_adapter < d->o.window && s->head != s->tail &&
           !d->broken) {
        uint32_t slot = s->tail++ % VD_SEND_SLOTS;
        int64_t bytes = s->bytes[slot], accepted_ns = s->accepted_ns[slot];
        s->message = new_message(d);
        d->message[s->message] = (vd_message){
            .sent_ns = d->now, .bytes = bytes, .number = s->number++, .frames = 1};
        s->cells_left = cells_of(d, bytes);
        s->part = 0;
        s->in_adapter++;
        d->count.messages_sent++;
        vd_took(d, vc, bytes, accepted_ns);
        cut(d, vc);
    }
}

int vd_push(vd *d, uint32_t vc, int64_t bytes) {
    vd_sender *s = &d->sender[vc];
    if (s->head - s->tail == VD_SEND_SLOTS) return 0;
    uint32_t slot = s->head++ % VD_SEND_SLOTS;
    s->bytes[slot] = bytes;
    s->accepted_ns[slot] = d->now;
    return 1;
}

void vd_frame_left(vd *d, uint32_t vc, int last) {
    if (!last) return;
    d->sender[vc].in_adapter--;
    vd_feed(d, vc);
}

/* ---- in ---- */

void vd_arrive_host(vd *d, uint32_t frame, uint32_t node) {
    fab_frame *fr = &d->f->frame[frame];
    uint32_t part;
    int64_t work = ni_receive_work(&d->o.costs, message_of(d, frame, &part)->bytes, fr->cells,
                                   fr->last);
    if (ni_at_once(d->ni_free_ns[node], d->now, work)) {
        vd_taken_in(d, frame);
        return;
    }
    int64_t done_ns = ni_done_ns(&d->ni_free_ns[node], d->now, work);
    agenda_push(&d->events, done_ns, EV_TAKEN_IN, node, frame);
}

/* A frame that is missing shows by its successor: a part too early, or of a later message. */
void vd_taken_in(vd *d, uint32_t frame) {
    fab_frame *fr = &d->f->frame[frame];
    vd_reassembly *r = &d->reassembly[fr->vc];
    uint32_t part;
    vd_message *m = message_of(d, frame, &part);
    d->count.frames_arrived++;
    if (m->number != r->number) {
        d->count.pdu_discarded_missing += m->number - r->number;
        *r = (vd_reassembly){.number = m->number};
    }
    r->missing |= part != r->part;
    r->damaged |= fr->damaged;
    r->part = part + 1;
    if (fr->last) {
        uint32_t vc = fr->vc;
        vd_reassembly whole = *r;
        *r = (vd_reassembly){.number = whole.number + 1};
        if (whole.missing) {
            d->count.pdu_discarded_missing++;
        } else if (whole.damaged) {
            d->count.pdu_discarded_crc++;
        } else {
            d->count.messages_received++;
            vd_note(d, TAG_DELIVERY, vc, 0);
            vd_message kept = *m; /* what the process does now may move the pool */
            vd_delivered(d, vc, &kept);
        }
    }
    forget_frame(d, frame);
}
