package store

import (
	"context"
	"encoding/binary"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// First octet of a row's key (docs/format.md, "Rows of an account"). Reserved
// for later: S (per-user \Seen), X (scripts), R (thread roots), Q (quota roots).
const (
	rowAccount    = 'A'
	rowMailbox    = 'B' // mailbox id
	rowSubscribe  = 'U' // name
	rowMessage    = 'M' // mailbox id, UID
	rowFlags      = 'F' // mailbox id, UID >> flagsBits
	rowTombstone  = 'T' // mailbox id, mod-sequence
	rowDeleted    = 'D' // mailbox id: the row of a deleted mailbox
	rowNote       = 'N' // mailbox id, entry of METADATA
	rowAccessKey  = 'K' // mailbox id: its access key (RFC 4467)
	rowAnnotation = 'E' // mailbox id, UID: the entries of ANNOTATE (RFC 5257)
	rowPush       = 'P' // device token, the device's name for the account: a push registration
	rowACL        = 'L' // mailbox id: its ACL, if it is not the default (RFC 4314)
)

func key8(prefix byte, id uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, messageKeyLen), prefix), id)
}

func decodeID(b []byte) uint64 { return binary.BigEndian.Uint64(b) }

const messageKeyLen = 1 + 8 + 4

func messageKey(prefix byte, mb MailboxID, n uint32) []byte {
	return binary.BigEndian.AppendUint32(key8(prefix, uint64(mb)), n)
}

// rowMemory is where rows are made. COPY makes many: the fewer pieces of memory they
// take, the less work it is to find out that they are still needed.
type rowMemory struct {
	free []byte // of no length
	rows int    // for which a piece has room, or more
}

// message returns a message's row.
func (r *rowMemory) message(m *Message, box *Mailbox) (key, value []byte) {
	const usual = messageKeyLen + 64 // octets
	if cap(r.free) < usual {
		r.free = make([]byte, 0, usual*max(1, r.rows))
	}
	b := append(r.free, messageKey(rowMessage, box.ID, uint32(m.UID))...)
	b = appendMessage(b, m, box)
	r.free = b[len(b):]
	return b[:messageKeyLen:messageKeyLen], b[messageKeyLen:len(b):len(b)]
}

