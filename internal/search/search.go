// Package search evaluates SEARCH keys (RFC 3501 §6.4.4) over the messages of
// a mailbox: exact substrings, without regard to case, in decoded text.
//
// What BODY and TEXT look at, where the RFC leaves it open: text parts, decoded
// to UTF-8, and the headers of messages inside the message; TEXT also the
// message's own header. Other parts are not text and are not searched.
package search

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/fair"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// Query is a search over one list.
type Query struct {
	Store   *store.Store
	List    *store.MessageList
	Key     *imapwire.SearchKey
	Charset string                // of the strings in Key; "" is UTF-8
	Recent  func(u mail.UID) bool // whether a message is \Recent for the session
	Saved   mail.UIDSet           // what "$" stands for (RFC 5182)
	Only    mail.UIDSet           // nil: every message of the list is looked at

	Index   *Index          // of texts; nil: every message is read
	Account store.AccountID // whose messages these are
	User    store.AccountID // who searches; another user has none of the account's private annotations
	Work    *fair.Work      // takes turns with others that compute for long; nil: it never waits

	looked atomic.Int64
	waited atomic.Int64 // time.Duration, for turns
	asked  int          // texts that the index was asked for

	watched   *fieldTest // what it sees is kept; nil: none is
	annotated annotated
}

// Waited returns how long the longest of the searchers waited for turns.
func (q *Query) Waited() time.Duration { return time.Duration(q.waited.Load()) }

// manyMessages is how many have to be looked at, in memory, that it takes a
// turn.
const manyMessages = 4096

// turn waits for a turn to look at n messages in memory. A few need none.
func (q *Query) turn(ctx context.Context, n int) (*fair.Turn, error) {
	if n < manyMessages {
		return nil, ctx.Err()
	}
	return q.Work.Take(ctx, uint64(q.User))
}

// end gives a turn back.
func (q *Query) end(t *fair.Turn) {
	t.End()
	for waited := int64(t.Waited()); ; {
		if most := q.waited.Load(); waited <= most || q.waited.CompareAndSwap(most, waited) {
			return
		}
	}
}

// Looked returns at how many messages the search looked until now.
func (q *Query) Looked() int64 { return q.looked.Load() }

// ErrCharset is a charset that is not known (RFC 3501 §7.1 BADCHARSET).
var ErrCharset = errors.New("the charset is not known")

// Costs of a test: keys that need less are tried first.
const (
	costRow = iota
	costSummary
	costBody
)

// test is a compiled key.
type test struct {
	cost  int
	match func(c *cursor, i int, m *store.Message) (bool, error)
	maybe []uint64 // a bit for each message that can match; nil: the index does not say
}

// cursor is one worker's state.
type cursor struct {
	ctx    context.Context
	q      *Query
	turn   *fair.Turn // nil: needs none
	scan   *store.Scan
	folded []byte
	raw    []byte
	block  []byte // of a header

	decoder message.TextDecoder

	annotationsOf mail.UID // whose annotations found are
	found         []store.Annotation
}

func (q *Query) newCursor(ctx context.Context, t *fair.Turn) *cursor {
	return &cursor{ctx: ctx, q: q, turn: t, scan: q.Store.Scan()}
}

func (c *cursor) close() { c.scan.Close() }

// Run returns the indexes of the messages that match, ascending.
func Run(ctx context.Context, q *Query) ([]int32, error) {
	t, err := q.compile(q.Key)
	if err != nil {
		return nil, err
	}
	found, err := q.run(ctx, t)
	if err == nil && q.watched != nil {
		q.watched.keep()
	}
	return found, err
}

func (q *Query) run(ctx context.Context, t test) ([]int32, error) {
	if q.Only != nil {
		return q.scanOnly(ctx, t)
	}
	if isAll(q.Key) {
		q.looked.Store(int64(q.List.Len()))
		return all(q.List.Len()), nil
	}
	if t.cost == costRow {
		q.looked.Store(int64(q.List.Len()))
		turn, err := q.turn(ctx, q.List.Len())
		defer q.end(turn)
		if err != nil {
			return nil, errs.Wrap("search.Run", err)
		}
		c := q.newCursor(ctx, turn)
		defer c.close()
		return q.scanRows(c, t)
	}
	if !q.leavesMost(t.maybe) {
		some := indexesOf(t.maybe)
		q.looked.Store(int64(q.List.Len() - len(some))) // what the index knows needs no look
		return q.scanSome(ctx, t, some)
	}
	return q.parallel(ctx, t)
}

