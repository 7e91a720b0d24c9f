package store

import (
	"iter"
	"slices"
	"sort"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/mail"
)

// Message is one message in a mailbox. What a list hands out is read-only.
type Message struct {
	UID          mail.UID
	Zone         int16 // of the internal date, minutes east of UTC
	Flags        mail.Flags
	ModSeq       mail.ModSeq
	Size         Octets
	InternalDate int64 // seconds since 1970
	SaveDate     int64 // likewise
	ID           MessageID
	Thread       ThreadID
	Blob         engine.BlobID
}

// InternalTime returns the internal date in the zone it was given in.
func (m *Message) InternalTime() time.Time {
	return time.Unix(m.InternalDate, 0).In(time.FixedZone("", int(m.Zone)*60))
}

// chunkBits is how many low bits of a UID are within a chunk, which a change of
// one message copies and a comparison with the list before goes through.
const chunkBits = 6

// chunk is the messages whose UIDs share the bits above chunkBits.
type chunk struct {
	key    uint32
	newest mail.ModSeq // no message has a larger one
	msgs   []Message   // by UID, at least one
}

// within returns those of the messages that are in a range.
func (c *chunk) within(r mail.UIDRange) []Message {
	from, to := 0, len(c.msgs)
	if r.First > c.msgs[0].UID {
		from, _ = findUID(c.msgs, r.First)
	}
	if r.Last < c.msgs[to-1].UID {
		to, _ = findUID(c.msgs, r.Last+1)
	}
	return c.msgs[from:to]
}

// findUID returns the index of the first message whose UID is not below u, and
// whether it is u.
func findUID(msgs []Message, u mail.UID) (i int, found bool) {
	return slices.BinarySearchFunc(msgs, u, func(m Message, u mail.UID) int { return int(int64(m.UID) - int64(u)) })
}

// MessageList is the messages of one mailbox by UID: immutable.
type MessageList struct {
	mailbox MailboxID
	modseq  mail.ModSeq
	chunks  []*chunk
	starts  []int32 // index of each chunk's first message
	length  int
}

// Mailbox returns whose messages these are.
func (l *MessageList) Mailbox() MailboxID { return l.mailbox }

// ModSeq returns the mod-sequence of the account at which the list was true.
func (l *MessageList) ModSeq() mail.ModSeq { return l.modseq }

// Len returns the number of messages.
func (l *MessageList) Len() int { return l.length }

func newList(mailbox MailboxID, modseq mail.ModSeq, chunks []*chunk) *MessageList {
	l := &MessageList{mailbox: mailbox, modseq: modseq, chunks: chunks, starts: make([]int32, len(chunks))}
	for i, c := range chunks {
		l.starts[i] = int32(l.length)
		l.length += len(c.msgs)
	}
	return l
}

// At returns the i-th message, counted from 0.
func (l *MessageList) At(i int) *Message {
	c := sort.Search(len(l.starts), func(c int) bool { return int(l.starts[c]) > i }) - 1
	return &l.chunks[c].msgs[i-int(l.starts[c])]
}

// Find returns the index of the first message whose UID is not below u, and
// whether it is u.
func (l *MessageList) Find(u mail.UID) (i int, found bool) {
	c := l.findChunk(uint32(u) >> chunkBits)
	if c == len(l.chunks) {
		return l.length, false
	}
	j, found := findUID(l.chunks[c].msgs, u)
	return int(l.starts[c]) + j, found
}

// findChunk returns the index of the first chunk whose key is not below key.
func (l *MessageList) findChunk(key uint32) int {
	return sort.Search(len(l.chunks), func(c int) bool { return l.chunks[c].key >= key })
}

// Range yields the messages with from <= index < to with their indexes.
func (l *MessageList) Range(from, to int) iter.Seq2[int, *Message] {
	return func(yield func(int, *Message) bool) {
		if from >= to || from >= l.length {
			return
		}
		c := sort.Search(len(l.starts), func(c int) bool { return int(l.starts[c]) > from }) - 1
		for i := from; c < len(l.chunks); c++ {
			msgs := l.chunks[c].msgs
			for j := i - int(l.starts[c]); j < len(msgs); j++ {
				if i >= to || !yield(i, &msgs[j]) {
					return
				}
				i++
			}
		}
	}
}

