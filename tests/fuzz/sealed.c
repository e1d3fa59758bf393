/* tests/fuzz/sealed.c: notices and heads of sealed models: what is read lies inside the bytes that were given, and
 * written again it is the same text. */
#include "run/seal_text.h"

#include <stdlib.h>
#include <string.h>

static void inside(whist_bytes part, whist_bytes all)
{
    if (part.data < all.data || part.len > all.len || part.data + part.len > all.data + all.len) abort();
}

/* Digits may have come in upper case; everything else is one text only. */
static void same(const wh_buf *text, whist_bytes was)
{
    if (text->len != was.len) abort();
    for (size_t i = 0; i < was.len; i++) {
        uint8_t a = text->data[i], b = was.data[i];
        if (a != b && !(b >= 'A' && b <= 'F' && a == b + 32)) abort();
    }
}

static void read_notice(whist_bytes all)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    wh_notice notice;
    if (wh_notice_read(&notice, all)) return;
    inside(notice.certificate, all);
    inside(notice.signed_part, all);
    if (wh_notice_write(&text, &notice) == WHIST_OK) same(&text, notice.signed_part);
}

static void read_head(whist_bytes all)
{
    WH_AUTO(wh_buf) text = WH_BUF_EMPTY;
    WH_AUTO(wh_owned) memory = NULL;
    wh_sealed_head head;
    wh_sealed_recipient past;
    if (wh_sealed_head_read(&head, all)) return;
    inside(head.recipients, all);
    inside(head.certificate, all);
    inside(head.signed_part, all);
    if (head.size > all.len || head.head.len > head.signed_part.len) abort();
    if (wh_sealed_body_size(head.bytes) < head.bytes) abort();
    if (wh_alloc(&memory, head.n_recipients, sizeof(wh_sealed_recipient)) != WHIST_OK) return;
    wh_sealed_recipient *recipients = memory;
    for (size_t i = 0; i < head.n_recipients; i++)
        if (!wh_sealed_recipient_at(&recipients[i], &head, i)) abort();
    if (wh_sealed_recipient_at(&past, &head, head.n_recipients)) abort();
    if (wh_sealed_head_write(&text, &head, recipients) == WHIST_OK) same(&text, head.head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const whist_bytes all = {data, size};
    if (size == 0) return 0;
    read_notice(all);
    read_head(all);
    return 0;
}
