/* cli/cmd_model.c: whist model show: what a model is made of. */
#include "cli/commands.h"
#include "cli/runs.h"
#include "cli/term.h"

#include <whist/run.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Tensors, of a study's model or of a file. */
typedef struct shown {
    whist_tensor_info *tensors;
    size_t n, room, parameters;
    bool lost;
} shown;

static void add(void *user, const whist_tensor_info *tensor)
{
    shown *s = user;
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 32;
        whist_tensor_info *tensors = realloc(s->tensors, room * sizeof *tensors);
        if (!tensors) {
            s->lost = true;
            return;
        }
        s->tensors = tensors;
        s->room = room;
    }
    s->tensors[s->n++] = *tensor;
    s->parameters += tensor->size;
}

static void shape_text(char out[96], const whist_tensor_info *tensor)
{
    size_t at = 0;
    out[0] = 0;
    for (size_t i = 0; i < tensor->n_dims; i++)
        at += (size_t)snprintf(out + at, 96 - at, "%s%zu", i ? " x " : "", tensor->shape[i]);
}

/* 12345678 as "12.3 M". */
static void short_number(char out[24], double number, const char *unit)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T"};
    size_t p = 0;
    for (; number >= 1000 && p + 1 < sizeof prefixes / sizeof *prefixes; p++) number /= 1000;
    snprintf(out, 24, p ? "%.3g %s%s" : "%.0f%s%s", number, p ? prefixes[p] : *unit ? " " : "", unit);
}

static int print_tensors(const shown *s)
{
    CLI_AUTO(cli_table_end) cli_table *table = cli_table_new(3);
    char shape[96];
    cli_table_add(table, "tensor");
    cli_table_add(table, "shape");
    cli_table_add(table, "numbers");
    for (size_t i = 0; i < s->n; i++) {
        shape_text(shape, &s->tensors[i]);
        cli_table_add(table, "%s%s", s->tensors[i].name, s->tensors[i].learned ? "" : " (running statistic)");
        cli_table_add(table, "%s", shape);
        cli_table_add(table, "%zu", s->tensors[i].size);
    }
    cli_table_add(table, "all");
    cli_table_add(table, "%s", "");
    cli_table_add(table, "%zu", s->parameters);
    return cli_table_print(table, stdout);
}

static void put_tensors(whist_json *json, const shown *s)
{
    whist_json_key(json, "parameters"), whist_json_uint(json, s->parameters);
    whist_json_key(json, "tensors");
    whist_json_begin_array(json);
    for (size_t i = 0; i < s->n; i++) {
        whist_json_begin_object(json);
        whist_json_key(json, "name"), whist_json_text(json, s->tensors[i].name);
        whist_json_key(json, "shape");
        whist_json_begin_array(json);
        for (size_t d = 0; d < s->tensors[i].n_dims; d++) whist_json_uint(json, s->tensors[i].shape[d]);
        whist_json_end_array(json);
        whist_json_key(json, "learned"), whist_json_bool(json, s->tensors[i].learned);
        whist_json_end_object(json);
    }
    whist_json_end_array(json);
}

/* ---- A study's model ---- */

static int study_json(const shown *s, const whist_model *model, const whist_model_cost *cost, size_t batch)
{
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    whist_json_key(json, "model"), whist_json_text(json, whist_model_class_name(model));
    put_tensors(json, s);
    whist_json_key(json, "batch"), whist_json_uint(json, batch);
    whist_json_key(json, "forward_flops"), whist_json_real(json, cost->forward_flops);
    whist_json_key(json, "step_flops"), whist_json_real(json, cost->step_flops);
    whist_json_key(json, "forward_bytes"), whist_json_uint(json, cost->forward_bytes);
    whist_json_key(json, "step_bytes"), whist_json_uint(json, cost->step_bytes);
    whist_json_end_object(json);
    return cli_json_print(json);
}

