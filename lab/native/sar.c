/* Between messages and frames (AAL5): from send queues through segmentation and the adapter's
 * processor into the fabric, and back through reassembly into receive queues.
 *
 * A message is a PDU: its bytes, padding, and a trailer in the last eight bytes of its last cell
 * (two unused bytes, the length in two, the CRC-32 of all before it in four).  A frame carries the
 * payload of up to `frame_cells` of its cells.  Length 0 in more than one cell stands for 65536
 * bytes, which the two bytes cannot hold.
 */
#include <stdlib.h>
#include <string.h>

#include "crc32.h"
#include "linecard_in.h"

#define TRAILER_BYTES 8
/* Frames of the pool that only frames already in the network may take. */
#define RESERVED_FRAMES(l) ((l)->f->max_frames / 8)
/* A message may ask to be sent so much later, virtual; more is no plan but a mistake. */
#define LATEST_NS 1000000000000

static uint32_t cells_of(const lc_inputs *in, uint32_t length) {
    return (length + in->trailer_bytes + in->cell_payload_bytes - 1) / in->cell_payload_bytes;
}

static void put16(uint8_t *at, uint32_t v) {
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *at) { return (uint32_t)at[0] << 8 | at[1]; }

static void put32(uint8_t *at, uint32_t v) {
    put16(at, v >> 16);
    put16(at + 2, v);
}

static uint32_t get32(const uint8_t *at) { return get16(at) << 16 | get16(at + 2); }

static uint32_t payload_bytes(const lc *l, uint32_t frame) { return l->size[frame] - PAYLOAD_AT; }

/* ---- segmentation ---- */

typedef struct {
    const unet_message *m;
    uint32_t part, used; /* of that part */
    uint32_t crc;
} reader;

/* The next bytes of the PDU: of the message while there are any, zeros behind it. */
static void fill(reader *r, uint8_t *to, uint32_t bytes) {
    while (bytes && r->part < r->m->parts) {
        const unet_part *p = &r->m->part[r->part];
        uint32_t n = p->bytes - r->used < bytes ? p->bytes - r->used : bytes;
        memcpy(to, p->at + r->used, n);
        to += n;
        bytes -= n;
        r->used += n;
        if (r->used == p->bytes) {
            r->part++;
            r->used = 0;
        }
    }
    memset(to, 0, bytes);
}

static void write_trailer(reader *r, uint8_t *end) {
    put16(end - TRAILER_BYTES + 2, r->m->length & 0xffff);
}

/* One frame of a message, in memory of its own: nobody can change it any more. */
static uint32_t make_frame(lc *l, uint32_t vc, reader *r, pdu p) {
    uint32_t frame = fab_take_frame(l->f);
    uint32_t bytes = p.cells * l->in.cell_payload_bytes, summed = bytes;
    uint8_t *payload = lc_bytes(l, frame) + PAYLOAD_AT, *end = payload + bytes;
    fill(r, payload, bytes);
    if (p.last) {
        write_trailer(r, end);
        summed -= 4;
    }
    r->crc = crc32_add(r->crc, payload, summed);
    if (p.last) put32(end - 4, ~r->crc);
    lc_write_pdu(l, frame, l->label[l->f->vc[vc].first_queue], FAB_DATA, p);
    l->size[frame] = PAYLOAD_AT + bytes;
    fab_frame *fr = &l->f->frame[frame];
    fr->vc = vc;
    fr->hop = 0;
    fr->cells = p.cells;
    fr->message_cells = p.index == 0 ? (int32_t)p.message_cells : 0;
    fr->last = p.last;
    fr->user = r->m->length;
    return frame;
}

/* An adapter is bounded by its window, not by memory: there is always room. */
static void into_fabric(lc *l, uint32_t frame) {
    fab_arrive(l->f, frame, l->at_ns);
    lc_settle(l);
}

static uint32_t source_host(const lc *l, uint32_t vc) {
    return l->f->port[l->f->queue[l->f->vc[vc].first_queue].port].node;
}

/* The processor lines the VC's next frame up behind what else it has to do. */
static void process_next(lc *l, uint32_t vc) {
    const fab_frame *fr = &l->f->frame[l->vc[vc].at_processor];
    int64_t work = ni_send_work(&l->in.costs, fr->user, fr->cells, fr->message_cells > 0);
    int64_t *free_ns = &l->processor_free_ns[source_host(l, vc)];
    evq_push(&l->events, ni_done_ns(free_ns, l->at_ns, work), LC_EV_SENT, vc, 0);
}

static void to_processor(lc *l, uint32_t vc, uint32_t frame) {
    lc_vc *x = &l->vc[vc];
    l->f->frame[frame].next = FAB_NONE;
    if (x->at_processor == FAB_NONE)
        x->at_processor = frame;
    else
        l->f->frame[x->at_processor_last].next = frame;
    x->at_processor_last = frame;
}

