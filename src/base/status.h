/* base/status.h: how failure travels inside the library.
 *
 * A function that can fail returns whist_status. The place that finds the fault writes the
 * thread's detail record (WH_FAIL, WH_ENSURE); everybody above passes the code up unchanged
 * (WH_TRY). WH_AUTO ends a lifetime on every way out of a block. */
#ifndef WH_BASE_STATUS_H
#define WH_BASE_STATUS_H

#include "whist/base.h"

#define WH_MUST_CHECK WHIST_MUST_CHECK

/* Writes the detail record and returns code. The text must hold no secret and no data row. */
whist_status wh_fail(whist_status code, const char *file, int line, const char *format, ...) WHIST_PRINTF(4, 5);

/* Puts a detail record of another thread in place of this thread's (see pool.h). */
void wh_detail_put(const whist_detail *detail);

/* Puts words before the text of the record: "examples/x.yaml: " + text. Returns code. */
whist_status wh_fail_context(whist_status code, const char *format, ...) WHIST_PRINTF(2, 3);

/* Leaves the function with a failure and the reason for it. */
#define WH_FAIL(code, ...)                                                                                             \
    do {                                                                                                               \
        (void)wh_fail((code), __FILE__, __LINE__, __VA_ARGS__);                                                        \
        return (code);                                                                                                 \
    } while (0)

/* The public surface's check of its arguments: says the expression that does not hold. */
#define WH_ENSURE(expr, code)                                                                                          \
    do {                                                                                                               \
        if (!(expr)) WH_FAIL((code), "%s: not (%s)", __func__, #expr);                                                 \
    } while (0)

/* Passes a failure up unchanged. */
#define WH_TRY(call)                                                                                                   \
    do {                                                                                                               \
        whist_status wh_try_status_ = (call);                                                                          \
        if (wh_try_status_ != WHIST_OK) return wh_try_status_;                                                         \
    } while (0)

/* Passes a failure to the single `out:` label of a function that holds `whist_status status`. */
#define WH_TRY_OUT(call)                                                                                               \
    do {                                                                                                               \
        status = (call);                                                                                               \
        if (status != WHIST_OK) goto out;                                                                              \
    } while (0)

/* What only a mistake of ours can break. Checked in debug builds. */
#ifdef WH_CHECKED
#define WH_CHECK(expr) ((expr) ? (void)0 : __builtin_trap())
#else
#define WH_CHECK(expr) ((void)sizeof(expr))
#endif

/* WH_AUTO(type) x = …; calls type##_end_(&x) on every way out. A type opts in by WH_AUTO_CLEAR
 * (values with a clear function) or WH_AUTO_FREE (pointers with a free function: WH_AUTO(T_ptr)). */
#define WH_AUTO(type) __attribute__((cleanup(type##_end_), unused)) type
#define WH_AUTO_CLEAR(type, clear)                                                                                     \
    __attribute__((unused)) static inline void type##_end_(type *value)                                                \
    {                                                                                                                  \
        clear(value);                                                                                                  \
    }
#define WH_AUTO_FREE(type, free_)                                                                                      \
    typedef type *type##_ptr;                                                                                          \
    __attribute__((unused)) static inline void type##_ptr_end_(type##_ptr *value)                                      \
    {                                                                                                                  \
        free_(*value);                                                                                                 \
    }

#define WH_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
