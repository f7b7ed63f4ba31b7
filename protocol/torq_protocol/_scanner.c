/* The framing kernel in C: the rules of framing.py for the same callers, which framing.py serves without a compiler.
 *
 * Facts:
 * - no Python object is made for a frame: adjacent accepted frames are one run, and only refused frames are listed;
 * - any contiguous buffer is scanned where it lies, so a read buffer is used again and nothing is copied;
 * - a scan never raises for what the bytes hold (VAL-6). Loads are little-endian by construction.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>
#include <structmember.h>

#include "_checksum.h"

enum { HEADER = 32, CHECKSUM_AT = 28, EXTENDED_MARKER = 255, STANDARD_TLV = 2, EXTENDED_TLV = 5 };

/* Numbers of torq_protocol.errors.ErrorKind; a test holds them together. */
enum {
    BAD_MAGIC = 2, OVERSIZE = 3, BAD_DOMAIN = 4, BAD_VERSION = 7, UNKNOWN_SOURCE = 8, BAD_CHECKSUM = 9,
    TRUNCATED_TLV_HEADER = 10, TRUNCATED_TLV = 11, BAD_RESERVED_BYTE = 12, BAD_EXTENDED_TYPE = 13,
    TYPE_OUT_OF_RANGE = 14, BAD_TLV_SIZE = 15
};

static const unsigned char MAGIC[4] = {0xEF, 0xBE, 0xAD, 0xDE};
static uint32_t (*frame_crc)(const unsigned char *frame, int64_t size) = crc_by_tables;

/* --- Scan: what one scan found ----------------------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *runs;
    PyObject *refused;
    Py_ssize_t consumed;
    Py_ssize_t needed;
    Py_ssize_t frames;
    int fault;
} Scan;

static void Scan_dealloc(Scan *self) {
    Py_XDECREF(self->runs);
    Py_XDECREF(self->refused);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMemberDef Scan_members[] = {
    {"runs", T_OBJECT_EX, offsetof(Scan, runs), READONLY, NULL},
    {"refused", T_OBJECT_EX, offsetof(Scan, refused), READONLY, NULL},
    {"consumed", T_PYSSIZET, offsetof(Scan, consumed), READONLY, NULL},
    {"needed", T_PYSSIZET, offsetof(Scan, needed), READONLY, NULL},
    {"frames", T_PYSSIZET, offsetof(Scan, frames), READONLY, NULL},
    {"fault", T_INT, offsetof(Scan, fault), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject ScanType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "torq_protocol._scanner.Scan",
    .tp_basicsize = sizeof(Scan),
    .tp_dealloc = (destructor)Scan_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "What one scan found.\n"
     "\n"
     "``runs`` holds (start, stop, frames) of adjacent accepted frames, byte offsets into the scanned chunk;\n"
     "``refused`` holds (start, stop, kind) with the :class:`~torq_protocol.ErrorKind` number of each refused frame;\n"
     "``frames`` counts the accepted ones; ``consumed`` is the offset behind the last whole frame; ``needed`` the bytes\n"
     "that the incomplete frame at ``consumed`` will have in all, 0 if none was begun (32 while its header is incomplete);\n"
     "``fault`` the kind of the framing error at ``consumed`` (bad magic or oversize), 0 if there is none.",
    .tp_members = Scan_members,
};

static int append(PyObject *list, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t number) {
    PyObject *entry = Py_BuildValue("(nnn)", start, stop, number);
    if (!entry) return -1;
    int failed = PyList_Append(list, entry);
    Py_DECREF(entry);
    return failed;
}

/* --- FrameScanner ------------------------------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    int64_t limit;
    unsigned char domain;
    char checksum, zero_accepted, strict, walk, any_type, any_size, plain;
    unsigned char types[256];
    unsigned char sources[256];
    int32_t sizes[256];
} FrameScanner;

/* The first fault of the TLVs from `at` to `stop`, 0 for none. */
static int tlv_fault(const FrameScanner *self, const unsigned char *at, const unsigned char *stop) {
    while (at < stop) {
        int64_t left = stop - at;
        if (left < STANDARD_TLV) return TRUNCATED_TLV_HEADER;
        unsigned type = at[0];
        int64_t length = at[1], header = STANDARD_TLV;
        if (type == EXTENDED_MARKER) {
            if (left < EXTENDED_TLV) return TRUNCATED_TLV_HEADER;
            if (length) return BAD_RESERVED_BYTE;
            type = at[2];
            if (type == 0 || type == EXTENDED_MARKER) return BAD_EXTENDED_TYPE;
            length = at[3] | at[4] << 8;
            header = EXTENDED_TLV;
        }
        if (length > left - header) return TRUNCATED_TLV;
        if (!self->any_type && !self->types[type]) return TYPE_OUT_OF_RANGE;
        if (!self->any_size && self->sizes[type] >= 0 && self->sizes[type] != length) return BAD_TLV_SIZE;
        at += header + length;
    }
    return 0;
}