void lc_worked_off(lc *l, uint32_t vc) {
    lc_vc *x = &l->vc[vc];
    uint32_t frame = x->at_processor;
    x->at_processor = l->f->frame[frame].next;
    into_fabric(l, frame);
    if (x->at_processor != FAB_NONE) {
        process_next(l, vc);
        return;
    }
    x->room_ns = l->at_ns;
    lc_feed_source(l, vc);
}

/* Take a message into the network; 0 when the pool has too few frames for it. */
static int take(lc *l, uint32_t vc, unet_ni *ni, uint32_t c, const unet_message *m) {
    lc_vc *x = &l->vc[vc];
    uint32_t cells = cells_of(&l->in, m->length), at_most = (uint32_t)l->in.frame_cells;
    uint32_t frames = (cells + at_most - 1) / at_most;
    if (l->f->frames_used + frames + RESERVED_FRAMES(l) > l->f->max_frames) {
        l->stats.no_frame++;
        l->starved = 1; /* the message stays in its send queue */
        return 0;
    }
    reader r = {.m = m, .crc = CRC32_START};
    pdu p = {.kind = FAB_DATA,
             .message_cells = cells,
             .number = x->numbered++,
             .seq = m->seq,
             .sent_ns = l->at_ns};
    l->stats.sent++;
    for (uint32_t left = cells; left; left -= p.cells, p.index++) {
        p.cells = (uint16_t)(left < at_most ? left : at_most);
        p.last = left == p.cells;
        uint32_t frame = make_frame(l, vc, &r, p);
        if (l->processors)
            to_processor(l, vc, frame);
        else
            into_fabric(l, frame);
    }
    if (l->processors) process_next(l, vc);
    unet_injected(ni, c, m, l->at_ns);
    return 1;
}

/* A message that was to be sent at a time must have been seen by then; only what held it back in the
 * adapter itself, and the one before it, may make it wait longer. */
static void judge_time(lc *l, lc_vc *x, const unet_message *m) {
    int64_t due = m->not_before_ns;
    if (due < x->takeable_ns) due = x->takeable_ns;
    if (due < x->room_ns) due = x->room_ns;
    x->takeable_ns = due;
    int64_t late = l->at_ns - due;
    if (m->not_before_ns == 0 || late <= 0) return;
    l->stats.late_sends++;
    if (late > l->stats.late_sends_max_ns) l->stats.late_sends_max_ns = late;
}

static uint32_t channel_index(const unet_ni *ni, uint32_t id) {
    for (uint32_t c = 0; c < ni->channels; c++)
        if (ni->channel[c].id == id) return c;
    return FAB_NONE;
}

/* Whether the adapter takes no further message of a VC now: it cuts one message after the other, and
 * holds so many. */
int lc_window_full(const lc *l, uint32_t vc) {
    if (l->vc[vc].at_processor != FAB_NONE) return 1;
    return l->f->queue[l->f->vc[vc].first_queue].messages >= l->in.window;
}

static void feed(lc *l, uint32_t vc) {
    lc_vc *x = &l->vc[vc];
    if (x->endpoint == FAB_NONE || !l->f->vc[vc].open || lc_over(l)) return;
    unet_ni *ni = &l->endpoint[x->endpoint];
    if (!ni->segment) return;
    uint32_t c = channel_index(ni, x->channel);
    if (c == FAB_NONE) return;
    unet_message m;
    int64_t wait_ns = INT64_MIN;
    while (!lc_window_full(l, vc) && unet_next(ni, c, l->at_ns + LATEST_NS, &m)) {
        if (m.not_before_ns > l->at_ns) {
            if (x->feed_ns != m.not_before_ns)
                evq_push(&l->events, m.not_before_ns, LC_EV_FEED, vc, 0);
            wait_ns = m.not_before_ns;
            break;
        }
        if (!take(l, vc, ni, c, &m)) break;
        judge_time(l, x, &m);
    }
    x->feed_ns = wait_ns;
    lc_touch(l, x->endpoint);
}

/* Whether something will make the adapter look at the only channel's send queue anyway. */
static int will_look(const lc *l, const unet_ni *ni) {
    if (ni->channels != 1) return 0;
    uint32_t vc = ni->channel[0].vc;
    return lc_window_full(l, vc) || l->vc[vc].feed_ns > l->at_ns;
}

void lc_feed_endpoint(lc *l, uint32_t endpoint) {
    unet_ni *ni = &l->endpoint[endpoint];
    for (int again = 0; again < 2; again++) {
        for (uint32_t c = 0; c < ni->channels; c++) feed(l, ni->channel[c].vc);
        if (!unet_set_idle(ni, !will_look(l, ni))) return;
    }
}

void lc_feed_source(lc *l, uint32_t vc) {
    uint32_t endpoint = l->vc[vc].endpoint; /* none when the VC was closed meanwhile */
    if (endpoint != FAB_NONE) lc_feed_endpoint(l, endpoint);
}

void lc_feed_all(lc *l) {
    l->starved = 0;
    for (uint32_t e = 0; e < l->endpoints; e++)
        if (l->endpoint[e].segment) lc_feed_endpoint(l, e);
}