// indexesOf returns which bits are set.
func indexesOf(bitmap []uint64) (indexes []int32) {
	for i, word := range bitmap {
		for ; word != 0; word &= word - 1 {
			indexes = append(indexes, int32(64*i+bits.TrailingZeros64(word)))
		}
	}
	return indexes
}

// rowsLen is how many messages are looked at before what was found is copied.
const rowsLen = 4096

// scanRows looks at what is in the list of all messages. The indexes are copied
// once instead of whenever there is no more room for them.
func (q *Query) scanRows(c *cursor, t test) ([]int32, error) {
	var found [][]int32
	var hits []int32
	var err error
	for from := 0; from < q.List.Len(); from += rowsLen {
		if hits, err = q.scan(c, t, hits[:0], from, min(from+rowsLen, q.List.Len())); err != nil {
			return nil, err
		}
		if len(hits) > 0 {
			found = append(found, slices.Clone(hits))
		}
	}
	return slices.Concat(found...), nil
}

// isAll reports whether a key is nothing but ALL.
func isAll(k *imapwire.SearchKey) bool {
	return k.Op == imapwire.SearchAll || k.Op == imapwire.SearchAnd && !slices.ContainsFunc(k.Keys, func(k *imapwire.SearchKey) bool { return !isAll(k) })
}

// all returns the indexes of n messages.
func all(n int) []int32 {
	indexes := make([]int32, n)
	for i := range indexes {
		indexes[i] = int32(i)
	}
	return indexes
}

// scan appends to hits the indexes, from one to before another, that match.
func (q *Query) scan(c *cursor, t test, hits []int32, from, to int) ([]int32, error) {
	for i, m := range q.List.Range(from, to) {
		if t.cost != costRow || i%1024 == 0 {
			if err := c.turn.Pause(c.ctx); err != nil {
				return nil, errs.Wrap("search.Run", err)
			}
		} else if err := c.ctx.Err(); err != nil { // one test may have thousands of keys
			return nil, errs.Wrap("search.Run", err)
		}
		ok, err := t.match(c, i, m)
		if err != nil {
			return nil, err
		}
		if ok {
			hits = append(hits, int32(i))
		}
	}
	return hits, nil
}

// scanOnly looks at the messages of Only: the cost follows their number, not
// that of the list.
func (q *Query) scanOnly(ctx context.Context, t test) ([]int32, error) {
	var some []int32
	for i := range q.List.Select(q.Only) {
		some = append(some, int32(i))
	}
	return q.scanSome(ctx, t, some)
}

// scanSome looks at the messages with these indexes.
func (q *Query) scanSome(ctx context.Context, t test, some []int32) ([]int32, error) {
	found := make([][]int32, (len(some)+blockLen-1)/blockLen)
	err := q.inBlocks(ctx, len(some), func(c *cursor, from, to int) (err error) {
		var hits []int32
		for _, i := range some[from:to] {
			if hits, err = q.scan(c, t, hits, int(i), int(i)+1); err != nil {
				return err
			}
		}
		found[from/blockLen] = hits
		q.looked.Add(int64(to - from))
		return nil
	})
	return slices.Concat(found...), err
}

// parallel scans blocks of messages on as many processors as there are turns.
func (q *Query) parallel(ctx context.Context, t test) ([]int32, error) {
	found := make([][]int32, (q.List.Len()+blockLen-1)/blockLen)
	err := q.inBlocks(ctx, q.List.Len(), func(c *cursor, from, to int) error {
		hits, err := q.scan(c, t, nil, from, to)
		found[from/blockLen] = hits
		q.looked.Add(int64(to - from))
		return err
	})
	return slices.Concat(found...), err
}

// blockLen is how many messages a processor takes at once.
const blockLen = 64

