/* See unet.h. */
#include "unet.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(offsetof(unet_header, epoch_ns) == 0x40, "layout");
_Static_assert(offsetof(unet_header, send_head) == 0x80, "layout");
_Static_assert(offsetof(unet_header, free_tail) == 0x1c0, "layout");
_Static_assert(offsetof(unet_header, send_wake_at) == 0x200, "layout");
_Static_assert(offsetof(unet_header, sent_msgs) == 0x240, "layout");
_Static_assert(sizeof(unet_descriptor) == 128, "layout");
_Static_assert(offsetof(unet_descriptor, place) == 40, "layout");

#define ACQUIRE(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define RELEASE(field, value) __atomic_store_n(&(field), value, __ATOMIC_RELEASE)

static unet_header *header(const unet_ni *ni) { return (unet_header *)ni->segment; }

static unet_descriptor *send_slot(const unet_ni *ni, uint32_t counter) {
    uint32_t i = counter & (ni->send_slots - 1);
    return (unet_descriptor *)(ni->segment + ni->send_offset) + i;
}

static int power_of_two(uint32_t n) { return n && !(n & (n - 1)); }

static int fits(uint32_t offset, uint64_t bytes, uint32_t total) {
    return offset >= sizeof(unet_header) && offset % 8 == 0 && offset + bytes <= total;
}