/* The first fault of a whole frame of the right domain, 0 for none. */
static int judge(const FrameScanner *self, const unsigned char *frame, int64_t size) {
    if (self->strict) {
        if (frame[5] != 1) return BAD_VERSION;
        if (!self->sources[frame[6]]) return UNKNOWN_SOURCE;
    }
    if (self->checksum) {
        uint32_t field = load32(frame + CHECKSUM_AT);
        if (!(field == 0 && self->zero_accepted) && frame_crc(frame, size) != field) return BAD_CHECKSUM;
    }
    return self->walk ? tlv_fault(self, frame + HEADER, frame + size) : 0;
}

static int fill(FrameScanner *self, const unsigned char *data, Py_ssize_t start, Py_ssize_t stop, Scan *scan) {
    Py_ssize_t at = start, run = start, frames = 0;
    while (at < stop) {
        int64_t left = stop - at;
        if (left < HEADER) {
            if (memcmp(data + at, MAGIC, left < 4 ? left : 4)) scan->fault = BAD_MAGIC;
            else scan->needed = HEADER;
            break;
        }
        if (memcmp(data + at, MAGIC, 4)) { scan->fault = BAD_MAGIC; break; }
        int64_t total = HEADER + (int64_t)load32(data + at + 24);
        if (total > self->limit) { scan->fault = OVERSIZE; break; }
        if (total > left) { scan->needed = (Py_ssize_t)total; break; }
        int kind = data[at + 4] != self->domain ? BAD_DOMAIN : self->plain ? 0 : judge(self, data + at, total);
        if (kind) {
            if (frames && append(scan->runs, run, at, frames)) return -1;
            scan->frames += frames;
            frames = 0;
            run = at + (Py_ssize_t)total;
            if (append(scan->refused, at, run, kind)) return -1;
        } else {
            frames++;
        }
        at += (Py_ssize_t)total;
    }
    if (frames && append(scan->runs, run, at, frames)) return -1;
    scan->frames += frames;
    scan->consumed = at;
    return 0;
}

/* The bytes that an object lends; a copy of those that do not lie side by side. -1 with an error set if it is no buffer. */
static int borrow(PyObject *object, Py_buffer *view) {
    if (PyObject_GetBuffer(object, view, PyBUF_FULL_RO)) return -1;
    if (view->ndim && PyBuffer_IsContiguous(view, 'C')) return 0;
    int number = !view->ndim;
    PyBuffer_Release(view);
    if (number) {
        PyErr_SetString(PyExc_TypeError, "a number lends no bytes: use bytes, bytearray or memoryview");
        return -1;
    }
    PyObject *copy = PyBytes_FromObject(object);
    if (!copy) return -1;
    int failed = PyObject_GetBuffer(copy, view, PyBUF_SIMPLE);
    Py_DECREF(copy); /* the view keeps it */
    return failed;
}

static PyObject *FrameScanner_scan(FrameScanner *self, PyObject *const *words, Py_ssize_t count) {
    if (count < 1 || count > 3) {
        PyErr_SetString(PyExc_TypeError, "scan takes data, and offsets of its start and stop");
        return NULL;
    }
    Py_buffer view;
    if (borrow(words[0], &view)) return NULL;
    Py_ssize_t start = count > 1 ? PyLong_AsSsize_t(words[1]) : 0;
    Py_ssize_t stop = count > 2 ? PyLong_AsSsize_t(words[2]) : -1;
    Scan *scan = NULL;
    if (PyErr_Occurred()) goto done;
    if (stop < 0) stop = view.len;
    if (start < 0 || stop > view.len || start > stop) {
        PyErr_Format(PyExc_ValueError, "offsets %zd to %zd do not lie in %zd bytes", start, stop, view.len);
        goto done;
    }
    scan = PyObject_New(Scan, &ScanType);
    if (!scan) goto done;
    scan->consumed = scan->needed = scan->frames = 0;
    scan->fault = 0;
    scan->runs = PyList_New(0);
    scan->refused = PyList_New(0);
    if (!scan->runs || !scan->refused || fill(self, view.buf, start, stop, scan)) Py_CLEAR(scan);
done:
    PyBuffer_Release(&view);
    return (PyObject *)scan;
}