// Select yields the messages of a set of UIDs.
func (l *MessageList) Select(uids mail.UIDSet) iter.Seq2[int, *Message] {
	return func(yield func(int, *Message) bool) {
		for _, r := range uids {
			from, _ := l.Find(r.First)
			for i, m := range l.Range(from, l.length) {
				if m.UID > r.Last {
					break
				}
				if !yield(i, m) {
					return
				}
			}
		}
	}
}

// Existing returns those of the UIDs that are in the list. Chunks without gaps
// cost a look at their first and last message.
func (l *MessageList) Existing(uids mail.UIDSet) mail.UIDSet {
	var s mail.UIDSet
	for r, c := range l.parts(uids) {
		msgs := c.within(r)
		if n := len(msgs); n > 0 && msgs[n-1].UID-msgs[0].UID == mail.UID(n-1) {
			s = s.AppendRange(mail.UIDRange{First: msgs[0].UID, Last: msgs[n-1].UID})
			continue
		}
		for i := range msgs {
			s = s.Append(msgs[i].UID)
		}
	}
	return s
}

// ChangedSince returns those of the UIDs whose messages have a larger
// mod-sequence. Chunks in which there is none cost one comparison.
func (l *MessageList) ChangedSince(uids mail.UIDSet, modseq mail.ModSeq) mail.UIDSet {
	var s mail.UIDSet
	for r, c := range l.parts(uids) {
		if c.newest <= modseq {
			continue
		}
		msgs := c.within(r)
		for i := range msgs {
			if msgs[i].ModSeq > modseq {
				s = s.Append(msgs[i].UID)
			}
		}
	}
	return s
}

// parts yields, for each range of a set, the chunks that may have its UIDs.
func (l *MessageList) parts(uids mail.UIDSet) iter.Seq2[mail.UIDRange, *chunk] {
	return func(yield func(mail.UIDRange, *chunk) bool) {
		for _, r := range uids {
			for _, c := range l.chunks[l.findChunk(uint32(r.First)>>chunkBits):] {
				if c.key > uint32(r.Last)>>chunkBits {
					break
				}
				if !yield(r, c) {
					return
				}
			}
		}
	}
}

// Changes is what happened between two lists of one mailbox.
type Changes struct {
	Gone    mail.UIDSet // in the old list only
	Added   mail.UIDSet // in the new list only
	Changed mail.UIDSet // in both, with other flags
	Touched mail.UIDSet // in both, with the same flags and another mod-sequence
}

// Diff tells what happened from one list to a later one. Chunks that both
// share cost nothing.
func Diff(old, new *MessageList) (c Changes) {
	if old == new {
		return c
	}
	i, j := 0, 0
	for i < len(old.chunks) || j < len(new.chunks) {
		switch {
		case i < len(old.chunks) && j < len(new.chunks) && old.chunks[i] == new.chunks[j]:
			i, j = i+1, j+1
		case j == len(new.chunks) || i < len(old.chunks) && old.chunks[i].key < new.chunks[j].key:
			c.diffMessages(old.chunks[i].msgs, nil)
			i++
		case i == len(old.chunks) || new.chunks[j].key < old.chunks[i].key:
			c.diffMessages(nil, new.chunks[j].msgs)
			j++
		default:
			c.diffMessages(old.chunks[i].msgs, new.chunks[j].msgs)
			i, j = i+1, j+1
		}
	}
	return c
}

func (c *Changes) diffMessages(old, new []Message) {
	i, j := 0, 0
	for i < len(old) || j < len(new) {
		switch {
		case j == len(new) || i < len(old) && old[i].UID < new[j].UID:
			c.Gone = c.Gone.Append(old[i].UID)
			i++
		case i == len(old) || new[j].UID < old[i].UID:
			c.Added = c.Added.Append(new[j].UID)
			j++
		default:
			switch {
			case old[i].ModSeq == new[j].ModSeq:
			case old[i].Flags.Equal(new[j].Flags):
				c.Touched = c.Touched.Append(old[i].UID)
			default:
				c.Changed = c.Changed.Append(old[i].UID)
			}
			i, j = i+1, j+1
		}
	}
}

// With returns the messages of newer and those of l in keep that newer lacks:
// what a session sees that must not be told of expunges yet.
func (l *MessageList) With(newer *MessageList, keep mail.UIDSet) *MessageList {
	edit := editList(newer)
	for _, m := range l.Select(keep) {
		if _, ok := newer.Find(m.UID); !ok {
			edit.insert(*m)
		}
	}
	return edit.list(newer.modseq)
}

