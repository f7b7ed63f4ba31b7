/* The socket calls of the data path in C: what port.py does without a compiler, and the same for its callers.
 *
 * Facts:
 * - nothing here waits: each call makes one system call for each descriptor, with MSG_DONTWAIT;
 * - bytes are read into, and sent from, a buffer of the caller where they lie: no object is made for a read or a send;
 * - one call sends to all receivers and names only those that did not take everything.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { MOST_PARTS = 256, READ_AGAIN_BYTES = 4096 }; /* as in port.py */

typedef int (*scan_one_run)(PyObject *, const unsigned char *, Py_ssize_t, Py_ssize_t, Py_ssize_t *, Py_ssize_t *,
                            Py_ssize_t *);
static scan_one_run scan; /* of torq_protocol._scanner */

static int number(PyObject *word, Py_ssize_t *value) {
    *value = PyLong_AsSsize_t(word);
    return *value == -1 && PyErr_Occurred() ? -1 : 0;
}

static int arguments(const char *name, Py_ssize_t wanted, Py_ssize_t count) {
    if (count == wanted) return 0;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, got %zd", name, wanted, count);
    return -1;
}

static PyObject *receive(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    Py_ssize_t descriptor, start;
    Py_buffer view;
    if (arguments("receive", 3, count) || number(words[0], &descriptor) || number(words[2], &start)) return NULL;
    if (PyObject_GetBuffer(words[1], &view, PyBUF_WRITABLE)) return NULL;
    if (start < 0 || start >= view.len) {
        PyErr_Format(PyExc_ValueError, "offset %zd leaves no room in %zd bytes", start, view.len);
        PyBuffer_Release(&view);
        return NULL;
    }
    ssize_t got = recv((int)descriptor, (char *)view.buf + start, view.len - start, MSG_DONTWAIT);
    PyBuffer_Release(&view);
    return got < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromSsize_t(got);
}

/* None when all took everything, else the list of those that did not; NULL with an exception set. */
static PyObject *sent_to_all(const Py_buffer *descriptors, const char *data, Py_ssize_t size, Py_ssize_t skipped) {
    PyObject *short_of = NULL;
    const int *each = descriptors->buf;
    for (Py_ssize_t index = 0; index < descriptors->len / (Py_ssize_t)sizeof(int); index++) {
        if (index == skipped) continue;
        ssize_t sent = send(each[index], data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == size) continue;
        if (sent < 0) sent = errno == EAGAIN || errno == EINTR ? 0 : -errno;
        PyObject *entry = Py_BuildValue("(nn)", index, (Py_ssize_t)sent);
        if (!short_of) short_of = PyList_New(0);
        int failed = !entry || !short_of || PyList_Append(short_of, entry);
        Py_XDECREF(entry);
        if (failed) {
            Py_XDECREF(short_of);
            return NULL;
        }
    }
    return short_of ? short_of : Py_NewRef(Py_None);
}

static PyObject *send_all(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    Py_ssize_t start, stop, skipped;
    Py_buffer descriptors, data;
    if (arguments("send_all", 5, count) || number(words[2], &start) || number(words[3], &stop)
        || number(words[4], &skipped))
        return NULL;
    if (PyObject_GetBuffer(words[0], &descriptors, PyBUF_SIMPLE)) return NULL;
    if (PyObject_GetBuffer(words[1], &data, PyBUF_SIMPLE)) {
        PyBuffer_Release(&descriptors);
        return NULL;
    }
    PyObject *short_of = NULL;
    if (start < 0 || stop > data.len || start > stop)
        PyErr_Format(PyExc_ValueError, "offsets %zd to %zd do not lie in %zd bytes", start, stop, data.len);
    else
        short_of = sent_to_all(&descriptors, (const char *)data.buf + start, stop - start, skipped);
    PyBuffer_Release(&data);
    PyBuffer_Release(&descriptors);
    return short_of;
}