/* A bytes attribute of the policy, which must have `size` bytes, or none where it may be absent. */
static int table_of(PyObject *policy, const char *name, void *table, Py_ssize_t size, char *absent) {
    PyObject *value = PyObject_GetAttrString(policy, name);
    if (!value) return -1;
    int wrong = !PyBytes_Check(value) || (PyBytes_GET_SIZE(value) != size && !(absent && PyBytes_GET_SIZE(value) == 0));
    if (wrong) PyErr_Format(PyExc_TypeError, "FramePolicy.%s is no table of %zd bytes", name, size);
    else if (PyBytes_GET_SIZE(value)) memcpy(table, PyBytes_AS_STRING(value), size);
    if (!wrong && absent) *absent = PyBytes_GET_SIZE(value) == 0;
    Py_DECREF(value);
    return wrong ? -1 : 0;
}

static int number_of(PyObject *policy, const char *name, int64_t *number) {
    PyObject *value = PyObject_GetAttrString(policy, name);
    if (!value) return -1;
    *number = PyLong_AsLongLong(value);
    Py_DECREF(value);
    return PyErr_Occurred() ? -1 : 0;
}

static int FrameScanner_init(FrameScanner *self, PyObject *words, PyObject *keywords) {
    static char *names[] = {"policy", NULL};
    PyObject *policy;
    int64_t domain, checksum, zero, strict, walk;
    unsigned char sizes[1024];
    if (!PyArg_ParseTupleAndKeywords(words, keywords, "O:FrameScanner", names, &policy)) return -1;
    if (number_of(policy, "domain", &domain) || number_of(policy, "max_message_size", &self->limit)
        || number_of(policy, "verify_checksum", &checksum) || number_of(policy, "accept_zero_checksum", &zero)
        || number_of(policy, "strict", &strict) || number_of(policy, "walks_tlvs", &walk)
        || table_of(policy, "type_table", self->types, 256, &self->any_type)
        || table_of(policy, "size_table", sizes, 1024, &self->any_size)
        || table_of(policy, "source_table", self->sources, 256, NULL))
        return -1;
    self->domain = (unsigned char)domain;
    self->checksum = checksum != 0;
    self->zero_accepted = zero != 0;
    self->strict = strict != 0;
    self->walk = walk != 0;
    self->plain = !(self->checksum || self->walk || self->strict);
    for (int type = 0; type < 256; type++) self->sizes[type] = self->any_size ? -1 : (int32_t)load32(sizes + 4 * type);
    return 0;
}

static PyMethodDef FrameScanner_methods[] = {
    {"scan", (PyCFunction)(void (*)(void))FrameScanner_scan, METH_FASTCALL,
     "scan($self, data, start=0, stop=-1, /)\n--\n\n"
     "Cut ``data[start:stop]`` into frames, all of it where no stop is given; never raises, whatever the bytes.\n"
     "\n"
     "Offsets in the result count from the beginning of ``data``."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject FrameScannerType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "torq_protocol._scanner.FrameScanner",
    .tp_basicsize = sizeof(FrameScanner),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "FrameScanner(policy)\n--\n\n"
     "Cuts chunks into frames and judges each by a :class:`~torq_protocol.FramePolicy`. Holds no state of a stream.",
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)FrameScanner_init,
    .tp_methods = FrameScanner_methods,
};

static PyObject *skip_frames(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    if (count != 4) return PyErr_Format(PyExc_TypeError, "skip_frames takes 4 arguments, got %zd", count);
    Py_ssize_t numbers[3];
    for (int word = 0; word < 3; word++) {
        numbers[word] = PyLong_AsSsize_t(words[word + 1]);
        if (numbers[word] == -1 && PyErr_Occurred()) return NULL;
    }
    Py_buffer view;
    if (borrow(words[0], &view)) return NULL;
    const unsigned char *data = view.buf;
    Py_ssize_t at = numbers[0], skipped = 0, goal = at + numbers[2];
    while ((skipped < numbers[1] || at < goal) && at >= 0 && view.len - at >= HEADER) {
        at += HEADER + (Py_ssize_t)load32(data + at + 24);
        skipped++;
    }
    PyBuffer_Release(&view);
    return Py_BuildValue("(nn)", skipped, at);
}

/* --- frame_records ----------------------------------------------------------------------------------------------- */