// listEdit changes a copy of a list, copying only the chunks it touches.
type listEdit struct {
	mailbox MailboxID
	chunks  []*chunk
	own     map[uint32]bool // chunks that are copies already
	starts  []int32         // those of the list, as long as they are right
	length  int             // likewise
	moved   bool            // they are not
}

func editList(l *MessageList) *listEdit {
	return &listEdit{mailbox: l.mailbox, chunks: slices.Clone(l.chunks), own: map[uint32]bool{}, starts: slices.Clip(l.starts), length: l.length}
}

func (e *listEdit) list(modseq mail.ModSeq) *MessageList {
	if e.moved {
		return newList(e.mailbox, modseq, e.chunks)
	}
	return &MessageList{mailbox: e.mailbox, modseq: modseq, chunks: e.chunks, starts: e.starts, length: e.length}
}

// chunk returns the index of the chunk with a key, and whether there is one.
func (e *listEdit) chunk(key uint32) (int, bool) {
	return sort.Find(len(e.chunks), func(i int) int { return int(int64(key) - int64(e.chunks[i].key)) })
}

// mine returns a chunk that may be changed.
func (e *listEdit) mine(i int) *chunk {
	c := e.chunks[i]
	if !e.own[c.key] {
		c = &chunk{key: c.key, newest: c.newest, msgs: slices.Clone(c.msgs)}
		e.chunks[i], e.own[c.key] = c, true
	}
	return c
}

// add appends a message whose UID is above all others. The array of the last
// chunk is shared with older lists, which end before it.
func (e *listEdit) add(m Message) {
	key := uint32(m.UID) >> chunkBits
	n := len(e.chunks)
	e.length++
	if n == 0 || e.chunks[n-1].key != key {
		room := 4
		if n > 0 && e.own[e.chunks[n-1].key] {
			room = 1 << chunkBits // many are added
		}
		e.chunks = append(e.chunks, &chunk{key, m.ModSeq, append(make([]Message, 0, room), m)})
		e.own[key] = true
		e.starts = append(e.starts, int32(e.length-1))
		return
	}
	c := e.chunks[n-1]
	e.chunks[n-1] = &chunk{key, max(c.newest, m.ModSeq), append(c.msgs, m)}
}

func (e *listEdit) insert(m Message) {
	e.moved = true
	key := uint32(m.UID) >> chunkBits
	i, ok := e.chunk(key)
	if !ok {
		e.chunks = slices.Insert(e.chunks, i, &chunk{key, m.ModSeq, []Message{m}})
		e.own[key] = true
		return
	}
	c := e.mine(i)
	j, _ := findUID(c.msgs, m.UID)
	c.msgs, c.newest = slices.Insert(c.msgs, j, m), max(c.newest, m.ModSeq)
}

// remove takes the UIDs out and returns those that were there.
func (e *listEdit) remove(uids mail.UIDSet) (gone []Message) {
	e.moved = true
	gone = make([]Message, 0, min(uids.Len(), e.length))
	next, emptied := 0, false // the chunks before next are done
	for _, r := range uids {
		i, _ := e.chunk(uint32(r.First) >> chunkBits)
		for i = max(i, next); i < len(e.chunks) && e.chunks[i].key <= uint32(r.Last)>>chunkBits; i++ {
			next = i + 1
			if !overlaps(e.chunks[i], uids) {
				continue
			}
			c := e.mine(i)
			c.msgs = slices.DeleteFunc(c.msgs, func(m Message) bool {
				if uids.Contains(m.UID) {
					gone = append(gone, m)
					return true
				}
				return false
			})
			emptied = emptied || len(c.msgs) == 0
		}
	}
	if emptied {
		e.chunks = slices.DeleteFunc(e.chunks, func(c *chunk) bool { return len(c.msgs) == 0 })
	}
	return gone
}

// overlaps reports whether one of the UIDs may be in the chunk.
func overlaps(c *chunk, uids mail.UIDSet) bool {
	first, last := c.msgs[0].UID, c.msgs[len(c.msgs)-1].UID
	i := sort.Search(len(uids), func(i int) bool { return uids[i].Last >= first })
	return i < len(uids) && uids[i].First <= last
}
