"""libbaozi.so through ctypes: the few calls that tests need, for times that a
process start would blur, and for answers that the programs do not show."""
import ctypes
import os
import time

from baozi_test import ROOT, equal

# status.h
OK, FULL, EMPTY, STALE = 0, 1, 2, 6
SESSION_GONE, STORAGE_FULL, CONNECTION_LOST = 24, 25, 31


class Item(ctypes.Structure):
    """struct baozi_item"""
    _fields_ = [("id", ctypes.c_uint64), ("token", ctypes.c_uint64),
                ("payload", ctypes.c_void_p), ("bytes", ctypes.c_size_t),
                ("deliveries", ctypes.c_uint32), ("priority", ctypes.c_int32),
                ("group", ctypes.c_char_p), ("hidden", ctypes.c_void_p)]


class Payload(ctypes.Structure):
    """struct baozi_payload"""
    _fields_ = [("data", ctypes.c_char_p), ("bytes", ctypes.c_size_t)]


class Library:
    """Clients are the pointers that open() gives."""

    def __init__(self):
        self.so = ctypes.CDLL(os.path.join(ROOT, "build", "libbaozi.so"))
        self.so.baozi_put.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p,
            ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        self.so.baozi_put_many.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Payload),
            ctypes.c_size_t, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p]
        self.so.baozi_get.argtypes = [
            ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64,
            ctypes.POINTER(Item)]
        self.so.baozi_done.argtypes = [ctypes.c_void_p, ctypes.POINTER(Item)]
        self.so.baozi_open.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.so.baozi_close.argtypes = [ctypes.c_void_p]
        self.so.baozi_connect.argtypes = [ctypes.c_void_p, ctypes.c_int64]

    def open(self, url):
        os.environ["BAOZI_URL"] = url
        try:
            client = ctypes.c_void_p()
            equal(self.so.baozi_open(None, ctypes.byref(client)), 0, "open")
            equal(self.so.baozi_connect(client, 5000), 0, "connect")
            return client
        finally:
            del os.environ["BAOZI_URL"]

    def put(self, client, queue, text, wait_ms):
        """(status, seconds)"""
        begin = time.monotonic()
        status = self.so.baozi_put(client, queue.encode(), text.encode(),
                                   len(text), None, wait_ms, None)
        return status, time.monotonic() - begin

    def put_many(self, client, queue, payloads, wait_ms):
        """All of them as one message; the status."""
        many = (Payload * len(payloads))(
            *(Payload(data, len(data)) for data in payloads))
        return self.so.baozi_put_many(client, queue.encode(), many,
                                      len(payloads), None, wait_ms, None)

    def get(self, client, queue, wait_ms):
        """(status, seconds, Item)"""
        item = Item()
        begin = time.monotonic()
        status = self.so.baozi_get(client, queue.encode(), None, wait_ms,
                                   ctypes.byref(item))
        return status, time.monotonic() - begin, item

    def done(self, client, item):
        return self.so.baozi_done(client, ctypes.byref(item))

    def close(self, client):
        return self.so.baozi_close(client)