/* The most that a record takes, and its flags: the format is told in records.py. */
enum { MOST_OF_RECORD = 22, SOURCE_CHANGED = 1, SIZE_CHANGED = 2, REFUSED = 4 };

/* Where the next record goes, the offsets between which the next frame lies, and what it is told against. */
typedef struct {
    unsigned char *out;
    Py_ssize_t from, limit;
    uint64_t sequence;
    uint32_t size;
    unsigned char source;
} Recorder;

/* An entry (start, stop, number) of a scan's list; none where the list has ended. */
static int entry_at(PyObject *list, Py_ssize_t index, Py_ssize_t entry[3]) {
    if (index >= PyList_GET_SIZE(list)) return 0;
    PyObject *tuple = PyList_GET_ITEM(list, index);
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != 3) {
        PyErr_SetString(PyExc_TypeError, "runs and refused frames are tuples of three numbers");
        return -1;
    }
    for (int word = 0; word < 3; word++) {
        entry[word] = PyLong_AsSsize_t(PyTuple_GET_ITEM(tuple, word));
        if (entry[word] == -1 && PyErr_Occurred()) return -1;
    }
    return 0;
}

static inline unsigned char *put_varint(unsigned char *out, uint64_t number) {
    for (; number > 127; number >>= 7) *out++ = (unsigned char)(number | 128);
    *out++ = (unsigned char)number;
    return out;
}

static void record_frame(Recorder *to, const unsigned char *frame, int refused) {
    unsigned char *out = to->out + 1, flags = refused ? REFUSED : 0;
    uint64_t sequence = load32(frame + 8) | (uint64_t)load32(frame + 12) << 32, step = sequence - to->sequence;
    uint32_t size = load32(frame + 24);
    if (frame[6] != to->source) {
        flags |= SOURCE_CHANGED;
        *out++ = to->source = frame[6];
    }
    out = put_varint(out, step >> 63 ? ~(step << 1) : step << 1);
    to->sequence = sequence;
    if (size != to->size) {
        flags |= SIZE_CHANGED;
        out = put_varint(out, to->size = size);
    }
    memcpy(out, frame + CHECKSUM_AT, 4);
    out += 4;
    if (refused) *out++ = (unsigned char)refused;
    *to->out = flags;
    to->out = out;
}

/* Records each frame from `at` to `stop`; -1 unless it is so many whole frames behind those before. */
static int record_frames(
    Recorder *to, const unsigned char *data, Py_ssize_t at, Py_ssize_t stop, Py_ssize_t frames, int refused
) {
    if (at < to->from || at > stop || stop > to->limit || frames < 0) return -1;
    for (; frames > 0; frames--) {
        if (stop - at < HEADER) return -1;
        record_frame(to, data + at, refused);
        int64_t total = HEADER + (int64_t)to->size;
        if (total > stop - at) return -1;
        at += (Py_ssize_t)total;
    }
    to->from = stop;
    return at == stop ? 0 : -1;
}

/* Widens the limit to the end of a list: no frame in order lies behind it. */
static int span(Recorder *to, PyObject *list) {
    Py_ssize_t last[3] = {0, 0, 0};
    if (PyList_GET_SIZE(list) && entry_at(list, PyList_GET_SIZE(list) - 1, last)) return -1;
    if (last[1] > to->limit) to->limit = last[1];
    return 0;
}

/* Records both lists in wire order; -1 with an error set unless they are those of the data. */
static int record_all(Recorder *to, const unsigned char *data, PyObject *runs, PyObject *refused) {
    Py_ssize_t run[3], foreign[3], next_run = 0, next_foreign = 0;
    if (entry_at(runs, 0, run) || entry_at(refused, 0, foreign)) return -1;
    while (next_run < PyList_GET_SIZE(runs) || next_foreign < PyList_GET_SIZE(refused)) {
        int wrong, none_foreign = next_foreign == PyList_GET_SIZE(refused);
        if (none_foreign || (next_run < PyList_GET_SIZE(runs) && run[0] <= foreign[0])) {
            wrong = record_frames(to, data, run[0], run[1], run[2], 0);
            if (entry_at(runs, ++next_run, run)) return -1;
        } else {
            wrong = foreign[2] < 1 || foreign[2] > 255
                 || record_frames(to, data, foreign[0], foreign[1], 1, (int)foreign[2]);
            if (entry_at(refused, ++next_foreign, foreign)) return -1;
        }
        if (wrong) {
            PyErr_SetString(PyExc_ValueError, "the runs and refused frames are not those of these bytes");
            return -1;
        }
    }
    return 0;
}