static PyObject *turn(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    Py_ssize_t descriptor, filled, skipped, most;
    Py_buffer view, receivers;
    if (arguments("turn", 7, count) || number(words[0], &descriptor) || number(words[2], &filled)
        || number(words[5], &skipped) || number(words[6], &most))
        return NULL;
    if (PyObject_GetBuffer(words[1], &view, PyBUF_WRITABLE)) return NULL;
    if (PyObject_GetBuffer(words[4], &receivers, PyBUF_SIMPLE)) {
        PyBuffer_Release(&view);
        return NULL;
    }
    char *data = view.buf;
    PyObject *short_of = Py_NewRef(Py_None), *result = NULL;
    Py_ssize_t got = 0, frames = 0, consumed = 0, needed = 0, all_frames = 0, all_bytes = 0, more;
    if (filled < 0 || filled >= view.len) {
        PyErr_Format(PyExc_ValueError, "offset %zd leaves no room in %zd bytes", filled, view.len);
        goto done;
    }
    for (;;) {
        more = recv((int)descriptor, data + filled, view.len - filled, MSG_DONTWAIT);
        if (more <= 0) break; /* the next turn says it, if this one read something */
        got += more;
        filled += more;
        if (scan(words[3], (unsigned char *)data, 0, filled, &frames, &consumed, &needed) != 1) frames = -1;
        if (frames <= 0) break;
        Py_SETREF(short_of, sent_to_all(&receivers, data, consumed, skipped));
        if (!short_of) goto done;
        if (short_of != Py_None || --most <= 0 || more < READ_AGAIN_BYTES || needed > view.len / 2) break;
        all_frames += frames;
        all_bytes += consumed;
        filled -= consumed;
        memmove(data, data + consumed, filled);
        frames = consumed = 0;
    }
    if (!got && more < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else
        result = Py_BuildValue("(nnnnnOnn)", got, frames, consumed, filled, needed, short_of, all_frames, all_bytes);
done:
    Py_XDECREF(short_of);
    PyBuffer_Release(&receivers);
    PyBuffer_Release(&view);
    return result;
}

static PyObject *send_parts(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    Py_ssize_t descriptor;
    if (arguments("send", 2, count) || number(words[0], &descriptor)) return NULL;
    PyObject *parts = PySequence_Fast(words[1], "send takes a sequence of buffers");
    if (!parts) return NULL;
    Py_buffer views[MOST_PARTS];
    struct iovec pieces[MOST_PARTS];
    Py_ssize_t taken = 0, size = PySequence_Fast_GET_SIZE(parts);
    if (size > MOST_PARTS) size = MOST_PARTS;
    PyObject *result = NULL;
    for (; taken < size; taken++) {
        if (PyObject_GetBuffer(PySequence_Fast_GET_ITEM(parts, taken), views + taken, PyBUF_SIMPLE)) goto done;
        pieces[taken].iov_base = views[taken].buf;
        pieces[taken].iov_len = views[taken].len;
    }
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)size};
    ssize_t sent = sendmsg((int)descriptor, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    result = sent < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromSsize_t(sent);
done:
    while (taken) PyBuffer_Release(views + --taken);
    Py_DECREF(parts);
    return result;
}

static PyObject *unread(PyObject *self, PyObject *word) {
    (void)self;
    Py_ssize_t descriptor;
    int size = 0;
    if (number(word, &descriptor)) return NULL;
    return ioctl((int)descriptor, SIOCOUTQ, &size) < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(size);
}

static PyObject *has_left(PyObject *self, PyObject *word) {
    (void)self;
    Py_ssize_t descriptor;
    if (number(word, &descriptor)) return NULL;
    struct pollfd watched = {.fd = (int)descriptor};
    int ready = poll(&watched, 1, 0);
    return ready < 0 && errno != EINTR ? PyErr_SetFromErrno(PyExc_OSError) : PyBool_FromLong(ready > 0);
}

static PyObject *return_large_blocks(PyObject *self, PyObject *least) {
    (void)self;
    Py_ssize_t bytes;
    if (number(least, &bytes)) return NULL;
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, bytes > INT_MAX ? INT_MAX : (int)bytes);
#endif
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"receive", (PyCFunction)(void (*)(void))receive, METH_FASTCALL,
     "receive(descriptor, buffer, start, /)\n--\n\n"
     "Read into a buffer from an offset on; how many bytes came, 0 at the end of the stream.\n"
     "\n"
     "Raises BlockingIOError when there is nothing, OSError when the connection is broken."},
    {"send_all", (PyCFunction)(void (*)(void))send_all, METH_FASTCALL,
     "send_all(descriptors, data, start, stop, skipped, /)\n--\n\n"
     "Send ``data[start:stop]`` to each of an array of descriptors but the one at index ``skipped`` (-1: to all).\n"
     "\n"
     "None when all took everything; else (index, bytes taken, or minus the error's number) of those that did not."},
    {"turn", (PyCFunction)(void (*)(void))turn, METH_FASTCALL,
     "turn(descriptor, buffer, filled, scanner, receivers, skipped, most, /)\n--\n\n"
     "Read behind ``buffer[:filled]``, scan what stands there now, and send it to all if it is one accepted run.\n"
     "\n"
     "This is done up to ``most`` times, while all take everything and the reads bring much.\n"
     "Raises as :meth:`receive`, if nothing was read."},
    {"send", (PyCFunction)(void (*)(void))send_parts, METH_FASTCALL,
     "send(descriptor, parts, /)\n--\n\n"
     "Send buffers with one call, at most 256 of them; how many bytes were taken.\n"
     "\n"
     "Raises BlockingIOError when there is no room, InterruptedError when a signal came first, OSError when nobody\n"
     "will ever take them."},
    {"unread", unread, METH_O,
     "unread(descriptor, /)\n--\n\n"
     "Bytes of kernel memory that the peer has not read yet: they fall as it reads."},
    {"has_left", has_left, METH_O,
     "has_left(descriptor, /)\n--\n\n"
     "Whether the peer has closed its end or broken the connection; what it sent may still be there to read."},
    {"return_large_blocks", return_large_blocks, METH_O,
     "return_large_blocks(least, /)\n--\n\n"
     "Have blocks of so many bytes or more go back to the system when they are freed, where the C library can."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_sockets", .m_doc = "The socket calls of the data path in C.", .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__sockets(void) {
    scan = (scan_one_run)PyCapsule_Import("torq_protocol._scanner.scan_one_run", 0);
    return scan ? PyModule_Create(&module) : NULL;
}