/* ---- reassembly ---- */

static void drop_parts(lc *l, lc_vc *x) {
    while (x->first != FAB_NONE) {
        uint32_t frame = x->first;
        x->first = l->f->frame[frame].next;
        fab_drop_frame(l->f, frame);
        l->held--;
    }
}

static void expect(lc *l, lc_vc *x, uint32_t number) {
    drop_parts(l, x);
    x->expected = number;
    x->next_index = 0;
    x->crc = CRC32_START;
    x->spoilt = 0;
}

void lc_forget_message(lc *l, uint32_t vc) { drop_parts(l, &l->vc[vc]); }

lc_vc lc_idle_vc(const lc_vc *x) {
    return (lc_vc){.endpoint = x->endpoint,
                   .channel = x->channel,
                   .to_endpoint = x->to_endpoint,
                   .to_channel = x->to_channel,
                   .at_processor = FAB_NONE,
                   .first = FAB_NONE,
                   .crc = CRC32_START,
                   .room_ns = INT64_MIN,
                   .takeable_ns = INT64_MIN,
                   .feed_ns = INT64_MIN};
}

int64_t lc_message_bytes(const lc *l, uint32_t last_frame, uint32_t cells) {
    const uint8_t *end = lc_bytes(l, last_frame) + l->size[last_frame];
    uint32_t length = get16(end - TRAILER_BYTES + 2);
    if (length == 0 && cells > cells_of(&l->in, 0)) length = UNET_MAX_MESSAGE_BYTES;
    return cells_of(&l->in, length) == cells ? (int64_t)length : -1;
}

static unet_part *add_piece(lc *l, uint32_t count) {
    if (count >= l->pieces) {
        uint32_t more = l->pieces ? 2 * l->pieces : 64;
        unet_part *p = realloc(l->piece, more * sizeof *p);
        if (!p) abort();
        l->piece = p;
        l->pieces = more;
    }
    return &l->piece[count];
}

/* All frames of a message are there: check it and hand it over. */
static void complete(lc *l, uint32_t vc, const pdu *p) {
    lc_vc *x = &l->vc[vc];
    const uint8_t *end = lc_bytes(l, x->last) + l->size[x->last];
    int64_t length = lc_message_bytes(l, x->last, p->message_cells);
    if (length < 0 || get32(end - 4) != (uint32_t)~x->crc) {
        l->stats.pdu_discarded_crc++;
        return;
    }
    uint32_t pieces = 0, left = (uint32_t)length;
    for (uint32_t i = x->first; i != FAB_NONE; i = l->f->frame[i].next) {
        uint32_t n = payload_bytes(l, i) < left ? payload_bytes(l, i) : left;
        *add_piece(l, pieces++) = (unet_part){lc_bytes(l, i) + PAYLOAD_AT, n};
        left -= n;
    }
    unet_ni *ni = x->to_endpoint == FAB_NONE ? 0 : &l->endpoint[x->to_endpoint];
    if (!ni || unet_deliver(ni, x->to_channel, l->piece, (uint32_t)length, p->seq, p->sent_ns,
                            l->at_ns) < 0) {
        l->stats.dropped_endpoint++;
    } else {
        l->stats.delivered++;
        l->totals[vc].messages++;
        l->totals[vc].bytes += length;
    }
    if (ni) lc_touch(l, x->to_endpoint);
}

static void append(lc *l, lc_vc *x, uint32_t frame, int last) {
    l->f->frame[frame].next = FAB_NONE;
    if (x->first == FAB_NONE)
        x->first = frame;
    else
        l->f->frame[x->last].next = frame;
    x->last = frame;
    x->next_index++;
    l->held++;
    uint32_t bytes = payload_bytes(l, frame) - (last ? 4 : 0);
    x->crc = crc32_add(x->crc, lc_bytes(l, frame) + PAYLOAD_AT, bytes);
}

void lc_take_in(lc *l, uint32_t frame) {
    pdu p;
    memcpy(&p, lc_bytes(l, frame) + PDU_AT, sizeof p);
    uint32_t vc = l->f->frame[frame].vc;
    lc_vc *x = &l->vc[vc];
    uint32_t skipped = p.number - x->expected;
    if (skipped > INT32_MAX) { /* of a message that is done with */
        l->stats.malformed++;
        fab_drop_frame(l->f, frame);
        return;
    }
    if (skipped) {
        l->stats.pdu_discarded_missing += skipped - x->spoilt;
        expect(l, x, p.number);
    }
    if (x->spoilt || p.index != x->next_index) {
        l->stats.pdu_discarded_missing += !x->spoilt;
        drop_parts(l, x);
        x->spoilt = 1;
        fab_drop_frame(l->f, frame);
    } else {
        append(l, x, frame, p.last);
        if (p.last) complete(l, vc, &p);
    }
    if (p.last) expect(l, x, p.number + 1);
}