int unet_attach(unet_ni *ni, int memfd, int doorbell, int wake) {
    struct stat st;
    if (fstat(memfd, &st) < 0 || st.st_size < (off_t)sizeof(unet_header)) return -1;
    if (st.st_size > INT32_MAX) return -1;
    uint8_t *at = mmap(0, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (at == MAP_FAILED) return -1;
    const unet_header *h = (const unet_header *)at;
    uint32_t size = (uint32_t)st.st_size;
    int good = h->magic == UNET_MAGIC && h->version == UNET_VERSION && h->segment_bytes == size &&
               power_of_two(h->send_slots) && power_of_two(h->recv_slots) &&
               power_of_two(h->free_slots) && h->buffer_bytes > 0 &&
               fits(h->send_offset, (uint64_t)h->send_slots * sizeof(unet_descriptor), size) &&
               fits(h->recv_offset, (uint64_t)h->recv_slots * sizeof(unet_descriptor), size) &&
               fits(h->free_offset, (uint64_t)h->free_slots * 4, size) &&
               fits(h->buffers_offset, (uint64_t)h->n_buffers * h->buffer_bytes, size);
    uint8_t *taken = good ? calloc(h->send_slots, 1) : 0;
    if (!taken) {
        munmap(at, (size_t)st.st_size);
        return -1;
    }
    ni->segment = at;
    ni->segment_bytes = size;
    ni->buffers_offset = h->buffers_offset;
    ni->buffer_bytes = h->buffer_bytes;
    ni->send_slots = h->send_slots;
    ni->recv_slots = h->recv_slots;
    ni->free_slots = h->free_slots;
    ni->send_offset = h->send_offset;
    ni->recv_offset = h->recv_offset;
    ni->free_offset = h->free_offset;
    ni->send_tail = h->send_tail;
    ni->recv_head = h->recv_head;
    ni->free_tail = h->free_tail;
    ni->taken = taken;
    ni->doorbell = doorbell;
    ni->wake = wake;
    ni->sent_msgs = ni->sent_bytes = ni->recv_msgs = ni->recv_bytes = 0;
    ni->drop_no_buffer = ni->drop_recv_full = ni->rejected = 0;
    ni->pending_since_ns = 0;
    for (uint32_t c = 0; c < ni->channels; c++) ni->channel[c].next_seq = 0;
    return 0;
}

void unet_detach(unet_ni *ni) {
    if (!ni->segment) return;
    munmap(ni->segment, ni->segment_bytes);
    free(ni->taken);
    ni->segment = 0;
    ni->taken = 0;
    ni->doorbell = ni->wake = -1;
    ni->pending_since_ns = 0;
}

int unet_open_channel(unet_ni *ni, uint32_t id, uint32_t vc) {
    if (ni->channels == UNET_MAX_CHANNELS) return -1;
    for (uint32_t c = 0; c < ni->channels; c++)
        if (ni->channel[c].id == id) return -1;
    ni->channel[ni->channels++] = (unet_channel){.id = id, .vc = vc};
    return 0;
}

void unet_close_channel(unet_ni *ni, uint32_t id) {
    for (uint32_t c = 0; c < ni->channels; c++)
        if (ni->channel[c].id == id) {
            ni->channel[c] = ni->channel[--ni->channels];
            return;
        }
}

/* ---- sending ---- */

static void take(unet_ni *ni, uint32_t counter, uint32_t flag, int64_t now_ns) {
    unet_descriptor *d = send_slot(ni, counter);
    d->time_ns = (uint64_t)now_ns;
    RELEASE(d->flags, d->flags | flag);
    ni->taken[counter & (ni->send_slots - 1)] = 1;
    while (ni->taken[ni->send_tail & (ni->send_slots - 1)]) {
        ni->taken[ni->send_tail & (ni->send_slots - 1)] = 0;
        ni->send_tail++;
    }
    RELEASE(header(ni)->send_tail, ni->send_tail);
}

static int known_channel(const unet_ni *ni, uint32_t id) {
    for (uint32_t c = 0; c < ni->channels; c++)
        if (ni->channel[c].id == id) return 1;
    return 0;
}

/* Whether a part lies inside the buffers of the segment. */
static int inside(const unet_ni *ni, uint32_t offset, uint32_t bytes) {
    return offset >= ni->buffers_offset && (uint64_t)offset + bytes <= ni->segment_bytes;
}

static uint32_t word(const uint32_t *at) { return __atomic_load_n(at, __ATOMIC_RELAXED); }

static int gather(const unet_ni *ni, const unet_descriptor *d, unet_message *m) {
    uint64_t total = 0;
    m->parts = word(&d->parts);
    if (m->parts == 0 || m->parts > UNET_MAX_PARTS) return 0;
    for (uint32_t i = 0; i < m->parts; i++) {
        uint32_t offset = word(&d->place[2 * i]), bytes = word(&d->place[2 * i + 1]);
        if (bytes == 0 || !inside(ni, offset, bytes)) return 0;
        m->part[i] = (unet_part){ni->segment + offset, bytes};
        total += bytes;
    }
    return total == m->length;
}

/* Where the message of a descriptor lies; 0 when that is not the process's to say.  Every word is
 * read once: the process may change the descriptor under our hands. */
static int locate(const unet_ni *ni, const unet_descriptor *d, unet_message *m) {
    uint32_t offset = word(&d->offset), flags = word(&d->flags);
    m->length = word(&d->length);
    if (m->length > UNET_MAX_MESSAGE_BYTES) return 0;
    if ((flags & (UNET_INLINE | UNET_GATHER)) == UNET_GATHER) return gather(ni, d, m);
    m->parts = 1;
    if (flags & UNET_INLINE) {
        m->part[0] = (unet_part){(const uint8_t *)d->place, m->length};
        return !(flags & UNET_GATHER) && m->length <= UNET_INLINE_BYTES;
    }
    m->part[0] = (unet_part){ni->segment + offset, m->length};
    return inside(ni, offset, m->length);
}

int unet_next(unet_ni *ni, uint32_t c, int64_t latest_ns, unet_message *m) {
    if (!ni->segment) return 0;
    uint32_t head = ACQUIRE(header(ni)->send_head);
    if (head - ni->send_tail > ni->send_slots) return 0; /* the process broke its own ring */
    for (uint32_t i = ni->send_tail; i != head; i++) {
        if (ni->taken[i & (ni->send_slots - 1)]) continue;
        unet_descriptor *d = send_slot(ni, i);
        uint32_t channel = word(&d->channel);
        if (channel == ni->channel[c].id) {
            uint64_t not_before = __atomic_load_n(&d->time_ns, __ATOMIC_RELAXED);
            m->not_before_ns = (int64_t)not_before;
            m->seq = ni->channel[c].next_seq;
            m->slot = i;
            if (m->not_before_ns >= 0 && m->not_before_ns <= latest_ns && locate(ni, d, m))
                return 1;
        } else if (known_channel(ni, channel)) {
            continue;
        }
        ni->rejected++;
        header(ni)->rejected = ni->rejected;
        take(ni, i, UNET_REJECTED, 0);
        if ((int32_t)(ni->send_tail - i) > 0) i = ni->send_tail - 1; /* the loop adds one */
    }
    return 0;
}

void unet_injected(unet_ni *ni, uint32_t c, const unet_message *m, int64_t now_ns) {
    ni->channel[c].next_seq++;
    ni->sent_msgs++;
    ni->sent_bytes += m->length;
    header(ni)->sent_msgs = ni->sent_msgs;
    header(ni)->sent_bytes = ni->sent_bytes;
    take(ni, m->slot, UNET_INJECTED, now_ns);
}

/* ---- receiving ---- */

/* Take that many buffers from the free queue; none when there are too few. */
static int take_buffers(unet_ni *ni, uint32_t count, uint32_t *offset) {
    unet_header *h = header(ni);
    uint32_t there = ACQUIRE(h->free_head) - ni->free_tail;
    if (there < count || there > ni->free_slots) return 0;
    const uint32_t *ring = (const uint32_t *)(ni->segment + ni->free_offset);
    int good = 1;
    for (uint32_t i = 0; i < count; i++) {
        offset[i] = word(&ring[ni->free_tail++ & (ni->free_slots - 1)]);
        good &= inside(ni, offset[i], ni->buffer_bytes);
    }
    RELEASE(h->free_tail, ni->free_tail);
    return good;
}

typedef struct {
    const unet_part *piece;
    uint32_t used; /* of the piece */
} source;

static void copy(source *from, uint8_t *to, uint32_t bytes) {
    while (bytes) {
        uint32_t n = from->piece->bytes - from->used;
        if (n > bytes) n = bytes;
        memcpy(to, from->piece->at + from->used, n);
        to += n;
        bytes -= n;
        from->used += n;
        if (from->used == from->piece->bytes) *from = (source){from->piece + 1, 0};
    }
}

/* Copy a message to where it will be read, and say in its descriptor where that is. */
static int place(unet_ni *ni, unet_descriptor *d, source from, uint32_t length) {
    d->offset = d->parts = 0;
    if (length <= UNET_INLINE_BYTES) {
        copy(&from, (uint8_t *)d->place, length);
        d->flags = UNET_INLINE;
        return 1;
    }
    uint32_t offset[UNET_MAX_PARTS];
    uint32_t parts = (length - 1) / ni->buffer_bytes + 1;
    if (parts > UNET_MAX_PARTS || !take_buffers(ni, parts, offset)) return 0;
    d->offset = offset[0];
    d->parts = parts;
    d->flags = parts > 1 ? UNET_GATHER : 0;
    uint32_t left = length;
    for (uint32_t i = 0; i < parts; i++) {
        uint32_t bytes = left < ni->buffer_bytes ? left : ni->buffer_bytes;
        copy(&from, ni->segment + offset[i], bytes);
        left -= bytes;
        if (parts == 1) break;
        d->place[2 * i] = offset[i];
        d->place[2 * i + 1] = bytes;
    }
    return 1;
}

int unet_deliver(unet_ni *ni, uint32_t channel, const unet_part *piece, uint32_t length,
                 uint32_t seq, int64_t sent_ns, int64_t now_ns) {
    if (!ni->segment) return -1;
    unet_header *h = header(ni);
    if (ni->recv_head - ACQUIRE(h->recv_tail) >= ni->recv_slots) {
        h->drop_recv_full = ++ni->drop_recv_full;
        return -1;
    }
    unet_descriptor *d = (unet_descriptor *)(ni->segment + ni->recv_offset) +
                         (ni->recv_head & (ni->recv_slots - 1));
    if (!place(ni, d, (source){piece, 0}, length)) {
        h->drop_no_buffer = ++ni->drop_no_buffer;
        return -1;
    }
    d->channel = channel;
    d->length = length;
    d->sent_ns = (uint64_t)sent_ns;
    d->time_ns = (uint64_t)now_ns;
    d->seq = seq;
    ni->recv_head++;
    RELEASE(h->recv_head, ni->recv_head);
    h->recv_msgs = ++ni->recv_msgs;
    h->recv_bytes = ni->recv_bytes += length;
    return 0;
}

/* ---- waking ---- */

static int receive_wish(unet_ni *ni, unet_header *h, int64_t real_ns) {
    uint32_t pending = ni->recv_head - ACQUIRE(h->recv_tail);
    if (pending == 0)
        ni->pending_since_ns = 0;
    else if (ni->pending_since_ns == 0)
        ni->pending_since_ns = real_ns;
    uint32_t want = ACQUIRE(h->recv_wake_at);
    if (!want || !pending) return 0;
    int64_t patience_ns = (int64_t)ACQUIRE(h->recv_wake_us) * 1000;
    uint32_t almost_full = ACQUIRE(h->almost_full_at);
    return pending >= want || (almost_full && pending >= almost_full) ||
           (patience_ns && real_ns - ni->pending_since_ns >= patience_ns);
}

int unet_wake_if_due(unet_ni *ni, int64_t real_ns) {
    if (!ni->segment) return 0;
    unet_header *h = header(ni);
    atomic_thread_fence(memory_order_seq_cst); /* our counters are out before we read the wishes */
    int received = receive_wish(ni, h, real_ns);
    uint32_t below = ACQUIRE(h->send_wake_at);
    int room = below != UNET_NEVER && ACQUIRE(h->send_head) - ni->send_tail <= below;
    if (!received && !room) return 0;
    /* The wish is granted: withdraw it before the wake-up, so that one wish wakes once. */
    if (received) {
        RELEASE(h->recv_wake_at, 0u);
        ni->pending_since_ns = 0;
    }
    if (room) RELEASE(h->send_wake_at, UNET_NEVER);
    uint64_t one = 1;
    ni->wakes++;
    return write(ni->wake, &one, sizeof one) == sizeof one; /* a full counter: awake already */
}

int64_t unet_wake_deadline(const unet_ni *ni) {
    if (!ni->segment || ni->pending_since_ns == 0) return INT64_MAX;
    unet_header *h = header(ni);
    uint32_t patience_us = ACQUIRE(h->recv_wake_us);
    if (!ACQUIRE(h->recv_wake_at) || !patience_us) return INT64_MAX;
    return ni->pending_since_ns + (int64_t)patience_us * 1000;
}

int unet_set_idle(unet_ni *ni, int idle) {
    if (!ni->segment) return 0;
    unet_header *h = header(ni);
    RELEASE(h->ni_idle, (uint32_t)idle);
    if (!idle) return 0;
    atomic_thread_fence(memory_order_seq_cst);
    return ACQUIRE(h->send_head) != ni->send_tail;
}