// prefixEnd returns the first key behind all that start with prefix.
func prefixEnd(prefix []byte) []byte {
	end := slices.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// accountRow is the account's counters.
type accountRow struct {
	nextMailbox uint64
	nextMessage uint64
	uidValidity uint32 // the last one given
	messages    uint64
	octets      uint64
}

// row reads and writes values: varints and strings, in order; what is missing
// at the end is zero, what follows is ignored.
type row struct {
	b   []byte
	bad bool
}

func (r *row) uint() uint64 {
	if len(r.b) == 0 {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *row) int() int64 {
	v := r.uint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *row) string() string {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.bad, r.b = true, nil
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func putUint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }
func putInt(dst []byte, v int64) []byte   { return binary.AppendVarint(dst, v) }
func putString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

const rowVersion = 1

func (a *accountRow) encode() []byte {
	b := []byte{rowVersion}
	for _, v := range []uint64{a.nextMailbox, a.nextMessage, uint64(a.uidValidity), a.messages, a.octets} {
		b = putUint(b, v)
	}
	return b
}

func decodeAccount(b []byte) (a accountRow, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return a, false
	}
	r := row{b: b[1:]}
	a = accountRow{r.uint(), r.uint(), uint32(r.uint()), r.uint(), r.uint()}
	return a, !r.bad
}

func (m *Mailbox) encode() []byte {
	b := putString([]byte{rowVersion}, m.Name)
	noSelect := uint64(0)
	if m.NoSelect {
		noSelect = 1
	}
	for _, v := range []uint64{uint64(m.UIDValidity), uint64(m.UIDNext), uint64(m.ModSeq), uint64(m.Messages), uint64(m.Unseen),
		uint64(m.Deleted), uint64(m.Size), uint64(m.SpecialUse), noSelect, uint64(m.recentFrom)} {
		b = putUint(b, v)
	}
	b = putInt(b, m.Created.Unix())
	b = putUint(b, uint64(len(m.Keywords)))
	for _, k := range m.Keywords {
		b = putString(b, k)
	}
	return b
}

func decodeMailbox(id MailboxID, b []byte) (*Mailbox, bool) {
	m, _, ok := decodeDeleted(id, b)
	return m, ok
}

// encodeDeleted is the row of a mailbox deleted at a time.
func (m *Mailbox) encodeDeleted(at time.Time) []byte {
	b := putInt(m.encode(), at.Unix())
	if m.acl != nil {
		b = m.acl.append(b)
	}
	return b
}

// decodeDeleted reads the row of a deleted mailbox.
func decodeDeleted(id MailboxID, b []byte) (m *Mailbox, at int64, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return nil, 0, false
	}
	r := row{b: b[1:]}
	m = &Mailbox{ID: id, Name: r.string(), UIDValidity: uint32(r.uint()), UIDNext: mail.UID(r.uint()), ModSeq: mail.ModSeq(r.uint()),
		Messages: uint32(r.uint()), Unseen: uint32(r.uint()), Deleted: uint32(r.uint()), Size: int64(r.uint()),
		SpecialUse: mail.SpecialUse(r.uint()), NoSelect: r.uint() != 0, recentFrom: mail.UID(r.uint()), Created: time.Unix(r.int(), 0)}
	for n := min(r.uint(), KeywordsMax); n > 0 && !r.bad; n-- {
		m.Keywords = append(m.Keywords, r.string())
	}
	if at = r.int(); len(r.b) > 0 {
		m.acl = r.acl()
	}
	return m, at, !r.bad
}

// appendFlags appends system flags and the numbers of keywords in box.
func appendFlags(dst []byte, f mail.Flags, box *Mailbox) []byte {
	keywords := f.KeywordText()
	if keywords == "" {
		return putUint(dst, uint64(f.System))
	}
	n := 1 + strings.Count(keywords, " ")
	dst = putUint(dst, uint64(f.System)|uint64(n)<<8)
	if n > 8 {
		return appendManyKeywords(dst, f.Keywords(), box)
	}
	for k := range strings.SplitSeq(keywords, " ") {
		dst = putUint(dst, uint64(slices.Index(box.Keywords, k)))
	}
	return dst
}

// appendManyKeywords goes through the mailbox's keywords once.
func appendManyKeywords(dst []byte, keywords []string, box *Mailbox) []byte {
	slices.Sort(keywords)
	for n, k := range box.Keywords {
		if _, ok := slices.BinarySearch(keywords, k); ok {
			dst = putUint(dst, uint64(n))
		}
	}
	return dst
}

func (r *row) flags(box *Mailbox) mail.Flags {
	v := r.uint()
	var keywords []string
	for n := v >> 8; n > 0 && !r.bad; n-- {
		i := r.uint()
		if i >= uint64(len(box.Keywords)) || n > KeywordsMax {
			r.bad = true
			break
		}
		keywords = append(keywords, box.Keywords[i])
	}
	return mail.NewFlags(mail.SystemFlags(v), keywords...)
}

// appendMessage appends a message without its UID.
func appendMessage(dst []byte, m *Message, box *Mailbox) []byte {
	dst = append(dst, rowVersion)
	for _, v := range []uint64{uint64(m.ModSeq), uint64(m.Size), uint64(m.ID), uint64(m.Thread), uint64(m.Blob)} {
		dst = putUint(dst, v)
	}
	dst = putInt(putInt(putInt(dst, m.InternalDate), int64(m.Zone)), m.SaveDate-m.InternalDate)
	return appendFlags(dst, m.Flags, box)
}

