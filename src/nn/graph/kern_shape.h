/* nn/graph/kern_shape.h: the same numbers in another shape, order or frame. Compiled after kern_real.h, whose helpers
 * it uses. */

void NAME(fill)(const wh_call *call, size_t from, size_t to)
{
    (void)from, (void)to;
    fill_n(call->out, (REAL)call->attr->real[0], wh_dims_size(call->out_dims));
}

/* Rows from … to-1 of the output: element (i, …, j) is data[base + i stride[0] + … + j stride[rank-1]]. */
static void copy_strided(const wh_call *call, const size_t stride[], size_t base, size_t from, size_t to)
{
    const wh_dims *dims = call->out_dims;
    const REAL *data = call->arg[0];
    const unsigned outer = dims->rank > 0 ? dims->rank - 1 : 0;
    size_t last = wh_dims_last(dims), step = dims->rank ? stride[outer] : 1, at[WH_GRAPH_RANK], offset = base;
    for (size_t k = outer, left = from; k-- > 0; left /= dims->dim[k]) {
        at[k] = left % dims->dim[k];
        offset += at[k] * stride[k];
    }
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * last;
        if (step == 1)
            memcpy(out, data + offset, last * sizeof *out);
        else
            for (size_t i = 0; i < last; i++) out[i] = data[offset + i * step];
        for (size_t k = outer; k-- > 0;) {
            offset += stride[k];
            if (++at[k] < dims->dim[k]) break;
            offset -= dims->dim[k] * stride[k];
            at[k] = 0;
        }
    }
}

static void strides_of(size_t stride[], const wh_dims *dims)
{
    size_t step = 1;
    for (unsigned k = dims->rank; k-- > 0; step *= dims->dim[k]) stride[k] = step;
}

/* Rows of the output, as one range of its elements: axes where one step is a whole run of the next are joined. */
void NAME(transpose)(const wh_call *call, size_t from, size_t to)
{
    size_t in[WH_GRAPH_RANK] = {0}, last = wh_dims_last(call->out_dims);
    wh_operand o = {.rank = 0};
    strides_of(in, call->arg_dims);
    for (unsigned k = 0; k < call->out_dims->rank; k++) {
        size_t size = call->out_dims->dim[k], stride = in[call->attr->whole[k]];
        if (size == 1 && (o.rank > 0 || k + 1 < call->out_dims->rank)) continue;
        if (o.rank > 0 && o.stride[o.rank - 1] == stride * size) {
            o.size[o.rank - 1] *= size;
            o.stride[o.rank - 1] = stride;
        } else {
            o.size[o.rank] = size;
            o.stride[o.rank++] = stride;
        }
    }
    load_strided((REAL *)call->out + from * last, call->arg[0], &o, from * last, (to - from) * last);
}

void NAME(broadcast)(const wh_call *call, size_t from, size_t to)
{
    size_t in[WH_GRAPH_RANK] = {0}, stride[WH_GRAPH_RANK] = {0};
    const wh_dims *narrow = call->arg_dims;
    unsigned lead = call->out_dims->rank - narrow->rank;
    strides_of(in, narrow);
    for (unsigned k = 0; k < narrow->rank; k++) stride[k + lead] = narrow->dim[k] == 1 ? 0 : in[k];
    copy_strided(call, stride, 0, from, to);
}

void NAME(slice)(const wh_call *call, size_t from, size_t to)
{
    size_t stride[WH_GRAPH_RANK] = {0}, base = 0;
    strides_of(stride, call->arg_dims);
    for (unsigned k = 0; k < call->out_dims->rank; k++) base += call->attr->whole[k] * stride[k];
    copy_strided(call, stride, base, from, to);
}

void NAME(pad)(const wh_call *call, size_t from, size_t to)
{
    const wh_dims *wide = call->out_dims, *small = call->arg_dims;
    const size_t *before = call->attr->whole;
    unsigned rank = wide->rank;
    size_t stride[WH_GRAPH_RANK] = {0}, last = wide->dim[rank - 1], inner = small->dim[rank - 1];
    strides_of(stride, small);
    for (size_t row = from; row < to; row++) {
        REAL *out = (REAL *)call->out + row * last;
        size_t left = row, offset = 0;
        bool inside = true;
        for (unsigned k = rank - 1; k-- > 0; left /= wide->dim[k]) {
            size_t at = left % wide->dim[k];
            inside = inside && at >= before[k] && at - before[k] < small->dim[k];
            if (inside) offset += (at - before[k]) * stride[k];
        }
        memset(out, 0, last * sizeof *out);
        if (inside) memcpy(out + before[rank - 1], (const REAL *)call->arg[0] + offset, inner * sizeof *out);
    }
}

void NAME(concat)(const wh_call *call, size_t from, size_t to)
{
    (void)from, (void)to;
    size_t axis = call->attr->whole[0], outer = 1, row = 1, offset = 0;
    for (unsigned k = 0; k < call->out_dims->rank; k++) *(k < axis ? &outer : &row) *= call->out_dims->dim[k];
    for (unsigned i = 0; i < call->n_args; i++) {
        size_t part = wh_dims_size(&call->arg_dims[i]) / outer;
        for (size_t o = 0; o < outer; o++)
            memcpy((REAL *)call->out + o * row + offset, (const REAL *)call->arg[i] + o * part, part * sizeof(REAL));
        offset += part;
    }
}
