/* codec/wire.c: protobuf-c behind the bounds of codec/wire.h.
 *
 * protobuf-c asks an allocator for every submessage, string and table of found fields. Ours hands
 * out pieces of blocks and counts; nothing is given back before the end, so the count is an upper
 * bound of what the message ever takes. */
#include "codec/wire.h"

#include "codec/json.h"

#include <string.h>

enum { BLOCK_SIZE = 4096 - 64, STEP = 16, GROWTH = 8, ALLOWANCE = 256 * 1024 };

static void *take_memory(void *user, size_t size)
{
    wh_wire *wire = user;
    size_t need;
    if (!wh_add_size(&need, size, STEP - 1)) return NULL;
    need &= ~(size_t)(STEP - 1);
    if (need == 0) need = STEP;
    if (need > wire->ceiling - wire->used) {
        wire->exhausted = true;
        return NULL;
    }
    if (need > wire->left) {
        size_t block = need > BLOCK_SIZE ? need : BLOCK_SIZE;
        void *bytes;
        wire->no_memory = wh_arena_alloc(&bytes, &wire->memory, block, 1) != WHIST_OK;
        if (wire->no_memory) return NULL;
        wire->at = bytes;
        wire->left = block;
    }
    void *piece = wire->at;
    wire->at += need;
    wire->left -= need;
    wire->used += need;
    return piece;
}

static void keep_memory(void *user, void *piece)
{
    (void)user;
    (void)piece;
}

static void *field_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (char *)(uintptr_t)message + field->offset;
}

/* The first two fields, which every message of the protocol has. */
static bool head_of(const ProtobufCMessage *message, uint32_t *version, ProtobufCBinaryData *study)
{
    const ProtobufCFieldDescriptor *first = protobuf_c_message_descriptor_get_field(message->descriptor, 1);
    const ProtobufCFieldDescriptor *second = protobuf_c_message_descriptor_get_field(message->descriptor, 2);
    if (!first || first->type != PROTOBUF_C_TYPE_UINT32 || !second || second->type != PROTOBUF_C_TYPE_BYTES)
        return false;
    memcpy(version, field_of(message, first), sizeof *version);
    memcpy(study, field_of(message, second), sizeof *study);
    return true;
}

static whist_status check_head(const ProtobufCMessage *message, const uint8_t *study)
{
    uint32_t version = 0;
    ProtobufCBinaryData named = {0, NULL};
    WH_ENSURE(head_of(message, &version, &named), WHIST_E_ARG);
    if (version == 0) WH_FAIL(WHIST_E_FORMAT, "a message without the version of its protocol");
    if (version != WH_WIRE_VERSION)
        WH_FAIL(WHIST_E_UNSUPPORTED,
                "the other side speaks version %u of the protocol, this program version %d: install the same version",
                (unsigned)version, WH_WIRE_VERSION);
    if (named.len != WH_WIRE_STUDY_SIZE) WH_FAIL(WHIST_E_FORMAT, "a message that names no study");
    if (study && memcmp(named.data, study, WH_WIRE_STUDY_SIZE) != 0)
        WH_FAIL(WHIST_E_AUTH, "a message of another study: both sides must hold the same study file, to the byte");
    return WHIST_OK;
}

static whist_status check_text(const char *text, const char *field)
{
    if (text && !wh_is_utf8((whist_bytes){(const uint8_t *)text, strlen(text)}))
        WH_FAIL(WHIST_E_FORMAT, "a message whose field '%s' is not UTF-8", field);
    return WHIST_OK;
}

static whist_status check_texts(const ProtobufCMessage *message);

/* One value of a field, or one element of a repeated one. */
static whist_status check_value(const void *value, const ProtobufCFieldDescriptor *field)
{
    void *pointer;
    memcpy(&pointer, value, sizeof pointer);
    if (field->type == PROTOBUF_C_TYPE_STRING) return check_text(pointer, field->name);
    return pointer ? check_texts(pointer) : WHIST_OK;
}

/* protobuf-c leaves the check of UTF-8 to us. Messages here nest at most two deep, by their types. */
static whist_status check_texts(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE) continue;
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
            WH_TRY(check_value(field_of(message, field), field));
            continue;
        }
        size_t n;
        void **list;
        memcpy(&n, (const char *)message + field->quantifier_offset, sizeof n);
        memcpy(&list, field_of(message, field), sizeof list);
        for (size_t k = 0; k < n; k++) WH_TRY(check_value(&list[k], field));
    }
    return WHIST_OK;
}

static whist_status decode(wh_wire *wire, const ProtobufCMessageDescriptor *type, whist_bytes bytes,
                           const uint8_t *study)
{
    static const uint8_t nothing[1];
    ProtobufCAllocator allocator = {take_memory, keep_memory, wire};
    const uint8_t *data = bytes.data ? bytes.data : nothing;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.len, data);
    if (!message && wire->no_memory) WH_FAIL(WHIST_E_NOMEM, "no memory for a message of %zu bytes", bytes.len);
    if (!message && wire->exhausted)
        WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes (%s) that would take more than %zu bytes of memory", bytes.len,
                type->short_name, wire->ceiling);
    if (!message) WH_FAIL(WHIST_E_FORMAT, "%zu bytes that are no message '%s'", bytes.len, type->short_name);
    WH_TRY(check_head(message, study));
    WH_TRY(check_texts(message));
    wire->message = message;
    return WHIST_OK;
}

whist_status wh_wire_decode(wh_wire *out, const ProtobufCMessageDescriptor *type, whist_bytes bytes, size_t max_size,
                            const uint8_t *study)
{
    wh_wire wire = WH_WIRE_EMPTY;
    if (bytes.len > max_size)
        WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes (%s) where at most %zu are allowed", bytes.len, type->short_name,
                max_size);
    if (!wh_mul_size(&wire.ceiling, bytes.len, GROWTH) || !wh_add_size(&wire.ceiling, wire.ceiling, ALLOWANCE))
        WH_FAIL(WHIST_E_RANGE, "a message of %zu bytes", bytes.len);
    whist_status status = decode(&wire, type, bytes, study);
    if (status == WHIST_OK)
        *out = wire;
    else
        wh_wire_clear(&wire);
    return status;
}

void wh_wire_clear(wh_wire *wire)
{
    wh_arena_clear(&wire->memory);
    *wire = (wh_wire)WH_WIRE_EMPTY;
}

whist_status wh_wire_encode(wh_buf *out, const ProtobufCMessage *message)
{
    uint32_t version = 0;
    ProtobufCBinaryData study = {0, NULL};
    WH_ENSURE(head_of(message, &version, &study), WHIST_E_ARG);
    WH_ENSURE(version == WH_WIRE_VERSION && study.len == WH_WIRE_STUDY_SIZE, WHIST_E_ARG);
    uint8_t *to;
    size_t size = protobuf_c_message_get_packed_size(message);
    WH_TRY(wh_buf_grow(out, &to, size));
    size_t written = protobuf_c_message_pack(message, to);
    WH_CHECK(written == size);
    (void)written;
    return WHIST_OK;
}