func decodeMessage(uid mail.UID, r *row, box *Mailbox) (m Message, ok bool) {
	if len(r.b) == 0 || r.b[0] != rowVersion {
		return m, false
	}
	r.b = r.b[1:]
	m = Message{UID: uid, ModSeq: mail.ModSeq(r.uint()), Size: int64(r.uint()), ID: MessageID(r.uint()), Thread: ThreadID(r.uint()), Blob: engine.BlobID(r.uint())}
	m.InternalDate, m.Zone = r.int(), int16(r.int())
	m.SaveDate = m.InternalDate + r.int()
	m.Flags = r.flags(box)
	return m, !r.bad && m.Size >= 0
}

// flagsBits is how many low bits of a UID are within a flags row, which has the
// messages of several chunks.
const flagsBits = 8

// flagsKey returns the number of the flags row that a chunk's messages are in.
func (c *chunk) flagsKey() uint32 { return c.key >> (flagsBits - chunkBits) }

// flagsChunks returns the chunks whose messages are in a flags row.
func flagsChunks(chunks []*chunk, key uint32) []*chunk {
	from := sort.Search(len(chunks), func(i int) bool { return chunks[i].flagsKey() >= key })
	to := from
	for to < len(chunks) && chunks[to].flagsKey() == key {
		to++
	}
	return chunks[from:to]
}

// appendFlagsRow appends flags and mod-sequences of the messages of some chunks.
func appendFlagsRow(dst []byte, chunks []*chunk, box *Mailbox) []byte {
	const entry = 8 // octets, about, where neighbours differ and have no keywords
	dst = append(slices.Grow(dst, 1+len(chunks)*entry<<chunkBits), rowVersion)
	for _, c := range chunks {
		dst = appendChunkFlags(dst, c.msgs, box)
	}
	return dst
}

// appendChunkFlags appends one entry for each run of neighbours that have the
// same.
func appendChunkFlags(dst []byte, msgs []Message, box *Mailbox) []byte {
	for i := 0; i < len(msgs); {
		j := i + 1
		for j < len(msgs) && msgs[j].UID == msgs[j-1].UID+1 && msgs[j].ModSeq == msgs[i].ModSeq && msgs[j].Flags == msgs[i].Flags {
			j++
		}
		dst = append(dst, byte(msgs[i].UID), byte(j-i-1))
		dst = appendFlags(putUint(dst, uint64(msgs[i].ModSeq)), msgs[i].Flags, box)
		i = j
	}
	return dst
}

// applyFlagsRow sets flags and mod-sequences of the messages of a row's chunks that
// were not changed since (invariant 11). Messages that came later are not in it; entries of
// expunged ones are passed over.
func applyFlagsRow(chunks []*chunk, b []byte, box *Mailbox) bool {
	if len(b) == 0 || b[0] != rowVersion {
		return false
	}
	r := row{b: b[1:]}
	i := 0
	for len(r.b) >= 2 {
		first, last := r.b[0], int(r.b[0])+int(r.b[1])
		r.b = r.b[2:]
		modseq := mail.ModSeq(r.uint())
		flags := r.flags(box)
		for len(chunks) > 0 {
			msgs := chunks[0].msgs
			for ; i < len(msgs) && int(byte(msgs[i].UID)) <= last; i++ {
				if byte(msgs[i].UID) >= first && msgs[i].ModSeq <= modseq {
					msgs[i].ModSeq, msgs[i].Flags = modseq, flags
				}
			}
			if i < len(msgs) {
				break
			}
			chunks, i = chunks[1:], 0
		}
	}
	return !r.bad
}

func corruptRow(op, what string) error {
	return errs.As(op, errs.Corrupt, "the account is damaged", errs.New(op, errs.Corrupt, what))
}

