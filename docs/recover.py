#!/usr/bin/env python3
"""recover.py STORE OUT: writes each message of a store's log to OUT/ACCOUNT/MAILBOX/UID.eml. Made from format.md alone."""
import base64, functools, hashlib, os, subprocess, sys, tempfile, urllib.parse
from struct import iter_unpack, unpack, unpack_from
T = list(range(256))
for _ in range(8): T = [c >> 1 ^ (0x82F63B78 & -(c & 1)) for c in T]
def crc(b): return functools.reduce(lambda c, x: c >> 8 ^ T[(c ^ x) & 255], b, 0xFFFFFFFF) ^ 0xFFFFFFFF
def uvarint(b, i, v=0, n=0):                       # the value, and the offset behind it
    return (v | b[i] << n, i + 1) if b[i] < 128 else uvarint(b, i + 1, v | (b[i] & 127) << n, n + 7)
def zstd(b, dictionary=None):
    return subprocess.run(["zstd", "-dc"] + (["-D", dictionary] if dictionary else []), input=b, capture_output=True).stdout
def packed(b, dictionary):                         # a frame with lines of base64
    (count, at), runs, text = uvarint(b, 1), [], b""
    for _ in range(3 * count): n, at = uvarint(b, at); runs.append(n)
    n, at = uvarint(b, at); around, encoded = b[at:at + n], b[at + n:]
    if b[0] & 1: around = zstd(around, dictionary)
    if b[0] & 2: encoded = zstd(encoded, dictionary)
    for before, line, lines in zip(*[iter(runs)] * 3):
        text += around[:before]; around = around[before:]; line = line // 4 * 3
        for _ in range(lines): text += base64.b64encode(encoded[:line]) + b"\r\n"; encoded = encoded[line:]
    return text + around
def blob(p, segment):                              # the octets of a blob from its head on, None if damaged
    size, table, frames, at = unpack_from("<Q16xQI4xQ", p); text = b""
    d = dictionaries.get(segment) if any(p[80:88]) else None
    for stored, in iter_unpack("<I4x", p[table:table + 8 * frames]):
        raw = p[at:at + (stored & 0x3FFFFFFF)]; at += len(raw)
        text += zstd(raw, d) if stored >> 30 == 2 else packed(raw, d) if stored >> 30 == 1 else raw
    return text if len(text) == size and hashlib.sha256(text).digest() == p[48:80] else None
def pairs(p, i=0):                                 # the rows of a checkpoint's record
    while i < len(p): k, v = unpack_from("<II", p, i); i += 8 + k + v; yield p[i - k - v:i - v], p[i - v:i]
def commit(p, space, i=16):
    while i < len(p):
        kind, (k, v) = p[i], unpack_from("<II", p, i + 1)
        if kind > 3: i += 17; continue             # keep and drop
        i += 9 + k + v; key, value = p[i - k - v:i - v], p[i - v:i]
        if kind == 1: rows[space + key] = value
        else: [rows.pop(x) for x in list(rows) if space + key <= x < space + (value if kind == 3 else key + b"\0")]
store, out, rows, blobs, log, dictionaries, begin, damaged, found = *sys.argv[1:3], {}, {}, [], {}, 0, 0, 0
temporary = tempfile.TemporaryDirectory()
for name in sorted(os.listdir(store + "/log"), key=lambda s: int(s[:-4])):
    data, at = open(store + "/log/" + name, "rb").read(), 64
    while at + 40 <= len(data):
        n, kind, pos = unpack_from("<IB7xQ", data, at + 4); p = data[at + 40:at + 40 + n]
        if pos != int(name[:-4]) << 32 | at or crc(data[at:at + 36]) != unpack_from("<I", data, at + 36)[0]: at += 8; continue
        if kind in (1, 3): blobs[pos] = p[8 * (kind == 3):]
        elif crc(p) == unpack_from("<I", data, at + 28)[0]: log.append((pos, kind, p))
        else: damaged += 1
        at += 40 + (n + 7 & ~7)
for pos, kind, p in log:
    if kind == 10: dictionaries[pos >> 32] = f"{temporary.name}/{pos >> 32}"; open(dictionaries[pos >> 32], "wb").write(zstd(p))
for pos, kind, p in log: begin = unpack_from("<Q", p)[0] if kind == 7 else begin       # of the last whole checkpoint
mark = max([unpack("<Q", p)[0] for pos, kind, p in log if pos == begin], default=0)
for pos, kind, p in log: rows.update(pairs(p) if kind == 6 and mark and pos > begin else ())
for pos, kind, p in log[next((i for i, r in enumerate(log) if r[0] >= mark), 0):]:
    if kind == 2: commit(p, b"s" + p[7::-1])       # keys are big endian
    if kind == 4: rows.update((b"w" + p[i:i + 8][::-1], p[i + 8:i + 16][::-1]) for i in range(0, len(p), 24))
names = {uvarint(v, 1)[0].to_bytes(8, "big"): k[10:].decode() for k, v in rows.items() if k[:1] == b"s" and k[8:10] == b"\1u"}
for k, v in [x for x in sorted(rows.items()) if x[0][:1] == b"s" and x[0][9:10] == b"M" and x[0][1:9] in names]:
    id, at = uvarint(v, 1)                         # mod-sequence; then octets, message, thread, BlobID
    for _ in range(4): id, at = uvarint(v, at)
    id = id.to_bytes(8, "big"); pos = unpack(">Q", rows.get(b"w" + id, id))[0]; text = blob(blobs.get(pos, bytes(88)), pos >> 32)
    box = rows.get(k[:9] + b"B" + k[10:18], b"\1\4lost"); n, at = uvarint(box, 1)
    path = os.path.join(out, *(urllib.parse.quote(x, "") for x in (names[k[1:9]], box[at:at + n].decode())))
    os.makedirs(path, exist_ok=True); damaged += text is None; found += text is not None
    if text is not None: open(f"{path}/{int.from_bytes(k[18:], 'big')}.eml", "wb").write(text)
print(found, "messages recovered,", damaged, "damaged")