static PyObject *frame_records(PyObject *self, PyObject *const *words, Py_ssize_t count) {
    (void)self;
    if (count != 3 || !PyList_Check(words[1]) || !PyList_Check(words[2]))
        return PyErr_Format(PyExc_TypeError, "frame_records takes data and the lists of a scan: runs, refused");
    Py_buffer view;
    if (borrow(words[0], &view)) return NULL;
    Recorder to = {.from = 0, .limit = 0};
    PyObject *records = NULL;
    if (!span(&to, words[1]) && !span(&to, words[2])) {
        if (to.limit > view.len) to.limit = view.len;
        records = PyBytes_FromStringAndSize(NULL, to.limit / HEADER * MOST_OF_RECORD);
    }
    if (records) {
        to.out = (unsigned char *)PyBytes_AS_STRING(records);
        if (record_all(&to, view.buf, words[1], words[2])) Py_CLEAR(records);
        else _PyBytes_Resize(&records, to.out - (unsigned char *)PyBytes_AS_STRING(records));
    }
    PyBuffer_Release(&view);
    return records;
}

static PyObject *frame_checksums(PyObject *self, PyObject *frame) {
    (void)self;
    Py_buffer view;
    if (borrow(frame, &view)) return NULL;
    PyObject *sums = NULL;
    if (view.len < HEADER)
        PyErr_Format(PyExc_ValueError, "a frame has %d bytes or more, not %zd", HEADER, view.len);
    else
        sums = Py_BuildValue("[II]", crc_by_tables(view.buf, view.len), frame_crc(view.buf, view.len));
    PyBuffer_Release(&view);
    return sums;
}

static PyMethodDef functions[] = {
    {"frame_checksums", frame_checksums, METH_O,
     "frame_checksums(frame, /)\n--\n\n"
     "The checksum of a frame by tables, and in the form that this processor is given: both must be zlib's CRC-32."},
    {"frame_records", (PyCFunction)(void (*)(void))frame_records, METH_FASTCALL,
     "frame_records(data, runs, refused, /)\n--\n\n"
     "The records of all frames of a scan, in wire order. Raises ValueError for lists that are not those of the data."},
    {"skip_frames", (PyCFunction)(void (*)(void))skip_frames, METH_FASTCALL,
     "skip_frames(data, start, frames, size, /)\n--\n\n"
     "Pass over whole frames from ``start`` on, at least so many, of at least so many bytes in all.\n"
     "\n"
     "(how many, the offset behind them); ends at the end of ``data`` too."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_scanner", .m_doc = "The framing kernel in C; torq_protocol.framing without.", .m_size = -1,
    .m_methods = functions,
};

/* For other modules in C: whether `data[start:stop]` is one run of accepted frames and perhaps the beginning of another.
 *
 * 1 and what Scan would say; 0 where more must be told (a refused frame, a framing error); -1 for another type of scanner.
 */
static int scan_one_run(PyObject *scanner, const unsigned char *data, Py_ssize_t start, Py_ssize_t stop,
                        Py_ssize_t *frames, Py_ssize_t *consumed, Py_ssize_t *needed) {
    if (!Py_IS_TYPE(scanner, &FrameScannerType)) return -1;
    const FrameScanner *self = (const FrameScanner *)scanner;
    Py_ssize_t at = start, count = 0;
    *needed = 0;
    while (at < stop) {
        int64_t left = stop - at;
        if (memcmp(data + at, MAGIC, left < 4 ? left : 4)) return 0;
        if (left < HEADER) {
            *needed = HEADER;
            break;
        }
        int64_t total = HEADER + (int64_t)load32(data + at + 24);
        if (total > self->limit) return 0;
        if (total > left) {
            *needed = (Py_ssize_t)total;
            break;
        }
        if (data[at + 4] != self->domain || (!self->plain && judge(self, data + at, total))) return 0;
        count++;
        at += (Py_ssize_t)total;
    }
    *frames = count;
    *consumed = at;
    return 1;
}

PyMODINIT_FUNC PyInit__scanner(void) {
    make_tables();
    if (can_fold()) frame_crc = crc_by_folding;
    PyObject *self = PyModule_Create(&module);
    if (!self || PyModule_AddType(self, &ScanType) || PyModule_AddType(self, &FrameScannerType)) return NULL;
    PyObject *capsule = PyCapsule_New((void *)scan_one_run, "torq_protocol._scanner.scan_one_run", NULL);
    if (!capsule || PyModule_AddObject(self, "scan_one_run", capsule)) return NULL;
    return self;
}