// readState reads everything of an account but its messages.
func readState(a *Account, snap engine.Snapshot) (*Snapshot, error) {
	const op = "store.readState"
	v := &Snapshot{acct: a, version: snap.Version(), lists: map[MailboxID]*MessageList{}}
	b, err := snap.Get([]byte{rowAccount})
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	var ok bool
	if v.account, ok = decodeAccount(b); !ok {
		return nil, corruptRow(op, "the account row cannot be read")
	}
	for p, err := range snap.Scan([]byte{rowMailbox}, []byte{rowMailbox + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if len(p.Key) != 9 {
			return nil, corruptRow(op, "a mailbox row has no id")
		}
		box, ok := decodeMailbox(MailboxID(binary.BigEndian.Uint64(p.Key[1:])), p.Value)
		if !ok {
			return nil, corruptRow(op, "a mailbox row cannot be read")
		}
		v.boxes = append(v.boxes, box)
	}
	if err := readACLs(snap, v.boxes); err != nil {
		return nil, err
	}
	slices.SortFunc(v.boxes, func(a, b *Mailbox) int { return strings.Compare(a.Name, b.Name) })
	for p, err := range snap.Scan([]byte{rowSubscribe}, []byte{rowSubscribe + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		v.subs = append(v.subs, string(p.Key[1:]))
	}
	if v.notes, err = readNotes(snap); err != nil {
		return nil, err
	}
	if v.keys, err = readAccessKeys(snap); err != nil {
		return nil, err
	}
	if v.pushes, err = readPushes(snap); err != nil {
		return nil, err
	}
	for _, err := range snap.Scan([]byte{rowAnnotation}, []byte{rowAnnotation + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		v.annotated = true
		break
	}
	return v, nil
}

// countRows returns how many messages of a mailbox have from <= UID < to, most at
// most.
func countRows(snap engine.Snapshot, box MailboxID, from, to mail.UID, most int) (n int, err error) {
	for _, err := range snap.Scan(messageKey(rowMessage, box, uint32(from)), messageKey(rowMessage, box, uint32(to))) {
		if err != nil {
			return 0, errs.Wrap("store.countRows", err)
		}
		if n++; n == most {
			break
		}
	}
	return n, nil
}

// readList reads the messages of a mailbox.
func readList(ctx context.Context, snap engine.Snapshot, box *Mailbox, modseq mail.ModSeq) (*MessageList, error) {
	const op = "store.readList"
	prefix := key8(rowMessage, uint64(box.ID))
	var chunks []*chunk
	n := 0
	for p, err := range snap.Scan(prefix, prefixEnd(prefix)) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if n++; n%4096 == 0 && ctx.Err() != nil {
			return nil, errs.Wrap(op, ctx.Err())
		}
		if len(p.Key) != 13 {
			return nil, corruptRow(op, "a message row has no UID")
		}
		uid := mail.UID(binary.BigEndian.Uint32(p.Key[9:]))
		m, ok := decodeMessage(uid, &row{b: p.Value}, box)
		if !ok {
			return nil, corruptRow(op, "a message row cannot be read")
		}
		key := uint32(uid) >> chunkBits
		if len(chunks) == 0 || chunks[len(chunks)-1].key != key {
			chunks = append(chunks, &chunk{key: key})
		}
		c := chunks[len(chunks)-1]
		c.msgs = append(c.msgs, m)
	}
	l := newList(box.ID, modseq, chunks)
	prefix = key8(rowFlags, uint64(box.ID))
	for p, err := range snap.Scan(prefix, prefixEnd(prefix)) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		if len(p.Key) != 13 {
			return nil, corruptRow(op, "a flags row has no number")
		}
		if row := flagsChunks(chunks, binary.BigEndian.Uint32(p.Key[9:])); len(row) > 0 && !applyFlagsRow(row, p.Value, box) {
			return nil, corruptRow(op, "a flags row cannot be read")
		}
	}
	for _, c := range chunks {
		for i := range c.msgs {
			c.newest = max(c.newest, c.msgs[i].ModSeq)
		}
	}
	return l, nil
}
