/* SPDX-License-Identifier: GPL-3.0-or-later
 * SPDX-FileCopyrightText: The Causeway authors
 */
/* GLib's locks are futexes of its own in a library that is not instrumented, so ThreadSanitizer
 * takes everything they protect for a race. Builds with it link this and send our calls through it
 * (ld --wrap): each says what the real function orders. */

#include <gio/gio.h>

void __tsan_acquire (void *address);
void __tsan_release (void *address);

#define WRAP(type, name, params)                                                                   \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params

WRAP (void, g_mutex_lock, (GMutex * mutex))
{
    __real_g_mutex_lock (mutex);
    __tsan_acquire (mutex);
}

WRAP (gboolean, g_mutex_trylock, (GMutex * mutex))
{
    gboolean locked = __real_g_mutex_trylock (mutex);

    if (locked)
        __tsan_acquire (mutex);
    return locked;
}

WRAP (void, g_mutex_unlock, (GMutex * mutex))
{
    __tsan_release (mutex);
    __real_g_mutex_unlock (mutex);
}

WRAP (void, g_mutex_clear, (GMutex * mutex))
{
    __tsan_acquire (mutex);
    __real_g_mutex_clear (mutex);
}

WRAP (void, g_cond_wait, (GCond * cond, GMutex *mutex))
{
    __tsan_release (mutex);
    __real_g_cond_wait (cond, mutex);
    __tsan_acquire (mutex);
}

WRAP (gboolean, g_cond_wait_until, (GCond * cond, GMutex *mutex, gint64 end_time))
{
    gboolean signalled;

    __tsan_release (mutex);
    signalled = __real_g_cond_wait_until (cond, mutex, end_time);
    __tsan_acquire (mutex);
    return signalled;
}

/* Whoever finds the value set loads it in our own code, where the order is seen. */
WRAP (void, g_once_init_leave, (volatile void *location, gsize result))
{
    __tsan_release ((void *)location);
    __real_g_once_init_leave (location, result);
}

WRAP (gboolean, g_once_init_enter, (volatile void *location))
{
    gboolean first = __real_g_once_init_enter (location);

    if (!first)
        __tsan_acquire ((void *)location);
    return first;
}

WRAP (gboolean, g_atomic_ref_count_dec, (gatomicrefcount * count))
{
    gboolean last;

    __tsan_release ((void *)count);
    last = __real_g_atomic_ref_count_dec (count);
    if (last)
        __tsan_acquire ((void *)count);
    return last;
}

WRAP (void, g_async_queue_push, (GAsyncQueue * queue, gpointer data))
{
    __tsan_release (queue);
    __real_g_async_queue_push (queue, data);
}

WRAP (gpointer, g_async_queue_pop, (GAsyncQueue * queue))
{
    gpointer data = __real_g_async_queue_pop (queue);

    __tsan_acquire (queue);
    return data;
}

/* Its callbacks run in the thread that cancels. */
WRAP (gulong,
      g_cancellable_connect,
      (GCancellable * cancellable,
       GCallback callback,
       gpointer data,
       GDestroyNotify data_destroy_func))
{
    if (cancellable != NULL)
        __tsan_release (cancellable);
    return __real_g_cancellable_connect (cancellable, callback, data, data_destroy_func);
}

WRAP (void, g_cancellable_cancel, (GCancellable * cancellable))
{
    if (cancellable != NULL)
        __tsan_acquire (cancellable);
    __real_g_cancellable_cancel (cancellable);
}

/* A pool hands data to its threads by a queue inside GLib: ordered here by the data itself. */
typedef struct {
    GFunc func;
    gpointer user_data;
} PoolWork;

static void
run_pool_work (gpointer data, gpointer user_data)
{
    PoolWork *work = user_data;

    __tsan_acquire (data);
    work->func (data, work->user_data);
}

WRAP (GThreadPool *,
      g_thread_pool_new_full,
      (GFunc func,
       gpointer user_data,
       GDestroyNotify item_free_func,
       gint max_threads,
       gboolean exclusive,
       GError **error))
{
    /* Lives as long as the program: the pool does not say when its last thread is done. */
    PoolWork *work = g_new (PoolWork, 1);
    static GSList *all;
    static GMutex lock;

    work->func = func;
    work->user_data = user_data;
    __real_g_mutex_lock (&lock);
    all = g_slist_prepend (all, work);
    __real_g_mutex_unlock (&lock);
    return __real_g_thread_pool_new_full (run_pool_work, work, item_free_func, max_threads,
                                          exclusive, error);
}

WRAP (gboolean, g_thread_pool_push, (GThreadPool * pool, gpointer data, GError **error))
{
    __tsan_release (data);
    return __real_g_thread_pool_push (pool, data, error);
}