static int study_text(const shown *s, const whist_model *model, const whist_model_cost *cost, size_t batch)
{
    char forward[24], step[24], forward_bytes[24], step_bytes[24], bytes[24];
    CLI_TRY(print_tensors(s));
    short_number(forward, cost->forward_flops, "FLOP");
    short_number(step, cost->step_flops, "FLOP");
    short_number(forward_bytes, (double)cost->forward_bytes, "B");
    short_number(step_bytes, (double)cost->step_bytes, "B");
    short_number(bytes, 4 * (double)s->parameters, "B");
    printf("\n%s, a row: %s to predict, %s to train\n", whist_model_class_name(model), forward, step);
    printf("parameters: %s; a batch of %zu rows: %s to predict, %s to train\n", bytes, batch, forward_bytes,
           step_bytes);
    return cli_flush();
}

static int show_study(const cli_args *args, const char *path, shown *s)
{
    CLI_AUTO(cli_study_end) whist_study *study = NULL;
    whist_training training;
    whist_model_cost cost;
    CLI_LIB(whist_study_load(&study, path));
    const whist_model *model = whist_study_plan(study)->model;
    size_t n, batch = whist_study_training(study, &training) && training.batch ? (size_t)training.batch : 64;
    const whist_tensor_info *tensors = whist_model_tensors(model, &n);
    for (size_t i = 0; i < n; i++) add(s, &tensors[i]);
    if (s->lost) return cli_no_memory();
    batch = (size_t)cli_count(args, "batch", batch);
    CLI_LIB(whist_model_cost_of(&cost, model, batch));
    return cli_flag(args, "json") ? study_json(s, model, &cost, batch) : study_text(s, model, &cost, batch);
}

/* ---- A file ---- */

static int show_file(const cli_args *args, const char *path, shown *s)
{
    static const char *const keys[] = {"model", "study_name", "study", "seed", "kernels"};
    char values[sizeof keys / sizeof *keys][128];
    CLI_LIB(whist_model_file_tensors(path, add, s));
    if (s->lost) return cli_no_memory();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        CLI_LIB(whist_model_metadata(values[i], sizeof values[i], path, keys[i]));
    if (!cli_flag(args, "json")) {
        CLI_TRY(print_tensors(s));
        printf("\n");
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (*values[i]) printf("%s: %s\n", keys[i], values[i]);
        return cli_flush();
    }
    CLI_AUTO(cli_json_end) whist_json *json = NULL;
    CLI_LIB(whist_json_new(&json));
    whist_json_begin_object(json);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        whist_json_key(json, keys[i]), whist_json_text(json, *values[i] ? values[i] : NULL);
    put_tensors(json, s);
    whist_json_end_object(json);
    return cli_json_print(json);
}

/* By its content: the length of a header, far below 2^56, and the header, which is JSON. No text has a byte 0. */
static bool is_model(const char *path)
{
    unsigned char head[9] = {0};
    FILE *in = fopen(path, "rb");
    size_t n = in ? fread(head, 1, sizeof head, in) : 0;
    if (in) (void)fclose(in);
    return n == sizeof head && head[7] == 0 && head[8] == '{';
}

static int show(const cli_args *args)
{
    const char *path = args->words[0];
    shown s = {0};
    int code = is_model(path) ? show_file(args, path, &s) : show_study(args, path, &s);
    free(s.tensors);
    return code;
}

static const cli_option options[] = {
    {"batch", 'b', CLI_COUNT, "N", "Rows in the batch whose memory is shown (the study's, else 64).", .min = 1,
     .max = 1 << 20},
    {0},
};

const cli_command cli_model_commands[] = {
    {"model show", "STUDY|MODEL.safetensors", "Show a model: tensors, parameters, arithmetic, memory",
     "Of a study: what its model would be. A multiply-add of products and convolutions counts as two operations and "
     "the rest "
     "as none; memory is that of one thread, beside parameters, gradient and optimiser. Of a model file: what it "
     "holds.",
     options, 1, 1, show},
    {0},
};