// inBlocks calls fn for each block of n things, each caller in its turn, until
// one fails.
func (q *Query) inBlocks(ctx context.Context, n int, fn func(c *cursor, from, to int) error) error {
	blocks := (n + blockLen - 1) / blockLen
	var next atomic.Int64
	var wg sync.WaitGroup
	var failure atomic.Pointer[error]
	var panicked errs.Panic
	for range min(q.Work.Slots(), blocks) {
		wg.Go(func() {
			defer panicked.Catch()
			turn, err := q.Work.Take(ctx, uint64(q.User))
			defer q.end(turn)
			c := q.newCursor(ctx, turn)
			defer c.close()
			for err == nil && failure.Load() == nil {
				b := int(next.Add(1) - 1)
				if b >= blocks {
					return
				}
				if err = fn(c, b*blockLen, min((b+1)*blockLen, n)); err == nil {
					err = turn.Pause(ctx)
				}
			}
			if err != nil {
				err = errs.Wrap("search.inBlocks", err)
				failure.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	panicked.Raise()
	if e := failure.Load(); e != nil {
		return *e
	}
	return nil
}

func rowTest(f func(m *store.Message) bool) test {
	return test{cost: costRow, match: func(_ *cursor, _ int, m *store.Message) (bool, error) { return f(m), nil }}
}

func (q *Query) compile(k *imapwire.SearchKey) (test, error) {
	switch k.Op {
	case imapwire.SearchAll:
		return rowTest(func(*store.Message) bool { return true }), nil
	case imapwire.SearchAnd, imapwire.SearchOr, imapwire.SearchNot:
		return q.compileLogic(k)
	case imapwire.SearchSeq, imapwire.SearchUID:
		return q.compileSet(k), nil
	case imapwire.SearchModSeq:
		return rowTest(func(m *store.Message) bool { return m.ModSeq >= k.ModSeq }), nil
	case imapwire.SearchOlder, imapwire.SearchYounger:
		return q.compileInterval(k), nil
	case imapwire.SearchEmailID, imapwire.SearchThreadID, imapwire.SearchLabel:
		return q.compileID(k), nil
	case imapwire.SearchAttachment:
		return q.compileAttachment(k), nil
	case imapwire.SearchAnnotation:
		return q.compileAnnotation(k)
	case imapwire.SearchFlag:
		return rowTest(func(m *store.Message) bool { return m.Flags.Has(k.Flag) }), nil
	case imapwire.SearchKeyword:
		return rowTest(func(m *store.Message) bool { return m.Flags.HasKeyword(k.Text) }), nil
	case imapwire.SearchRecent:
		return rowTest(func(m *store.Message) bool { return q.Recent(m.UID) }), nil
	case imapwire.SearchNew:
		return rowTest(func(m *store.Message) bool { return q.Recent(m.UID) && !m.Flags.Has(mail.Seen) }), nil
	case imapwire.SearchOld:
		return rowTest(func(m *store.Message) bool { return !q.Recent(m.UID) }), nil
	case imapwire.SearchLarger:
		return rowTest(func(m *store.Message) bool { return m.Size > k.Size }), nil
	case imapwire.SearchSmaller:
		return rowTest(func(m *store.Message) bool { return m.Size < k.Size }), nil
	case imapwire.SearchBefore, imapwire.SearchOn, imapwire.SearchSince:
		return q.compileDay(k), nil
	case imapwire.SearchSavedBefore, imapwire.SearchSavedOn, imapwire.SearchSavedSince:
		return q.compileSaved(k), nil
	case imapwire.SearchSentBefore, imapwire.SearchSentOn, imapwire.SearchSentSince:
		return q.compileSent(k), nil
	}
	return q.compileText(k)
}

func (q *Query) compileLogic(k *imapwire.SearchKey) (test, error) {
	parts := make([]test, 0, len(k.Keys))
	cost := costRow
	for _, sub := range k.Keys {
		t, err := q.compile(sub)
		if err != nil {
			return test{}, err
		}
		parts = append(parts, t)
		cost = max(cost, t.cost)
	}
	slices.SortStableFunc(parts, func(a, b test) int { return a.cost - b.cost })
	maybe := maybeOf(k.Op, parts)
	// AND ends at the first that fails, OR at the first that holds.
	end := k.Op == imapwire.SearchOr
	if k.Op == imapwire.SearchNot {
		inner := parts[0]
		return test{cost: cost, match: func(c *cursor, i int, m *store.Message) (bool, error) {
			ok, err := inner.match(c, i, m)
			return !ok, err
		}}, nil
	}
	if len(parts) == 1 {
		return parts[0], nil
	}
	return test{cost, func(c *cursor, i int, m *store.Message) (bool, error) {
		for _, p := range parts {
			if ok, err := p.match(c, i, m); err != nil || ok == end {
				return ok, err
			}
		}
		return !end, nil
	}, maybe}, nil
}

// maybeOf returns which messages a logical key can match, after what its parts say.
func maybeOf(op imapwire.SearchOp, parts []test) (maybe []uint64) {
	if op == imapwire.SearchNot {
		return nil
	}
	for _, p := range parts {
		switch {
		case p.maybe == nil && op == imapwire.SearchOr:
			return nil
		case p.maybe == nil:
		case maybe == nil:
			maybe = slices.Clone(p.maybe)
		case op == imapwire.SearchOr:
			for j, word := range p.maybe {
				maybe[j] |= word
			}
		default:
			for j, word := range p.maybe {
				maybe[j] &= word
			}
		}
	}
	return maybe
}

func (q *Query) compileSet(k *imapwire.SearchKey) test {
	if k.Set.IsSaved() {
		return rowTest(func(m *store.Message) bool { return q.Saved.Contains(m.UID) })
	}
	n := q.List.Len()
	if k.Op == imapwire.SearchSeq {
		ranges := k.Set.Resolve(uint32(n))
		return test{cost: costRow, match: func(_ *cursor, i int, _ *store.Message) (bool, error) {
			return imapwire.Contains(ranges, uint32(i+1)), nil
		}}
	}
	last := uint32(0)
	if n > 0 {
		last = uint32(q.List.At(n - 1).UID)
	}
	ranges := k.Set.Resolve(last)
	return rowTest(func(m *store.Message) bool { return imapwire.Contains(ranges, uint32(m.UID)) })
}

// compileInterval compares the internal date with an interval before now (RFC
// 5032 §3).
func (q *Query) compileInterval(k *imapwire.SearchKey) test {
	then := q.Store.Now().Unix() - k.Size
	return rowTest(func(m *store.Message) bool { return (m.InternalDate <= then) == (k.Op == imapwire.SearchOlder) })
}

// compileSaved compares the save date (RFC 8514 §4.3), in UTC.
func (q *Query) compileSaved(k *imapwire.SearchKey) test {
	day := floorDay(k.Day.Unix())
	return rowTest(func(m *store.Message) bool {
		switch d := floorDay(m.SaveDate); k.Op {
		case imapwire.SearchSavedBefore:
			return d < day
		case imapwire.SearchSavedOn:
			return d == day
		default:
			return d >= day
		}
	})
}

const daySeconds = 24 * 60 * 60

func floorDay(seconds int64) int64 {
	if seconds < 0 {
		seconds -= daySeconds - 1
	}
	return seconds / daySeconds
}

// compileDay compares the date of the internal date as its zone shows it.
func (q *Query) compileDay(k *imapwire.SearchKey) test {
	day := floorDay(k.Day.Unix())
	return rowTest(func(m *store.Message) bool {
		d := floorDay(m.InternalDate + int64(m.Zone)*60)
		switch k.Op {
		case imapwire.SearchBefore:
			return d < day
		case imapwire.SearchOn:
			return d == day
		}
		return d >= day
	})
}

// compileSent compares the date of the Date field as it is written there.
func (q *Query) compileSent(k *imapwire.SearchKey) test {
	day := floorDay(k.Day.Unix())
	return test{cost: costSummary, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
		top, err := c.top(m)
		if top == nil {
			return false, err
		}
		t, ok := message.ParseDate(top.Envelope.Date)
		if !ok {
			return false, nil
		}
		_, zone := t.Zone()
		d := floorDay(t.Unix() + int64(zone))
		switch k.Op {
		case imapwire.SearchSentBefore:
			return d < day, nil
		case imapwire.SearchSentOn:
			return d == day, nil
		}
		return d >= day, nil
	}}
}

// summary returns a message's summary; nil for one that cannot be read: a
// damaged message matches nothing and spoils no search.
func (c *cursor) summary(m *store.Message) (*message.Summary, error) {
	s, err := c.scan.Summary(c.ctx, m)
	return s, passOver(err)
}

// top returns what a message's summary tells of itself, until the next call; nil
// for one that cannot be read.
func (c *cursor) top(m *store.Message) (*message.Top, error) {
	t, err := c.scan.Top(c.ctx, m)
	return t, passOver(err)
}

func passOver(err error) error {
	if errs.Is(err, errs.Corrupt) || errs.Is(err, errs.NotFound) {
		return nil
	}
	return err
}

// needle returns the string of a key as it is compared.
func (q *Query) needle(k *imapwire.SearchKey) ([]byte, error) {
	text := k.Text
	if q.Charset != "" {
		if _, ok := message.Charset(q.Charset); !ok {
			return nil, ErrCharset
		}
		text = message.ToUTF8(text, q.Charset)
	}
	return message.AppendFold(nil, []byte(text)), nil
}

func (q *Query) compileText(k *imapwire.SearchKey) (test, error) {
	needle, err := q.needle(k)
	if err != nil {
		return test{}, err
	}
	if k.Fuzzy { // the index knows nothing of misspelled words
		score, cost := fuzzyScorer(k, needle), costBody
		if k.Op == imapwire.SearchHeader {
			cost = costSummary
		}
		return test{cost: cost, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
			n, err := score(c, m)
			return n > scoreNone, err
		}}, nil
	}
	switch k.Op {
	case imapwire.SearchHeader:
		return q.compileField(k.Field, needle), nil
	case imapwire.SearchBody, imapwire.SearchText:
		whole := k.Op == imapwire.SearchText
		return filtered(q.maybe(needle), test{cost: costBody, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
			ok, err := c.body(m, whole, needle)
			return ok, passOver(err)
		}}), nil
	}
	return test{}, errs.New("search.compile", errs.Invalid, "unknown search key")
}

// compileField looks into what is kept of the field, where that is nearly all, and
// otherwise into the messages that the index does not rule out. Where it leaves most of
// them, as while it is being made, all are looked at, and what is seen is kept.
func (q *Query) compileField(name string, needle []byte) test {
	t := q.newFieldTest(name, needle)
	if t.column != nil && t.missing() <= addedMax {
		t.watch()
		return test{cost: costRow, match: t.match}
	}
	maybe := q.maybe(needle)
	if q.leavesMost(maybe) && t.watch() {
		maybe = nil
	}
	return filtered(maybe, test{cost: costSummary, match: t.match})
}

// fields returns a message's header, of which those fields may be missing that a
// summary does not keep, until the next call; nil for one that cannot be read.
func (c *cursor) fields(m *store.Message, kept bool) ([]byte, error) {
	fields, whole, err := c.scan.Fields(c.ctx, m)
	if err == nil && (!kept || !whole) {
		fields, err = c.scan.Header(c.ctx, m)
	}
	return fields, passOver(err)
}

// askedMax is for how many texts of one search the index is asked: each answer
// has a bit for each message of the list.
const askedMax = 64

// maybe returns which messages of the list can hold a text, as bits; nil when
// the index does not say. To look into few messages is less work than to ask it.
func (q *Query) maybe(needle []byte) []uint64 {
	if q.Index == nil || q.Only != nil || len(needle) < gramOctets || q.asked == askedMax {
		return nil
	}
	q.asked++
	return q.Index.candidates(q.Account, q.List, needle)
}

// leavesMost reports whether what maybe returned rules out less than half of the list.
func (q *Query) leavesMost(maybe []uint64) bool {
	left := 0
	for _, word := range maybe {
		left += bits.OnesCount64(word)
	}
	return maybe == nil || left > q.List.Len()/2
}

// filtered is a test that first looks whether the index rules a message out.
func filtered(maybe []uint64, t test) test {
	if maybe == nil {
		return t
	}
	return test{t.cost, func(c *cursor, i int, m *store.Message) (bool, error) {
		if maybe[i/64]&(1<<(i%64)) == 0 {
			return false, nil
		}
		return t.match(c, i, m)
	}, maybe}
}
